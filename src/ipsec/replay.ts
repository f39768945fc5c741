/**
 * The anti-replay window: which sequence numbers of an inbound SA may still come (RFC 4303 §3.4.3, §A2).
 *
 * ```text
 *        gone              window, W numbers            not yet seen
 *  … ------------ | bottom = T-W+1 … T = top | ------------------------- …
 * ```
 *
 * Two calls, because RFC 4303 §3.4.3 moves the window only after the ICV verified: {@link ReplayWindow.check}
 * can say "no" for certain, but its "yes" is provisional until {@link ReplayWindow.commit}. Between the two lies
 * the cipher, and within a batch other packets: ask `check` again before `commit`, as Linux does.
 *
 * With ESN only the low half of a number is on the wire. The receiver infers the high half from where the window
 * stands, so that a number below the window reads as one of the next 2^32: it passes the check and fails the
 * ICV, because the high half is authenticated. Linux counts such a packet as XfrmInStateProtoError, not as a
 * replay. Before the first wrap the inference may also point below zero; halves are unsigned 32-bit as in the
 * kernel, so the high half is then 0xffffffff, and the ICV fails in the same way, unless the sender is at 2^64 - n.
 *
 * The answers are those of Linux 6.1 (net/xfrm/xfrm_replay.c). One thing is not copied: where W does not divide
 * 2^32, Linux's bitmap slips when the low half wraps, and may refuse or repeat numbers there. A new SA begins with
 * such a slip: with W = 33 its first packet is taken a second time.
 *
 * High halves are unsigned, as {@link ReplayWindow.inferHigh} gives them: `check` compares them with it. Low halves may be
 * signed or unsigned, and the data plane passes them signed, from method to method here too: an unsigned one above 2^31
 * is no small integer, and would be an object of its own wherever the compiler does not inline the call.
 *
 * The bits lie in a ring of words (RFC 6479): a jump ahead clears whole words, and nothing is shifted.
 * @module
 */
import { PASS } from '../wire/packet.ts';
import { dropCode } from './drop.ts';
import { BUSY, ringWords, type SaRow, TOP } from './sa-row.ts';

const ZERO = dropCode('replay-zero');
const STALE = dropCode('replay-stale');
const SEEN = dropCode('replay-seen');

const U32 = 2 ** 32;
const MAX_SIZE = 2 ** 20;

export class ReplayWindow {
  /** Numbers in the window, W; 0 is off: everything passes and nothing is remembered. */
  readonly size: number;
  /** Extended (64-bit) sequence numbers? */
  readonly esn: boolean;
  /** The highest number that verified, T: {@link TOP}. A typed array, so that writing allocates nothing. */
  readonly #top: Uint32Array;
  /** One bit a number, at its low half modulo the ring: a power of two, at least a word more than the window. */
  readonly #words: Uint32Array;
  readonly #mask: number;
  /**
   * How many numbers at the bottom were never expected: those before the first. They leave without being lost.
   * Not 0 where there is no window.
   */
  #before: number;
  #lost = 0;
  /** A typed array: a number field that has grown beyond 2^31 would be a new object for every packet. */
  readonly #late = new Float64Array(1);

  /**
   * @param size 0 (off, only without ESN) to 2^20 numbers
   * @param row the SA's row, for a window of this size: the window goes on where that stands
   * @throws {RangeError} for another size
   */
  constructor(size: number, esn: boolean, row?: SaRow) {
    if (!Number.isInteger(size) || size < 0 || size > MAX_SIZE) {
      throw new RangeError(`replay window: expected 0 to ${MAX_SIZE} numbers, got ${size}`);
    }
    // Without a window there is nothing to infer the high half from; Linux refuses it too.
    if (esn && size === 0) throw new RangeError('replay window: ESN needs a window of at least 1');
    this.size = size;
    this.esn = esn;
    const words = ringWords(size);
    if (row && row.ring.length !== words)
      throw new RangeError(
        `replay window: the row has ${row.ring.length} words, ${size} numbers need ${words}`,
      );
    this.#top = row?.top ?? new Uint32Array(TOP.WORDS);
    this.#words = row && words > 0 ? row.ring : new Uint32Array(Math.max(words, 1));
    this.#mask = this.#words.length - 1;
    this.#before = size === 0 ? 1 : this.topHi > 0 ? 0 : Math.max(size - this.topLo, 0);
  }

