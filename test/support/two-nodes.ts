/**
 * Two nodes with a wire between them, as in the shared captures: 10.244.1.0/24 on node-1, 10.244.2.0/24 on node-2.
 * @module
 */
import { VirtualClock } from '../../src/base/clock.ts';
import { seededBytes } from '../../src/base/rng.ts';
import { type AgentPlan, planAgent } from '../../src/cilium/agent-plan.ts';
import type { CiliumKey } from '../../src/cilium/keys.ts';
import type { NodePlanOptions } from '../../src/cilium/node-plan.ts';
import type { CiliumNode } from '../../src/cilium/nodes.ts';
import type { RoutingMode } from '../../src/cilium/tunnel.ts';
import type { CiliumVersion } from '../../src/cilium/version.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import type { Link } from '../../src/link/link.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { Node, type NodeObserver } from '../../src/node/node.ts';
import type { Prefix } from '../../src/wire/address.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { GCM, ip, keysFrom, nodeObject, nodesFrom } from './cilium-cluster.ts';
import { batchOf, received } from './frames.ts';

/** Pods by name: `a1` and `a2` on node-1, `b1` on node-2; both families. */
export const PODS = {
  a1: { node: 1, addresses: ['10.244.1.10', 'fd00:10:244:1::10'] },
  a2: { node: 1, addresses: ['10.244.1.11', 'fd00:10:244:1::11'] },
  b1: { node: 2, addresses: ['10.244.2.20', 'fd00:10:244:2::20'] },
} as const;
export type PodName = keyof typeof PODS;

/** A node with its pod ranges. */
export function podNode(i: number, spec: Record<string, unknown> = {}) {
  return nodeObject(i, {
    ipam: { podCIDRs: [`10.244.${i}.0/24`, `fd00:10:244:${i}::/64`] },
    ...spec,
  });
}

export interface TwoNodesOptions {
  readonly nodes?: readonly CiliumNode[];
  readonly keys?: readonly CiliumKey[];
  readonly version?: CiliumVersion;
  /** What each node calls its peers. */
  readonly ids?: readonly [ReadonlyMap<string, number>, ReadonlyMap<string, number>];
  readonly mtu?: number;
  /** Frames that wait at most on the wire. */
  readonly queue?: number;
  readonly strict?: Prefix;
  readonly strictAllowsNodes?: boolean;
  readonly mode?: RoutingMode;
  /** What else the agents are told. */
  readonly plan?: NodePlanOptions;
  /** Of all pods. */
  readonly identity?: number;
  readonly observer?: NodeObserver;
  /** Changes what the agent of node-1 or node-2 has planned. */
  readonly change?: (plan: AgentPlan, node: 1 | 2) => AgentPlan;
}

export interface TwoNodes {
  readonly clock: VirtualClock;
  readonly nodes: readonly [Node, Node];
  /** What each pod received. */
  readonly got: Readonly<Record<PodName, Uint8Array[]>>;
  /** Every frame on the wire, in order. */
  readonly wire: Uint8Array[];
  /** Sends packets from a pod, and waits until everything has arrived. */
  send(pod: PodName, ...packets: readonly Uint8Array[]): void;
  /** Puts frames on the wire to a node, and waits. */
  inject(node: 1 | 2, ...frames: readonly Uint8Array[]): void;
}

export const IDS = [new Map([['node-2', 0xcb9]]), new Map([['node-1', 0x1a2b]])] as const;

/** Builds them; the wire ends at a switch that passes everything to the other side. */
export function twoNodes({
  nodes = nodesFrom(podNode(1), podNode(2)),
  keys = keysFrom(`3+ ${GCM}`),
  version,
  ids = IDS,
  mtu = 1500,
  queue,
  strict,
  strictAllowsNodes,
  mode = 'native',
  plan,
  identity,
  observer,
  change = (plan) => plan,
}: TwoNodesOptions = {}): TwoNodes {
  const clock = new VirtualClock(1_700_000_000_000);
  const engine = new NodeEngine();
  const wire: Uint8Array[] = [];
  const uplinks: Link[] = [];
  const make = (i: 0 | 1): Node => {
    const { a, b } = memoryPair(clock, {
      name: `uplink-${i + 1}`,
      mtu,
      ...(queue !== undefined && { queue }),
    });
    uplinks[i] = b;
    return new Node({
      name: `node-${i + 1}`,
      plan: change(
        planAgent(nodes[i]!, keys, nodes, ids[i], { mode, ...(version && { version }), ...plan }),
        i === 0 ? 1 : 2,
      ),
      outside: a,
      engine,
      clock,
      random: seededBytes(i + 1),
      ...(strict && { strict }),
      ...(strictAllowsNodes !== undefined && { strictAllowsNodes }),
      ...(observer && { observer }),
    });
  };
  const made = [make(0), make(1)] as const;
  for (const i of [0, 1] as const) {
    uplinks[i]!.receive((batch) => {
      for (let k = 0; k < batch.count; k++) wire.push(batch.copy(k));
      uplinks[1 - i]!.send(batch);
    });
  }
  const ends = {} as Record<PodName, Link>;
  const got = {} as Record<PodName, Uint8Array[]>;
  for (const [name, { node, addresses }] of Object.entries(PODS) as [PodName, (typeof PODS)[PodName]][]) {
    const { a, b } = memoryPair(clock, { name, mtu: 9000 });
    made[node - 1]!.addPod(name, addresses.map(ip), a, identity);
    ends[name] = b;
    got[name] = received(b);
  }
  return {
    clock,
    nodes: made,
    got,
    wire,
    send(pod, ...packets) {
      ends[pod].send(batchOf(packets, 9000));
      clock.run();
    },
    inject(node, ...frames) {
      uplinks[node - 1]!.send(batchOf(frames));
      clock.run();
    },
  };
}

/** The addresses of two pods or hosts in one family, as IP packets want them. */
export function ends(from: PodName | string, to: PodName | string, family: 4 | 6 = 4) {
  const find = (name: string) => {
    const pod = (PODS as Record<string, { addresses: readonly [string, string] } | undefined>)[name];
    const address = parseAddress(pod ? pod.addresses[family === 4 ? 0 : 1] : name);
    if (!address) throw new TypeError(`no pod and no address: ${name}`);
    return address;
  };
  return { src: find(from), dst: find(to) };
}
