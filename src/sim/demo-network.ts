/**
 * What the demo runs on: two nodes, their pods, a database outside, and the wire between them, on a virtual clock.
 * It also keeps count of every frame, wherever it may end.
 * @module
 */
import { VirtualClock } from '../base/clock.ts';
import { mixSeed, seededBytes, xorshift32 } from '../base/rng.ts';
import type { CaptureInterface, FrameMeta } from '../capture/frame.ts';
import { planAgent } from '../cilium/agent-plan.ts';
import { podMtu } from '../cilium/mtu.ts';
import { randomNodeIds } from '../cilium/node-ids.ts';
import type { Engine } from '../crypto/engine.ts';
import { capture } from '../link/capture.ts';
import { type ImpairedLink, type Impairments, impair } from '../link/impair.ts';
import type { Link } from '../link/link.ts';
import { type MemoryLink, memoryPair } from '../link/memory.ts';
import { Node } from '../node/node.ts';
import { formatAddress, type Prefix } from '../wire/address.ts';
import * as esp from '../wire/esp.ts';
import { addressLen, dstAt, srcAt } from '../wire/ip.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { LINK_RAW } from '../wire/link-type.ts';
import { addressesOf, type DemoCluster, HOSTS, type HostName } from './demo-cluster.ts';
import { Host } from './host.ts';
import { Ledger } from './ledger.ts';
import { Tracer } from './trace.ts';
import { PHRASE } from './traffic.ts';
import { Underlay } from './underlay.ts';

/** MTU between the nodes. */
const MTU = 1500;
/** From end to end of a link, ms. */
const WIRE_DELAY = 0.2;
const POD_DELAY = 0.02;
/** The run begins on 1 January 2026: the same run has the same times. */
const EPOCH = Date.UTC(2026, 0, 1);

/** Generators that the seed feeds; the lines' faults are before them. */
const STREAM_NODE_IDS = 100;
const STREAM_IVS = 101;

/** Takes the frames of the run; a `PcapngWriter` is one. */
export interface RunRecorder {
  interface(description: CaptureInterface): number;
  comment(text: string): void;
  frame(b: Uint8Array, at: number, end: number, meta: FrameMeta): void;
}

export interface NetworkOptions {
  readonly cluster: DemoCluster;
  readonly seed: number;
  readonly engine: Engine;
  readonly impairments: Impairments;
  readonly recorder?: RunRecorder | undefined;
}

/** What was seen on the wire. */
export interface WireCounts {
  esp: number;
  clear: number;
  /** Frames in the clear between pods of different nodes. */
  leaks: number;
  /** ESP frames in which something of a payload can be read. */
  readable: number;
}

export class DemoNetwork {
  readonly clock = new VirtualClock(EPOCH);
  readonly ledger = new Ledger();
  readonly tracer = new Tracer();
  readonly underlay = new Underlay();
  readonly nodes: readonly Node[];
  readonly hosts: Readonly<Record<HostName, Host>>;
  readonly wire: WireCounts = { esp: 0, clear: 0, leaks: 0, readable: 0 };
  /** The longest packet that pods send. */
  readonly podMtu: number;
  /** Sees, and may change, the ESP frames on the wire to a node. */
  onEsp: ((b: Uint8Array, at: number, end: number, to: string) => void) | undefined;
  readonly #impaired: ImpairedLink[] = [];
  readonly #memory: MemoryLink[] = [];

