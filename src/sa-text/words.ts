/**
 * Words and numbers of `ip xfrm` texts.
 * @module
 */
import type { Mark } from '../ipsec/sa-config.ts';
import type { TextLine } from './lines.ts';
import type { Damage } from './xfrm-tree.ts';

/** What is read field by field. */
export type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Reads `7`, `0x7` or `0x00000007(7)`; null when that is no number of 32 bits. */
export function readU32(word: string | undefined): number | null {
  const [, digits] = /^(0x[0-9a-f]{1,8}|\d{1,10})(?:\(\w{1,12}\))?$/i.exec(word ?? '') ?? [];
  if (digits === undefined) return null;
  const value = Number(digits);
  return value <= 0xffff_ffff ? value : null;
}

/** Reads `VALUE/MASK`; without a mask all bits count. */
export function readMark(word: string | undefined): Mark | null {
  const [value, mask, more] = (word ?? '').split('/', 3);
  const parsed = readU32(value);
  const bits = mask === undefined ? 0xffff_ffff : readU32(mask);
  return parsed === null || bits === null || more !== undefined ? null : { value: parsed, mask: bits };
}

/** Words that begin a field: where line ends are lost, a list ends before them. */
export const KEYWORDS: ReadonlySet<string> = new Set(
  (
    'src dst proto spi reqid mode replay-window seq flag extra_flag mark output-mark aead auth auth-trunc enc comp ' +
    'encap coa lastused anti-replay sel lifetime limit: expire add use stats: security crypto if_id tfcpad dir ' +
    'pcpu-num nat-keepalive-interval iptfs-opts socket action index priority ptype share tmpl level'
  ).split(' '),
);

/**
 * Is told a word that is not known, in which line it is, and the words that follow it. It takes those that belong to it.
 */
export type NotRead = (line: number, word: string, rest: Words) => void;

/** The words of one entry, taken one by one; each knows its line. */
export class Words {
  /** Fields whose value could not be read. */
  readonly damaged: Damage[] = [];
  readonly #names = new Set<string>();
  readonly #texts: string[] = [];
  readonly #lines: number[] = [];
  #at = 0;

  add({ number, words }: TextLine, from = 0): void {
    for (let i = from; i < words.length; i++) {
      this.#texts.push(words[i]!);
      this.#lines.push(number);
    }
  }

  /** How many there are, those taken included. */
  get size(): number {
    return this.#texts.length;
  }

  /** The next word, which stays. */
  get next(): string | undefined {
    return this.#texts[this.#at];
  }

  /** The word `ahead` of the next one. */
  peek(ahead: number): string | undefined {
    return this.#texts[this.#at + ahead];
  }

  /** The line of the word that was taken last. */
  get takenFrom(): number {
    return this.#lines[this.#at - 1] ?? 0;
  }

  /** Is there a next word in the line of the one that was taken last? */
  get goesOn(): boolean {
    return this.#at < this.#texts.length && this.#lines[this.#at] === this.takenFrom;
  }

  take(): string | undefined {
    const text = this.#texts[this.#at];
    if (text !== undefined) this.#at++;
    return text;
  }

  /** Takes a number of 32 bits, the value of the field `name`. */
  u32(name: string): number | null {
    return this.value(name, readU32);
  }

  /** Takes a value with a reader of its own, which says null where it cannot be read. */
  value<T>(name: string, read: (word: string | undefined) => T | null): T | null {
    const value = read(this.take());
    if (value === null) this.damage(name);
    return value;
  }

  /** Notes a field that stands twice in one entry: which value counts is not known. */
  once(name: string): void {
    if (this.#names.has(name)) this.damage(name);
    this.#names.add(name);
  }

  /** Notes that the field `name` cannot be read. */
  damage(name: string): void {
    this.damaged.push({ line: this.takenFrom, field: name });
  }

  /** Takes the next word if it is this one. */
  accept(word: string): boolean {
    if (this.next !== word) return false;
    this.#at++;
    return true;
  }

  /** Takes the next word if it is in the line of the one before, and has this form. */
  takeIf(form: RegExp): string | undefined {
    return this.goesOn && form.test(this.next!) ? this.take() : undefined;
  }

  /** Takes the rest of the line of the word that was taken last. */
  rest(): string[] {
    const words: string[] = [];
    while (this.goesOn) words.push(this.take()!);
    return words;
  }
}
