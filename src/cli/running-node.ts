/**
 * One real node at work, in the thread that calls: it opens the links, drives them until it is told to stop, and
 * removes what it made.
 * @module
 */
import { systemClock } from '../base/clock.ts';
import { secureBytes } from '../base/rng.ts';
import type { AgentPlan } from '../cilium/agent-plan.ts';
import { maxInner } from '../ipsec/mtu.ts';
import type { DeviceLink, DeviceStats } from '../link/link.ts';
import { openPacket } from '../link/packet.ts';
import { openRaw } from '../link/raw.ts';
import { interfaceOf, ownAddress } from '../link/socket.ts';
import { openTun, type TunLink } from '../link/tun.ts';
import { openUdp } from '../link/udp.ts';
import { ipBatch } from '../native/ip-command.ts';
import { inNetns, Poller } from '../native/system.ts';
import { runLoop } from '../node/loop.ts';
import { Node } from '../node/node.ts';
import type { NodeStats } from '../node/stats.ts';
import { warmUp } from '../node/warm-up.ts';
import { FlowObserver } from '../observe/flow-observer.ts';
import { type FlowBatch, FlowRecorder } from '../observe/flow-recorder.ts';
import type { AgentReport } from '../observe/observed.ts';
import { formatAddress, formatPrefix } from '../wire/address.ts';
import { MIN_MTU as MIN_MTU_V6 } from '../wire/ipv6.ts';
import { makeEngine } from './engine.ts';
import { type FlowsConfig, filterOf } from './flow-options.ts';
import { NodeAgent, strictOf } from './node-agent.ts';
import type { NodeConfig } from './node-config.ts';
import { completePlan, type LoadedPlan, loadStaticPlan, outsidePort } from './node-plan.ts';

/** What a node says when it runs. */
export interface ReadyFacts {
  readonly name: string;
  readonly inside: string;
  readonly insideMtu: number;
  readonly outside: string;
  /** The interface that has the outside address. */
  readonly device: string;
  readonly outsideMtu: number;
  readonly cipher: string;
  readonly offloads: readonly string[];
  readonly sas: number;
}

/** A node's figures at one moment, with those of its links and its agent. */
export interface RunningStats extends NodeStats {
  readonly inside: Readonly<DeviceStats>;
  readonly outside: Readonly<DeviceStats>;
  /** Absent where SAs come from `ip xfrm` text. */
  readonly agent?: AgentReport;
}

/**
 * Words of the memory that the owner of a running node shares with it: end; read all files again; read those again that
 * are watched; batches of flows that the owner is done with.
 */
export const CONTROL = { STOP: 0, RELOAD: 1, CHANGED: 2, FLOWS: 3, WORDS: 4 } as const;

export interface NodeTalk {
  /** @param wakeFd to wake the node after a control word was set */
  ready(facts: ReadyFacts, wakeFd: number): void;
  stats(stats: RunningStats): void;
  /** Something that does not stop the node, in one line. */
  warn(line: string): void;
  /** Flows, when the configuration wants them. The owner counts in {@link CONTROL}.FLOWS what it is done with. */
  flows(batch: FlowBatch): void;
}

/** ms between two reports of the statistics. */
const REPORT_EVERY = 250;
/** Of many SAs they take longer to make: not more than one part in so many of the time goes into them. */
const REPORT_SHARE = 20;
/** ms between two looks at the interface outside. */
const FOLLOW_EVERY = 200;
/** ms between two looks whether the agent has something to do. */
const AGENT_EVERY = 100;
/** ms without a packet after which a peer is quiet. */
const QUIET_AFTER = 5000;
const MIN_MTU_V4 = 68;
/** ms between two batches of flows. */
const FLOWS_EVERY = 50;
/** Batches of flows that the owner may be behind; after that they wait here, as long as there is room. */
const FLOWS_BEHIND = 4;
/** ms for packets of its own before a node takes those of others. */
const LONGEST_WARM_UP = 1000;

/** Packets of a batch: some five super-packets. More of them cost the cache more than they save in system calls. */
const CAPACITY = 256;

/**
 * Runs until the control word STOP is set.
 * @param control a shared `Int32Array` of {@link CONTROL}.WORDS
 * @returns the last statistics
 * @throws {EsplaneError} when it cannot start, or a device is gone for good; nothing that it made stays behind
 */
