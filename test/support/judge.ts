/**
 * Clusters for tests, as their nodes' texts have them.
 * @module
 */
import type { CiliumKey } from '../../src/cilium/keys.ts';
import { type CiliumNode, parseNodes } from '../../src/cilium/nodes.ts';
import type { ClusterConfig } from '../../src/inspect/cluster/config.ts';
import type { Dropped } from '../../src/inspect/cluster/drops.ts';
import { type ClusterDiagnosis, judgeCluster } from '../../src/inspect/cluster/judge.ts';
import { ClusterReader } from '../../src/inspect/cluster/reader.ts';
import { Evidence } from '../../src/inspect/evidence.ts';
import type { NodeTextKind } from '../../src/inspect/files/sysdump.ts';
import { stateText, type TextState } from './state-texts.ts';

export const BOOT = '3f2a6c1e-8d4b-4e57-9a30-5b7c9d1e2f';
export const nodeName = (i: number) => `node-${i}`;
export const router = (i: number) => `10.${200 + (i >> 8)}.${i & 255}.1`;
export const bootId = (i: number) => `${BOOT}${(i & 255).toString(16).padStart(2, '0')}`;

/** CiliumNodes 1 to `n`. */
export function ciliumNodes(n: number, change: (i: number) => object = () => ({})): CiliumNode[] {
  const items = Array.from({ length: n }, (_, at) => at + 1).map((i) => ({
    kind: 'CiliumNode',
    metadata: { name: nodeName(i) },
    spec: {
      addresses: [
        { type: 'InternalIP', ip: `172.18.${i >> 8}.${i & 255}` },
        { type: 'CiliumInternalIP', ip: router(i) },
      ],
      bootid: bootId(i),
      encryption: { key: 3 },
      ipam: { podCIDRs: [`10.${200 + (i >> 8)}.${i & 255}.0/24`] },
      ...change(i),
    },
  }));
  return parseNodes(JSON.stringify({ items }), 'nodes.json');
}

/** The states of node `i` in a cluster of `n`, with the key ids `ids`. */
export function statesOf(
  i: number,
  n: number,
  ids: readonly number[] = [3],
  change: (state: TextState, peer: number) => TextState | undefined = (state) => state,
): string {
  let text = '';
  for (let peer = 1; peer <= n; peer++) {
    if (peer === i) continue;
    for (const spi of ids) {
      for (const sends of [true, false]) {
        const [from, to] = sends ? [i, peer] : [peer, i];
        const state: TextState = {
          src: router(from),
          dst: router(to),
          spi,
          sends,
          key: `${from} ${to} ${spi}`,
          nodeId: 100 + peer,
          number: 5,
        };
        const made = change(state, peer);
        if (made) text += stateText(made);
      }
    }
  }
  return text;
}

export interface TestCluster {
  /** Texts of each node, the first of node-1. */
  readonly nodes: readonly (Partial<Record<NodeTextKind, string>> | undefined)[];
  readonly ciliumNodes?: readonly CiliumNode[];
  readonly oldNodes?: readonly CiliumNode[];
  readonly keys?: readonly CiliumKey[];
  readonly config?: ClusterConfig;
  readonly versions?: ReadonlyMap<string, string>;
  readonly drops?: readonly Dropped[];
}

/** Reads and judges it. */
export function judge(cluster: TestCluster): ClusterDiagnosis {
  const {
    nodes,
    ciliumNodes: listed = [],
    oldNodes = [],
    keys = [],
    config,
    versions = new Map(),
    drops = [],
  } = cluster;
  const reader = new ClusterReader();
  for (const [at, texts] of nodes.entries()) {
    if (!texts) continue;
    const i = at + 1;
    const named = Object.entries({ hostname: nodeName(i), ...texts }).map(([kind, text]) => [
      kind,
      { source: `${nodeName(i)}/${kind}`, text },
    ]);
    reader.node({ source: nodeName(i), texts: Object.fromEntries(named) });
  }
  const evidence = new Evidence({ cluster: { keys, nodes: listed }, old: { keys: [], nodes: oldNodes } });
  return judgeCluster({
    reader,
    evidence,
    nameOf: ({ host }) => host || undefined,
    versions,
    config,
    drops,
  });
}

/** A healthy one. */
export function healthy(n: number, ids?: readonly number[]): TestCluster {
  return {
    nodes: Array.from({ length: n }, (_, at) => ({ 'xfrm-state': statesOf(at + 1, n, ids) })),
    ciliumNodes: ciliumNodes(n),
  };
}
