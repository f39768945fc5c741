/**
 * Streams beyond those that are told apart: anyone can make as many as they send packets. They are counted together, and
 * by receiver where that is one that sources name.
 * @module
 */
import { DistinctCount } from '../distinct.ts';
import type { FrameTimes } from './frame-times.ts';
import { Tally } from './tally.ts';

/** Streams without an SA, or in which no packet opened, that are told apart; of each. */
export const MOST_UNOPENED = 4096;
/** Streams with packets that opened. A key is needed to make one, or an SA of any source and a replay. */
export const MOST_OPENED = 1 << 14;

export class FurtherStreams {
  readonly tally: Tally;
  /** Packets of them that are asked for. */
  asked = 0;
  /** Packets by row of the drop table, by receiver. */
  readonly verdicts = new Map<string, Map<number, number>>();
  readonly #names = new DistinctCount();

  constructor(times: FrameTimes) {
    this.tally = new Tally(times);
  }

  /** How many streams; `isMore` where they were too many to be told apart. */
  get streams(): { readonly count: number; readonly isMore: boolean } {
    return { count: this.#names.count, isMore: this.#names.isFull };
  }

  /** @param name of the stream @param receiver where sources name it */
  add(name: string, receiver: string | undefined, verdict: number, frame: number, isAsked = true): void {
    if (isAsked) this.asked++;
    this.#names.add(name);
    this.tally.add(frame);
    if (receiver === undefined) return;
    let verdicts = this.verdicts.get(receiver);
    if (!verdicts) {
      verdicts = new Map();
      this.verdicts.set(receiver, verdicts);
    }
    verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
  }
}