  /** High half of the highest number that verified. */
  get topHi(): number {
    return this.#top[TOP.HI]!;
  }

  /** Low half of the highest number that verified. */
  get topLo(): number {
    return this.#top[TOP.LO]!;
  }

  /** How many numbers left the window without having been seen. A number still in the window is not lost yet. */
  get lost(): number {
    return this.#lost;
  }

  /**
   * How many numbers were committed below the top: packets that came out of order, and in time. Those that come when the
   * window has left them behind are not committed (`replay-stale`, and under ESN a wrong ICV). 0 without a window.
   */
  get late(): number {
    return this.#late[0]!;
  }

  /** The high half that a packet with this low half must have, 0 without ESN (RFC 4303 §A2.2). */
  inferHigh(lo: number): number {
    return this.inferHighFrom(this.#top[TOP.HI]!, this.#top[TOP.LO]! | 0, lo);
  }

  /** {@link inferHigh} for another top of the window: would the answer change if that number were committed? */
  inferHighFrom(topHi: number, topLo: number, lo: number): number {
    if (!this.esn) return 0;
    const bottom = (topLo - this.size + 1) >>> 0;
    // Case A: the window lies within one 2^32; what is below it must be of the next.
    if (topLo >>> 0 >= this.size - 1) return lo >>> 0 < bottom ? (topHi + 1) >>> 0 : topHi;
    // Case B: the window reaches back into the 2^32 before.
    return lo >>> 0 >= bottom ? (topHi - 1) >>> 0 : topHi;
  }

  /** Is this number above the highest that verified? As in the kernel the high halves wrap: 0xffffffff is one behind 0. */
  isAhead(hi: number, lo: number): boolean {
    const epochs = (hi - this.#top[TOP.HI]!) | 0;
    return epochs > 0 || (epochs === 0 && lo >>> 0 > this.#top[TOP.LO]!);
  }

  /**
   * Is this number to be refused, as far as can be said before the ICV is verified? Changes nothing.
   *
   * Asked again after decryption it is Linux's recheck: if the window has moved on in between so that the high
   * half would now be inferred differently, the number is stale.
   * @param hi what {@link inferHigh} said
   * @returns {@link PASS}, or the code of `replay-zero`, `replay-stale` or `replay-seen`
   */
  check(hi: number, lo: number): number {
    return this.#isNext(hi, lo) ? PASS : this.#checkAny(hi, lo | 0);
  }

  /** Does the window hold nothing but numbers that were expected, none of them below zero? */
  get isGrown(): boolean {
    return this.#before === 0 && this.#top[TOP.LO]! >= this.size - 1;
  }

  /** Is it the one after the top, in a window that is no longer young? So is nearly every number. */
  #isNext(hi: number, lo: number): boolean {
    const top = this.#top;
    return lo >>> 0 === top[TOP.LO]! + 1 && hi === top[TOP.HI]! && this.#before === 0;
  }

  #checkAny(hi: number, signed: number): number {
    const size = this.size;
    if (size === 0) return PASS;
    const topHi = this.#top[TOP.HI]!;
    const topLo = this.#top[TOP.LO]!;
    const lo = signed >>> 0;
    if (!this.esn) {
      if (lo === 0) return ZERO;
      if (lo > topLo) return PASS;
      return topLo - lo >= size ? STALE : this.#seen(signed);
    }
    if (hi !== this.inferHighFrom(topHi, topLo | 0, signed)) return STALE;
    const bottom = (topLo - size + 1) >>> 0;
    if (topLo >= size - 1) {
      if (lo > topLo || lo < bottom) return PASS;
    } else {
      // Only a young window knows that 0 was never sent; later it is an ordinary low half.
      if (lo === 0 && topHi === 0) return ZERO;
      if (lo > topLo && lo < bottom) return PASS;
    }
    // Inside. For a young window that includes low halves near 2^32, "below zero": their bits are clear.
    return this.#seen(signed);
  }

  /**
   * Records a number whose packet verified; {@link check} must have passed for it just before. A number ahead of
   * the top, by any distance, becomes the top.
   */
  commit(hi: number, lo: number): void {
    if (!this.commitNext(hi, lo)) this.#commitAny(hi, lo | 0);
  }

  /** {@link check} and {@link commit} of the number after the top. @returns false, with nothing changed, for another */
  commitNext(hi: number, lo: number): boolean {
    if (!this.#isNext(hi, lo)) return false;
    this.#step(lo | 0);
    this.#top[TOP.LO] = lo;
    this.#top[TOP.CHECK] = ~lo;
    return true;
  }

  #commitAny(hi: number, lo: number): void {
    if (this.size === 0) return;
    if (this.isAhead(hi, lo)) {
      const top = this.#top;
      const topLo = top[TOP.LO]!;
      const epochs = (hi - top[TOP.HI]!) | 0;
      // Killed in the middle of it, the process has still not delivered this packet, nor will any below it be taken.
      top[TOP.NEW_HI] = hi;
      top[TOP.NEW_LO] = lo;
      top[TOP.BUSY] = BUSY;
      this.#advance(epochs * U32 + (lo >>> 0) - topLo, topLo | 0);
      top[TOP.HI] = hi;
      top[TOP.LO] = lo;
      top[TOP.CHECK] = ~lo;
      top[TOP.HI_COPY] = hi;
      this.#mark(lo);
      top[TOP.BUSY] = 0;
    } else {
      this.#late[0]!++;
      this.#mark(lo);
    }
  }

  #mark(lo: number): void {
    const word = (lo >>> 5) & this.#mask;
    this.#words[word] = this.#words[word]! | (1 << (lo & 31));
  }

