/**
 * Parts of a text that are left out, and what to say of them.
 * @module
 */
import { InputError } from '../base/errors.ts';
import type { XfrmTree } from './xfrm-tree.ts';

export interface Omission {
  /** `FILE:LINE`. */
  readonly origin: string;
  readonly why: string;
  /** What the reader can do, where there is something, one imperative sentence. */
  readonly remedy?: string | undefined;
}

/** Thrown inside a reader, for one state or row that cannot be used. Its message never holds a key. */
export class Unusable extends Error {
  /** Where it is known better than by the place of the whole. */
  readonly line: number | undefined;
  readonly remedy: string | undefined;

  constructor(why: string, { line, remedy }: { line?: number | undefined; remedy?: string } = {}) {
    super(why);
    this.line = line;
    this.remedy = remedy;
  }
}

/** One line for people. */
export function omissionLine({ origin, why }: Omission): string {
  return `${origin}: ${why}`;
}

/**
 * The answer where nothing else is left.
 * @param instead where the omission names no remedy
 */
export function omissionError({ origin, why, remedy }: Omission, instead: string): InputError {
  return new InputError({ source: origin }, why, remedy ?? instead);
}

/** More parts than this of one text are counted. */
const MOST = 8;

/** The parts that are not understood, the first ones of many. */
export function unreadParts({ source, unread }: XfrmTree): Omission[] {
  return few(
    unread.map(({ line, word }) => ({
      origin: `${source}:${line}`,
      why: `not understood and left out: ${word}`,
    })),
    source,
  );
}

/** The fields whose value cannot be read. */
export function damagedFields({ source, states, policies }: XfrmTree): Omission[] {
  return few(
    [...states, ...policies].flatMap(({ damaged }) =>
      damaged.map(({ line, field }) => ({
        origin: `${source}:${line}`,
        why: `the field ${field} cannot be read`,
      })),
    ),
    source,
  );
}

/** The first ones of many, and how many more there are. */
export function few(parts: Omission[], source: string): Omission[] {
  if (parts.length <= MOST) return parts;
  return [...parts.slice(0, MOST), { origin: source, why: `and ${parts.length - MOST} more like it` }];
}
