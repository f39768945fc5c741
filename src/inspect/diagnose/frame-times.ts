/**
 * When frames came, of the frames that a diagnosis may still name: the last ones, and those that were kept by then.
 * @module
 */
import type { Moment } from '../packet-time.ts';

/** Frames whose times are remembered without being kept. */
const RECENT = 1 << 16;

/** A time that may not be known. */
export interface KnownTime {
  seconds: number;
  nanoseconds: number;
  isKnown: boolean;
}

export class FrameTimes {
  readonly #frame = new Float64Array(RECENT);
  readonly #seconds = new Float64Array(RECENT);
  readonly #nanoseconds = new Uint32Array(RECENT);
  readonly #kept = new Map<number, Moment>();

  /** Takes the time of a frame that came. */
  note(frame: number, { seconds, nanoseconds, hasTime }: Moment & { readonly hasTime: boolean }): void {
    if (!hasTime) return;
    const at = slot(frame);
    this.#frame[at] = frame;
    this.#seconds[at] = seconds;
    this.#nanoseconds[at] = nanoseconds;
  }

  /** Remembers a frame until the end. To be asked for a bounded number of them. */
  keep(frame: number): void {
    const time = this.of(frame);
    if (time) this.#kept.set(frame, time);
  }

  /** Writes when a frame came into `out`, without making an object. */
  read(frame: number, out: KnownTime): void {
    const at = slot(frame);
    out.isKnown = this.#frame[at] === frame;
    out.seconds = this.#seconds[at]!;
    out.nanoseconds = this.#nanoseconds[at]!;
  }

  /** When a frame came; `undefined` where it has no time, or was too long ago to be remembered. */
  of(frame: number): Moment | undefined {
    const at = slot(frame);
    if (this.#frame[at] === frame && frame > 0)
      return { seconds: this.#seconds[at]!, nanoseconds: this.#nanoseconds[at]! };
    return this.#kept.get(frame);
  }
}

/** Frames of one capture get slots side by side, those of another ones elsewhere. */
function slot(frame: number): number {
  return (Math.imul(Math.floor(frame / 2 ** 40), 0x9e37_79b1) + frame) & (RECENT - 1);
}
