/**
 * All that a Cilium agent sets up on its node (`docs/cilium.md`): who has which address, the SAs, and the policies
 * that lead to them. What a node of the data plane is made from.
 * @module
 */
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { Policy } from '../ipsec/spd.ts';
import { type Address, type Prefix, singlePrefix } from '../wire/address.ts';
import { effectiveKeyId } from './effective-key.ts';
import { IDENTITY, type IpcacheEntry, type Peer, type Route } from './ipcache.ts';
import type { CiliumKey } from './keys.ts';
import { decryptMark, encryptMark } from './mark.ts';
import { podMtu } from './mtu.ts';
import { addressesOf } from './node-ids.ts';
import { type NodeIds, type NodePlanOptions, planContext, planForNode } from './node-plan.ts';
import type { CiliumNode } from './nodes.ts';
import { type PlanContext, peerPolicies, sharedPolicies } from './peer-plan.ts';
import { type CiliumVersion, isAtLeast } from './version.ts';

/** VXLAN, or Geneve, around pod packets: encrypted with them, or carrying what was encrypted. */
export type OverlayMode = 'vxlan-in-esp' | 'esp-in-vxlan';

/** What a node is made from. */
export interface AgentPlan {
  readonly routes: readonly PlannedRoute[];
  readonly policies: readonly Policy[];
  readonly sas: readonly SaConfig[];
  /** Absent in native routing. */
  readonly overlay?: OverlayMode;
  /** What the overlay is; left out, VXLAN. */
  readonly tunnelProtocol?: 'geneve';
  /** What Cilium takes off the MTU for the pods, in bytes; absent where it is not said. */
  readonly mtuReserve?: number;
  /**
   * There is no agent: packets are encrypted, and ESP is looked up, whatever the source is. Cilium asks for the source's
   * identity, and drops ESP from a source that is no known node (197).
   */
  readonly anySource?: boolean;
}

export interface PlannedRoute {
  readonly prefix: Prefix;
  readonly route: Route;
}

/**
 * Plans one node.
 * @param local one of `nodes`
 * @param nodeIds what this node calls its peers; those without an id cannot be reached
 * @throws {InputError} when `local` lacks an address or the boot id that the SAs need
 * @throws {EsplaneError} `ERR_NODE_ID` when an id is out of range
 */
export function planAgent(
  local: CiliumNode,
  keys: readonly CiliumKey[],
  nodes: readonly CiliumNode[],
  nodeIds: NodeIds,
  options: NodePlanOptions = {},
): AgentPlan {
  const context = planContext(local, options);
  const sas = planForNode(local, keys, nodes, nodeIds, context);
  const peers = nodes.filter((node) => node !== local);
  const idOf = ({ name }: CiliumNode) => nodeIds.get(name) ?? 0;
  return {
    routes: [
      ...selfRoutes(local),
      ...peers.flatMap((node) => {
        const peer = peerOf(local, local.keyId, node, idOf(node), context);
        return [...nodeRoutes(node, peer), ...podRoutes(node, peer)];
      }),
    ],
    // What blocks is there before anything can leave in the clear, as in Cilium.
    policies: [
      ...sharedPolicies(local, context),
      ...peers.flatMap((peer) => peerPolicies(local, peer, idOf(peer), keys, context)),
    ],
    sas,
    ...overlayOf(context),
    ...reserveOf(local, keys.at(-1), context),
  };
}

/** The node's own addresses. */
export function selfRoutes(local: CiliumNode): PlannedRoute[] {
  return addressesOf(local).map((address) => ({ prefix: singlePrefix(address), route: { kind: 'self' } }));
}

/** The addresses of a peer itself. */
export function nodeRoutes(node: CiliumNode, peer: Peer): PlannedRoute[] {
  return addressesOf(node).map((address) => ({
    prefix: singlePrefix(address),
    route: { kind: 'node', peer },
  }));
}

/** The pod ranges of a peer: what Cilium knows before it knows the pods. */
export function podRoutes(node: CiliumNode, peer: Peer): PlannedRoute[] {
  return node.podCidrs.map((prefix) => ({
    prefix,
    route: { kind: 'remote', peer, identity: IDENTITY.UNMANAGED },
  }));
}

/** The pods of a peer that the control plane has made known. */
export function entryRoute({ prefix, identity }: IpcacheEntry, peer: Peer): PlannedRoute {
  return { prefix, route: { kind: 'remote', peer, identity } };
}

/** How the overlay is built, as a part of a plan. */
export function overlayOf({
  mode,
  version,
  tunnelProtocol,
}: PlanContext): Pick<AgentPlan, 'overlay' | 'tunnelProtocol'> {
  if (mode !== 'tunnel') return {};
  return {
    overlay: isAtLeast(version, 18) ? 'vxlan-in-esp' : 'esp-in-vxlan',
    ...(tunnelProtocol && { tunnelProtocol }),
  };
}

/** What ESP and the overlay take off the MTU, as Cilium reckons. */
export function reserveOf(
  local: CiliumNode,
  key: CiliumKey | undefined,
  { mode, underlay }: PlanContext,
): Pick<AgentPlan, 'mtuReserve'> {
  if (!key) return {};
  const carrier = underlay ?? (ofFamily(local.nodeAddresses, 4) ? 'ipv4' : 'ipv6');
  return { mtuReserve: -podMtu(0, key, mode === 'tunnel' ? carrier : undefined) };
}

/**
 * A peer as this node sees it.
 * @param sending the key id that this node sends with; 0 for none
 */
export function peerOf(
  local: CiliumNode,
  sending: number,
  node: CiliumNode,
  nodeId: number,
  context: PlanContext,
): Peer {
  const keyId = effectiveKeyId(sending, node.keyId);
  const tunnel = context.mode === 'tunnel' ? tunnelBetween(local, node, context) : undefined;
  return {
    name: node.name,
    nodeId,
    keyId,
    encrypts: encrypts(context, node.keyId, keyId),
    encryptMark: encryptMark(nodeId, keyId).value,
    decryptMark: decryptMark(nodeId).value,
    ...(tunnel && { tunnel }),
  };
}

/**
 * Whether packets for a peer's pods are marked for encryption. From 1.18 the peer alone decides, and in tunnel mode
 * nobody does: without a key on both sides the packet is marked for key 0, and blocked. Before, it left in the clear.
 */
function encrypts(
  { version, mode }: { version: CiliumVersion; mode: string },
  peer: number,
  keyId: number,
): boolean {
  if (!isAtLeast(version, 18)) return keyId !== 0;
  return mode === 'tunnel' || peer !== 0;
}

/** IPv4 between the nodes where both have it, as Cilium has it unless told otherwise; where they have only IPv6, that. */
function tunnelBetween(local: CiliumNode, peer: CiliumNode, { underlay }: PlanContext): Peer['tunnel'] {
  for (const len of underlay === 'ipv6' ? [16] : [4, 16]) {
    const src = ofFamily(local.nodeAddresses, len);
    const dst = ofFamily(peer.nodeAddresses, len);
    if (src && dst) return { src, dst };
  }
  return undefined;
}

function ofFamily(addresses: readonly Address[], len: number): Address | undefined {
  return addresses.find((address) => address.length === len);
}
