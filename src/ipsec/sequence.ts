/**
 * The outbound sequence counter of an SA (RFC 4303 §2.2, §3.3.3).
 *
 * Its first number is 1. It never repeats one: under AES-GCM a repeated number is a repeated nonce, which gives
 * the key stream and the integrity key away. So it stops at the last number, and stays stopped.
 * @module
 */
import { OUT, type SaRow } from './sa-row.ts';

/** 2^32-1 as a signed 32-bit integer. */
const LAST = -1;

export class OutboundSequence {
  /** Extended (64-bit) numbers? Only the low half is sent, the high half is authenticated. */
  readonly esn: boolean;
  /** Where {@link OUT} is: the last number given out, and the one not to be passed. */
  readonly #words: Int32Array;
  readonly #at: number;
  /** Is there a number not to be passed, before the last one? */
  readonly #isReserved: boolean;

  /**
   * @param startHi high half of the last number already used (`oseq-hi` of `ip xfrm state`)
   * @param startLo low half of it (`oseq`); the first {@link advance} gives the number after it
   * @param row the numbers of an SA: they go on where they stand, and `start` does not count
   * @param isReserved has the row a number not to be passed?
   * @throws {RangeError} for a half that is not 32 bits, or a high half without ESN
   */
  constructor(esn: boolean, startHi = 0, startLo = 0, row?: SaRow, isReserved = row !== undefined) {
    this.esn = esn;
    this.#words = row?.words ?? new Int32Array(OUT.WORDS);
    this.#at = row?.at ?? 0;
    this.#isReserved = isReserved;
    if (!row) startNumbers(this.#words, 0, esn, startHi, startLo);
    // In the row and not here: for a moment of a change of plans two SAs may share it.
    else if (isReserved) lookAgain(row);
  }

  /**
   * Moves on to the next number, which {@link hi} and {@link lo} then hold.
   * @returns false, with nothing changed, when there is none: after 2^32-1, with ESN after 2^64-1
   *   ({@link isExhausted}), or because no more is reserved
   */
  advance(): boolean {
    const words = this.#words;
    const at = this.#at;
    const lo = words[at + OUT.LO]!;
    // The end is never below the current number, so the last one is always an end.
    if (lo === words[at + OUT.END]) {
      if (!this.#mayPass(lo)) return false;
      if (lo === LAST) {
        this.#wrap();
        return true;
      }
    }
    words[at + OUT.LO] = lo + 1;
    words[at + OUT.CHECK] = ~(lo + 1);
    return true;
  }

  /** At the end: is there a number after the current one? Sets the next end. */
  #mayPass(lo: number): boolean {
    const words = this.#words;
    const at = this.#at;
    const hi = words[at + OUT.HI]!;
    if (!this.#isReserved) return this.esn && hi !== LAST;
    // This half first: who raises it has written the other one before.
    const allowedHi = Atomics.load(words, at + OUT.ALLOWED_HI);
    const allowedLo = Atomics.load(words, at + OUT.ALLOWED_LO);
    if (allowedHi >>> 0 > hi >>> 0) {
      words[at + OUT.END] = LAST;
      return lo !== LAST || this.esn;
    }
    if (allowedHi !== hi || allowedLo >>> 0 <= lo >>> 0) return false;
    words[at + OUT.END] = allowedLo;
    return true;
  }

  /** To the first number of the next 2^32. A process killed in between is told by the high half's copy. */
  #wrap(): void {
    const words = this.#words;
    const at = this.#at;
    const hi = (words[at + OUT.HI]! + 1) | 0;
    words[at + OUT.NEXT_HI] = hi;
    words[at + OUT.LO] = 0;
    words[at + OUT.CHECK] = ~0;
    words[at + OUT.HI] = hi;
    // The reserve may end in these 2^32, and is looked at before the next number.
    if (this.#isReserved) words[at + OUT.END] = 0;
  }

  /** Was the last number that there is given out? */
  get isExhausted(): boolean {
    return this.#words[this.#at + OUT.LO] === LAST && (!this.esn || this.#words[this.#at + OUT.HI] === LAST);
  }

  /** High half of the current number; 0 without ESN. */
  get hi(): number {
    return this.#words[this.#at + OUT.HI]! >>> 0;
  }

  /** Low half of the current number; 0 with a high half of 0 means that none was given out yet. */
  get lo(): number {
    return this.#words[this.#at + OUT.LO]! >>> 0;
  }

  /** {@link hi} and {@link lo} as signed integers, as the data plane passes them on. */
  get signedHi(): number {
    return this.#words[this.#at + OUT.HI]!;
  }

  get signedLo(): number {
    return this.#words[this.#at + OUT.LO]!;
  }
}

/**
 * The begin of numbers that only the last one ends.
 * @throws {RangeError} for a half that is not 32 bits, or a high half without ESN
 */
export function startNumbers(words: Int32Array, at: number, esn: boolean, hi: number, lo: number): void {
  if (hi >>> 0 !== hi || lo >>> 0 !== lo)
    throw new RangeError(`sequence: expected two 32-bit halves, got ${hi} and ${lo}`);
  if (!esn && hi !== 0) throw new RangeError('sequence: a high half needs ESN');
  words[at + OUT.HI] = hi;
  words[at + OUT.NEXT_HI] = hi;
  words[at + OUT.LO] = lo;
  words[at + OUT.CHECK] = ~lo;
  words[at + OUT.END] = LAST;
}

/** Has the sender look at the number that it must not pass before the next one. */
export function lookAgain({ words, at }: SaRow): void {
  words[at + OUT.END] = words[at + OUT.LO]!;
}
