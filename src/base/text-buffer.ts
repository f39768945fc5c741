/**
 * Text put together as bytes, in one array that is used again: what is printed for every packet of a long capture
 * makes no strings.
 * @module
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const ZERO = 0x30;
const GIGA = 1_000_000_000;

/** Both digits of a byte, as two characters in one number. */
const HEX = Uint16Array.from({ length: 256 }, (_, v) => (digit(v >>> 4) << 8) | digit(v & 15));

/** The same as they lie in memory, in the lower and in the upper half of a little-endian number. */
const LOWER = Int32Array.from(HEX, (v) => ((v & 0xff) << 8) | (v >>> 8));
const UPPER = LOWER.map((v) => v << 16);

export class TextBuffer {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;
  /** What {@link hex} read last, and how it does. */
  #source: ArrayBufferLike | undefined;
  #sourceView: DataView = new DataView(new ArrayBuffer(0));

  /** @param capacity bytes to begin with; the array grows when they are not enough */
  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Bytes so far. */
  get length(): number {
    return this.#length;
  }

  /** What has been written, as a view: valid until the next call. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  /**
   * Begins anew in another array, which has its beginning where its buffer has.
   * @returns the array until now, of which {@link length} bytes were written
   */
  swap(fresh: Uint8Array): Uint8Array {
    const full = this.#bytes;
    this.#bytes = fresh;
    this.#view = new DataView(fresh.buffer);
    this.#length = 0;
    return full;
  }

  /** Writes any text, as UTF-8. */
  utf8(text: string): void {
    const most = 3 * text.length;
    const to = this.#reserve(most);
    const { written } = encoder.encodeInto(text, this.#bytes.subarray(to, to + most));
    this.#length = to + written;
  }

  /** Writes text of ASCII characters. */
  text(text: string): void {
    const len = text.length;
    const to = this.#reserve(len);
    const b = this.#bytes;
    for (let i = 0; i < len; i++) b[to + i] = text.charCodeAt(i);
  }

  /** Writes bytes as they are: of texts that come again and again, which {@link asciiBytes} makes. */
  bytes(b: Uint8Array): void {
    const to = this.#reserve(b.length);
    this.#bytes.set(b, to);
  }

  /** Writes a whole number from 0 to 2^53 - 1, in decimal. */
  decimal(n: number): void {
    if (n >= GIGA) {
      const upper = Math.floor(n / GIGA);
      this.decimal(upper);
      this.digits(n - upper * GIGA, 9);
      return;
    }
    let count = 1;
    for (let limit = 10; n >= limit; limit *= 10) count++;
    this.digits(n, count);
  }

  /** Writes the last `count` decimal digits of a whole number below 2^31, with zeros before. */
  digits(n: number, count: number): void {
    const to = this.#reserve(count);
    const b = this.#bytes;
    let rest = n | 0;
    for (let i = count - 1; i >= 0; i--) {
      const tenth = (rest / 10) | 0;
      b[to + i] = ZERO + rest - tenth * 10;
      rest = tenth;
    }
  }

  /** Writes 32 bits as eight hexadecimal digits. */
  hex32(v: number): void {
    const to = this.#reserve(8);
    const view = this.#view;
    view.setUint32(to, (HEX[v >>> 24]! << 16) | HEX[(v >>> 16) & 0xff]!);
    view.setUint32(to + 4, (HEX[(v >>> 8) & 0xff]! << 16) | HEX[v & 0xff]!);
  }

  /** Writes `b[at..end)` in hexadecimal. */
  hex(b: Uint8Array, at: number, end: number): void {
    if (b.buffer !== this.#source) {
      this.#source = b.buffer;
      this.#sourceView = new DataView(b.buffer);
    }
    const to = this.#reserve(2 * (end - at));
    putHex(this.#view, to, this.#sourceView, b.byteOffset + at, b.byteOffset + end);
  }

  /** Takes the next `n` bytes, and returns where they start. */
  #reserve(n: number): number {
    const to = this.#length;
    this.#length = to + n;
    if (this.#length > this.#bytes.length) this.#grow(to);
    return to;
  }

  #grow(used: number): void {
    const grown = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
    grown.set(this.#bytes.subarray(0, used));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

/** A text as bytes, for {@link TextBuffer.bytes}. */
export function asciiBytes(text: string): Uint8Array {
  return encoder.encode(text);
}

/** What `put` writes, as a string: for single pieces of what is mostly wanted in bulk. */
export function textOf(put: (out: TextBuffer) => void): string {
  const out = new TextBuffer(64);
  put(out);
  return decoder.decode(out.written);
}

function digit(v: number): number {
  return v < 10 ? ZERO + v : 0x61 + v - 10;
}

/** Writes `source[from..end)` in hexadecimal. (As a function of its own this takes less than as a part of a method.) */
function putHex(view: DataView, at: number, source: DataView, from: number, end: number): void {
  let to = at;
  let k = from;
  for (; k + 4 <= end; k += 4, to += 8) {
    const four = source.getInt32(k, true);
    view.setInt32(to, LOWER[four & 0xff]! | UPPER[(four >>> 8) & 0xff]!, true);
    view.setInt32(to + 4, LOWER[(four >>> 16) & 0xff]! | UPPER[four >>> 24]!, true);
  }
  for (; k < end; k++, to += 2) view.setUint16(to, HEX[source.getUint8(k)]!);
}
