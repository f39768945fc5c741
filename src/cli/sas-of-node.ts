/**
 * What the agent of one node installs, from files.
 * @module
 */
import { u32 } from '../base/bytes.ts';
import { InputError } from '../base/errors.ts';
import { secureBytes } from '../base/rng.ts';
import { type AgentPlan, planAgent } from '../cilium/agent-plan.ts';
import { mergeKeys } from '../cilium/keys.ts';
import { MAX_NODE_ID, randomNodeIds } from '../cilium/node-ids.ts';
import { planContext } from '../cilium/node-plan.ts';
import { type CiliumNode, parseNodes } from '../cilium/nodes.ts';
import type { PlanContext } from '../cilium/peer-plan.ts';
import { readKeys } from '../cilium/secret.ts';
import { type RoutingMode, tunnelEnds } from '../cilium/tunnel.ts';
import { few, omissionLine } from '../sa-text/omission.ts';
import { readText } from './files.ts';
import { warn } from './output.ts';
import { type SaOptions, sayLeftOut } from './sa-options.ts';

/** An id that the node has given to a peer. */
export interface KnownNodeId {
  readonly peer: string;
  readonly id: number;
}

/** What a plan is asked for with, beside keys and nodes. */
export interface NodePlanRequest {
  /** Left out, as {@link planAgent} finds it. */
  readonly mode?: RoutingMode | undefined;
  /** Peers that are not here get an id at random. */
  readonly nodeIds?: readonly KnownNodeId[] | undefined;
}

/** A plan, and what it is made from. */
export interface LoadedNodePlan {
  readonly plan: AgentPlan;
  readonly local: CiliumNode;
  readonly peers: readonly CiliumNode[];
  readonly context: PlanContext;
}

/**
 * Plans the node.
 * @throws {InputError} when a file cannot be used, keys or nodes are missing, no node has the name, or an id is for no
 * peer or given twice
 */
export function loadNodePlan(
  name: string,
  { mode, nodeIds = [] }: NodePlanRequest,
  options: SaOptions,
): LoadedNodePlan {
  if (options.keys.length === 0 || options.nodes.length === 0)
    throw new InputError(
      { source: '--node' },
      'one node is planned from keys and nodes',
      'Give --keys and --nodes.',
    );
  const { cilium: version } = options;
  const keys = mergeKeys(...options.keys.map((file) => readKeys(readText(file), file, version)));
  const nodes = options.nodes.flatMap((file) => parseNodes(readText(file), file, sayLeftOut()));
  const local = nodes.find((node) => node.name === name);
  if (!local)
    throw new InputError(
      { source: '--node' },
      `no node is called ${name}`,
      `Known are ${nodes
        .slice(0, 5)
        .map((node) => node.name)
        .join(', ')}${nodes.length > 5 ? ', …' : ''}.`,
    );
  const known = knownIds(nodeIds, local, nodes);
  const wanted = { version, ...(mode && { mode }) };
  const plan = planAgent(local, keys, nodes, randomNodeIds(local, nodes, random32, known), wanted);
  const context = planContext(local, wanted);
  const { lacks } = tunnelEnds(keys, nodes, context.mode, version);
  for (const lack of few([...lacks], '--nodes')) warn(omissionLine(lack));
  return { plan, local, peers: nodes.filter((node) => node !== local), context };
}

/** Reads `node-1=0x3cb2`; `undefined` when it is none. */
export function parseNodeId(text: string): KnownNodeId | undefined {
  const [, peer, digits] = /^(.+)=(0x[0-9a-f]{1,4}|\d{1,5})$/i.exec(text) ?? [];
  const id = Number(digits);
  return peer !== undefined && id >= 1 && id <= MAX_NODE_ID ? { peer, id } : undefined;
}

function knownIds(
  given: readonly KnownNodeId[],
  local: CiliumNode,
  nodes: readonly CiliumNode[],
): Map<string, number> {
  const known = new Map<string, number>();
  const owners = new Map<number, string>();
  for (const { peer, id } of given) {
    const source = '--node-id';
    if (peer === local.name || !nodes.some((node) => node.name === peer))
      throw new InputError({ source }, `${local.name} has no peer ${peer}`, 'Name a node of --nodes.');
    const owner = owners.get(id);
    if (known.has(peer) || owner !== undefined)
      throw new InputError(
        { source },
        owner === undefined || owner === peer ? `${peer} has two ids` : `${owner} and ${peer} have one id`,
        'Give each peer an id of its own.',
      );
    known.set(peer, id);
    owners.set(id, peer);
  }
  return known;
}

/** Chance for node ids: 0 to 2^32-1. */
export function random32(): number {
  const bytes = new Uint8Array(4);
  secureBytes(bytes);
  return u32(bytes, 0);
}
