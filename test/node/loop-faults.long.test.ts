/**
 * The runner of a real node, with everything around it made to fail: a node of a cluster of 200 peers, of which some are
 * dead, whose plan changes a step at a time while packets move, which is started anew at any moment, and whose links go,
 * come back, and refuse. Whatever happens, every packet is delivered once, or is in exactly one count.
 */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { putU32, u32 } from '../../src/base/bytes.ts';
import { VirtualClock } from '../../src/base/clock.ts';
import { seededBytes, xorshift32 } from '../../src/base/rng.ts';
import { Agent } from '../../src/cilium/agent.ts';
import { planAgent } from '../../src/cilium/agent-plan.ts';
import type { CiliumNode } from '../../src/cilium/nodes.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { impair } from '../../src/link/impair.ts';
import { type DeviceLink, deviceStats, type Link, type Receiver } from '../../src/link/link.ts';
import { type MemoryLink, memoryPair } from '../../src/link/memory.ts';
import { runLoop } from '../../src/node/loop.ts';
import { Node } from '../../src/node/node.ts';
import type { PlanChange } from '../../src/node/plan-change.ts';
import type { NodeStats } from '../../src/node/stats.ts';
import { Batch, ON } from '../../src/wire/packet.ts';
import { GCM, ip, keysFrom, nodeObject, nodesFrom } from '../support/cilium-cluster.ts';
import { batchOf } from '../support/frames.ts';
import { ipv4Packet } from '../support/sa.ts';

const PEERS = 200;
const CAPACITY = 32;
/** Frames that a device keeps until it is read. */
const DEVICE_QUEUE = 96;
const WIRE_QUEUE = 64;
/** Where the number of a packet is. */
const ID_AT = 28;
const KEY = (id: number) => `${id}+ ${GCM.replace('4443', `${id.toString(16).padStart(2, '0')}43`)}`;
const ALL_KEYS = [3, 4, 5].map(KEY).join('\n');

/** IPv4 alone, native routing: two SAs with each peer for each key. Node 1 is the one that runs. */
const LIST: readonly CiliumNode[] = nodesFrom(
  ...Array.from({ length: PEERS + 1 }, (_, k) => {
    const i = k + 1;
    return nodeObject(i, {
      addresses: [
        { type: 'InternalIP', ip: `192.168.7.${i}` },
        { type: 'CiliumInternalIP', ip: `10.244.${i}.1` },
      ],
      ipam: { podCIDRs: [`10.244.${i}.0/24`] },
    });
  }),
);
const podOf = (i: number) => ip(`10.244.${i}.10`);

/** What the kernel does with frames for a device at the moment. */
type DeviceState = 'up' | 'gone' | 'full' | 'trickle';

/** A device of the host over a link in memory: it keeps what arrives until it is read. */
class Device implements DeviceLink {
  readonly medium = 'ip';
  readonly mtu: number;
  readonly fds = [];
  readonly stats = deviceStats();
  state: DeviceState = 'up';
  readonly name: string;
  readonly #inner: Link;
  readonly #waiting: Uint8Array[] = [];
  readonly #read = new Batch({ capacity: CAPACITY });
  readonly #sent = new Batch({ capacity: CAPACITY });
  #receiver: Receiver | undefined;

  constructor(name: string, inner: Link) {
    this.name = name;
    this.mtu = inner.mtu;
    this.#inner = inner;
    inner.receive((batch) => {
      for (let i = 0; i < batch.count; i++) {
        if (this.state === 'gone' || this.#waiting.length >= DEVICE_QUEUE) this.stats.missed++;
        else this.#waiting.push(batch.copy(i));
      }
    });
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  send(batch: Batch, next: number = ON): number {
    const out = this.#sent;
    out.clear();
    // As a full queue does, it takes the first and not the last.
    const room = { up: CAPACITY, gone: CAPACITY, full: 0, trickle: 3 }[this.state];
    let offered = 0;
    for (let i = 0; i < batch.count; i++) {
      if (batch.next[i] !== next) continue;
      if (++offered > room) continue;
      const at = batch.offset[i]!;
      out.push(batch.slab, at, at + batch.length[i]!);
    }
    if (this.state === 'gone') {
      this.stats.failed += out.count;
      return out.count;
    }
    const taken = out.count > 0 ? this.#inner.send(out) : 0;
    this.stats.sent += taken;
    this.stats.full += offered - taken;
    return taken;
  }

  receive(handler: Receiver | undefined): void {
    this.#receiver = handler;
  }

  close(): void {}

  pump(): number {
    const frames = this.#waiting.splice(0, CAPACITY);
    if (frames.length === 0) return 0;
    this.#read.clear();
    for (const frame of frames) this.#read.push(frame);
    this.stats.received += frames.length;
    this.#receiver?.(this.#read);
    return frames.length;
  }

  follow(): boolean {
    return this.state !== 'gone';
  }
}

const peerNumber = fc.integer({ min: 2, max: PEERS + 1 });
/** Mostly a few peers, so that what happens to them meets. */
const somePeer = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 2, max: 5 }) },
  { weight: 1, arbitrary: peerNumber },
);
const state = fc.constantFrom<DeviceState>('up', 'up', 'gone', 'full', 'trickle');
const event = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      peer: somePeer,
      count: fc.integer({ min: 1, max: 60 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('answer' as const),
      peer: somePeer,
      count: fc.integer({ min: 1, max: 60 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('dead' as const), peer: somePeer }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('reboot' as const), peer: somePeer }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('leave-or-join' as const), peer: somePeer }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('rotate' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('outside' as const), state }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('inside' as const), state }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), turns: fc.integer({ min: 1, max: 40 }) }),
  },
);
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

