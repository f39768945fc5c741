/**
 * All that a Cilium agent sets up on its node for native routing (cilium-ipsec.md §5.1): who has which address,
 * the SAs, and the policies that lead to them.
 *
 * | policy | selects | asks for |
 * |---|---|---|
 * | out, priority 0, one for each peer, key and pod range | the range, with the peer's encrypt mark | the SA to the peer |
 * | out, priority 100, one a family | everything marked for encryption | block: it never leaves in the clear |
 * | in, priority 0, one a family | everything | a tunnel, if it came by one |
 * | fwd, priority 2975, one a family | everything | a tunnel, if it came by one |
 * @module
 */

import type { CiliumKey } from '../cilium/keys.ts';
import { MAX_KEY_ID } from '../cilium/keys.ts';
import { decryptMark, encryptMark, MAGIC_ENCRYPT, MAGIC_MASK } from '../cilium/mark.ts';
import { type NodeIds, planForNode } from '../cilium/node-plan.ts';
import type { CiliumNode } from '../cilium/nodes.ts';
import { type CiliumVersion, DEFAULT_VERSION, isAtLeast } from '../cilium/version.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { Policy, Selector } from '../ipsec/spd.ts';
import type { Address, Prefix } from '../wire/address.ts';
import { formatAddress, singlePrefix } from '../wire/address.ts';
import type { Peer, Route } from './routes.ts';

const PRIORITY_BLOCK = 100;
const PRIORITY_FORWARD = 2975;
const REQID = 1;
const MAX_NODE_ID = 0xffff;

/** What a node is made from. */
export interface AgentPlan {
  readonly routes: readonly { readonly prefix: Prefix; readonly route: Route }[];
  readonly policies: readonly Policy[];
  readonly sas: readonly SaConfig[];
  /** ESP from a source that is no known node is looked up all the same. Cilium drops it (197). */
  readonly anySource?: boolean;
}

/**
 * Plans one node.
 * @param local one of `nodes`
 * @param nodeIds what this node calls its peers; those without an id cannot be reached
 * @throws {InputError} when a node lacks an address or the boot id that the SAs need
 * @throws {EsplaneError} `ERR_NODE_ID` when an id is out of range
 */
export function planAgent(
  local: CiliumNode,
  keys: readonly CiliumKey[],
  nodes: readonly CiliumNode[],
  nodeIds: NodeIds,
  version: CiliumVersion = DEFAULT_VERSION,
): AgentPlan {
  const sas = planForNode(local, keys, nodes, nodeIds, { version, mode: 'native' });
  const peers = nodes
    .filter((node) => node !== local)
    .map((node) => ({ node, peer: peerOf(local, node, nodeIds, version) }));
  return {
    routes: [
      ...addressesOf(local).map((address) => ({
        prefix: singlePrefix(address),
        route: { kind: 'self' } as const,
      })),
      ...peers.flatMap(({ node, peer }) => [
        ...node.podCidrs.map((prefix) => ({ prefix, route: { kind: 'remote', peer } as const })),
        ...addressesOf(node).map((address) => ({
          prefix: singlePrefix(address),
          route: { kind: 'node', peer } as const,
        })),
      ]),
    ],
    policies: [...outbound(sas, nodes), ...[4, 16].flatMap((len) => perFamily(anywhere(len)))],
    sas,
  };
}

/** Numbers the peers of a node at random, as every agent does for itself. */
export function randomNodeIds(
  local: CiliumNode,
  nodes: readonly CiliumNode[],
  random: () => number,
): Map<string, number> {
  const ids = new Map<string, number>();
  const used = new Set<number>();
  for (const { name } of nodes) {
    if (name === local.name) continue;
    let id = 1 + (random() % MAX_NODE_ID);
    while (used.has(id)) id = 1 + (id % MAX_NODE_ID);
    used.add(id);
    ids.set(name, id);
  }
  return ids;
}

/**
 * The key that a node takes for a peer (Cilium get_min_encrypt_key): the older of the two that they use, because
 * both ends have that one.
 * @returns 0 when one of them has none
 */
export function keyIdFor(local: number, peer: number): number {
  // After 15 comes 1, which is then the newer one.
  if (peer === MAX_KEY_ID) return local === 1 ? MAX_KEY_ID : local;
  if (local === MAX_KEY_ID) return peer === 1 ? MAX_KEY_ID : peer;
  return Math.min(local, peer);
}

function peerOf(local: CiliumNode, node: CiliumNode, nodeIds: NodeIds, version: CiliumVersion): Peer {
  const nodeId = nodeIds.get(node.name) ?? 0;
  const keyId = keyIdFor(local.keyId, node.keyId);
  return {
    name: node.name,
    nodeId,
    keyId,
    // From 1.18 the peer alone decides. Without a key of our own the packet is marked for key 0, and blocked.
    encrypts: isAtLeast(version, 18) ? node.keyId !== 0 : keyId !== 0,
    encryptMark: encryptMark(nodeId, keyId).value,
    decryptMark: decryptMark(nodeId).value,
  };
}

/** For each outbound SA, the policies that lead to it. */
function outbound(sas: readonly SaConfig[], nodes: readonly CiliumNode[]): Policy[] {
  const owners = new Map(
    nodes.flatMap((node) => addressesOf(node).map((address) => [formatAddress(address), node])),
  );
  return sas
    .filter(({ direction }) => direction === 'out')
    .flatMap(({ src, dst, spi, mark }): Policy[] => {
      const cidrs = owners.get(formatAddress(dst))?.podCidrs ?? [];
      return cidrs
        .filter(({ address }) => address.length === dst.length)
        .map((cidr) => ({
          dir: 'out',
          selector: { src: anyPrefix(dst.length), dst: cidr },
          action: 'allow',
          priority: 0,
          ...(mark && { mark }),
          templates: [{ src, dst, spi, reqid: REQID, mode: 'tunnel', level: 'required' }],
        }));
    });
}

function perFamily(selector: Selector): Policy[] {
  const optional = [{ mode: 'tunnel', level: 'use' }] as const;
  return [
    {
      dir: 'out',
      selector,
      action: 'block',
      priority: PRIORITY_BLOCK,
      mark: { value: MAGIC_ENCRYPT, mask: MAGIC_MASK },
      templates: [],
    },
    { dir: 'in', selector, action: 'allow', priority: 0, templates: optional },
    { dir: 'fwd', selector, action: 'allow', priority: PRIORITY_FORWARD, templates: optional },
  ];
}

function anywhere(len: number): Selector {
  return { src: anyPrefix(len), dst: anyPrefix(len) };
}

function anyPrefix(len: number): Prefix {
  return { address: new Uint8Array(len), bits: 0 };
}

function addressesOf({ ciliumAddresses, nodeAddresses }: CiliumNode): Address[] {
  return [...ciliumAddresses, ...nodeAddresses];
}