  /**
   * Makes (hi, lo) the next number to be expected, with nothing seen: for a capture that starts in mid-stream.
   * Numbers before it that still fit into the window are accepted, and are not lost when they never come.
   * (0, 0) is no number that is ever sent; it makes a fresh window.
   */
  startBefore(hi: number, lo: number): void {
    const fresh = hi === 0 && lo === 0;
    const top = this.#top;
    top[TOP.HI] = fresh ? 0 : lo === 0 ? hi - 1 : hi;
    top[TOP.LO] = fresh ? 0 : lo - 1;
    top[TOP.CHECK] = ~top[TOP.LO]!;
    top[TOP.HI_COPY] = top[TOP.HI]!;
    this.#words.fill(0);
    this.#before = Math.max(this.size, 1);
    this.#lost = 0;
    this.#late[0] = 0;
  }

  /** What {@link #advance} by one, to `lo`, does, and the mark of `lo` itself. */
  #step(lo: number): void {
    const words = this.#words;
    const leaves = lo - this.size;
    if (((words[(leaves >>> 5) & this.#mask]! >>> (leaves & 31)) & 1) === 0) this.#lost++;
    const word = (lo >>> 5) & this.#mask;
    words[word] = (lo & 31) === 0 ? 1 : words[word]! | (1 << (lo & 31));
  }

  /**
   * Counts what falls out at the bottom, and clears the words that are entered at the top.
   * @param ahead how far the top moves
   */
  #advance(ahead: number, topLo: number): void {
    const before = Math.min(this.#before, ahead);
    this.#before -= before;
    if (ahead > before) {
      // Of the numbers that leave only those of the old window can have been seen.
      const from = (topLo - this.size + 1 + before) | 0;
      this.#lost += ahead - before - this.#count(from, Math.min(ahead, this.size) - before);
    }
    const words = this.#words;
    const entered = Math.floor(((topLo & 31) + ahead) / 32);
    const last = (topLo >>> 5) + Math.min(entered, words.length);
    for (let i = (topLo >>> 5) + 1; i <= last; i++) words[i & this.#mask] = 0;
  }

  #seen(lo: number): number {
    return (this.#words[(lo >>> 5) & this.#mask]! >>> (lo & 31)) & 1 ? SEEN : PASS;
  }

  /** How many of the `n` numbers from low half `lo` on have been seen. */
  #count(lo: number, n: number): number {
    let seen = 0;
    for (let left = n, at = lo; left > 0; ) {
      const bit = at & 31;
      const take = Math.min(32 - bit, left);
      // A shift by 32 is a shift by 0, so the mask of a whole word is made from the right.
      const bits = (0xffff_ffff >>> (32 - take)) << bit;
      seen += popCount(this.#words[(at >>> 5) & this.#mask]! & bits);
      at = (at + take) | 0;
      left -= take;
    }
    return seen;
  }
}

/** Bits set in a 32-bit word. */
function popCount(word: number): number {
  let v = word - ((word >>> 1) & 0x5555_5555);
  v = (v & 0x3333_3333) + ((v >>> 2) & 0x3333_3333);
  return Math.imul((v + (v >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
