/**
 * What the texts of `ip xfrm state` and `ip xfrm policy` have in common: lines, numbers, marks.
 *
 * People paste these texts: with Windows line ends, tabs turned into spaces, several nodes one after the other,
 * prompts in between, and from `ip -o`, which writes a backslash where a line ends.
 * @module
 */
import { InputError } from '../base/errors.ts';
import { linesOf } from '../base/lines.ts';
import type { Mark } from '../ipsec/sa-config.ts';

/** A line that is not blank. */
export interface XfrmLine {
  /** 1-based, in the text. */
  readonly number: number;
  /** White space before the first word, in characters. */
  readonly indent: number;
  /** Without white space at both ends. */
  readonly text: string;
  readonly words: readonly string[];
}

/**
 * The lines of a text; those of `ip -o` are taken apart, and keep their number.
 * @throws {InputError} naming a line that is too long
 */
export function* xfrmLines(text: string, source: string): Generator<XfrmLine> {
  for (const { number, text: whole } of linesOf(text, source)) {
    for (const part of whole.split('\\')) {
      const trimmed = part.trim();
      if (trimmed === '') continue;
      const indent = part.length - part.trimStart().length;
      yield { number, indent, text: trimmed, words: trimmed.split(/\s+/) };
    }
  }
}

/** The word after the word `key`; `undefined` when there is none. */
export function wordAfter(words: readonly string[], key: string): string | undefined {
  const at = words.indexOf(key);
  return at < 0 ? undefined : words[at + 1];
}

/** Reads `7`, `0x7` or `0x00000007(7)`; `undefined` when that is no number of 32 bits. */
export function parseU32(word: string | undefined): number | undefined {
  const [, digits] = /^(0x[0-9a-f]{1,8}|\d{1,10})(?:\(\w+\))?$/i.exec(word ?? '') ?? [];
  if (digits === undefined) return undefined;
  const value = Number(digits);
  return value <= 0xffff_ffff ? value : undefined;
}

/** Reads `VALUE/MASK`; without a mask all bits count. */
export function parseMark(word: string | undefined): Mark | undefined {
  const [value, mask, more] = (word ?? '').split('/');
  const parsed = parseU32(value);
  const bits = mask === undefined ? 0xffff_ffff : parseU32(mask);
  if (parsed === undefined || bits === undefined || more !== undefined) return undefined;
  return { value: parsed, mask: bits };
}

/** An error at a line. What the line says is not repeated: it may be a key. */
export function unreadable(source: string, line: number, problem: string, remedy: string): InputError {
  return new InputError({ source, line }, problem, remedy);
}
