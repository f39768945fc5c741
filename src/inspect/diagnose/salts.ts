/**
 * Tells the senders of one SA apart. Linux makes the IV of AES-GCM from the sequence number and 8 random bytes that it
 * draws once for each SA (`seqiv`): IV XOR number is the same for all packets of one sender, and different for another,
 * or for the same one after it made its SA anew.
 * @module
 */

/** Of more than this the IVs come from something else, and say nothing. */
const MOST = 8;

/** One sender, or one life of it. */
export interface SenderMark {
  readonly hi: number;
  readonly lo: number;
  packets: number;
  readonly firstFrame: number;
  lastFrame: number;
}

export class SenderMarks {
  readonly #marks: SenderMark[] = [];
  #useless = false;

  /** Adds an authentic packet. @returns the mark of its sender, or `undefined` where IVs do not tell */
  add(ivHi: number, ivLo: number, seqHi: number, seqLo: number, frame: number): SenderMark | undefined {
    if (this.#useless) return undefined;
    const hi = (ivHi ^ seqHi) >>> 0;
    const lo = (ivLo ^ seqLo) >>> 0;
    for (const mark of this.#marks) {
      if (mark.hi !== hi || mark.lo !== lo) continue;
      mark.packets++;
      mark.lastFrame = frame;
      return mark;
    }
    if (this.#marks.length === MOST) {
      this.#useless = true;
      return undefined;
    }
    const mark = { hi, lo, packets: 1, firstFrame: frame, lastFrame: frame };
    this.#marks.push(mark);
    return mark;
  }

  /** All senders, where IVs tell: the numbers of each are of one counter. */
  get all(): readonly SenderMark[] {
    return this.#useless ? [] : this.#marks;
  }

  /** The sequence number that a packet with this IV had when it was sent, if it came from the one sender there is. */
  numberOf(ivHi: number, ivLo: number): { hi: number; lo: number } | undefined {
    const [only, second] = this.all;
    if (!only || second || only.packets < 2) return undefined;
    return { hi: (ivHi ^ only.hi) >>> 0, lo: (ivLo ^ only.lo) >>> 0 };
  }
}
