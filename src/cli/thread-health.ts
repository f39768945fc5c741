/**
 * Whether the threads of a node still go round: both count a shared word up, several times a second unless they hang.
 * @module
 */
import type { ThreadsReport } from '../observe/observed.ts';
import { CONTROL, WORK } from './node-threads.ts';

/** ms between two looks. */
const LOOK_EVERY = 200;

export class ThreadHealth {
  readonly #control: Int32Array;
  readonly #now: () => number;
  readonly #timer: NodeJS.Timeout;
  readonly #plane: Watched;
  readonly #planner: Watched;
  readonly #work: Watched;
  #controlEnded: string | undefined;

  /**
   * @param control the shared words of {@link CONTROL}
   * @param now ms
   */
  constructor(control: Int32Array, now: () => number = () => performance.now()) {
    this.#control = control;
    this.#now = now;
    this.#plane = new Watched(now());
    this.#planner = new Watched(now());
    this.#work = new Watched(now());
    this.#timer = setInterval(() => this.look(), LOOK_EVERY).unref();
  }

  /** Looks at the words; a timer does it, too. */
  look(): void {
    const now = this.#now();
    this.#plane.see(Atomics.load(this.#control, CONTROL.PLANE_BEAT), now);
    this.#planner.see(Atomics.load(this.#control, CONTROL.CONTROL_BEAT), now);
    this.#work.see(Atomics.load(this.#control, CONTROL.WORK), now);
  }

  /** The control thread has ended for this reason. */
  controlEnded(why: string): void {
    this.#controlEnded = why;
  }

  report(): ThreadsReport {
    this.look();
    const now = this.#now();
    const work = this.#controlEnded === undefined ? WORK[this.#work.value]! : '';
    return {
      planeSilent: (now - this.#plane.since) / 1000,
      controlSilent: (now - this.#planner.since) / 1000,
      work,
      workFor: work === '' ? 0 : (now - this.#work.since) / 1000,
      ...(this.#controlEnded !== undefined && { controlEnded: this.#controlEnded }),
    };
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

/** A word, and since when it has been what it is. */
class Watched {
  value = 0;
  since: number;

  constructor(now: number) {
    this.since = now;
  }

  see(value: number, now: number): void {
    if (value === this.value) return;
    this.value = value;
    this.since = now;
  }
}
