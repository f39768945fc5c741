/**
 * What the agent of one node installs, from files.
 * @module
 */
import { u32 } from '../base/bytes.ts';
import { InputError } from '../base/errors.ts';
import { secureBytes } from '../base/rng.ts';
import { type AgentPlan, planAgent } from '../cilium/agent-plan.ts';
import { mergeKeys } from '../cilium/keys.ts';
import { randomNodeIds } from '../cilium/node-ids.ts';
import { parseNodes } from '../cilium/nodes.ts';
import { readKeys } from '../cilium/secret.ts';
import type { RoutingMode } from '../cilium/tunnel.ts';
import { readText } from './files.ts';
import type { SaOptions } from './sa-options.ts';

/**
 * Plans the node.
 * @param mode left out, as {@link planAgent} finds it
 * @throws {InputError} when a file cannot be used, keys or nodes are missing, or no node has the name
 */
export function loadNodePlan(name: string, mode: RoutingMode | undefined, options: SaOptions): AgentPlan {
  if (options.keys.length === 0 || options.nodes.length === 0)
    throw new InputError(
      { source: '--node' },
      'one node is planned from keys and nodes',
      'Give --keys and --nodes.',
    );
  const { cilium: version } = options;
  const keys = mergeKeys(...options.keys.map((file) => readKeys(readText(file), file, version)));
  const nodes = options.nodes.flatMap((file) => parseNodes(readText(file), file));
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
  return planAgent(local, keys, nodes, randomNodeIds(local, nodes, random32), {
    version,
    ...(mode && { mode }),
  });
}

/** Chance for node ids: 0 to 2^32-1. */
export function random32(): number {
  const bytes = new Uint8Array(4);
  secureBytes(bytes);
  return u32(bytes, 0);
}
