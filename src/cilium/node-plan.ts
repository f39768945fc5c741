/**
 * The SAs on one node: what its agent installs for every peer, with direction and marks.
 * @module
 */
import { EsplaneError, InputError } from '../base/errors.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { CiliumKey } from './keys.ts';
import { MAX_NODE_ID } from './node-ids.ts';
import type { CiliumNode } from './nodes.ts';
import { type PlanContext, peerSas, sharedSas } from './peer-plan.ts';
import { tunnelEnds } from './tunnel.ts';
import { DEFAULT_VERSION } from './version.ts';

/** What a node calls its peers, by node name: 1 to 65535. */
export type NodeIds = ReadonlyMap<string, number>;

/** Left out: the newest version; `eni` where the node's addresses come from the cloud, `native` elsewhere. */
export type NodePlanOptions = Partial<PlanContext>;

/** Fills in what was left out. */
export function planContext(local: CiliumNode, options: NodePlanOptions): PlanContext {
  return { version: DEFAULT_VERSION, mode: local.cloud ? 'eni' : 'native', ...options };
}

/**
 * Plans the SAs of one node. As in Cilium peers without an id get none, nor those that lack what SAs are made from
 * ({@link tunnelEnds} says which).
 * @param local one of `nodes`
 * @throws {InputError} when `local` lacks every address that other nodes have, or the boot id that per-tunnel keys
 * need; when two nodes share an address
 * @throws {EsplaneError} `ERR_NODE_ID` when an id is out of range; `ERR_NODE` when `local` is none of `nodes`
 */
export function planForNode(
  local: CiliumNode,
  keys: readonly CiliumKey[],
  nodes: readonly CiliumNode[],
  nodeIds: NodeIds,
  options: NodePlanOptions = {},
): SaConfig[] {
  if (!nodes.includes(local)) throw new EsplaneError('ERR_NODE', `node ${local.name} is not in the list`);
  const context = planContext(local, options);
  checkNodeIds(nodeIds);
  const { lacks } = tunnelEnds(keys, nodes, context.mode, context.version);
  const own = lacks.find(({ node, isWhole }) => node === local && isWhole);
  if (own) throw new InputError({ source: own.origin }, own.why, own.remedy);
  const peers = nodes.filter((node) => node !== local);
  return [
    ...peers.flatMap((peer) => peerSas(local, peer, nodeIds.get(peer.name) ?? 0, keys, context)),
    ...(peers.some(({ name }) => nodeIds.has(name)) ? sharedSas(local, keys, context) : []),
  ];
}

function checkNodeIds(nodeIds: NodeIds): void {
  for (const [name, id] of nodeIds) {
    if (!Number.isInteger(id) || id < 1 || id > MAX_NODE_ID) {
      throw new EsplaneError('ERR_NODE_ID', `node ${name}: a node id is a number from 1 to ${MAX_NODE_ID}`);
    }
  }
}
