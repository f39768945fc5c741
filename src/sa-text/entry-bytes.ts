/**
 * Entries of `ip xfrm state` and `ip xfrm policy` read byte by byte, for texts of gigabytes: those of the form that iproute2
 * prints of what Cilium makes, and all others by the reader of trees. An entry counts as one of the usual form only where
 * every byte of it is as expected and another entry, or the end, follows.
 * @module
 */
import { decodeText } from '../base/decode-text.ts';
import { InputError } from '../base/errors.ts';
import { MAX_LINE, MAX_LINES_TEXT } from '../base/lines.ts';
import { checkEntries } from './sa-limit.ts';

const encoder = new TextEncoder();

/** Bytes, and as many whole words of them as there are, big-endian. */
export interface Phrase {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
}

/** A text to look for. */
export function phrase(text: string): Phrase {
  const bytes = encoder.encode(text);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const words = Uint32Array.from({ length: bytes.length >>> 2 }, (_, i) => view.getUint32(4 * i));
  return { bytes, words };
}

/** Values of hexadecimal digits in lower case, by their code; -1 for other signs. */
export const DIGITS = new Int8Array(256).fill(-1);
for (let i = 0; i < 16; i++) DIGITS[i.toString(16).charCodeAt(0)] = i;
/** `0000` and `ffff`. */
const ZEROS = 0x30303030;
const FULL = 0x66666666;
export const NEWLINE = 10;
export const BLANK = 32;
export const HEAD = phrase('src ');
export const DST = phrase(' dst ');
export const REQID = phrase(' reqid ');
export const MODE_TUNNEL = phrase(' mode tunnel');
export const MARK = phrase('\tmark 0x');
export const SLASH_HEX = phrase('/0x');
export const UID = phrase(' uid ');
export const DIR = phrase('\tdir ');
export const IN = phrase('in');
export const OUT = phrase('out');
/** No limits, … */
export const LIMITS = phrase(
  '\tlifetime config:\n\t  limit: soft (INF)(bytes), hard (INF)(bytes)\n\t  limit: soft (INF)(packets), hard (INF)(packets)\n' +
    '\t  expire add: soft 0(sec), hard 0(sec)\n\t  expire use: soft 0(sec), hard 0(sec)\n',
);
export const LIMITS_LINES = 5;
/** … and what was used. */
export const CURRENT = phrase('\tlifetime current:\n\t  ');
export const OF_BYTES = phrase('(bytes), ');
export const OF_PACKETS = phrase('(packets)');
export const ADD = phrase('\t  add ');
export const USE = phrase(' use ');
const MAX_DIGITS = 10;

/**
 * Reads entries. The methods that read a part of one take where it begins, and return where it ends, or -1 where something
 * else is there; -1 as the beginning stays -1, so that a whole entry can be asked for before the answer is looked at.
 */
export abstract class EntryBytes {
  protected readonly bytes: Uint8Array;
  protected readonly view: DataView;
  protected readonly source: string;
  /** The number that was read last. */
  protected value = 0;
  /** 1-based. */
  protected line = 1;
  #entries = 0;

  /** @param bytes the text; UTF-8, or with a byte order mark */
  constructor(bytes: Uint8Array, source: string) {
    const isWide = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
    this.bytes = isWide ? encoder.encode(decodeText(bytes)) : bytes;
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
    this.source = source;
  }

  /** Reads an entry of the usual form. @returns where it ends, or -1 */
  protected abstract usual(at: number): number;

  /** Takes the entry that {@link usual} has read. */
  protected abstract entry(line: number): void;

  /** Takes text that has another form; `line` is that of its beginning. */
  protected abstract others(text: string, line: number): void;

  /** Counts an entry. @throws {InputError} there are too many */
  protected count(line: number): void {
    checkEntries(++this.#entries, this.source, line);
  }

  /** Goes through the text. @throws {InputError} it is too long, or holds too many entries */
  protected walk(): void {
    const b = this.bytes;
    if (b.length > MAX_LINES_TEXT)
      throw new InputError(
        { source: this.source },
        'more than 64 MiB of text',
        'Split the file, or check that it is the right one.',
      );
    /** Where a run of other entries begins, and its line. */
    let from = -1;
    let fromLine = 0;
    for (let at = 0; at < b.length; ) {
      const line = this.line;
      const end = this.usual(at);
      // What follows must be another entry, or belongs to this one.
      if (end > 0 && (end === b.length || this.match(end, HEAD) > 0)) {
        if (from >= 0) this.#others(from, at, fromLine);
        from = -1;
        this.count(line);
        this.entry(line);
        at = end;
        continue;
      }
      this.line = line;
      if (from < 0) {
        from = at;
        fromLine = line;
      }
      at = this.#nextHead(at);
    }
    if (from >= 0) this.#others(from, b.length, fromLine);
  }

  #others(from: number, to: number, line: number): void {
    const text = decodeText(this.bytes.subarray(from, to));
    if (text.trim() !== '') this.others(text, line);
  }

