/**
 * Options in headers: a kind, a length and a value, one after the other, in three dialects.
 * @module
 */
import { toHex } from '../../base/bytes.ts';
import type { Field } from './tree.ts';
import { bytesText, type Walker } from './walker.ts';

/** What a kind of option is called, and how its value reads. */
export interface OptionWords {
  /** Behind that of the dialect. */
  readonly id: string;
  readonly label: string;
  readonly meaning: string;
  readonly reference?: string;
  /** The value, without kind and length. */
  readonly show?: (b: Uint8Array, at: number, end: number) => string;
}

/** How options of a protocol lie in their header. */
export interface Dialect {
  /** Prefix of ids. */
  readonly id: string;
  readonly reference: string;
  /** Kinds of one byte, without a length. */
  readonly single: readonly number[];
  /** The kind behind which nothing counts. */
  readonly last: number;
  /** Bytes of an option whose length byte says `n`. */
  readonly length: (n: number) => number;
  /** By kind. */
  readonly known: Readonly<Record<number, OptionWords>>;
}

/** Reads the options in `[at, end)`. What makes no sense is a field with a problem. */
export function readOptions(w: Walker, dialect: Dialect, at: number, end: number): Field[] {
  const fields: Field[] = [];
  const { b } = w;
  const rest = (from: number, problem: string | undefined, meaning: string) => {
    if (from >= end) return;
    fields.push(
      w.field({
        id: `${dialect.id}.rest`,
        label: 'Rest',
        at: from,
        end,
        text: bytesText(end - from),
        meaning,
        reference: dialect.reference,
        problem,
      }),
    );
  };
  for (let i = at; i < end; ) {
    const kind = b[i]!;
    const single = dialect.single.includes(kind);
    if (!single && i + 2 > end) {
      rest(i, 'an option without a length', 'The beginning of an option.');
      break;
    }
    const len = single ? 1 : dialect.length(b[i + 1]!);
    if (len < (single ? 1 : 2) || i + len > end) {
      const problem = `the option says it has ${bytesText(len)}, and ${end - i} are left`;
      rest(i, problem, 'Options that cannot be told apart.');
      w.stop(i, dialect.id, problem);
      break;
    }
    const words = dialect.known[kind];
    const valueAt = i + (single ? 1 : 2);
    const value = words?.show ? words.show(b, valueAt, i + len) : toHex(b, valueAt, i + len);
    fields.push(
      w.field({
        id: `${dialect.id}.${words?.id ?? 'unknown'}`,
        label: words?.label ?? `Option ${kind}`,
        at: i,
        end: i + len,
        value: value === '' ? kind : value,
        text: value,
        meaning: words?.meaning ?? 'An option that is not taken apart here.',
        reference: words?.reference ?? dialect.reference,
      }),
    );
    i += len;
    if (kind === dialect.last) {
      rest(i, undefined, 'Behind the end of the list: filling.');
      break;
    }
  }
  return fields;
}
