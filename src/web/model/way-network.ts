/**
 * The network that a packet crosses in "The way of a packet": two real nodes on a virtual clock, a pod on each, a wire
 * between them, and everything that can be seen of one packet on the way.
 *
 * ```text
 *  client 10.244.1.10 ─ node-1 192.168.0.11 ═══ wire ═══ node-2 192.168.0.12 ─ web 10.244.2.20
 * ```
 *
 * Six packets go first, and the wire loses one of them: the window at the receiver has a past, with a hole in it.
 * @module
 */
import { VirtualClock } from '../../base/clock.ts';
import { mixSeed, seededBytes, xorshift32 } from '../../base/rng.ts';
import { type AgentPlan, entryRoute, planAgent } from '../../cilium/agent-plan.ts';
import type { Peer, Route } from '../../cilium/ipcache.ts';
import { randomNodeIds } from '../../cilium/node-ids.ts';
import type { CiliumNode } from '../../cilium/nodes.ts';
import { type CiliumVersion, DEFAULT_VERSION } from '../../cilium/version.ts';
import { NobleEngine } from '../../crypto/noble.ts';
import { type WindowState, windowState } from '../../inspect/explain/security.ts';
import type { SecurityAssociation } from '../../ipsec/sa.ts';
import type { Policy } from '../../ipsec/spd.ts';
import type { Link } from '../../link/link.ts';
import { memoryPair } from '../../link/memory.ts';
import { DECISIONS } from '../../node/decisions.ts';
import { Node, type NodeObserver } from '../../node/node.ts';
import { addressesOf, type DemoCluster, demoCluster } from '../../sim/demo-cluster.ts';
import { udpPacket } from '../../sim/traffic.ts';
import { type Prefix, singlePrefix } from '../../wire/address.ts';
import { addressLen, dstAt, srcAt } from '../../wire/ip.ts';
import { Batch } from '../../wire/packet.ts';
import { type CipherCall, ObservingEngine } from './observing-engine.ts';

export const MODES = ['native', 'vxlan-in-esp', 'esp-in-vxlan'] as const;

/** How pod packets cross the network. */
export type WayMode = (typeof MODES)[number];

export interface WayOptions {
  readonly mode: WayMode;
  /** Of the pods. The nodes have both families; the overlay runs over IPv4, as Cilium has it unless told otherwise. */
  readonly family: 4 | 6;
  readonly esn: boolean;
}

/** Every way that can be chosen. */
export const ALL_WAYS: readonly WayOptions[] = MODES.flatMap((mode) =>
  ([4, 6] as const).flatMap((family) => [true, false].map((esn) => ({ mode, family, esn }))),
);

/** The release whose ways a mode follows: 1.18 turned ESP and VXLAN round. */
export const VERSION_OF: Readonly<Record<WayMode, CiliumVersion>> = {
  native: DEFAULT_VERSION,
  'vxlan-in-esp': DEFAULT_VERSION,
  'esp-in-vxlan': { minor: 17 },
};

/** What the pods are known by. */
export const IDENTITIES = { client: 41_234, web: 52_345 } as const;

const SEED = 2026;
const STREAM_NODE_IDS = 100;
const STREAM_IVS = 101;
const MTU = 1500;
/** On the wire, and to a pod, ms. */
const WIRE_DELAY = 0.2;
const POD_DELAY = 0.02;
const EPOCH = Date.UTC(2026, 0, 1);
/** How many packets go before the one that is followed, and which of them the wire loses. */
const EARLIER = 6;
const LOST = 4;
const PORTS = { srcPort: 40_001, dstPort: 5000 } as const;
/** Its length leaves padding to be made: (packet + 2) is no multiple of 4, in any mode. */
const MESSAGE = 'Nobody on the wire should read this';

/** A packet, and what was decided about it. */
export interface Intercepted {
  readonly bytes: Uint8Array;
  readonly decision: (typeof DECISIONS)[number];
  /** The node whose pod it goes to. */
  readonly peer: Peer;
  /** The routes of destination and source, and the prefixes they were found by. */
  readonly to: Found;
  readonly from: Found;
  readonly mark: number;
  readonly policy: Policy;
  /** How many outbound policies there are, to be asked in order. */
  readonly policies: readonly Policy[];
  readonly vni: number;
}

export interface Found {
  readonly prefix: Prefix;
  readonly route: Route;
}

/** Both halves of a sequence number. */
export interface Number64 {
  readonly hi: number;
  readonly lo: number;
}

