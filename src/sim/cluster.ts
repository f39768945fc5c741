/**
 * A cluster in virtual time: runs a scenario. Each node has an agent and a data plane of its own, and hears of the
 * others when the news arrives; in the middle is one switch.
 *
 * ```text
 *  pods ─ node-1 ═ line ═╗                 line: bandwidth, reordering, loss, …
 *  pods ─ node-2 ═ line ═╬═ switch         switch: partitions, path MTU, an attacker
 *  pods ─ node-3 ═ line ═╝
 * ```
 *
 * The same scenario and seed give the same bytes on every machine.
 * @module
 */
import { type Clock, VirtualClock } from '../base/clock.ts';
import { mixSeed, type RandomBytes, seededBytes, xorshift32 } from '../base/rng.ts';
import type { CaptureInterface } from '../capture/frame.ts';
import type { AgentEvent } from '../cilium/agent.ts';
import type { IpcacheEntry } from '../cilium/ipcache.ts';
import { generateKey, rotateKey } from '../cilium/key-line.ts';
import { parseKeys } from '../cilium/keys.ts';
import { podMtu } from '../cilium/mtu.ts';
import type { CiliumNode } from '../cilium/nodes.ts';
import type { Engine } from '../crypto/engine.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import { capture, type Recorder } from '../link/capture.ts';
import { type ImpairedLink, impair } from '../link/impair.ts';
import type { Link } from '../link/link.ts';
import { type MemoryLink, memoryPair } from '../link/memory.ts';
import type { NodeObserver } from '../node/node.ts';
import { observers } from '../node/observers.ts';
import { RouteTable } from '../node/routes.ts';
import { formatAddress, singlePrefix } from '../wire/address.ts';
import * as esp from '../wire/esp.ts';
import { dstAt, srcAt } from '../wire/ip.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { LINK_RAW } from '../wire/link-type.ts';
import { Flows, planFlows } from './flows.ts';
import { Host } from './host.ts';
import { Ledger } from './ledger.ts';
import { Member, type Secret } from './member.ts';
import { PeerDrops } from './peer-drops.ts';
import type { Delays, Scenario } from './scenario.ts';
import { happen } from './scenario-events.ts';
import { latecomers } from './scenario-presence.ts';
import { type ShapedLink, shape } from './shape.ts';
import { Underlay } from './underlay.ts';
import type { Watcher } from './watcher.ts';

/** Time 0 of a run: the same run has the same times. */
const EPOCH = Date.UTC(2026, 0, 1);
/** Before it the cluster comes up, and everybody hears of everybody. */
const WARM_UP = 60_000;
/** So many ms before it all have their SAs. */
export const KEYS_READY = 30_000;
/** After it what is on the way arrives, and TCP sends again what it must. */
const DRAIN = 5000;
const POD_DELAY = 0.02;
/** Packets in a batch here: most are of one. */
const CAPACITY = 32;
const FIRST_IDENTITY = 10_000;
const U32 = 2 ** 32;

/** Generators that the seed feeds. Those of nodes and their lines are after them. */
const STREAM = { KEYS: 0, NEWS: 1, FLOWS: 2, NODES: 1000, NODE_IDS: 10_000, LINES: 20_000, SHAPES: 30_000 };

/** Takes what one node sees on its device. */
export interface NodeRecorder extends Recorder {
  interface(description: CaptureInterface): number;
  comment(text: string): void;
  /** SAs that the node has from now on, in place of others; and, at first, the nodes that it has to do with. */
  sas(added: readonly SaConfig[], gone: readonly SaConfig[], nodes?: readonly CiliumNode[]): void;
}

export interface ClusterOptions {
  readonly scenario: Scenario;
  /** In place of the scenario's own. */
  readonly seed?: number | undefined;
  readonly engine: Engine;
  /** Makes the recorder of a node. */
  readonly record?: (node: string) => NodeRecorder | undefined;
  /** Makes an observer of a node. */
  readonly observe?: (clock: Clock, capacity: number) => NodeObserver;
  readonly watcher?: Watcher;
}

/** What happened, for people. */
export interface TimelineEntry {
  /** ms since the start. */
  readonly at: number;
  readonly node: string | null;
  readonly text: string;
}

/** What was seen on the wire. */
export interface WireFigures {
  esp: number;
  clear: number;
  /** Frames in the clear between pods of two nodes. */
  leaks: number;
  /** Frames that a partition stopped. */
  cut: number;
  /** Frames that were too long for a router on the way. */
  tooLong: number;
}

