/**
 * What a node does with a packet that leaves one of its pods. One row a decision: traces, statistics and the lab
 * read this table.
 * @module
 */

interface DecisionSpec {
  readonly name: string;
  readonly way: 'encrypted' | 'clear' | 'dropped';
  readonly why: string;
}

/** A decision's code is its place here. */
export const DECISIONS = [
  {
    name: 'encrypt',
    way: 'encrypted',
    why: 'the destination is a pod on another node that has a key',
  },
  { name: 'same-node', way: 'clear', why: 'both pods are on this node: the packet never leaves it' },
  {
    name: 'off-cluster',
    way: 'clear',
    why: 'the destination is not in the cluster: nobody there could decrypt',
  },
  { name: 'to-node', way: 'clear', why: 'the destination is a node itself, not a pod' },
  { name: 'from-host', way: 'clear', why: 'the source is a node itself, not a pod' },
  { name: 'no-source', way: 'clear', why: 'nobody in the cluster is known to have the source address' },
  { name: 'no-key', way: 'clear', why: 'the node of the destination has not published a key' },
  { name: 'drop', way: 'dropped', why: 'see the verdict' },
] as const satisfies readonly DecisionSpec[];

export type Decision = (typeof DECISIONS)[number]['name'];

/** What a node does with a packet from outside. */
export const ARRIVED = {
  /** It is for this node itself: ESP, most likely. */
  FOR_NODE: 0,
  /** It is for a pod, without IPsec. */
  CLEAR: 1,
} as const;

/** Of a packet without a decision, in both directions: it had been dropped before. */
export const UNDECIDED = -1;

/** The code of a decision. */
export function decisionCode(name: Decision): number {
  return DECISIONS.findIndex((row) => row.name === name);
}
