/**
 * The data plane of one real node, in the thread that calls: it opens the links, drives them until it is told to stop, and
 * removes what it made. Its plans come from the control thread (see `node-threads.ts`).
 * @module
 */
import { systemClock } from '../base/clock.ts';
import { secureBytes } from '../base/rng.ts';
import type { AgentPlan } from '../cilium/agent-plan.ts';
import type { DeviceLink, DeviceStats } from '../link/link.ts';
import { openPacket } from '../link/packet.ts';
import { openRaw } from '../link/raw.ts';
import { interfaceOf, ownAddress } from '../link/socket.ts';
import { openTun, type TunLink } from '../link/tun.ts';
import { openUdp } from '../link/udp.ts';
import { inNetns, Poller } from '../native/system.ts';
import { runLoop } from '../node/loop.ts';
import { Node } from '../node/node.ts';
import type { NodeStats, SaReport } from '../node/stats.ts';
import { warmUp } from '../node/warm-up.ts';
import { FlowObserver } from '../observe/flow-observer.ts';
import { type FlowBatch, FlowRecorder } from '../observe/flow-recorder.ts';
import type { AgentReport, StateReport } from '../observe/observed.ts';
import { makeEngine } from './engine.ts';
import { type FlowsConfig, filterOf } from './flow-options.ts';
import { mtuInside } from './inside-mtu.ts';
import type { NodeConfig } from './node-config.ts';
import { outsidePort } from './node-plan.ts';
import { CONTROL, type ThreadData } from './node-threads.ts';
import type { NumberedPlan } from './plan-delta.ts';
import { type Change, PlanIntake } from './plan-intake.ts';
import { StateRows } from './state-file.ts';

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

/** A node's figures at one moment, with those of its links. */
export interface PlaneStats extends NodeStats {
  readonly inside: Readonly<DeviceStats>;
  readonly outside: Readonly<DeviceStats>;
}

/** The same with what the control thread says. */
export interface RunningStats extends PlaneStats {
  /** Absent where SAs come from `ip xfrm` text. */
  readonly agent?: AgentReport;
  readonly state?: StateReport;
}

export interface PlaneTalk {
  /** SAs of the next {@link stats}, in several calls where there are many. */
  sas(sas: readonly SaReport[]): void;
  /** The links are there, and the loop begins. */
  ready(facts: ReadyFacts): void;
  stats(stats: PlaneStats): void;
  /** Something that does not stop the node, in one line. */
  warn(line: string): void;
  /** Flows, when the configuration wants them. The owner counts in {@link CONTROL}.FLOWS what it is done with. */
  flows(batch: FlowBatch): void;
}

/** ms between two reports of the statistics. */
const REPORT_EVERY = 250;
/** Of many SAs they take longer to make: not more than one part in so many of the time goes into them. */
const REPORT_SHARE = 50;
/** SAs of one message of a report, and keys that are counted in one go: some 0.2 ms. */
const REPORT_STEPS = 50;
/** ms between two looks at the interface outside. */
const FOLLOW_EVERY = 200;
/** ms between two batches of flows. */
const FLOWS_EVERY = 50;
/** Batches of flows that the owner may be behind; after that they wait here, as long as there is room. */
const FLOWS_BEHIND = 4;
/** ms for packets of its own before a node takes those of others. */
const LONGEST_WARM_UP = 1000;

/** Packets of a batch: some five super-packets. More of them cost the cache more than they save in system calls. */
const CAPACITY = 256;

/**
 * Waits for the first plan, and runs until the control word STOP is set.
 * @returns the last statistics; `undefined` when it was told to stop before it ran
 * @throws {EsplaneError} when it cannot start, or a device is gone for good; nothing that it made stays behind
 */