  constructor({ cluster, seed, engine, impairments, recorder }: NetworkOptions) {
    const { clock } = this;
    const [key] = cluster.keys;
    this.podMtu = key ? podMtu(MTU, key) : MTU;
    const wireId = recorder?.interface({
      linkType: LINK_RAW,
      snapLength: 0,
      name: 'wire',
      description: 'between the nodes',
    });
    const record = (link: Link, interfaceId: number | undefined, only?: 'sent'): Link =>
      recorder && interfaceId !== undefined
        ? capture(link, clock, recorder, { interfaceId, ...(only && { only }) })
        : link;
    /** A line to the switch; what the switch sends is recorded, so that each frame is on record once. */
    const uplink = (name: string, prefixes: readonly Prefix[]): Link => {
      const { a, b } = memoryPair(clock, { name, mtu: MTU, delay: WIRE_DELAY });
      this.#memory.push(a, b);
      this.underlay.connect(name, record(b, wireId, 'sent'), prefixes);
      const line = impair(a, clock, mixSeed(seed, this.#impaired.length), impairments);
      this.#impaired.push(line);
      return line;
    };

    const chance = xorshift32(mixSeed(seed, STREAM_NODE_IDS));
    this.nodes = cluster.nodes.map((local, i) => {
      const nodeIds = randomNodeIds(local, cluster.nodes, chance);
      return new Node({
        name: local.name,
        plan: planAgent(local, cluster.keys, cluster.nodes, nodeIds),
        outside: uplink(local.name, [...local.podCidrs, ...local.nodeAddresses.map(single)]),
        engine,
        clock,
        random: seededBytes(mixSeed(seed, STREAM_IVS + i)),
        observer: this.tracer,
      });
    });
    this.underlay.onFrame = (b, at, end, to) => this.#watch(b, at, end, to);

    const makeHost = (name: HostName): Host => {
      const { node: nodeName } = HOSTS[name];
      const addresses = addressesOf(name);
      const node = this.nodes.find((candidate) => candidate.name === nodeName);
      let link: Link;
      if (node) {
        const { a, b } = memoryPair(clock, { name, mtu: this.podMtu, delay: POD_DELAY });
        this.#memory.push(a, b);
        node.addPod(name, addresses, a);
        link = record(
          b,
          recorder?.interface({ linkType: LINK_RAW, snapLength: 0, name, description: `pod on ${nodeName}` }),
        );
      } else link = uplink(name, addresses.map(single));
      return new Host({ name, addresses, link, clock, ledger: this.ledger, way: wayOf });
    };
    this.hosts = {
      client: makeHost('client'),
      cache: makeHost('cache'),
      web: makeHost('web'),
      database: makeHost('database'),
    };
  }

  /** Lets everything on the way arrive, and then some time pass. */
  settle(ms = 0): void {
    this.clock.run();
    this.clock.run(this.clock.now() + ms);
  }

  /** What the impairments did, of all lines together. */
  get faults(): { lost: number; duplicated: number; corrupted: number } {
    const sum = { lost: 0, duplicated: 0, corrupted: 0 };
    for (const { stats } of this.#impaired) {
      sum.lost += stats.lost;
      sum.duplicated += stats.duplicated;
      sum.corrupted += stats.corrupted;
    }
    return sum;
  }

  /** Frames that ended in a queue, or without a receiver. */
  get stuck(): number {
    let count = this.underlay.refused;
    for (const host of Object.values(this.hosts)) count += host.refused;
    for (const node of this.nodes) {
      const { out, in: into } = node.stats();
      count += out.refused + into.refused;
    }
    for (const { stats } of this.#impaired) count += stats.refused + stats.tooBig;
    for (const { stats } of this.#memory) count += stats.tooBig + stats.unheard;
    return count;
  }

  #watch(b: Uint8Array, at: number, end: number, to: string): void {
    const isEsp = (b[at]! >>> 4 === 4 ? ipv4.protocol(b, at) : ipv6.nextHeader(b, at)) === esp.PROTOCOL;
    if (isEsp) {
      this.wire.esp++;
      if (holdsText(b, at, end)) this.wire.readable++;
      this.onEsp?.(b, at, end, to);
    } else {
      this.wire.clear++;
      const len = addressLen(b, at);
      const src = nodeOf(formatAddress(b, srcAt(b, at), len));
      const dst = nodeOf(formatAddress(b, dstAt(b, at), len));
      if (src !== undefined && dst !== undefined && src !== dst) this.wire.leaks++;
    }
    this.tracer.onWire(b, at, end);
  }
}

/** Does the frame hold a piece of the text that payloads are made of? */
function holdsText(b: Uint8Array, at: number, end: number): boolean {
  const piece = PHRASE.slice(0, 8);
  for (let i = at; i + piece.length <= end; i++) {
    let k = 0;
    while (k < piece.length && b[i + k] === piece.charCodeAt(k)) k++;
    if (k === piece.length) return true;
  }
  return false;
}

function wayOf(from: string, dst: string): { to: string; hops: number; isProtected: boolean } {
  const to = hostOf(dst);
  const [here, there] = [nodeOfHost(from), nodeOfHost(to)];
  const isProtected = here !== undefined && there !== undefined && here !== there;
  return { to, hops: isProtected ? 2 : 1, isProtected };
}

function hostOf(address: string): string {
  const found = Object.entries(HOSTS).find(([, { addresses }]) =>
    (addresses as readonly string[]).includes(address),
  );
  return found?.[0] ?? 'nobody';
}

function nodeOfHost(name: string): string | undefined {
  return Object.entries(HOSTS).find(([host]) => host === name)?.[1].node;
}

function nodeOf(address: string): string | undefined {
  return nodeOfHost(hostOf(address));
}

function single(address: Uint8Array): Prefix {
  return { address, bits: address.length * 8 };
}
