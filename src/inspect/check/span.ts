/**
 * Which frames of a capture a check is asked about, by time and number. What comes before and after them is judged, too,
 * as far as it is read: that a packet in the clear is the copy of one in ESP may be seen there alone.
 * @module
 */
import type { FilterSpec } from '../packet-filter.ts';
import { isInSpan, type Moment, PacketTimes } from '../packet-time.ts';

export class AskedFrames {
  /** Is the frame that is looked at asked for? */
  isAsked = true;
  /** Frames that are. */
  count = 0;
  /** Frames that were read besides. */
  leftOut = 0;
  /** Have as many come as are asked for? */
  isOver = false;
  readonly #spec: Pick<FilterSpec, 'since' | 'until' | 'count'>;
  /** When the last frame came that was read. */
  last = Number.NEGATIVE_INFINITY;

  constructor(spec: Pick<FilterSpec, 'since' | 'until' | 'count'>) {
    this.#spec = spec;
  }

  /** May it leave frames out? */
  get isOn(): boolean {
    const { since, until, count } = this.#spec;
    return (since ?? until ?? count) !== undefined;
  }

  /** Takes the time of the frame that comes. */
  begin(time: Moment & { readonly hasTime: boolean }): void {
    const { count } = this.#spec;
    const isFull = count !== undefined && this.count >= count;
    this.isAsked = !isFull && isInSpan(time, this.#spec);
    if (time.hasTime) this.last = Math.max(this.last, time.seconds + time.nanoseconds / 1e9);
    if (this.isAsked) this.count++;
    else this.leftOut++;
    this.isOver = count !== undefined && this.count >= count;
  }

  /** `between … and …, in the first 100 frames`; empty where all are asked for. */
  get text(): string {
    const { since, until, count } = this.#spec;
    const iso = new PacketTimes('iso', () => undefined);
    const from = since && iso.text(since);
    const to = until && iso.text(until);
    const time =
      from && to ? `between ${from} and ${to}` : from ? `from ${from} on` : to ? `up to ${to}` : '';
    const first =
      count === undefined
        ? ''
        : this.count === 1
          ? 'in the first frame'
          : `in the first ${this.count} frames`;
    return [time, first].filter((part) => part !== '').join(', ');
  }
}