export async function runNode(data: ThreadData, talk: PlaneTalk): Promise<PlaneStats | undefined> {
  const { config, control } = data;
  const engine = await makeEngine(config.crypto);
  const { now } = systemClock;
  const intake = new PlanIntake(data);
  const first = intake.first();
  if (!first) return undefined;
  const { loaded } = first;
  const { strict, stateFd } = first.facts;
  const rows = stateFd === undefined ? undefined : new StateRows(stateFd);
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
      ...(rows && {
        rowOf: (sa) => {
          const at = intake.rowOf(sa);
          return at === undefined ? undefined : rows.row(at);
        },
      }),
      ...(flows && { observer: flows.observer }),
    });
    node.addInside(inside.name, loaded.pods, inside, config.inside.identity);
    const tun = inside;
    const poller = new Poller([...inside.fds, ...outside.fds], data.wakeFd);
    const withLinks = (stats: () => NodeStats): PlaneStats => {
      tun.look?.();
      outside.look?.();
      return { ...stats(), inside: { ...tun.stats }, outside: { ...outside.stats } };
    };
    const stats = () => withLinks(() => node.stats());
    let { pods } = loaded;
    const change = (next: NumberedPlan): Change => {
      const under = node.changePlan(next.plan);
      return {
        step: (isEnough) => {
          if (!under.step(isEnough)) return false;
          node.movePods(tun.name, pods, next.pods);
          ({ pods } = next);
          return true;
        },
      };
    };
    intake.start(loaded, {
      change,
      insideMtu: (mtu) => {
        tun.mtu = mtu;
      },
    });
    intake.answer({ kind: 'up', inside: tun.name, insideMtu, outsideMtu: outside.mtu });
    talk.ready({
      name,
      inside: inside.name,
      insideMtu,
      outside: outside.name,
      device: deviceOf(config),
      outsideMtu: outside.mtu,
      cipher: engine.name,
      offloads: inside.offloads,
      sas: loaded.plan.sas.length,
    });
    // A question right after the start gets an answer.
    talk.stats(stats());
    const reporter = new Reporter(node, talk, () => withLinks(() => node.statsInBrief()));
    let isThere = true;
    let mtu = outside.mtu;
    const follow = () => {
      if (Atomics.exchange(control, CONTROL.UNRESERVED, 0) === 1) rows?.release();
      if ((outside.follow?.() ?? true) !== isThere) {
        isThere = !isThere;
        const what = isThere ? 'there again' : 'gone: nothing leaves until it is back with its address';
        talk.warn(`${name}: the interface of ${outside.name} is ${what}`);
      }
      if (outside.mtu === mtu) return;
      ({ mtu } = outside);
      node.setPathMtu(mtu);
      intake.answer({ kind: 'outside-mtu', mtu });
    };
    runLoop({
      links: [inside, outside],
      wait: (ms) => poller.wait(ms),
      clock: systemClock,
      // Asking for the statistics also drops fragments that waited too long while nothing came.
      chores: [
        { every: REPORT_EVERY, run: () => reporter.begin() },
        { every: FOLLOW_EVERY, run: follow },
        ...(flows ? [{ every: FLOWS_EVERY, run: () => flows.hand() }] : []),
      ],
      work: () => {
        const hasPlan = intake.step();
        return reporter.step() || hasPlan;
      },
      stopped: () => {
        Atomics.add(control, CONTROL.PLANE_BEAT, 1);
        return Atomics.load(control, CONTROL.STOP) === 1;
      },
    });
    flows?.handRest();
    return stats();
  } finally {
    inside?.close();
    outside.close();
  }
}

/** Reports the statistics a little at a time: those of thousands of SAs would hold packets up for 50 ms. */
class Reporter {
  readonly #node: Node;
  readonly #talk: PlaneTalk;
  readonly #brief: () => PlaneStats;
  #rows: ReturnType<Node['saReports']> | undefined;
  #endedAt = 0;
  /** ms that the last report took, and what this one has taken so far. */
  #lastTook = 0;
  #took = 0;

  constructor(node: Node, talk: PlaneTalk, brief: () => PlaneStats) {
    this.#node = node;
    this.#talk = talk;
    this.#brief = brief;
  }

  /** Begins, unless one is under way, or the last one took so long that it is too soon. */
  begin(): void {
    if (this.#rows || performance.now() - this.#endedAt < REPORT_SHARE * this.#lastTook) return;
    this.#rows = this.#node.saReports();
    this.#took = 0;
  }

  /** Goes on with it. @returns whether there is more to do */
  step(): boolean {
    if (!this.#rows) return false;
    const began = performance.now();
    const sas: SaReport[] = [];
    let isOver = false;
    for (let k = 0; k < REPORT_STEPS && !isOver; k++) {
      const { done, value } = this.#rows.next();
      isOver = done ?? false;
      if (value) sas.push(value);
    }
    if (sas.length > 0) this.#talk.sas(sas);
    if (isOver) {
      this.#talk.stats(this.#brief());
      this.#rows = undefined;
    }
    this.#endedAt = performance.now();
    this.#took += this.#endedAt - began;
    if (isOver) this.#lastTook = this.#took;
    return !isOver;
  }
}

/** The flows of a running node, on their way to its owner. */
class FlowSource {
  readonly observer: FlowObserver;
  readonly #recorder: FlowRecorder;
  readonly #control: Int32Array;
  readonly #talk: PlaneTalk;
  #handed = 0;

  constructor(flows: FlowsConfig, control: Int32Array, talk: PlaneTalk) {
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

/** Opens the link that a configuration names. @throws {EsplaneError} when it cannot be had */
export function openOutside(
  { netns, outside }: NodeConfig,
  { overlay }: Pick<AgentPlan, 'overlay'>,
  port: number,
): DeviceLink {
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
