/**
 * Time in pcapng: a 64-bit count of ticks, whose length each interface chooses (`if_tsresol`, `if_tsoffset`).
 *
 * Nanoseconds since 1970 have 61 bits, more than a `number` holds exactly, and a `bigint` for each frame would
 * be an allocation. So ticks stay two halves, and are divided and multiplied in digits of 16 bits, as on paper.
 * @module
 */
import { putU32le } from './byte-order.ts';
import type { FrameMeta } from './frame.ts';

/** `if_tsresol` where the option is missing: microseconds. */
export const TSRESOL_MICROSECONDS = 6;
/** `if_tsresol` that the writer uses. */
export const TSRESOL_NANOSECONDS = 9;

const U32 = 0x1_0000_0000;
const DIGIT = 0x1_0000;
const GIGA = 1_000_000_000;
/** The last second whose nanoseconds all fit into 64 bits, in the year 2554. */
const LAST_SECOND = 18_446_744_072;

/** Turns ticks of one interface into seconds and nanoseconds: exactly, parts of a nanosecond cut off. */
export class TimeUnit {
  /** A tick is 2^-exponent seconds if set, else 10^-exponent. */
  readonly #binary: boolean;
  readonly #exponent: number;
  /** What to divide decimal ticks by, one after the other: floor(floor(a/b)/c) is floor(a/bc). */
  readonly #divisors: readonly number[];
  /** Nanoseconds in what the last division leaves. */
  readonly #scale: number;
  readonly #offset: number;

  /**
   * @param tsresol the option's byte: its top bit chooses powers of two, the other bits are the exponent
   * @param offset seconds to add to each time
   */
  constructor(tsresol: number, offset: number) {
    this.#binary = (tsresol & 0x80) !== 0;
    this.#exponent = tsresol & 0x7f;
    const divisors: number[] = [];
    for (let extra = this.#exponent - 9; extra > 0; extra -= 9) divisors.push(10 ** Math.min(extra, 9));
    const perSecond = 10 ** Math.min(this.#exponent, 9);
    this.#divisors = [...divisors, perSecond];
    this.#scale = GIGA / perSecond;
    this.#offset = offset;
  }

  /** Sets the time of `meta` to hi·2^32 + lo ticks; both halves are unsigned. */
  put(meta: FrameMeta, hi: number, lo: number): void {
    if (this.#binary) this.#putBinary(meta, hi, lo);
    else this.#putDecimal(meta, hi, lo);
  }

  #putDecimal(meta: FrameMeta, hi: number, lo: number): void {
    let high = hi;
    let low = lo;
    let rest = 0;
    // No divisor is above 10^9, so no intermediate is above 2^46.
    for (const d of this.#divisors) {
      const q2 = Math.floor(high / d);
      const mid = (high - q2 * d) * DIGIT + (low >>> 16);
      const q1 = Math.floor(mid / d);
      const last = (mid - q1 * d) * DIGIT + (low & 0xffff);
      const q0 = Math.floor(last / d);
      rest = last - q0 * d;
      high = q2;
      low = q1 * DIGIT + q0;
    }
    meta.seconds = high * U32 + low + this.#offset;
    meta.nanoseconds = rest * this.#scale;
  }

  #putBinary(meta: FrameMeta, hi: number, lo: number): void {
    // i1 i0 . f1 f0 is a fixed-point number, shifted right until its point is where it belongs.
    let i1 = hi;
    let i0 = lo;
    let f1 = 0;
    let f0 = 0;
    const shift = Math.min(this.#exponent, 64);
    for (let words = shift >>> 5; words > 0; words--) {
      f0 = f1;
      f1 = i0;
      i0 = i1;
      i1 = 0;
    }
    const bits = shift & 31;
    if (bits > 0) {
      const back = 32 - bits;
      f0 = ((f0 >>> bits) | (f1 << back)) >>> 0;
      f1 = ((f1 >>> bits) | (i0 << back)) >>> 0;
      i0 = ((i0 >>> bits) | (i1 << back)) >>> 0;
      i1 >>>= bits;
    }
    // The fraction times 10^9, of which only what is carried over the point is kept.
    let carry = Math.floor(((f0 & 0xffff) * GIGA) / DIGIT);
    carry = Math.floor(((f0 >>> 16) * GIGA + carry) / DIGIT);
    carry = Math.floor(((f1 & 0xffff) * GIGA + carry) / DIGIT);
    carry = Math.floor(((f1 >>> 16) * GIGA + carry) / DIGIT);
    meta.seconds = i1 * U32 + i0 + this.#offset;
    meta.nanoseconds = Math.floor(carry / 2 ** (this.#exponent - shift));
  }
}

/**
 * Writes a time as 64 bits of nanoseconds: high half, then low half, each little-endian (as an Enhanced Packet
 * Block has them). Seconds before 1970 or after 2554 do not fit; the nearest that does is written.
 */
export function putNanoseconds(b: Uint8Array, at: number, seconds: number, nanoseconds: number): void {
  const s = Math.min(Math.max(seconds, 0), LAST_SECOND);
  const upper = Math.floor(s / DIGIT) * GIGA;
  const lower = (s % DIGIT) * GIGA + nanoseconds + (upper % DIGIT) * DIGIT;
  putU32le(b, at, Math.floor(upper / DIGIT) + Math.floor(lower / U32));
  putU32le(b, at + 4, lower % U32);
}