/** Everything that was seen. Bytes are copies. */
export interface WayRecord {
  readonly options: WayOptions;
  readonly cluster: DemoCluster;
  /** As the pod sent it. */
  readonly sent: Uint8Array;
  readonly intercepted: Intercepted;
  readonly out: {
    readonly sa: SecurityAssociation;
    /** All SAs of the sending node. */
    readonly sas: readonly SecurityAssociation[];
    readonly numberBefore: Number64;
    readonly number: Number64;
    readonly sealed: CipherCall;
    /** As it leaves the node. */
    readonly bytes: Uint8Array;
  };
  readonly wire: Uint8Array;
  /** Every frame that came to the receiver, the one above last. */
  readonly arrived: readonly { readonly bytes: Uint8Array /** ms since 1970 */; readonly time: number }[];
  readonly into: {
    readonly sa: SecurityAssociation;
    readonly sas: readonly SecurityAssociation[];
    /** Before decryption, out of VXLAN where ESP was in it. */
    readonly admitted: Uint8Array;
    readonly mark: number;
    readonly peer: Peer;
    readonly opened: CipherCall;
    readonly windowBefore: WindowState;
    readonly windowAfter: WindowState;
    readonly number: Number64;
    readonly lost: number;
    readonly markAfter: number;
    /** The packet for the pod: where it lay in the slab. */
    readonly at: number;
    readonly bytes: Uint8Array;
    readonly identity: number;
    readonly policy: Policy;
  };
  /** As the other pod got it. */
  readonly delivered: Uint8Array;
}

/** Sends the packets and records the last. The same options give the same bytes everywhere. */
export function recordWay(options: WayOptions): WayRecord {
  const { family, mode } = options;
  const cluster = demoCluster(SEED);
  const clock = new VirtualClock(EPOCH);
  const engine = new ObservingEngine(new NobleEngine());
  const chance = xorshift32(mixSeed(SEED, STREAM_NODE_IDS));
  let isFollowed = false;
  let intercepted: Intercepted | undefined;
  let numberBefore: Number64 | undefined;
  let sealed: CipherCall | undefined;
  let out: WayRecord['out'] | undefined;
  let wire: Uint8Array | undefined;
  let admitted: Pick<WayRecord['into'], 'admitted' | 'mark' | 'peer'> | undefined;
  let opened: Pick<WayRecord['into'], 'opened' | 'sa' | 'windowBefore'> | undefined;
  let into: WayRecord['into'] | undefined;
  let delivered: Uint8Array | undefined;

  const observer: NodeObserver = {
    intercepted(node, batch) {
      if (!isFollowed || node !== sender) return;
      intercepted = interceptedAt(node, batch, plans[0]!);
      const { sequence } = node.sad.sas[batch.sa[0]!]!;
      numberBefore = { hi: sequence.hi, lo: sequence.lo };
    },
    leaving(node, batch) {
      if (!isFollowed || node !== sender || !sealed || !numberBefore) return;
      const sa = node.sad.sas[batch.sa[0]!]!;
      const number = { hi: sa.sequence.hi, lo: sa.sequence.lo };
      out = { sa, sas: sasOf(node), numberBefore, number, sealed, bytes: batch.copy(0) };
    },
    admitted(node, batch) {
      if (!isFollowed || node !== receiver) return;
      const from = node.routes.at(batch.from[0]!);
      if (from?.kind === 'node')
        admitted = { admitted: batch.copy(0), mark: batch.mark[0]!, peer: from.peer };
    },
    decrypted(node, batch) {
      if (!isFollowed || node !== receiver || !admitted || !opened) return;
      const { routes, spd } = node;
      const { sa } = opened;
      const { after, textAt } = opened.opened;
      const markAfter = batch.mark[0]!;
      const policy = spd.lookup(mode === 'vxlan-in-esp' ? 'in' : 'fwd', after, textAt, markAfter);
      if (!policy) return;
      into = {
        ...admitted,
        ...opened,
        sas: sasOf(node),
        windowAfter: windowState(sa.window),
        number: { hi: batch.seqHi[0]!, lo: batch.seqLo[0]! },
        lost: sa.window.lost,
        markAfter,
        at: batch.offset[0]!,
        bytes: batch.copy(0),
        identity: routes.senderOf(batch, 0),
        policy,
      };
    },
  };

  const uplinks: Link[] = [];
  const plans: AgentPlan[] = [];
  const nodes = cluster.nodes.map((local, i) => {
    const { a, b } = memoryPair(clock, { name: local.name, mtu: MTU, delay: WIRE_DELAY });
    uplinks.push(b);
    const plan = planFor(local, cluster, options, chance);
    plans.push(plan);
    return new Node({
      name: local.name,
      plan,
      outside: a,
      engine,
      clock,
      random: seededBytes(mixSeed(SEED, STREAM_IVS + i)),
      capacity: 32,
      observer,
    });
  });
  const [sender, receiver] = nodes as [Node, Node];
  let onWire = 0;
  const arrived: { bytes: Uint8Array; time: number }[] = [];
  uplinks[0]!.receive((batch) => {
    onWire += batch.count;
    if (onWire === LOST) return;
    arrived.push({ bytes: batch.copy(0), time: clock.now() });
    if (isFollowed) wire = batch.copy(0);
    uplinks[1]!.send(batch);
  });
  engine.onCall = (call) => {
    if (!isFollowed) return;
    if (call.direction === 'seal') sealed = call;
    else {
      const sa = sasOf(receiver).find(({ key }) => key === call.key)!;
      opened = { opened: call, sa, windowBefore: windowState(sa.window) };
    }
  };

  const pod = (name: 'client' | 'web', node: Node): Link => {
    const { a, b } = memoryPair(clock, { name, mtu: MTU, delay: POD_DELAY });
    node.addPod(name, addressesOf(name), a, IDENTITIES[name]);
    return b;
  };
  const client = pod('client', sender);
  pod('web', receiver).receive((batch) => {
    if (isFollowed) delivered = batch.copy(0);
  });

  const [src, dst] = (['client', 'web'] as const).map(
    (name) => addressesOf(name).find(({ length }) => length === (family === 4 ? 4 : 16))!,
  ) as [Uint8Array, Uint8Array];
  const sent = udpPacket({ src, dst, ...PORTS }, new TextEncoder().encode(MESSAGE));
  const batch = new Batch({ capacity: 1 });
  for (let n = 0; n <= EARLIER; n++) {
    isFollowed = n === EARLIER;
    batch.clear();
    batch.push(sent);
    client.send(batch);
    clock.run();
  }
  for (const node of nodes) node.close();
  return {
    options,
    cluster,
    sent,
    intercepted: seen(intercepted, 'where it was intercepted'),
    out: seen(out, 'where it left'),
    wire: seen(wire, 'on the wire'),
    arrived,
    into: seen(into, 'where it was decrypted'),
    delivered: seen(delivered, 'where it was delivered'),
  };
}

