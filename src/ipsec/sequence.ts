/**
 * The outbound sequence counter of an SA (RFC 4303 §2.2, §3.3.3).
 *
 * Its first number is 1. It never repeats one: under AES-GCM a repeated number is a repeated nonce, which gives
 * the key stream and the integrity key away. So it stops at the last number, and stays stopped.
 * @module
 */

/** 2^32-1 as a signed 32-bit integer. */
const LAST = -1;
const MOST = 0xffff_ffff;

export class OutboundSequence {
  /** Extended (64-bit) numbers? Only the low half is sent, the high half is authenticated. */
  readonly esn: boolean;
  /** High and low half of the last number given out, as signed 32-bit integers: those the engine keeps unboxed. */
  #hi: number;
  #lo: number;

  /**
   * @param startHi high half of the last number already used (`oseq-hi` of `ip xfrm state`)
   * @param startLo low half of it (`oseq`); the first {@link advance} gives the number after it
   * @throws {RangeError} for a half that is not 32 bits, or a high half without ESN
   */
  constructor(esn: boolean, startHi = 0, startLo = 0) {
    if (startHi >>> 0 !== startHi || startLo >>> 0 !== startLo) {
      throw new RangeError(`sequence: expected two 32-bit halves, got ${startHi} and ${startLo}`);
    }
    if (!esn && startHi !== 0) throw new RangeError('sequence: a high half needs ESN');
    this.esn = esn;
    this.#hi = startHi | 0;
    this.#lo = startLo | 0;
  }

  /**
   * Moves on to the next number, which {@link hi} and {@link lo} then hold.
   * @returns false, with nothing changed, when there is none: after 2^32-1, with ESN after 2^64-1
   */
  advance(): boolean {
    if (this.#lo !== LAST) {
      this.#lo = (this.#lo + 1) | 0;
      return true;
    }
    if (!this.esn || this.#hi === LAST) return false;
    this.#hi = (this.#hi + 1) | 0;
    this.#lo = 0;
    return true;
  }

  /** High half of the current number; 0 without ESN. */
  get hi(): number {
    return this.#hi >>> 0;
  }

  /** Low half of the current number; 0 with a high half of 0 means that none was given out yet. */
  get lo(): number {
    return this.#lo >>> 0;
  }

  /** {@link hi} and {@link lo} as signed integers, as the data plane passes them on. */
  get signedHi(): number {
    return this.#hi;
  }

  get signedLo(): number {
    return this.#lo;
  }

  /** How many numbers are left. Rounded beyond 2^53. */
  get remaining(): number {
    const epochs = this.esn ? MOST - this.hi : 0;
    return epochs * 2 ** 32 + (MOST - this.lo);
  }
}