/** A peer: a node of its own, and what its pod got. */
interface PeerNode {
  readonly node: Node;
  /** The switch's end of its wire, and its own. */
  readonly port: MemoryLink;
  readonly uplink: MemoryLink;
  readonly pod: MemoryLink;
  isDead: boolean;
}

const sum = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((a, b) => a + b, 0);

class World {
  readonly clock = new VirtualClock(1_000_000);
  readonly engine = new NodeEngine();
  readonly random: () => number;
  readonly isBad: boolean;
  readonly up = memoryPair(this.clock, { name: 'up', mtu: 1500, delay: 0.2, queue: WIRE_QUEUE });
  readonly pods = memoryPair(this.clock, { name: 'pods', mtu: 1500, queue: WIRE_QUEUE });
  readonly wire: ReturnType<typeof impair>;
  readonly outside: Device;
  readonly inside: Device;
  readonly agent: Agent;
  readonly peers = new Map<number, PeerNode>();
  /** The numbers of the packets that pods got, by who got them. */
  readonly got = { here: [] as number[], there: [] as number[] };
  /** Frames that the switch knew no port for, and those of node 1 that were no ESP. */
  nowhere = 0;
  clear = 0;
  sent = 0;
  answered = 0;
  everLeft = false;
  node!: Node;
  change: PlanChange | undefined;
  /** Of all lives of the node. */
  readonly lives: NodeStats[] = [];
  #keyId = 3;
  #id = 0;
  readonly #away = new Map<string, CiliumNode>();

  constructor(seed: number, isBad: boolean) {
    this.isBad = isBad;
    this.random = xorshift32(seed | 1);
    const faults = isBad ? { loss: 0.03, duplicate: 0.03, corrupt: 0.03, jitter: 1 } : {};
    this.wire = impair(this.up.a, this.clock, seed, faults);
    this.outside = new Device('outside', this.wire);
    this.inside = new Device('inside', this.pods.a);
    this.agent = new Agent({ local: LIST[0]!, mode: 'native', random: this.random });
    this.agent.setNodes(LIST, this.clock.now());
    this.agent.loadKeys(KEY(3), 'keys', this.clock.now());
    this.pods.b.receive((batch) => {
      for (let i = 0; i < batch.count; i++) this.got.here.push(u32(batch.slab, batch.offset[i]! + ID_AT));
    });
    this.up.b.receive((batch) => this.#switch(batch));
    this.start();
  }

  start(): void {
    this.change = undefined;
    this.node = new Node({
      name: 'node-1',
      plan: this.agent.plan,
      outside: this.outside,
      engine: this.engine,
      clock: this.clock,
      random: seededBytes(this.random()),
      capacity: CAPACITY,
    });
    this.node.addInside('pods', LIST[0]!.podCidrs, this.inside);
  }

  /** The frames of node 1, each to the port of its destination. */
  #switch(batch: Batch): void {
    for (let i = 0; i < batch.count; i++) {
      const frame = batch.copy(i);
      if (frame[9] !== 50) this.clear++;
      const peer =
        frame[16] === 192 && frame[17] === 168 && frame[18] === 7 ? this.peers.get(frame[19]!) : undefined;
      if (peer) peer.port.send(batchOf([frame]));
      else this.nowhere++;
    }
  }

