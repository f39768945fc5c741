/**
 * The outbound sequence counter of an SA (RFC 4303 §2.2, §3.3.3).
 *
 * Its first number is 1. It never repeats one: under AES-GCM a repeated number is a repeated nonce, which gives
 * the key stream and the integrity key away. So it stops at the last number, and stays stopped.
 * @module
 */

import { OUT } from './sa-row.ts';

/** 2^32-1 as a signed 32-bit integer. */
const LAST = -1;
const MOST = 0xffff_ffff;

export class OutboundSequence {
  /** Extended (64-bit) numbers? Only the low half is sent, the high half is authenticated. */
  readonly esn: boolean;
  /** The last number given out, and the one not to be passed: {@link OUT}. Signed 32-bit integers stay unboxed. */
  readonly #words: Int32Array;
  /** Is there a number not to be passed, before the last one? */
  readonly #isReserved: boolean;

  /**
   * @param startHi high half of the last number already used (`oseq-hi` of `ip xfrm state`)
   * @param startLo low half of it (`oseq`); the first {@link advance} gives the number after it
   * @param words the outbound words of the SA's row (`SaRow.out`): the numbers go on there, and `start` does not count
   * @throws {RangeError} for a half that is not 32 bits, or a high half without ESN
   */
  constructor(esn: boolean, startHi = 0, startLo = 0, words?: Int32Array) {
    if (startHi >>> 0 !== startHi || startLo >>> 0 !== startLo) {
      throw new RangeError(`sequence: expected two 32-bit halves, got ${startHi} and ${startLo}`);
    }
    if (!esn && startHi !== 0) throw new RangeError('sequence: a high half needs ESN');
    this.esn = esn;
    this.#isReserved = words !== undefined;
    this.#words = words ?? Int32Array.of(startHi, startLo, ~startLo, startHi, LAST, LAST, LAST);
    // In the row and not here: for a moment of a change of plans two SAs may share it.
    if (words) words[OUT.END] = words[OUT.LO]!;
  }

  /**
   * Moves on to the next number, which {@link hi} and {@link lo} then hold.
   * @returns false, with nothing changed, when there is none: after 2^32-1, with ESN after 2^64-1
   *   ({@link isExhausted}), or because no more is reserved
   */
  advance(): boolean {
    const words = this.#words;
    const lo = words[OUT.LO]!;
    // The end is never below the current number, so the last one is always an end.
    if (lo === words[OUT.END]) {
      if (!this.#mayPass(lo)) return false;
      if (lo === LAST) {
        this.#wrap();
        return true;
      }
    }
    words[OUT.LO] = lo + 1;
    words[OUT.CHECK] = ~(lo + 1);
    return true;
  }

  /** The low half, signed, at which {@link advance} has more to do than to count. */
  get end(): number {
    return this.#words[OUT.END]!;
  }

  /** As many times {@link advance} as it takes to this low half, signed, which does not lie beyond {@link end}. */
  moveTo(lo: number): void {
    const words = this.#words;
    words[OUT.LO] = lo;
    words[OUT.CHECK] = ~lo;
  }

  /** At the end: is there a number after the current one? Sets the next end. */
  #mayPass(lo: number): boolean {
    const words = this.#words;
    const hi = words[OUT.HI]!;
    if (!this.#isReserved) return this.esn && hi !== LAST;
    // This half first: who raises it has written the other one before.
    const allowedHi = Atomics.load(words, OUT.ALLOWED_HI);
    const allowedLo = Atomics.load(words, OUT.ALLOWED_LO);
    if (allowedHi >>> 0 > hi >>> 0) {
      words[OUT.END] = LAST;
      return lo !== LAST || this.esn;
    }
    if (allowedHi !== hi || allowedLo >>> 0 <= lo >>> 0) return false;
    words[OUT.END] = allowedLo;
    return true;
  }

  /** To the first number of the next 2^32. A process killed in between is told by the high half's copy. */
  #wrap(): void {
    const words = this.#words;
    const hi = (words[OUT.HI]! + 1) | 0;
    words[OUT.NEXT_HI] = hi;
    words[OUT.LO] = 0;
    words[OUT.CHECK] = ~0;
    words[OUT.HI] = hi;
    // The reserve may end in these 2^32, and is looked at before the next number.
    if (this.#isReserved) words[OUT.END] = 0;
  }

  /** Was the last number that there is given out? */
  get isExhausted(): boolean {
    return this.#words[OUT.LO] === LAST && (!this.esn || this.#words[OUT.HI] === LAST);
  }

  /** High half of the current number; 0 without ESN. */
  get hi(): number {
    return this.#words[OUT.HI]! >>> 0;
  }

  /** Low half of the current number; 0 with a high half of 0 means that none was given out yet. */
  get lo(): number {
    return this.#words[OUT.LO]! >>> 0;
  }

  /** {@link hi} and {@link lo} as signed integers, as the data plane passes them on. */
  get signedHi(): number {
    return this.#words[OUT.HI]!;
  }

  get signedLo(): number {
    return this.#words[OUT.LO]!;
  }

  /** How many numbers are left. Rounded beyond 2^53. */
  get remaining(): number {
    const epochs = this.esn ? MOST - this.hi : 0;
    return epochs * 2 ** 32 + (MOST - this.lo);
  }
}
