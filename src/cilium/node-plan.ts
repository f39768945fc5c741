/**
 * The SAs on one node: what its agent installs for every peer, with direction and marks.
 *
 * | | out | in |
 * |---|---|---|
 * | mark | node id, key id, 0xe00 / 0xffffff00 | node id, 0xd00 / 0xffff0f00 |
 * | output mark | 0xe00 / 0xffffff00 | 0xd00 / 0xffffff00 |
 *
 * Before 1.15 output marks had the mask 0xf00. Before per-tunnel keys came, one inbound SA with mark 0xd00 / 0xf00
 * and no source took the packets of all peers.
 * @module
 */
import { EsplaneError } from '../base/errors.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { CiliumKey } from './keys.ts';
import { decryptMark, encryptMark, MAGIC_DECRYPT, MAGIC_ENCRYPT, MAGIC_MASK, outputMark } from './mark.ts';
import type { CiliumNode } from './nodes.ts';
import {
  checkBootIds,
  isTunnel,
  keysAt,
  type RoutingMode,
  type TunnelEnd,
  tunnelEnds,
  tunnelSa,
} from './tunnel.ts';
import { type CiliumVersion, DEFAULT_VERSION, hasPerTunnelKeys, isAtLeast } from './version.ts';

/** What a node calls its peers, by node name: 1 to 65535. */
export type NodeIds = ReadonlyMap<string, number>;

export interface NodePlanOptions {
  readonly version?: CiliumVersion;
  /** Left out: `eni` where the node's addresses come from the cloud, `native` elsewhere. */
  readonly mode?: RoutingMode;
}

/**
 * Plans the SAs of one node. Peers without an id get none, as in Cilium.
 * @param local one of `nodes`
 * @throws {InputError} when a node lacks an address that other nodes have, or the boot id that per-tunnel keys
 * need; when two nodes share an address
 * @throws {EsplaneError} `ERR_NODE_ID` when an id is out of range; `ERR_NODE` when `local` is none of `nodes`
 */
export function planForNode(
  local: CiliumNode,
  keys: readonly CiliumKey[],
  nodes: readonly CiliumNode[],
  nodeIds: NodeIds,
  { version = DEFAULT_VERSION, mode = local.cloud ? 'eni' : 'native' }: NodePlanOptions = {},
): SaConfig[] {
  if (!nodes.includes(local)) throw new EsplaneError('ERR_NODE', `node ${local.name} is not in the list`);
  checkBootIds(keys, nodes);
  checkNodeIds(nodeIds);
  const clearsIds = isAtLeast(version, 15);
  const hasInboundPerPeer = clearsIds || hasPerTunnelKeys(version);
  const ends = tunnelEnds(nodes, mode, version);
  const planned: SaConfig[] = [];
  for (const here of ends) {
    if (here.node !== local) continue;
    const peers = ends.filter((end) => isTunnel(here, end) && nodeIds.has(end.node.name));
    // With addresses from the cloud Cilium sends between node addresses only, and receives on both kinds.
    const sends = mode !== 'eni' || here.kind === 'nodeAddresses';
    for (const key of keysAt(keys, here.address)) {
      for (const peer of sends ? peers : []) {
        planned.push({
          ...tunnelSa(key, here, peer),
          direction: 'out',
          mark: encryptMark(idOf(peer, nodeIds), key.id),
          outputMark: outputMark(MAGIC_ENCRYPT, clearsIds),
        });
      }
      for (const peer of hasInboundPerPeer ? peers : peers.slice(0, 1)) {
        planned.push({
          ...tunnelSa(key, peer, here),
          ...(!hasInboundPerPeer && { src: new Uint8Array(here.address.length) }),
          direction: 'in',
          mark: hasInboundPerPeer
            ? decryptMark(idOf(peer, nodeIds))
            : { value: MAGIC_DECRYPT, mask: MAGIC_MASK },
          outputMark: outputMark(MAGIC_DECRYPT, clearsIds),
        });
      }
    }
  }
  return planned;
}

function idOf(peer: TunnelEnd, nodeIds: NodeIds): number {
  return nodeIds.get(peer.node.name) ?? 0; // 0 never happens: peers without an id were left out
}

function checkNodeIds(nodeIds: NodeIds): void {
  for (const [name, id] of nodeIds) {
    if (!Number.isInteger(id) || id < 1 || id > 0xffff) {
      throw new EsplaneError('ERR_NODE_ID', `node ${name}: a node id is a number from 1 to 65535`);
    }
  }
}
