/**
 * What a node does with a packet that leaves one of its pods. One row a decision: traces, statistics and the lab
 * read this table.
 * @module
 */

interface DecisionSpec {
  readonly way: 'encrypted' | 'clear' | 'dropped';
  readonly why: string;
}

/** By name. A decision's code is its place here. */
const TABLE = {
  encrypt: { way: 'encrypted', why: 'the destination is a pod on another node that has a key' },
  'same-node': { way: 'clear', why: 'both pods are on this node: the packet never leaves it' },
  'off-cluster': { way: 'clear', why: 'the destination is not in the cluster: no node there could decrypt' },
  'to-node': { way: 'clear', why: 'the destination is a node itself, not a pod' },
  'from-host': { way: 'clear', why: 'the source is a node itself, not a pod' },
  'no-source': { way: 'clear', why: 'no node of the cluster is known to have the source address' },
  'no-key': { way: 'clear', why: 'the node of the destination has not published a key' },
  drop: { way: 'dropped', why: 'see the verdict' },
} as const satisfies Record<string, DecisionSpec>;

export type Decision = keyof typeof TABLE;

const NAMES = Object.keys(TABLE) as Decision[];

/** All rows, in the order of their codes. */
export const DECISIONS = NAMES.map((name) => ({ name, ...TABLE[name] }));

/** The code of each decision: what stands in `Batch.decision`. */
export const DECISION = Object.fromEntries(NAMES.map((name, code) => [name, code])) as Readonly<
  Record<Decision, number>
>;

/** What a node does with a packet from outside. */
export const ARRIVED = {
  /** It is for this node itself: ESP, most likely. */
  FOR_NODE: 0,
  /** It is for a pod, without IPsec. */
  CLEAR: 1,
} as const;

/** Of a packet without a decision, in both directions: it had been dropped before. */
export const UNDECIDED = -1;