  peer(i: number): PeerNode {
    const known = this.peers.get(i);
    if (known) return known;
    const { a: port, b: uplink } = memoryPair(this.clock, {
      name: `wire-${i}`,
      mtu: 1500,
      queue: WIRE_QUEUE,
    });
    const { a: inner, b: pod } = memoryPair(this.clock, { name: `pod-${i}`, mtu: 1500 });
    const node = new Node({
      name: `node-${i}`,
      plan: this.#planOf(LIST[i - 1]!),
      outside: uplink,
      engine: this.engine,
      clock: this.clock,
      random: seededBytes(i),
      capacity: CAPACITY,
    });
    node.addPod('pod', [podOf(i)], inner);
    port.receive((batch) => {
      this.up.b.send(batch);
    });
    pod.receive((batch) => {
      for (let k = 0; k < batch.count; k++) this.got.there.push(u32(batch.slab, batch.offset[k]! + ID_AT));
    });
    const peer = { node, port, uplink, pod, isDead: false };
    this.peers.set(i, peer);
    return peer;
  }

  /** A peer takes every key, and sends with the first. */
  #planOf(peer: CiliumNode) {
    return planAgent(peer, keysFrom(ALL_KEYS), [peer, LIST[0]!], new Map([['node-1', 7]]), {
      mode: 'native',
    });
  }

  happen(one: Event): void {
    switch (one.kind) {
      case 'send':
        this.peer(one.peer);
        for (let k = 0; k < one.count; k++) this.sent += this.#send(this.pods.b, 1, one.peer);
        break;
      case 'answer': {
        const { pod, isDead } = this.peer(one.peer);
        for (let k = 0; k < one.count && !isDead; k++) this.answered += this.#send(pod, one.peer, 1);
        break;
      }
      case 'dead': {
        const peer = this.peer(one.peer);
        peer.isDead = !peer.isDead;
        peer.uplink.receive(peer.isDead ? undefined : (batch) => peer.node.fromOutside(batch));
        break;
      }
      case 'reboot': {
        const bootId = `3f2a6c1e-8d4b-4e57-9a30-${this.random().toString(16).padStart(12, '0')}`;
        const after = { ...LIST[one.peer - 1]!, bootId };
        this.peer(one.peer).node.applyPlan(this.#planOf(after));
        if (this.#away.has(after.name)) this.#away.set(after.name, after);
        else this.agent.setNode(after, this.clock.now());
        break;
      }
      case 'leave-or-join': {
        const { name } = LIST[one.peer - 1]!;
        const back = this.#away.get(name);
        if (back) this.agent.setNode(back, this.clock.now());
        else this.agent.deleteNode(name, this.clock.now());
        if (!this.#away.delete(name)) this.#away.set(name, LIST[one.peer - 1]!);
        this.everLeft = true;
        break;
      }
      case 'rotate':
        this.#keyId = 3 + ((this.#keyId - 2) % 3);
        this.agent.loadKeys(KEY(this.#keyId), 'keys', this.clock.now());
        this.agent.advance(this.clock.now() + 600_000);
        break;
      case 'outside':
        this.outside.state = one.state;
        break;
      case 'inside':
        this.inside.state = one.state;
    }
  }

  #send(link: MemoryLink, from: number, to: number): number {
    const packet = ipv4Packet(60 + (this.random() % 900), { src: podOf(from), dst: podOf(to) });
    putU32(packet, ID_AT, ++this.#id);
    return link.send(batchOf([packet]));
  }

  /** Runs the node until all has happened and everything has come to rest. */
  run(events: readonly Event[]): void {
    let next = 0;
    let rest = 0;
    let idle = 0;
    for (let isOver = false; !isOver; ) {
      let isRestart = false;
      runLoop({
        links: [this.inside, this.outside],
        clock: this.clock,
        // A real wait ends as soon as there is something to read.
        wait: (ms) => {
          const end = this.clock.now() + Math.min(ms, 20);
          while (this.clock.now() < end && this.inside.waiting + this.outside.waiting === 0)
            this.clock.run(this.clock.now() + 1);
          idle++;
        },
        chores: [{ every: 10, run: () => this.node.stats() }],
        // One step a turn, so that whatever happens falls between two of them.
        work: () => {
          if (this.change && !this.change.isOver) this.change.step(() => this.random() % 4 !== 0);
          else if (this.plan !== this.agent.plan) {
            this.plan = this.agent.plan;
            this.change = this.node.changePlan(this.plan);
          } else return false;
          return true;
        },
        stopped: () => {
          this.clock.run(this.clock.now() + 0.05);
          if (rest > 0) rest--;
          else if (next < events.length) {
            const one = events[next++]!;
            if (one.kind === 'wait') rest = one.turns;
            else if (one.kind === 'restart') isRestart = true;
            else this.happen(one);
            idle = 0;
          } else isOver = idle > 5;
          return isRestart || isOver;
        },
      });
      this.lives.push(this.node.stats());
      if (isRestart) {
        this.plan = this.agent.plan;
        this.start();
      }
    }
    this.clock.run();
  }

  plan = {} as Agent['plan'];
}

function checkNode({ out, in: into }: NodeStats): void {
  expect(out.packets).toBe(out.encrypted + out.clear + out.local + out.refused + sum(out.drops));
  expect(into.packets + into.reassembled).toBe(
    into.fragments + into.delivered + into.refused + sum(into.drops),
  );
}

/** Follows the packets from one place to the next: nothing is missing anywhere, and nothing is there twice. */
function checkAll(world: World): void {
  const { inside, outside, wire, up, pods, lives, got } = world;
  const peers = [...world.peers.values()];
  const of = (pick: (stats: NodeStats) => number) => lives.reduce((all, stats) => all + pick(stats), 0);
  const ofPeers = (pick: (peer: PeerNode, stats: NodeStats) => number) =>
    peers.reduce((all, peer) => all + pick(peer, peer.node.stats()), 0);
  for (const stats of lives) checkNode(stats);
  for (const { node } of peers) checkNode(node.stats());

  // From the pods here to the pods there.
  expect(pods.b.stats.delivered).toBe(world.sent);
  expect(inside.stats.received + inside.stats.missed + inside.waiting).toBe(world.sent);
  expect(inside.waiting).toBe(0);
  expect(of(({ out }) => out.packets)).toBe(inside.stats.received);
  expect(of(({ out }) => out.refused)).toBe(outside.stats.full);
  expect(of(({ out }) => out.encrypted + out.clear)).toBe(outside.stats.sent + outside.stats.failed);
  const onWire = up.a.stats.delivered + up.a.stats.unheard + up.a.stats.tooBig + wire.stats.refused;
  expect(onWire + wire.stats.lost).toBe(outside.stats.sent + wire.stats.duplicated);
  expect(
    world.nowhere + ofPeers(({ port }) => port.stats.delivered + port.stats.unheard + port.stats.full),
  ).toBe(up.a.stats.delivered);
  expect(ofPeers((_, { in: into }) => into.packets)).toBe(ofPeers(({ port }) => port.stats.delivered));
  expect(ofPeers((_, { in: into }) => into.delivered)).toBe(got.there.length);

  // And back.
  expect(ofPeers(({ pod }) => pod.stats.delivered)).toBe(world.answered);
  expect(ofPeers((_, { out }) => out.packets)).toBe(world.answered);
  expect(ofPeers((_, { out }) => out.refused)).toBe(ofPeers(({ uplink }) => uplink.stats.full));
  expect(ofPeers((_, { out }) => out.encrypted + out.clear)).toBe(
    ofPeers(({ uplink }) => uplink.stats.delivered + uplink.stats.unheard + uplink.stats.tooBig),
  );
  expect(up.b.stats.delivered + up.b.stats.full).toBe(ofPeers(({ uplink }) => uplink.stats.delivered));
  expect(outside.stats.received + outside.stats.missed).toBe(up.b.stats.delivered);
  expect(of(({ in: into }) => into.packets)).toBe(outside.stats.received);
  expect(of(({ in: into }) => into.delivered)).toBe(inside.stats.sent + inside.stats.failed);
  expect(of(({ in: into }) => into.refused)).toBe(inside.stats.full);
  expect(got.here.length).toBe(inside.stats.sent);

  // Once at the most, whatever was sent twice; and in the clear only to a peer that had left.
  expect(new Set(got.here).size).toBe(got.here.length);
  expect(new Set(got.there).size).toBe(got.there.length);
  if (!world.everLeft && !world.isBad) expect([world.clear, of(({ out }) => out.clear)]).toEqual([0, 0]);
}

it('accounts for every packet of a node whose peers, plan and links fail at any step', () => {
  let delivered = 0;
  let restarts = 0;
  let refused = 0;
  fc.assert(
    fc.property(
      fc.array(event, { minLength: 30, maxLength: 120 }),
      fc.nat(),
      fc.boolean(),
      (events, seed, isBad) => {
        const world = new World(seed, isBad);
        world.run(events);
        checkAll(world);
        delivered += world.got.here.length + world.got.there.length;
        restarts += world.lives.length - 1;
        refused += world.outside.stats.full + world.inside.stats.full;
      },
    ),
    { numRuns: 10, seed: 2026 },
  );
  expect(delivered).toBeGreaterThan(1000);
  expect(restarts).toBeGreaterThan(5);
  expect(refused).toBeGreaterThan(100);
}, 120_000);
