/**
 * Runs the data plane before it has traffic. A JavaScript engine interprets code until it has seen what comes through it:
 * the first thousands of packets cost 50 to 130 µs each instead of one or two, and while it is at that a node of ten
 * thousand packets a second falls behind, its queues fill, and packets are lost. So two hidden nodes send each
 * other packets of their own first.
 * @module
 */
import { VirtualClock } from '../base/clock.ts';
import type { RandomBytes } from '../base/rng.ts';
import { type AgentPlan, planAgent } from '../cilium/agent-plan.ts';
import type { CiliumKey } from '../cilium/keys.ts';
import type { CiliumNode } from '../cilium/nodes.ts';
import type { Engine } from '../crypto/engine.ts';
import { KeyMaterial } from '../crypto/suite.ts';
import { memoryPair } from '../link/memory.ts';
import * as ipv4 from '../wire/ipv4.ts';
import { Batch } from '../wire/packet.ts';
import * as udp from '../wire/udp.ts';
import { Node } from './node.ts';

export interface WarmUpOptions {
  /** What the real node holds: the same suite, overlay and encapsulation are run. Without an SA there is nothing to run. */
  readonly plan: AgentPlan;
  readonly engine: Engine;
  readonly random: RandomBytes;
  /** Packets of its largest batch. */
  readonly capacity: number;
  /** Enough, when {@link packets} take longer. Called between batches. */
  readonly isEnough: () => boolean;
  /** Each way; by default what the optimizing compiler needs to be done. */
  readonly packets?: number;
}

const PACKETS = 20_000;
/** What a loaded node reads at once is many, what an idle one reads is one. */
const BATCH_SIZES = [1, 7, 48, 200] as const;
const PAYLOAD = 472;
const MTU = 1500;
const HEADER = {
  ...{ tos: 0, id: 0, dontFragment: false, moreFragments: false, fragmentOffset: 0, ttl: 64 },
  ...{ protocol: udp.PROTOCOL, options: new Uint8Array(0) },
};

/**
 * Sends packets between two nodes in memory, both ways.
 * @returns how many were delivered
 * @throws {EsplaneError} when the engine lacks the plan's suite
 */
export function warmUp({
  plan,
  engine,
  random,
  capacity,
  isEnough,
  packets = PACKETS,
}: WarmUpOptions): number {
  const [like] = plan.sas;
  if (!like) return 0;
  const clock = new VirtualClock();
  const wire = memoryPair(clock, { mtu: MTU, queue: capacity });
  const key = madeUpKey(like.keys, random);
  const cluster = [1, 2].map(madeUpNode);
  let delivered = 0;
  const nodes = cluster.map((local, i) => {
    const made = planAgent(local, [key], cluster, new Map(cluster.map(({ name }) => [name, 1])), {
      mode: plan.overlay ? 'tunnel' : 'native',
    });
    const node = new Node({
      name: local.name,
      plan: { ...made, sas: made.sas.map((sa) => ({ ...sa, ...(like.encap && { encap: like.encap }) })) },
      outside: i === 0 ? wire.a : wire.b,
      engine,
      clock,
      random,
      capacity,
    });
    node.addInside('pods', local.podCidrs, {
      name: 'pods',
      medium: 'ip',
      mtu: MTU,
      send: ({ count, next }, pods) => {
        for (let i = 0; i < count; i++) if (next[i] === pods) delivered++;
        return count;
      },
      receive() {},
      close() {},
    });
    return node;
  });
  const batch = new Batch({ capacity });
  const flows = nodes.map((_, i) => [1, 2, 3].map((pod) => packet(i + 1, 2 - i, pod)));
  for (let sent = 0, turn = 0; sent < packets && !isEnough(); turn++) {
    const size = Math.min(capacity, BATCH_SIZES[turn % BATCH_SIZES.length]!);
    nodes.forEach((node, i) => {
      batch.clear();
      for (let k = 0; k < size; k++) batch.push(flows[i]![k % 3]!);
      node.fromPods(batch);
    });
    clock.run();
    for (const node of nodes) node.stats();
    sent += size;
  }
  // The engine forgets their keys.
  for (const node of nodes) node.applyPlan({ routes: [], policies: [], sas: [] });
  return delivered;
}

function madeUpKey(like: KeyMaterial, random: RandomBytes): CiliumKey {
  const { suite } = like;
  const bytes = (length: number) => {
    const made = new Uint8Array(length);
    random(made);
    return made;
  };
  return {
    id: 1,
    perTunnel: true,
    algorithm: { kind: 'aead', name: suite.name, icvBits: suite.icvLen * 8 },
    material: new KeyMaterial(suite, bytes(suite.keyLen), bytes(suite.saltLen), bytes(like.macKey().length)),
    keyLen: suite.icvLen,
    source: 'warm-up',
    line: 1,
  };
}

function madeUpNode(i: number): CiliumNode {
  return {
    name: `warm-up-${i}`,
    ciliumAddresses: [Uint8Array.of(10, i, 0, 1)],
    nodeAddresses: [Uint8Array.of(192, 0, 2, i)],
    bootId: '00000000-0000-0000-0000-000000000000',
    keyId: 1,
    podCidrs: [{ address: Uint8Array.of(10, i, 0, 0), bits: 16 }],
    source: 'warm-up',
  };
}

/** UDP from a pod of one node to a pod of the other. */
function packet(from: number, to: number, pod: number): Uint8Array {
  const b = new Uint8Array(ipv4.HEADER_LEN + udp.HEADER_LEN + PAYLOAD);
  const ends = { src: Uint8Array.of(10, from, 1, pod), dst: Uint8Array.of(10, to, 1, pod) };
  ipv4.emit({ ...HEADER, ...ends, totalLength: b.length }, b);
  udp.emit({ srcPort: 0, dstPort: 9, length: udp.HEADER_LEN + PAYLOAD, checksum: 0 }, b, ipv4.HEADER_LEN);
  return b;
}
