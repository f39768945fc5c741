/**
 * A metric family as a row of a table: its name, what it means, and how its samples are taken from a node's figures.
 * @module
 */
import type { Observed } from './observed.ts';

export type Labels = Readonly<Record<string, string>>;
export type Sample = readonly [Labels, number];

export interface Family {
  /** A counter's ends with `_total`; all others are gauges. */
  readonly name: string;
  readonly help: string;
  /**
   * One number where the family has no labels. `undefined` where the node has no such thing; it is then not exposed at
   * all.
   */
  readonly samples: (observed: Observed) => number | readonly Sample[] | undefined;
}

export function isCounter({ name }: Pick<Family, 'name'>): boolean {
  return name.endsWith('_total');
}

/** A sample for each value of a family's one label. */
export function by(label: string, values: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(values).map(([key, value]) => [{ [label]: key }, value]);
}