export class Cluster {
  readonly scenario: Scenario;
  readonly seed: number;
  readonly clock = new VirtualClock(EPOCH - WARM_UP);
  readonly ledger = new Ledger();
  readonly underlay = new Underlay();
  readonly members: readonly Member[];
  readonly byName: ReadonlyMap<string, Member>;
  readonly observers: readonly PeerDrops[];
  readonly flows: Flows;
  readonly wire: WireFigures = { esp: 0, clear: 0, leaks: 0, cut: 0, tooLong: 0 };
  readonly timeline: TimelineEntry[] = [];
  /** Keys events: how many agents did it, and when the first and the last. */
  readonly steps = new Map<string, { count: number; first: number; last: number }>();
  /** All keys that the Secret ever had, as lines. */
  readonly keyLines: string[] = [];
  /** The nodes of one side while the network is parted. */
  parted: ReadonlySet<string> | undefined;
  /** The last frames to a node that an attacker keeps. */
  readonly recorded = new Map<string, Uint8Array[]>();
  readonly engine: Engine;
  readonly keyRandom: RandomBytes;
  readonly #news: () => number;
  readonly #interest: ReadonlySet<string> | undefined;
  readonly #impaired: ImpairedLink[] = [];
  readonly #shaped: ShapedLink[] = [];
  readonly #memory: MemoryLink[] = [];
  readonly #owners = new RouteTable();
  readonly #hosts = new Map<string, Host>();
  readonly #recorders = new Map<string, NodeRecorder>();
  /** Pods that wait for an event to start them. */
  readonly #waiting: Set<string>;
  /** Pods that have been announced, with what was said of them. */
  readonly #announced = new Map<string, IpcacheEntry>();
  #secret: Secret;
  readonly #watcher: Watcher;
  #isRunning = false;

