/**
 * Nodes by nodes: what is not fine, by node, so that it stays readable with a thousand of them.
 * @module
 */
import type { ClusterCase } from './case.ts';
import { PAIR, type PairCounts, type PairVerdict } from './pairs.ts';

/** What is the matter between a node and others. */
export type MatrixTrouble = 'differ' | 'missing' | 'rotation' | 'unjudged';

/** A line of the matrix: one node and one trouble. */
export interface MatrixRow {
  readonly node: string;
  readonly trouble: MatrixTrouble;
  /** How many nodes it has it with, one way or both. */
  readonly nodes: number;
  /** Their names, the first ones. */
  readonly peers: readonly string[];
}

export interface Matrix {
  readonly nodes: number;
  readonly states: number;
  /** SAs of which both ends told their keys, and how many of them agree. */
  readonly compared: number;
  readonly agreeing: number;
  /** Pairs of nodes, each way counted. */
  readonly pairs: PairCounts;
  /** Those that are not fine; worst first, then by the number of nodes. The first ones of many. */
  readonly rows: readonly MatrixRow[];
  /** Rows that are left out. */
  readonly moreRows: number;
}

/** Rows and names that are kept. */
const MOST_ROWS = 100;
const MOST_PEERS = 5;

const TROUBLE: Readonly<Record<PairVerdict, MatrixTrouble | undefined>> = {
  [PAIR.none]: undefined,
  [PAIR.fine]: undefined,
  [PAIR.rotation]: 'rotation',
  [PAIR.unjudged]: 'unjudged',
  [PAIR.noSender]: 'missing',
  [PAIR.neither]: 'missing',
  [PAIR.noReceiver]: 'missing',
  [PAIR.outOfStep]: 'missing',
  [PAIR.differ]: 'differ',
};
const ORDER: readonly MatrixTrouble[] = ['differ', 'missing', 'unjudged', 'rotation'];

export function matrixOf({ cluster, pairs }: ClusterCase): Matrix {
  const rows: MatrixRow[] = [];
  const n = pairs.size;
  /** By trouble: nodes whose trouble is told in a row of a node that has more of it. */
  for (const trouble of ORDER) {
    const open = new Uint8Array(n * n);
    const degree = new Int32Array(n);
    let left = 0;
    for (let a = 0; a < n; a++) {
      for (let b = a + 1; b < n; b++) {
        const has = [pairs.verdict(a, b), pairs.verdict(b, a)].map((verdict) => TROUBLE[verdict]);
        if (worst(has) !== trouble) continue;
        open[a * n + b] = 1;
        open[b * n + a] = 1;
        degree[a]!++;
        degree[b]!++;
        left++;
      }
    }
    while (left > 0) {
      let node = 0;
      for (let other = 1; other < n; other++) if (degree[other]! > degree[node]!) node = other;
      const peers: string[] = [];
      const nodes = degree[node]!;
      for (let other = 0; other < n; other++) {
        if (open[node * n + other] === 0) continue;
        open[node * n + other] = 0;
        open[other * n + node] = 0;
        degree[other]!--;
        if (peers.length < MOST_PEERS) peers.push(cluster.nameOf(other));
      }
      degree[node] = 0;
      left -= nodes;
      rows.push({ node: cluster.nameOf(node), trouble, nodes, peers });
    }
  }
  return {
    nodes: n,
    states: cluster.reader.nodes.reduce((sum, { states }) => sum + states, 0),
    compared: pairs.compared,
    agreeing: pairs.agreeing,
    pairs: pairs.counts(),
    rows: rows.slice(0, MOST_ROWS),
    moreRows: Math.max(0, rows.length - MOST_ROWS),
  };
}

function worst(troubles: readonly (MatrixTrouble | undefined)[]): MatrixTrouble | undefined {
  return ORDER.find((trouble) => troubles.includes(trouble));
}
