/**
 * Header fields out of the field maps of `wire/`: the maps say where fields lie and what they are for, the words
 * here say how they are called and shown.
 *
 * Every field of a map must have words, or this does not compile.
 * @module
 */
import { toHex } from '../../base/bytes.ts';
import { type FieldSpec, fieldNumber } from '../../wire/field.ts';
import type { Field } from './tree.ts';
import type { Walker } from './walker.ts';

/** How a field is called and shown. */
export interface Words {
  readonly id: string;
  readonly label: string;
  /** Where to read on, where that is elsewhere than of the rest of the header. */
  readonly reference?: string;
  /** Instead of what the map says. */
  readonly meaning?: string;
  /** The number for people; decimal when left out. */
  readonly show?: (value: number) => string;
  /** For what is no number, such as an address: the value and text of `b[at..end)`. */
  readonly read?: (b: Uint8Array, at: number, end: number) => string;
}

/** Words for all fields of a map. */
export type WordsFor<F extends readonly FieldSpec[]> = Readonly<Record<F[number]['name'], Words>>;

/** Fields that share bytes, by the first of these bytes in the header. */
export type Groups = Readonly<Record<number, Omit<Words, 'read'> & { readonly meaning: string }>>;

/** Parts of one field's byte, as TCP's flags are. */
export type Parts = Readonly<
  Record<
    string,
    readonly {
      readonly id: string;
      readonly label: string;
      readonly meaning: string;
      readonly reference: string;
      readonly bits: readonly [number, number];
    }[]
  >
>;

interface Run {
  readonly at: number;
  end: number;
  readonly specs: FieldSpec[];
}

/** A header as a map and its words. */
export class HeaderMap {
  readonly #runs: readonly Run[];
  readonly #reference: string;
  readonly #words: Readonly<Record<string, Words>>;
  readonly #groups: Groups;
  readonly #parts: Parts;

  /** @param reference where to read on */
  constructor(
    specs: readonly FieldSpec[],
    reference: string,
    words: Readonly<Record<string, Words>>,
    groups: Groups = {},
    parts: Parts = {},
  ) {
    const runs: Run[] = [];
    for (const spec of specs) {
      const last = runs.at(-1);
      if (last && spec.at < last.end) {
        last.specs.push(spec);
        last.end = Math.max(last.end, spec.at + spec.len);
      } else runs.push({ at: spec.at, end: spec.at + spec.len, specs: [spec] });
    }
    this.#runs = runs;
    this.#reference = reference;
    this.#words = words;
    this.#groups = groups;
    this.#parts = parts;
  }

  /**
   * The fields of the header at `at`, as far as they lie before `end`; what is left of one that does not is a field
   * of its own.
   * @param problems what is wrong with fields, by name
   */
  fields(
    w: Walker,
    at: number,
    end: number,
    problems: Readonly<Record<string, string | undefined>> = {},
  ): Field[] {
    const fields: Field[] = [];
    for (const run of this.#runs) {
      const from = at + run.at;
      if (from >= end) break;
      if (at + run.end > end) {
        const name = run.specs[0]!.name;
        fields.push(
          w.field({
            reference: this.#reference,
            ...this.#words[name]!,
            id: `${this.#words[name]!.id}.cut`,
            at: from,
            end,
            text: toHex(w.b, from, end),
            meaning: 'The beginning of a field that is cut off.',
            problem: `cut off after ${end - from} of ${run.end - run.at} bytes`,
          }),
        );
        break;
      }
      fields.push(
        run.specs.length > 1
          ? this.#group(w, at, run, problems)
          : this.#single(w, at, run.specs[0]!, problems),
      );
    }
    return fields;
  }

  #single(
    w: Walker,
    at: number,
    spec: FieldSpec,
    problems: Readonly<Record<string, string | undefined>>,
  ): Field {
    const from = at + spec.at;
    const end = from + spec.len;
    const parts = this.#parts[spec.name];
    return this.#field(
      w,
      at,
      spec,
      from,
      end,
      undefined,
      problems[spec.name],
      parts && this.#bits(w, at, spec, parts),
    );
  }

  #bits(w: Walker, at: number, spec: FieldSpec, parts: Parts[string]): Field[] {
    const number = fieldNumber(spec, w.b, at);
    const from = at + spec.at;
    return parts.map(({ id, label, meaning, reference, bits }) => {
      const value = Math.floor(number / 2 ** bits[0]) % 2 ** bits[1];
      const end = from + spec.len;
      return w.field({ id, label, meaning, reference, at: from, end, bits, value, text: String(value) });
    });
  }

  #field(
    w: Walker,
    at: number,
    spec: FieldSpec,
    from: number,
    end: number,
    bits: readonly [number, number] | undefined,
    problem: string | undefined,
    children: readonly Field[] = NO_FIELDS,
  ): Field {
    const words = this.#words[spec.name]!;
    const { id, label, reference = this.#reference, meaning = spec.about } = words;
    const { value, text } = shown(words, spec, w.b, at);
    return w.field({ id, label, reference, meaning, at: from, end, bits, value, text, problem, children });
  }

  #group(w: Walker, at: number, run: Run, problems: Readonly<Record<string, string | undefined>>): Field {
    const group = this.#groups[run.at]!;
    const from = at + run.at;
    const end = at + run.end;
    const whole = fieldNumber({ name: '', at: run.at, len: run.end - run.at, about: '' }, w.b, at);
    const wrong = run.specs.map(({ name }) => problems[name]).filter((problem) => problem !== undefined);
    return w.field({
      id: group.id,
      label: group.label,
      reference: group.reference ?? this.#reference,
      meaning: group.meaning,
      at: from,
      end,
      value: whole,
      text: group.show ? group.show(whole) : `0x${toHex(w.b, from, end)}`,
      ...(wrong.length > 0 && { problem: wrong.join('; ') }),
      children: run.specs.map((spec) => {
        const [shift, width] = spec.bits ?? [0, spec.len * 8];
        const bits = [shift + 8 * (run.end - spec.at - spec.len), width] as const;
        return this.#field(w, at, spec, from, end, bits, problems[spec.name]);
      }),
    });
  }
}

const NO_FIELDS: readonly Field[] = [];

function shown(
  words: Words,
  spec: FieldSpec,
  b: Uint8Array,
  at: number,
): { value: number | string; text: string } {
  const from = at + spec.at;
  if (words.read) {
    const text = words.read(b, from, from + spec.len);
    return { value: text, text };
  }
  const value = fieldNumber(spec, b, at);
  return { value, text: words.show ? words.show(value) : String(value) };
}

/** Shows a number in hexadecimal, `digits` long. */
export function hexNumber(digits: number): (value: number) => string {
  return (value) => `0x${value.toString(16).padStart(digits, '0')}`;
}

/** Shows a number with the name that a table has for it. */
export function numberWithName(
  nameOf: (value: number) => string | undefined,
  digits = 0,
): (value: number) => string {
  return (value) => {
    const number = digits > 0 ? hexNumber(digits)(value) : String(value);
    const name = nameOf(value);
    return name === undefined ? number : `${number} (${name})`;
  };
}