  /** @throws {EsplaneError} when the engine lacks the suite of the keys */
  constructor({ scenario, seed = scenario.seed, engine, record, observe, watcher = {} }: ClusterOptions) {
    this.scenario = scenario;
    this.#watcher = watcher;
    this.seed = seed;
    this.engine = engine;
    this.keyRandom = seededBytes(mixSeed(seed, STREAM.KEYS));
    this.#news = fraction(mixSeed(seed, STREAM.NEWS));
    const plans = planFlows(scenario.traffic, scenario.pods, fraction(mixSeed(seed, STREAM.FLOWS)));
    if (scenario.peersByTraffic) {
      this.#interest = new Set(
        plans.flatMap(({ from, to }) => [`${from.node} ${to.node}`, `${to.node} ${from.node}`]),
      );
    }
    const { id, algorithm } = scenario.key;
    this.keyLines.push(this.keyLine(generateKey({ id, algorithm, random: this.keyRandom })));
    this.#secret = { text: `${this.keyLines[0]}\n`, revision: 0 };
    this.#waiting = new Set(
      scenario.events.flatMap((event) => (event.kind === 'startPod' ? event.names : [])),
    );
    const late = latecomers(scenario.events);
    this.members = scenario.nodes.map(
      (spec, i) =>
        new Member({
          scenario,
          spec,
          clock: this.clock,
          engine,
          random: seededBytes(mixSeed(seed, STREAM.NODES + i)),
          random32: xorshift32(mixSeed(seed, STREAM.NODE_IDS + i)),
          isThere: !late.has(spec.name),
          onEvent: (member, event) => this.#agentEvent(member, event),
          onFlush: (member, sas) => this.#recorders.get(member.name)?.sas([], sas),
        }),
    );
    this.byName = new Map(this.members.map((member) => [member.name, member]));
    this.#comeUp();
    this.observers = this.members.map(() => this.#observer());
    this.members.forEach((member, i) => {
      this.#connect(member, i, record?.(member.name), observe?.(this.clock, CAPACITY));
    });
    this.#addPods();
    this.#isRunning = true;
    this.clock.run(EPOCH);
    this.flows = new Flows(plans, this.#hosts, this.clock, EPOCH, watcher);
    this.#watchWire();
    for (const event of scenario.events) this.clock.after(event.at, () => happen(this, event));
  }

  /** ms since the start of the run. */
  get now(): number {
    return this.clock.now() - EPOCH;
  }

  /** ms that there is to run. */
  get end(): number {
    return this.scenario.duration + DRAIN;
  }

  /** Lets time pass until `ms` after the start. */
  runTo(ms: number): void {
    this.clock.run(EPOCH + ms);
  }

  /** What happened to frames between the nodes, other than by the switch. */
  get faults(): { lost: number; duplicated: number; corrupted: number; full: number; heldBack: number } {
    const sum = { lost: 0, duplicated: 0, corrupted: 0, full: 0, heldBack: 0 };
    for (const { stats } of this.#impaired) {
      sum.lost += stats.lost;
      sum.duplicated += stats.duplicated;
      sum.corrupted += stats.corrupted;
    }
    for (const { stats } of this.#shaped) {
      sum.full += stats.full;
      sum.heldBack += stats.heldBack;
    }
    return sum;
  }

  /** Frames that ended in a queue or without a receiver. */
  get stuck(): number {
    let count = this.underlay.refused + this.underlay.nowhere;
    for (const host of this.#hosts.values()) count += host.refused;
    for (const { node } of this.members) {
      const { out, in: into } = node.stats();
      count += out.refused + into.refused;
    }
    for (const { stats } of this.#impaired) count += stats.refused + stats.tooBig;
    for (const { stats } of this.#shaped) count += stats.refused;
    for (const { stats } of this.#memory) count += stats.tooBig + stats.unheard;
    return count;
  }

  /** Writes down what happened. */
  note(node: string | null, text: string): void {
    this.timeline.push({ at: this.now, node, text });
    const recorder = node === null ? undefined : this.#recorders.get(node);
    recorder?.comment(text);
  }

  /** A line of the keys file, of the form that the scenario says. */
  keyLine(line: string): string {
    return this.scenario.key.perTunnel ? line : line.replace('+', '');
  }

  /** The key after the last one. */
  nextKey(): string {
    const keys = parseKeys(this.keyLines.at(-1)!, 'keys', this.scenario.version);
    const line = this.keyLine(rotateKey(keys, this.keyRandom));
    this.keyLines.push(line);
    return line;
  }

  /** Another key under the id of the last one. */
  sameIdKey(): string {
    const [key] = parseKeys(this.keyLines.at(-1)!, 'keys', this.scenario.version);
    const { algorithm } = this.scenario.key;
    const line = this.keyLine(generateKey({ id: key!.id, algorithm, random: this.keyRandom }));
    this.keyLines.push(line);
    return line;
  }

  /** Gives the Secret to every node that has keys, at different times. */
  spreadKeys(text: string): void {
    const secret = { text, revision: this.#secret.revision + 1 };
    this.#secret = secret;
    for (const member of this.members) {
      const { hasKey, secret: delays = this.scenario.secret } = member.spec;
      if (hasKey) this.clock.after(this.#delay(delays), () => member.takeSecret(secret));
    }
  }

  /** Has every node that knows this one hear of something, each at its own time, and in order. */
  spread(from: Member, tell: (to: Member) => void): void {
    const now = this.clock.now();
    const i = this.members.indexOf(from);
    this.members.forEach((to, k) => {
      if (!to.isThere || !this.#knows(k, i) || from.hiddenFrom.has(to.name)) return;
      const at = Math.max(now + this.#delay(this.scenario.news), to.newsAt.get(from.name) ?? 0);
      to.newsAt.set(from.name, at);
      const { life } = to;
      this.clock.after(at - now, () => void (to.life === life && tell(to)));
    });
  }

  /** Has a node join: its agent reads what the API server says, and the others hear of it and of its pods. */
  join(member: Member): void {
    const { name, spec } = member;
    const k = this.members.indexOf(member);
    const others = this.members.filter((from, i) => from.isThere && !from.isDeleted && this.#knows(k, i));
    for (const from of others) from.hiddenFrom.delete(name);
    const known = new Set(others.map((from) => from.name));
    const entries = [...this.#announced].filter(([, { node }]) => known.has(node));
    member.join({
      nodes: others.map(({ agent }) => agent.node),
      entries,
      ...(spec.hasKey && { secret: this.#secret }),
    });
    // With a key it tells them when its agent advertises that.
    if (!spec.hasKey) this.spread(member, (to) => to.hear(member.agent.node));
    for (const pod of this.#podsOf(member)) {
      this.#hosts.get(pod)!.isOn = true;
      if (!this.scenario.podRangesKnown && !this.#waiting.has(pod)) this.announce(pod);
    }
  }

  /** Has a node leave: it is off, and its pods with it, and the others hear that they are gone. */
  leave(member: Member): void {
    member.leave();
    this.spread(member, (to) => to.forget(member.name));
    for (const pod of this.#podsOf(member)) {
      this.#hosts.get(pod)!.stop();
      const entry = this.#announced.get(pod);
      if (!entry) continue;
      this.#announced.delete(pod);
      this.spread(member, (to) => to.forgetPod(entry, pod));
    }
  }

  /** The names of a node's pods. */
  #podsOf(member: Member): string[] {
    const i = this.members.indexOf(member);
    return [...this.scenario.pods].flatMap(([name, { node }]) => (node === i ? [name] : []));
  }

  /** Has the others hear of a pod. */
  announce(pod: string): void {
    const { node, address } = this.scenario.pods.get(pod)!;
    const from = this.members[node]!;
    const entry = {
      prefix: singlePrefix(address),
      identity: identityOf(this.scenario, pod),
      node: from.name,
    };
    this.#waiting.delete(pod);
    this.#announced.set(pod, entry);
    if (this.#isRunning) this.spread(from, (to) => to.hearPod(entry, pod));
    else this.members.forEach((to, k) => void (to.isThere && this.#knows(k, node) && to.hearPod(entry, pod)));
  }

  /** Keys come, and everybody hears of everybody at once. */
  #comeUp(): void {
    for (const member of this.members) {
      if (!member.isThere) continue;
      if (member.spec.hasKey) member.keysText = this.#secret.text;
      member.start();
    }
    this.clock.run(EPOCH - KEYS_READY);
    this.members.forEach((from, i) => {
      if (!from.isThere) return;
      const { node } = from.agent;
      this.members.forEach((to, k) => void (to.isThere && this.#knows(k, i) && to.hear(node)));
    });
    if (this.scenario.podRangesKnown) return;
    for (const [pod, { node }] of this.scenario.pods)
      if (this.members[node]!.isThere && !this.#waiting.has(pod)) this.announce(pod);
  }

  #observer(): PeerDrops {
    return new PeerDrops(
      CAPACITY,
      () => this.now,
      (b, at, len) => {
        const owner = this.#owners.lookup(b, at, len);
        return owner?.kind === 'pod' ? this.members[owner.pod]?.name : undefined;
      },
      (drop) => this.#watcher.dropped?.(drop, this.now),
    );
  }

  #connect(
    member: Member,
    i: number,
    recorder: NodeRecorder | undefined,
    observer: NodeObserver | undefined,
  ): void {
    const { line, podRange, nodeAddress } = member.spec;
    const prefixes = [podRange, singlePrefix(nodeAddress)];
    for (const prefix of prefixes) this.#owners.set(prefix, { kind: 'pod', pod: i });
    const { name } = member;
    const { a, b } = memoryPair(this.clock, { name, mtu: line.mtu, queue: 65_536 });
    this.#memory.push(a, b);
    this.underlay.connect(name, b, prefixes);
    const { mtu: _, reorder, bandwidth, pathMtu: __, ...impairments } = line;
    const impaired = impair(a, this.clock, mixSeed(this.seed, STREAM.LINES + i), impairments);
    this.#impaired.push(impaired);
    let outside: Link = impaired;
    if (bandwidth !== undefined || reorder.chance > 0) {
      const options = { reorder, ...(bandwidth !== undefined && { bandwidth }) };
      const shaped = shape(outside, this.clock, mixSeed(this.seed, STREAM.SHAPES + i), options);
      this.#shaped.push(shaped);
      outside = shaped;
    }
    outside = member.gate(outside);
    if (recorder) {
      this.#recorders.set(name, recorder);
      const interfaceId = recorder.interface({
        linkType: LINK_RAW,
        snapLength: 0,
        name: 'eth0',
        description: `device of ${name}`,
      });
      const known = this.members.filter((_, k) => k === i || this.#knows(i, k));
      recorder.sas(
        member.agent.plan.sas,
        [],
        known.map(({ agent }) => agent.node),
      );
      outside = capture(outside, this.clock, recorder, { interfaceId });
    }
    const drops = this.observers[i]!;
    member.build(outside, CAPACITY, observer ? observers(drops, observer) : drops);
  }

  #addPods(): void {
    const { scenario, clock, ledger } = this;
    const byAddress = new Map([...scenario.pods.values()].map((pod) => [formatAddress(pod.address), pod]));
    const way = (from: string, dst: string) => {
      const to = byAddress.get(dst);
      const isProtected = to !== undefined && to.node !== scenario.pods.get(from)?.node;
      return { to: to?.name ?? 'nobody', hops: isProtected ? 2 : 1, isProtected };
    };
    const key = parseKeys(this.keyLines[0]!, 'keys', scenario.version)[0]!;
    const underlay = scenario.family === 4 ? 'ipv4' : 'ipv6';
    for (const { name, node, address } of scenario.pods.values()) {
      const member = this.members[node]!;
      const mtu = podMtu(member.spec.line.mtu, key, scenario.mode === 'tunnel' ? underlay : undefined);
      const { a, b } = memoryPair(clock, { name, mtu, delay: POD_DELAY });
      this.#memory.push(a, b);
      member.node.addPod(name, [address], member.gate(a), identityOf(scenario, name));
      const host = new Host({ name, addresses: [address], link: b, clock, ledger, way });
      host.isOn = member.isThere;
      this.#hosts.set(name, host);
    }
  }

  #watchWire(): void {
    const { wire, underlay } = this;
    const victims = new Map<string, number>();
    for (const { kind, names, count } of this.scenario.events)
      if (kind === 'replay') victims.set(names[0]!, Math.max(count, victims.get(names[0]!) ?? 0));
    underlay.passes = (from, to, length) => {
      if (this.parted && from !== undefined && this.parted.has(from) !== this.parted.has(to)) {
        wire.cut++;
        return false;
      }
      const most = Math.min(this.#pathMtu(from), this.#pathMtu(to));
      if (length <= most) return true;
      wire.tooLong++;
      return false;
    };
    underlay.onFrame = (b, at, end, to) => {
      if ((b[at]! >>> 4 === 4 ? ipv4.protocol(b, at) : ipv6.nextHeader(b, at)) !== esp.PROTOCOL) {
        wire.clear++;
        const [src, dst] = [this.#nodeOf(b, srcAt(b, at)), this.#nodeOf(b, dstAt(b, at))];
        if (src !== undefined && dst !== undefined && src !== dst) wire.leaks++;
        return;
      }
      wire.esp++;
      const most = victims.get(to);
      if (most === undefined) return;
      const kept = this.recorded.get(to) ?? [];
      kept.push(b.slice(at, end));
      if (kept.length > most) kept.shift();
      this.recorded.set(to, kept);
    };
  }

  #pathMtu(name: string | undefined): number {
    return (name === undefined ? undefined : this.byName.get(name)?.spec.line.pathMtu) ?? 0xffff;
  }

  #nodeOf(b: Uint8Array, at: number): number | undefined {
    const owner = this.#owners.lookup(b, at, this.scenario.family === 4 ? 4 : 16);
    return owner?.kind === 'pod' ? owner.pod : undefined;
  }

  /** Whether node `k` has anything to do with node `i`. */
  #knows(k: number, i: number): boolean {
    return k !== i && (this.#interest?.has(`${k} ${i}`) ?? true);
  }

  #agentEvent(member: Member, event: AgentEvent): void {
    if (!this.#isRunning) return;
    this.#watcher.agent?.(member.name, event, this.now);
    const { kind, keyId, added, removed } = event;
    if (added.length + removed.length > 0) this.#recorders.get(member.name)?.sas(added, removed);
    if (kind === 'warning') this.note(member.name, event.text);
    if (keyId !== undefined) {
      const step = `key ${keyId}: ${kind}`;
      const seen = this.steps.get(step) ?? { count: 0, first: this.now, last: this.now };
      this.steps.set(step, { ...seen, count: seen.count + 1, last: this.now });
    }
    if (kind === 'advertise' && !member.isDeleted) {
      const { node }: { node: CiliumNode } = member.agent;
      this.spread(member, (to) => to.hear(node));
    }
  }

  #delay({ min, max }: Delays): number {
    return min + this.#news() * (max - min);
  }
}

/** The identity that a pod of a scenario is known by. */
export function identityOf({ pods }: Scenario, pod: string): number {
  return FIRST_IDENTITY + [...pods.keys()].indexOf(pod);
}

/** 0 to 1, without 1. */
function fraction(seed: number): () => number {
  const next = xorshift32(seed);
  return () => next() / U32;
}