export async function runNode(
  config: NodeConfig,
  control: Int32Array,
  talk: NodeTalk,
): Promise<RunningStats> {
  const engine = await makeEngine(config.crypto);
  const { now } = systemClock;
  const agent = config.xfrm ? undefined : new NodeAgent(config, talk.warn, now());
  const load = (): LoadedPlan =>
    agent ? completePlan(config, agent.plan, agent.pods) : loadStaticPlan(config);
  const loaded = load();
  const strict = strictOf(config);
  const warm = now() + LONGEST_WARM_UP;
  warmUp({
    plan: loaded.plan,
    engine,
    random: secureBytes,
    capacity: CAPACITY,
    isEnough: () => now() > warm,
  });
  const port = outsidePort(config, loaded.plan);
  const outside = openOutside(config, loaded.plan, port);
  let inside: TunLink | undefined;
  let poller: Poller | undefined;
  try {
    const insideMtu = mtuInside(config, loaded.plan, outside.mtu);
    const netns = config.inside.netns ?? config.netns;
    inside = openTun({
      name: config.inside.device,
      ...(netns !== undefined && { netns }),
      mtu: insideMtu,
      addresses: config.inside.addresses,
      offload: config.inside.offload,
      queues: config.inside.queues,
      capacity: CAPACITY,
    });
    const { name } = config;
    const flows = config.flows && new FlowSource(config.flows, control, talk);
    const node = new Node({
      name,
      plan: loaded.plan,
      outside,
      engine,
      clock: systemClock,
      random: secureBytes,
      capacity: CAPACITY,
      // A UDP link has one port.
      ...(loaded.plan.overlay === 'esp-in-vxlan' && { overlayPort: port }),
      ...(strict && { strict: strict.cidr, strictAllowsNodes: strict.allowRemoteNodes }),
      ...(flows && { observer: flows.observer }),
    });
    node.addInside(inside.name, loaded.pods, inside, config.inside.identity);
    const tun = inside;
    let { plan } = loaded;
    let routed = setRoutes(config, tun, [], remotePrefixes(loaded));
    poller = new Poller([...inside.fds, ...outside.fds]);
    const stats = (): RunningStats => {
      tun.look?.();
      outside.look?.();
      return {
        ...node.stats(),
        inside: { ...tun.stats },
        outside: { ...outside.stats },
        ...(agent && { agent: agent.report() }),
      };
    };
    const followMtu = () => {
      const room = mtuInside(config, plan, outside.mtu);
      if (typeof config.inside.mtu !== 'number' && room !== tun.mtu) tun.setMtu(room);
    };
    let { pods } = loaded;
    const apply = (next: LoadedPlan) => {
      node.applyPlan(next.plan);
      node.movePods(tun.name, pods, next.pods);
      ({ plan, pods } = next);
      try {
        routed = setRoutes(config, tun, routed, remotePrefixes(next));
        followMtu();
      } catch (error) {
        talk.warn(`${name}: ${tun.name} does not follow the new plan: ${(error as Error).message}`);
      }
    };
    const reload = (readsAll: boolean) => {
      try {
        if (agent) agent.reload(now(), readsAll);
        else apply(load());
      } catch (error) {
        // What it has goes on: a bad file must not stop a node.
        talk.warn(`${name}: not reloaded, the old plan stays: ${(error as Error).message}`);
      }
    };
    agent?.start({
      apply: (next) => apply(completePlan(config, next, agent.pods)),
      carried: () => carriedBy(node),
    });
    talk.ready(
      {
        name,
        inside: inside.name,
        insideMtu,
        outside: outside.name,
        device: deviceOf(config),
        outsideMtu: outside.mtu,
        cipher: engine.name,
        offloads: inside.offloads,
        sas: loaded.plan.sas.length,
      },
      poller.wakeFd,
    );
    // Whoever asks right away gets an answer.
    talk.stats(stats());
    let reportedAt = 0;
    let reportTook = 0;
    const report = () => {
      const began = performance.now();
      if (began - reportedAt < REPORT_SHARE * reportTook) return;
      talk.stats(stats());
      reportedAt = began;
      reportTook = performance.now() - began;
    };
    const at = poller;
    let isThere = true;
    let mtu = outside.mtu;
    const follow = () => {
      if ((outside.follow?.() ?? true) !== isThere) {
        isThere = !isThere;
        const what = isThere ? 'there again' : 'gone: nothing leaves until it is back with its address';
        talk.warn(`${name}: the interface of ${outside.name} is ${what}`);
      }
      if (outside.mtu === mtu) return;
      node.setPathMtu(outside.mtu);
      try {
        followMtu();
        talk.warn(`${name}: the MTU outside went from ${mtu} to ${outside.mtu}, inside it is ${tun.mtu}`);
      } catch (error) {
        talk.warn(`${name}: the MTU outside went from ${mtu} to ${outside.mtu}: ${(error as Error).message}`);
      }
      mtu = outside.mtu;
    };
    runLoop({
      links: [inside, outside],
      wait: (ms) => at.wait(ms),
      clock: systemClock,
      // Asking for the statistics also drops fragments that waited too long while nothing came.
      chores: [
        { every: REPORT_EVERY, run: report },
        { every: FOLLOW_EVERY, run: follow },
        ...(flows ? [{ every: FLOWS_EVERY, run: () => flows.hand() }] : []),
        ...(agent
          ? [
              { every: AGENT_EVERY, run: () => agent.advance(now()) },
              { every: QUIET_AFTER, run: () => agent.lookAtTraffic(now()) },
            ]
          : []),
      ],
      stopped: () => {
        if (Atomics.exchange(control, CONTROL.RELOAD, 0) === 1) reload(true);
        if (Atomics.exchange(control, CONTROL.CHANGED, 0) === 1) reload(false);
        return Atomics.load(control, CONTROL.STOP) === 1;
      },
    });
    flows?.handRest();
    return stats();
  } finally {
    poller?.close();
    inside?.close();
    outside.close();
  }
}

