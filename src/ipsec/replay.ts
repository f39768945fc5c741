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
import { DROP } from './drop.ts';
import { BUSY, RING, ringWords, TOP } from './sa-row.ts';
import { SaPlace, WORD } from './sa-words.ts';

const U32 = 2 ** 32;
const MAX_SIZE = 2 ** 20;

export class ReplayWindow {
  /** Numbers in the window, W; 0 is off: everything passes and nothing is remembered. */
  readonly size: number;
  /** Extended (64-bit) sequence numbers? */
  readonly esn: boolean;
  readonly #place: SaPlace;

  /**
   * @param size 0 (off, only without ESN) to 2^20 numbers
   * @param place the words of an SA that {@link startWindow} has made ready: the window goes on where they stand
   * @throws {RangeError} for another size
   */
  constructor(size: number, esn: boolean, place?: SaPlace) {
    checkWindow(size, esn);
    this.size = size;
    this.esn = esn;
    this.#place = place ?? new SaPlace(size);
    if (!place) startWindow(this.#place, size);
  }

  /** High half of the highest number that verified. */
  get topHi(): number {
    return topOf(this.#place, TOP.HI) >>> 0;
  }

  /** Low half of the highest number that verified. */
  get topLo(): number {
    return topOf(this.#place, TOP.LO) >>> 0;
  }

  /** How many numbers left the window without having been seen. A number still in the window is not lost yet. */
  get lost(): number {
    return countOf(this.#place, WORD.LOST);
  }

  /**
   * How many numbers were committed below the top: packets that came out of order, and in time. Those that come when the
   * window has left them behind are not committed (`replay-stale`, and under ESN a wrong ICV). 0 without a window.
   */
  get late(): number {
    return countOf(this.#place, WORD.LATE);
  }

  /** The high half that a packet with this low half must have, 0 without ESN (RFC 4303 §A2.2). */
  inferHigh(lo: number): number {
    return this.inferHighFrom(topOf(this.#place, TOP.HI) >>> 0, topOf(this.#place, TOP.LO), lo);
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
    return isAbove(hi, lo, topOf(this.#place, TOP.HI), topOf(this.#place, TOP.LO));
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
    const size = this.size;
    if (size === 0 || isNext(this.#place, hi, lo | 0)) return PASS;
    const topHi = topOf(this.#place, TOP.HI) >>> 0;
    const topLo = topOf(this.#place, TOP.LO) >>> 0;
    const low = lo >>> 0;
    if (!this.esn) {
      if (lo === 0) return DROP['replay-zero'];
      if (low > topLo) return PASS;
      return topLo - low >= size ? DROP['replay-stale'] : this.#seen(lo);
    }
    if (hi !== this.inferHighFrom(topHi, topLo | 0, lo)) return DROP['replay-stale'];
    const bottom = (topLo - size + 1) >>> 0;
    if (topLo >= size - 1) {
      if (low > topLo || low < bottom) return PASS;
    } else {
      // Only a young window knows that 0 was never sent; later it is an ordinary low half.
      if (lo === 0 && topHi === 0) return DROP['replay-zero'];
      if (low > topLo && low < bottom) return PASS;
    }
    // Inside. For a young window that includes low halves near 2^32, "below zero": their bits are clear.
    return this.#seen(lo);
  }

  /**
   * Records a number whose packet verified; {@link check} must have passed for it just before. A number ahead of
   * the top, by any distance, becomes the top.
   */
  commit(hi: number, lo: number): void {
    if (!commitNext(this.#place, hi, lo | 0)) this.#commitAny(hi, lo | 0);
  }

  #commitAny(hi: number, lo: number): void {
    if (this.size === 0) return;
    const { numbers, numbersAt: n, floats, at } = this.#place;
    if (this.isAhead(hi, lo)) {
      const topLo = topOf(this.#place, TOP.LO);
      const epochs = (hi - topOf(this.#place, TOP.HI)) | 0;
      // Killed in the middle of it, the process has still not delivered this packet, nor will any below it be taken.
      numbers[n + TOP.NEW_HI] = hi;
      numbers[n + TOP.NEW_LO] = lo;
      numbers[n + TOP.BUSY] = BUSY;
      this.#advance(epochs * U32 + (lo >>> 0) - (topLo >>> 0), topLo);
      numbers[n + TOP.HI] = hi;
      numbers[n + TOP.LO] = lo;
      numbers[n + TOP.CHECK] = ~lo;
      numbers[n + TOP.HI_COPY] = hi;
      this.#mark(lo);
      numbers[n + TOP.BUSY] = 0;
    } else {
      floats[(at + WORD.LATE) >>> 1]!++;
      this.#mark(lo);
    }
  }

  #mark(lo: number): void {
    const { numbers } = this.#place;
    numbers[ringAt(this.#place, lo)]! |= 1 << (lo & 31);
  }

  /**
   * Makes (hi, lo) the next number to be expected, with nothing seen: for a capture that starts in mid-stream.
   * Numbers before it that still fit into the window are accepted, and are not lost when they never come.
   * (0, 0) is no number that is ever sent; it makes a fresh window.
   */
  startBefore(hi: number, lo: number): void {
    const { numbers, numbersAt: n, words, floats, at } = this.#place;
    const fresh = hi === 0 && lo === 0;
    numbers[n + TOP.HI] = fresh ? 0 : lo === 0 ? hi - 1 : hi;
    numbers[n + TOP.LO] = fresh ? 0 : lo - 1;
    numbers[n + TOP.CHECK] = ~numbers[n + TOP.LO]!;
    numbers[n + TOP.HI_COPY] = numbers[n + TOP.HI]!;
    if (this.size > 0) numbers.fill(0, n + RING, n + RING + words[at + WORD.RING_MASK]! + 1);
    words[at + WORD.UNEXPECTED] = Math.max(this.size, 1);
    floats[(at + WORD.LOST) >>> 1] = 0;
    floats[(at + WORD.LATE) >>> 1] = 0;
  }

  /**
   * Counts what falls out at the bottom, and clears the words that are entered at the top.
   * @param ahead how far the top moves
   */
  #advance(ahead: number, topLo: number): void {
    const { numbers, numbersAt: n, words, floats, at } = this.#place;
    const before = Math.min(words[at + WORD.UNEXPECTED]!, ahead);
    words[at + WORD.UNEXPECTED]! -= before;
    if (ahead > before) {
      // Of the numbers that leave only those of the old window can have been seen.
      const from = (topLo - this.size + 1 + before) | 0;
      floats[(at + WORD.LOST) >>> 1]! +=
        ahead - before - this.#count(from, Math.min(ahead, this.size) - before);
    }
    const mask = words[at + WORD.RING_MASK]!;
    const entered = Math.floor(((topLo & 31) + ahead) / 32);
    const last = (topLo >>> 5) + Math.min(entered, mask + 1);
    for (let i = (topLo >>> 5) + 1; i <= last; i++) numbers[n + RING + (i & mask)] = 0;
  }

  #seen(lo: number): number {
    return (this.#place.numbers[ringAt(this.#place, lo)]! >>> (lo & 31)) & 1 ? DROP['replay-seen'] : PASS;
  }

  /** How many of the `n` numbers from low half `lo` on have been seen. */
  #count(lo: number, n: number): number {
    let seen = 0;
    for (let left = n, at = lo; left > 0; ) {
      const bit = at & 31;
      const take = Math.min(32 - bit, left);
      // A shift by 32 is a shift by 0, so the mask of a whole word is made from the right.
      const bits = (0xffff_ffff >>> (32 - take)) << bit;
      seen += popCount(this.#place.numbers[ringAt(this.#place, at)]! & bits);
      at = (at + take) | 0;
      left -= take;
    }
    return seen;
  }
}

/** Is one number above another? High halves may be signed, as in the kernel: 0xffffffff is one behind 0. */
export function isAbove(hi: number, lo: number, thanHi: number, thanLo: number): boolean {
  const epochs = (hi - thanHi) | 0;
  return epochs > 0 || (epochs === 0 && lo >>> 0 > thanLo >>> 0);
}

/** @throws {RangeError} for a size that no window has */
export function checkWindow(size: number, esn: boolean): void {
  if (!Number.isInteger(size) || size < 0 || size > MAX_SIZE)
    throw new RangeError(`replay window: expected 0 to ${MAX_SIZE} numbers, got ${size}`);
  // Without a window there is nothing to infer the high half from; Linux refuses it too.
  if (esn && size === 0) throw new RangeError('replay window: ESN needs a window of at least 1');
}

/** Makes the words of an SA ready for a window of this size, where its numbers stand. */
export function startWindow(place: SaPlace, size: number): void {
  const { words, at } = place;
  const isYoung = topOf(place, TOP.HI) === 0;
  const topLo = topOf(place, TOP.LO) >>> 0;
  words[at + WORD.WINDOW] = size;
  words[at + WORD.RING_MASK] = Math.max(ringWords(size), 1) - 1;
  words[at + WORD.UNEXPECTED] = size === 0 ? 1 : isYoung ? Math.max(size - topLo, 0) : 0;
}

/**
 * {@link ReplayWindow.check} and {@link ReplayWindow.commit} of the number after the top, in a window that is no longer
 * young: so is nearly every number.
 * @param lo signed
 * @returns false, with nothing changed, for another
 */
export function commitNext(place: SaPlace, hi: number, lo: number): boolean {
  if (!isNext(place, hi, lo)) return false;
  const { numbers, numbersAt: n, words, floats, at } = place;
  const leaves = lo - words[at + WORD.WINDOW]!;
  if (((numbers[ringAt(place, leaves)]! >>> (leaves & 31)) & 1) === 0) floats[(at + WORD.LOST) >>> 1]!++;
  const ring = ringAt(place, lo);
  numbers[ring] = (lo & 31) === 0 ? 1 : numbers[ring]! | (1 << (lo & 31));
  numbers[n + TOP.LO] = lo;
  numbers[n + TOP.CHECK] = ~lo;
  return true;
}

function isNext({ numbers, numbersAt: n, words, at }: SaPlace, hi: number, lo: number): boolean {
  return (
    lo !== 0 &&
    lo === ((numbers[n + TOP.LO]! + 1) | 0) &&
    (hi | 0) === numbers[n + TOP.HI] &&
    words[at + WORD.UNEXPECTED] === 0
  );
}

/** Where the word of the ring is that has the bit of a number, at its low half modulo the ring. */
function ringAt({ numbersAt, words, at }: SaPlace, lo: number): number {
  return numbersAt + RING + ((lo >>> 5) & words[at + WORD.RING_MASK]!);
}

/** Signed: above 2^31 an unsigned one would be an object wherever this is not inlined. */
function topOf({ numbers, numbersAt }: SaPlace, half: typeof TOP.HI | typeof TOP.LO): number {
  return numbers[numbersAt + half]!;
}

function countOf({ floats, at }: SaPlace, word: number): number {
  return floats[(at + word) >>> 1]!;
}

/** Bits set in a 32-bit word. */
function popCount(word: number): number {
  let v = word - ((word >>> 1) & 0x5555_5555);
  v = (v & 0x3333_3333) + ((v >>> 2) & 0x3333_3333);
  return Math.imul((v + (v >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
