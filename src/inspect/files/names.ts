/**
 * Names of the nodes of a collection: by the pod that ran there, by the boot id, or by the host name.
 * @module
 */
import type { CiliumNode } from '../../cilium/nodes.ts';
import type { Pod } from '../../cilium/pods.ts';

/** What a node of a collection is known by; empty where it is not told. */
export interface NodeSigns {
  readonly pod?: string;
  readonly host: string;
  readonly bootId: string;
}

/** Says what a node is called, or `undefined` where nothing tells. */
export function nodeNames(
  pods: readonly Pod[],
  nodes: readonly CiliumNode[],
): (node: NodeSigns) => string | undefined {
  const byPod = new Map(pods.map(({ name, node }) => [name, node]));
  const byBoot = unique(nodes, ({ bootId }) => bootId);
  const byName = unique(nodes, ({ name }) => name);
  const byHost = unique(nodes, ({ name }) => name.split('.')[0]!);
  return ({ pod, host, bootId }) => {
    const ofPod = pod === undefined ? undefined : byPod.get(pod);
    if (ofPod) return ofPod;
    const found = byBoot.get(bootId) ?? byName.get(host) ?? byHost.get(host.split('.')[0]!);
    return found?.name ?? (/^[\w.:-]{1,253}$/.test(host) ? host : undefined);
  };
}

/** Nodes by something that only one of them has. */
function unique(
  nodes: readonly CiliumNode[],
  signOf: (node: CiliumNode) => string,
): ReadonlyMap<string, CiliumNode> {
  const found = new Map<string, CiliumNode>();
  const twice = new Set<string>();
  for (const node of nodes) {
    const sign = signOf(node);
    if (found.has(sign)) twice.add(sign);
    found.set(sign, node);
  }
  for (const sign of twice) found.delete(sign);
  found.delete('');
  return found;
}