/** The flows of a running node, on their way to its owner. */
class FlowSource {
  readonly observer: FlowObserver;
  readonly #recorder: FlowRecorder;
  readonly #control: Int32Array;
  readonly #talk: NodeTalk;
  #handed = 0;

  constructor(flows: FlowsConfig, control: Int32Array, talk: NodeTalk) {
    this.#recorder = new FlowRecorder({ clock: systemClock, filter: filterOf(flows), all: flows.all });
    this.observer = new FlowObserver(this.#recorder, CAPACITY);
    this.#control = control;
    this.#talk = talk;
  }

  /** Hands on what there is, unless the owner is too far behind. */
  hand(): void {
    if (this.#handed - Atomics.load(this.#control, CONTROL.FLOWS) >= FLOWS_BEHIND) return;
    const batch = this.#recorder.take();
    if (!batch) return;
    this.#handed++;
    this.#talk.flows(batch);
  }

  /** The last ones. */
  handRest(): void {
    const batch = this.#recorder.take();
    if (batch) this.#talk.flows(batch);
  }
}

function openOutside({ netns, outside }: NodeConfig, { overlay }: AgentPlan, port: number): DeviceLink {
  const { address, mark, mtu } = outside;
  const common = {
    address,
    mark,
    capacity: CAPACITY,
    ...(netns !== undefined && { netns }),
    ...(mtu !== 'auto' && { mtu }),
  };
  if (outside.link === 'udp')
    return openUdp({ ...common, port, carries: overlay === 'esp-in-vxlan' ? 'vxlan' : 'esp' });
  if (outside.link === 'raw') return openRaw(common);
  return openPacket({ ...common, ...(outside.device !== undefined && { device: outside.device }) });
}

/** The interface that has the outside address. */
function deviceOf({ netns, outside: { device, address } }: NodeConfig): string {
  return device ?? inNetns(netns, () => interfaceOf(ownAddress(address))).name;
}

/** The MTU inside: as chosen, or what Cilium leaves pods, or what fits. In an overlay the rest is not for pods either way. */
function mtuInside(config: NodeConfig, plan: AgentPlan, outsideMtu: number): number {
  const { mtu } = config.inside;
  if (typeof mtu === 'number') return mtu;
  const isCiliums = plan.overlay !== undefined || mtu !== 'fit';
  return Math.max(leastMtu(config), roomFor(plan, outsideMtu, isCiliums));
}

/** What fits through the narrowest SA, with or without what Cilium keeps back. */
function roomFor({ sas, mtuReserve = 0 }: AgentPlan, outsideMtu: number, isCiliums: boolean): number {
  let room = isCiliums ? outsideMtu - mtuReserve : outsideMtu;
  for (const { keys, mode, src, encap } of sas) {
    const family = src.length === 4 ? 4 : 6;
    room = Math.min(room, maxInner(keys.suite, mode, family, encap !== undefined, outsideMtu));
  }
  return room;
}

/** Packets of the SAs that begin or end at an address, by its text. */
function carriedBy({ sad }: Node): Map<string, number> {
  const carried = new Map<string, number>();
  for (const sa of sad.sas) {
    if (!sa || sa.life.packets === 0) continue;
    for (const end of [sa.config.src, sa.config.dst]) {
      const address = formatAddress(end);
      carried.set(address, (carried.get(address) ?? 0) + sa.life.packets);
    }
  }
  return carried;
}

/** The least that a TUN interface takes; below IPv6's least it would lose its IPv6 addresses. */
function leastMtu({ inside }: NodeConfig): number {
  return inside.addresses.some((address) => address.includes(':')) ? MIN_MTU_V6 : MIN_MTU_V4;
}

function remotePrefixes({ plan }: LoadedPlan): string[] {
  return [
    ...new Set(
      plan.routes.flatMap(({ prefix, route }) => (route.kind === 'remote' ? [formatPrefix(prefix)] : [])),
    ),
  ];
}

/** Leads what is for the peers' pods into the device. Routes go with it. */
function setRoutes(
  config: NodeConfig,
  tun: TunLink,
  old: readonly string[],
  now: readonly string[],
): string[] {
  if (!config.inside.routes) return [];
  const [before, after] = [new Set(old), new Set(now)];
  const lines = [
    ...old.filter((prefix) => !after.has(prefix)).map((prefix) => `route del ${prefix} dev ${tun.name}`),
    ...now.filter((prefix) => !before.has(prefix)).map((prefix) => `route replace ${prefix} dev ${tun.name}`),
  ];
  // The thread that carries packets waits for it: one process, however many routes there are.
  if (lines.length > 0) inNetns(tun.netns, () => ipBatch(lines));
  return [...now];
}
