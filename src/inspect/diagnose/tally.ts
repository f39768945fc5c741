/**
 * How often something was seen, and in which frames first.
 * @module
 */
import { MAX_FRAMES } from './finding.ts';
import type { FrameTimes, KnownTime } from './frame-times.ts';

export class Tally {
  count = 0;
  /** Frames of the first and the last that was counted; 0 where there is none, or it is not known. */
  first = 0;
  last = 0;
  /** The first frames, in the order in which they were told. */
  readonly frames: number[] = [];
  /** When {@link last} came. */
  readonly lastTime: KnownTime = { seconds: 0, nanoseconds: 0, isKnown: false };
  readonly #times: FrameTimes;

  constructor(times: FrameTimes) {
    this.#times = times;
  }

  add(frame: number): void {
    if (this.count++ === 0) this.first = frame;
    this.last = frame;
    this.#times.read(frame, this.lastTime);
    if (this.frames.length < MAX_FRAMES) this.#push(frame);
  }

  #push(frame: number): void {
    this.frames.push(frame);
    this.#times.keep(frame);
  }

  /** Takes back a frame that was added. */
  remove(frame: number): void {
    this.count--;
    const at = this.frames.indexOf(frame);
    if (at >= 0) this.frames.splice(at, 1);
    if (frame === this.first) this.first = this.frames[0] ?? 0;
    if (frame !== this.last) return;
    this.last = this.count === this.frames.length ? (this.frames.at(-1) ?? 0) : 0;
    this.lastTime.isKnown = false;
  }

  /** Adds a frame that belongs to what is counted already, such as the original of a copy. */
  also(frame: number): void {
    if (this.frames.length < MAX_FRAMES && !this.frames.includes(frame)) this.#push(frame);
  }
}

/** The frames of several tallies: sorted, each once, the first ones. */
export function framesOf(tallies: Iterable<Tally>): number[] {
  const all = new Set<number>();
  for (const { frames } of tallies) for (const frame of frames) all.add(frame);
  return [...all].sort((a, b) => a - b).slice(0, MAX_FRAMES);
}

/** How many in all. */
export function countOf(tallies: Iterable<Tally>): number {
  let count = 0;
  for (const tally of tallies) count += tally.count;
  return count;
}
