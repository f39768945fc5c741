/**
 * Finds the high half of extended sequence numbers (ESN, RFC 4303 §2.2.1) in a capture, which starts in mid-stream: only
 * the low half is on the wire.
 *
 * The first packet that authenticates says where the receiver's window stood. It may have been a replay of an earlier
 * 2^32, an "epoch". So a later packet that authenticates in a higher epoch, which the window cannot infer, moves the
 * stream there. A lower epoch never does: a receiver's window only moves forward, and what authenticates with a lower
 * high half is late or a replay.
 *
 * A text that was taken right before the first packet is the exception: it tells the number before that one, so the window
 * is known, and what a receiver cannot infer from there it drops.
 *
 * A frame without the key can at most cost trials: those of hints and of the two nearest high halves every time, and
 * others within a budget.
 * @module
 */
import type { ReplayWindow } from '../ipsec/replay.ts';
import { isPowerFrom, TrialBudget } from './trial-budget.ts';

/** High halves that are searched: 2^42 packets, about 50 days at a million a second. */
export const HIGH_HALVES = 1024;
/** Of them those that are tried before all others, and those that are always tried. */
export const NEAR = 8;
export const NEAREST = 2;
/** Trials that frames of one stream can cause in vain: of the {@link NEAR} ones, and in full searches. */
export const NEAR_TRIALS = 1 << 17;
export const STREAM_TRIALS = 1 << 14;
/** Full searches of a stream that come first, and the trials that those of all streams can cause in vain. */
export const FIRST_SEARCHES = 2;
export const FIRST_TRIALS = 1 << 18;
/** Trials that all other full searches of a capture can cause in vain. */
export const CAPTURE_TRIALS = 1 << 18;
/** Where the budget is spent, a full search comes after so many failures in a row, then after twice as many, and so on. */
export const FAILURES = 64;

/** A sequence number in two halves. */
export interface Number64 {
  readonly hi: number;
  readonly lo: number;
}

/** The trials that the streams of one capture still have together. */
export class SearchBudget extends TrialBudget {
  constructor(first = FIRST_TRIALS, later = CAPTURE_TRIALS) {
    super(first, later);
  }
}

/** Does the packet at hand authenticate with this high half? */
export type Opens = (hi: number) => boolean;

/** Where one SA stands in a capture. It changes no window. */
export class HighHalf {
  readonly #window: ReplayWindow;
  readonly #hints: readonly number[];
  readonly #budget: SearchBudget;
  /** The highest number that authenticated. */
  #topHi = 0;
  #topLo = 0;
  #isStarted = false;
  #nearTrials = 0;
  #farTrials = 0;
  /** Packets in a row of which nothing is known. */
  #failures = 0;
  readonly #told: Number64 | undefined;
  /** Was the first packet the very next after {@link #told}? Then the kernel's own word says where its window stood. */
  #isTold = false;

  /**
   * @param window of the SA: only its size and whether it has ESN are asked
   * @param hints high halves that a kernel's text tells
   * @param told the top of the receiver's window, where its text tells it
   */
  constructor(window: ReplayWindow, hints: readonly number[], budget: SearchBudget, told?: Number64) {
    this.#window = window;
    this.#told = told;
    // A text is taken before or after the capture, and the low half may have wrapped in between.
    this.#hints = [...new Set(hints.flatMap((hi) => [hi, hi + 1]))].filter((hi) => hi <= 0xffff_ffff);
    this.#budget = budget;
  }

  /** Has a packet authenticated? */
  get isStarted(): boolean {
    return this.#isStarted;
  }

  /** High half of the packet that {@link follow} or {@link search} has just found. */
  get hi(): number {
    return this.#topHi;
  }

  /** Its low half. */
  get lo(): number {
    return this.#topLo;
  }

  /** Says where the window stands after it moved by itself. */
  moveTo(hi: number, lo: number): void {
    this.#topHi = hi;
    this.#topLo = lo;
    this.#isStarted = true;
    this.#failures = 0;
  }

  /** Says where the window stands, which may be where it stood. */
  standAt(hi: number, lo: number): void {
    if (hi !== this.#topHi || lo !== this.#topLo) this.moveTo(hi, lo);
  }

  /** Forgets where it stands, but not what was spent. */
  reset(): void {
    this.#isStarted = false;
    this.#isTold = false;
    this.#failures = 0;
  }

  /** Does the packet authenticate with the high half that a receiver infers? */
  follow(lo: number, opens: Opens): boolean {
    if (!this.#isStarted) return false;
    const hi = this.#inferred(lo);
    if (!opens(hi)) return false;
    this.#failures = 0;
    if (hi > this.#topHi || (hi === this.#topHi && lo > this.#topLo)) this.moveTo(hi, lo);
    return true;
  }

  /** Does it authenticate with a high half that a receiver no longer infers, because the number is left of the window? */
  isLate(lo: number, opens: Opens): boolean {
    if (!this.#isStarted || !this.#window.esn) return false;
    const inferred = this.#inferred(lo);
    for (const hi of [this.#topHi, this.#topHi - 1]) {
      // Above the top it is not late, however far: that the high half was inferred one too low then shows an old start.
      if (hi === this.#topHi && lo > this.#topLo) continue;
      if (hi >= 0 && hi !== inferred && opens(hi)) return true;
    }
    return false;
  }

  /**
   * Looks for a high half that starts the stream, or lies above where it stands. When it finds one it stands there.
   * @param isFar search all of them, as the budget allows, and not just the hints and the nearest
   */
  search(lo: number, opens: Opens, isFar: boolean): boolean {
    if (this.#isTold) return false;
    const hi = this.#window.esn ? this.#search(lo, opens, isFar) : !this.#isStarted && opens(0) ? 0 : -1;
    if (hi < 0) return false;
    const told = this.#told;
    if (!this.#isStarted && told) this.#isTold = hi === told.hi && lo === told.lo + 1;
    this.moveTo(hi, lo);
    return true;
  }

  /** Nothing is known of a packet after all was tried. */
  fail(): void {
    this.#failures++;
  }

  #inferred(lo: number): number {
    return this.#window.inferHighFrom(this.#topHi, this.#topLo, lo);
  }

  #search(lo: number, opens: Opens, isFar: boolean): number {
    const from = this.#isStarted ? this.#topHi + (lo > this.#topLo ? 0 : 1) : 0;
    const isDue = isPowerFrom(FAILURES, this.#failures + 1);
    if (!isFar) {
      for (const hi of this.#hints) if (hi >= from && opens(hi)) return hi;
      const count = this.#nearTrials < NEAR_TRIALS || isDue ? NEAR : NEAREST;
      const hi = inRange(from, from + count, opens);
      if (hi < 0) this.#nearTrials += count;
      return hi;
    }
    const isFirst = this.#farTrials < FIRST_SEARCHES * (HIGH_HALVES - NEAR);
    const isPaidFor = this.#farTrials < STREAM_TRIALS && this.#budget.has(isFirst);
    if (!isPaidFor && !isDue) return -1;
    const hi = inRange(from + NEAR, HIGH_HALVES, opens);
    const trials = Math.max(0, HIGH_HALVES - from - NEAR);
    if (hi < 0) {
      this.#farTrials += trials;
      this.#budget.spend(isFirst, trials);
    }
    return hi;
  }
}

function inRange(from: number, to: number, opens: Opens): number {
  const end = Math.min(to, 0x1_0000_0000);
  for (let hi = from; hi < end; hi++) if (opens(hi)) return hi;
  return -1;
}
