/**
 * A metric family as a row of a table: its name, what it means, and how its samples are taken from a node's figures.
 * @module
 */
import type { Observed } from './observed.ts';

export type Labels = Readonly<Record<string, string>>;
export type Sample = readonly [Labels, number];

export interface Family {
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  readonly help: string;
  readonly labels: readonly string[];
  /** `undefined` where the node has no such thing; it is then not exposed at all. */
  readonly samples: (observed: Observed) => readonly Sample[] | undefined;
}

/** The one sample of a family without labels. */
export function single(value: number): Sample[] {
  return [[{}, value]];
}