  /** The next line after `at` that begins with `src `, or the end. */
  #nextHead(from: number): number {
    const b = this.bytes;
    for (let at = from; ; ) {
      const newline = b.indexOf(NEWLINE, at);
      if (newline < 0) return b.length;
      this.line++;
      at = newline + 1;
      if (this.match(at, HEAD) > 0) return at;
    }
  }

  /** Behind these bytes, or -1 where others are there: four at a time, and the rest one by one. */
  protected match(at: number, { bytes, words }: Phrase): number {
    const { length } = bytes;
    if (at < 0 || at + length > this.bytes.length) return -1;
    const { view } = this;
    for (let i = 0; i < words.length; i++) if (view.getUint32(at + 4 * i) !== words[i]) return -1;
    for (let i = 4 * words.length; i < length; i++) if (this.bytes[at + i] !== bytes[i]) return -1;
    return at + length;
  }

  /** Eight hexadecimal digits. */
  protected eight(at: number): number {
    const b = this.bytes;
    if (at < 0 || at + 8 > b.length) return -1;
    // Of a window that is empty, or full.
    const { view } = this;
    const [one, two] = [view.getUint32(at), view.getUint32(at + 4)];
    if (one === two && (one === ZEROS || one === FULL)) return at + 8;
    for (let i = 0; i < 8; i++) if (DIGITS[b[at + i]!]! < 0) return -1;
    return at + 8;
  }

  /** Reads up to 8 hexadecimal digits in lower case into {@link value}. */
  protected hex(at: number): number {
    if (at < 0) return -1;
    const b = this.bytes;
    let value = 0;
    let i = at;
    for (let digit = DIGITS[b[i]!] ?? -1; digit >= 0; digit = DIGITS[b[i]!] ?? -1) {
      value = (value << 4) | digit;
      i++;
    }
    if (i === at || i - at > 8) return -1;
    this.value = value >>> 0;
    return i;
  }

  /** Reads a number of 32 bits into {@link value}. */
  protected decimal(at: number): number {
    const end = this.digits(at);
    return end > 0 && this.value <= 0xffff_ffff && end - at <= MAX_DIGITS ? end : -1;
  }

  /** Reads up to 20 digits; {@link value} is of use for small ones. */
  protected digits(at: number): number {
    if (at < 0) return -1;
    const b = this.bytes;
    let value = 0;
    let i = at;
    for (; b[i]! >= 48 && b[i]! <= 57; i++) value = value * 10 + b[i]! - 48;
    if (i === at || i - at > 20) return -1;
    this.value = value;
    return i;
  }

  /** Passes `(…)` with digits and x in it, where it is there: the same number again. */
  protected again(at: number): number {
    if (at < 0) return -1;
    const b = this.bytes;
    if (b[at] !== 40) return at;
    let i = at + 1;
    for (; ; i++) {
      const code = b[i]!;
      if (!((code >= 48 && code <= 57) || (code >= 97 && code <= 102) || code === 120)) break;
    }
    return b[i] === 41 && i > at + 1 && i <= at + 13 ? i + 1 : -1;
  }

  /** The end of a line, blanks before it included. */
  protected newline(at: number): number {
    if (at < 0) return -1;
    const b = this.bytes;
    let i = at;
    while (b[i] === BLANK) i++;
    if (b[i] !== NEWLINE || i - at > MAX_LINE) return -1;
    this.line++;
    return i + 1;
  }

  /** Reads a time into {@link value}, in seconds. */
  protected time(at: number): number {
    if (at < 0) return -1;
    const b = this.bytes;
    if (b[at] === 45) {
      this.value = 0;
      return at + 1;
    }
    const two = (i: number) => {
      const [tens, ones] = [b[i]! - 48, b[i + 1]! - 48];
      return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN;
    };
    if (
      b[at + 4] !== 45 ||
      b[at + 7] !== 45 ||
      b[at + 10] !== BLANK ||
      b[at + 13] !== 58 ||
      b[at + 16] !== 58
    )
      return -1;
    const value = secondsOfDate(
      two(at) * 100 + two(at + 2),
      two(at + 5),
      two(at + 8),
      two(at + 11),
      two(at + 14),
      two(at + 17),
    );
    if (Number.isNaN(value)) return -1;
    this.value = value;
    return at + 19;
  }
}

/** Days of the civil calendar, by H. Hinnant's algorithm, then seconds. */
export function secondsOfDate(
  y: number,
  month: number,
  day: number,
  hour: number,
  minute: number,
  second: number,
): number {
  const year = month <= 2 ? y - 1 : y;
  const era = Math.floor(year / 400);
  const ofEra = year - era * 400;
  const ofYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const days =
    era * 146_097 + ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + ofYear - 719_468;
  return ((days * 24 + hour) * 60 + minute) * 60 + second;
}
