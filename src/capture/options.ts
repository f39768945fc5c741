/**
 * Options of pcapng blocks: a list of code, length and value, each padded to 32 bits (see `pcapng.ts`).
 * @module
 */
import { type ByteOrder, LITTLE, putU16le } from './byte-order.ts';
import { OPT_END, padded } from './pcapng.ts';

/** Longest value of an option: its length has 16 bits. */
const MAX_VALUE = 0xffff;

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const encoder = new TextEncoder();

/** Walks over the options of one block after the other, without allocating. */
export class OptionCursor {
  /** The current option. */
  code = OPT_END;
  /** Its value is `b[at..end)` of the array that {@link start} was given. */
  at = 0;
  end = 0;
  /** Set where {@link next} stopped because an option runs past its block. */
  overrun = false;
  #b: Uint8Array = new Uint8Array(0);
  #order: ByteOrder = LITTLE;
  #next = 0;
  #limit = 0;

  /** Begins with the options in `b[at..limit)`. */
  start(b: Uint8Array, at: number, limit: number, order: ByteOrder): void {
    this.#b = b;
    this.#order = order;
    this.#next = at;
    this.#limit = limit;
    this.overrun = false;
  }

  /** Moves to the next option. Returns false when there is none. */
  next(): boolean {
    // Blocks and options are multiples of four bytes, so what is left is none or at least a header.
    if (this.#next >= this.#limit) return false;
    this.code = this.#order.u16(this.#b, this.#next);
    if (this.code === OPT_END) return false;
    this.at = this.#next + 4;
    this.end = this.at + this.#order.u16(this.#b, this.#next + 2);
    this.#next = this.at + padded(this.end - this.at);
    this.overrun = this.#next > this.#limit;
    return !this.overrun;
  }

  /** The value as text, without the zero bytes that some programs end it with. */
  text(): string {
    let end = this.end;
    while (end > this.at && this.#b[end - 1] === 0) end--;
    return decoder.decode(this.#b.subarray(this.at, end));
  }
}

/** An option to be written. */
export interface Option {
  readonly code: number;
  readonly value: Uint8Array;
}

/** An option of text; what UTF-8 makes longer than 65535 bytes is cut off, between two characters. */
export function textOption(code: number, text: string): Option {
  const value = encoder.encode(text);
  if (value.length <= MAX_VALUE) return { code, value };
  const cut = new Uint8Array(MAX_VALUE);
  return { code, value: cut.subarray(0, encoder.encodeInto(text, cut).written) };
}

/** Bytes that {@link putOptions} writes: none for an empty list. */
export function optionsLength(options: readonly Option[]): number {
  if (options.length === 0) return 0;
  let len = 4; // the end
  for (const option of options) len += 4 + padded(option.value.length);
  return len;
}

/** Writes the options, and their end, little-endian. */
export function putOptions(b: Uint8Array, at: number, options: readonly Option[]): void {
  if (options.length === 0) return;
  let to = at;
  for (const { code, value } of options) {
    putU16le(b, to, code);
    putU16le(b, to + 2, value.length);
    b.set(value, to + 4);
    const end = to + 4 + value.length;
    to += 4 + padded(value.length);
    b.fill(0, end, to);
  }
  b.fill(0, to, to + 4);
}