/** What the agent of a node sets up, and the one pod of the other node that it knows by address. */
function planFor(
  local: CiliumNode,
  { keys, nodes }: DemoCluster,
  { mode, esn }: WayOptions,
  chance: () => number,
): AgentPlan {
  const ids = randomNodeIds(local, nodes, chance);
  const plan = planAgent(local, keys, nodes, ids, {
    mode: mode === 'native' ? 'native' : 'tunnel',
    version: VERSION_OF[mode],
  });
  const remote = plan.routes.find(({ route }) => route.kind === 'remote')?.route;
  const other = local.name === 'node-1' ? 'web' : 'client';
  const pods =
    remote?.kind === 'remote'
      ? addressesOf(other).map((address) =>
          entryRoute(
            { prefix: singlePrefix(address), identity: IDENTITIES[other], node: remote.peer.name },
            remote.peer,
          ),
        )
      : [];
  return {
    ...plan,
    routes: [...plan.routes, ...pods],
    // Without ESN, but with a window: what `ip xfrm state` calls the same state without `flag esn`.
    sas: plan.sas.map((sa) => ({ ...sa, esn: sa.esn && esn })),
  };
}

function interceptedAt(node: Node, batch: Batch, plan: AgentPlan): Intercepted {
  const { routes, spd } = node;
  const { slab } = batch;
  const at = batch.offset[0]!;
  const len = addressLen(slab, at);
  const found = (where: number): Found => {
    const route = routes.lookup(slab, where, len)!;
    const known = plan.routes.find((planned) => planned.route === route)?.prefix;
    return { route, prefix: known ?? singlePrefix(slab.slice(where, where + len)) };
  };
  return {
    bytes: batch.copy(0),
    decision: DECISIONS[batch.decision[0]!]!,
    peer: routes.peerOf(batch, 0)!,
    to: found(dstAt(slab, at)),
    from: found(srcAt(slab, at)),
    mark: batch.mark[0]!,
    policy: spd.policies('out')[batch.policy[0]!]!,
    policies: spd.policies('out'),
    vni: Math.max(0, batch.vni[0]!),
  };
}

function sasOf(node: Node): SecurityAssociation[] {
  return node.sad.sas.filter((sa) => sa !== undefined);
}

/** What was not seen has not got through: the network is at fault, not the observer. */
function seen<T>(value: T | undefined, where: string): T {
  if (value === undefined) throw new TypeError(`the packet was not seen ${where}`);
  return value;
}
