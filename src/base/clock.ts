/**
 * Time as an argument. Nothing else in `src/` asks the machine for the time.
 * @module
 */

/** A clock that also runs things later. Times are milliseconds; fractions are allowed. */
export interface Clock {
  /** Milliseconds since the clock's epoch (the Unix epoch for {@link systemClock}). */
  now(): number;
  /** Runs `task` once, `ms` from now. */
  after(ms: number, task: () => void): void;
}

/** Asked once: a getter that makes an object of its number, for a clock that is read for every batch of packets. */
const ORIGIN = performance.timeOrigin;

/** The machine's clock, as it stood at the start: setting it later makes no time jump here, or go back. */
export const systemClock: Clock = {
  now: () => ORIGIN + performance.now(),
  after: (ms, task) => {
    setTimeout(task, ms);
  },
};

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly task: () => void;
}

/**
 * A clock that moves only when told: the same tasks give the same run on every machine.
 * Tasks due at the same time run in the order in which they were given.
 */
export class VirtualClock implements Clock {
  #now: number;
  #order = 0;
  /** A binary heap: the earliest entry is first. */
  readonly #heap: Entry[] = [];

  /** @param start what {@link now} says before any task has run */
  constructor(start = 0) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, task: () => void): void {
    const heap = this.#heap;
    heap.push({ at: this.#now + Math.max(0, ms), order: this.#order++, task });
    let i = heap.length - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(heap[i]!, heap[parent]!)) break;
      swap(heap, i, parent);
      i = parent;
    }
  }

  /** Runs everything that is due, moving time along, until nothing is left or `until` is reached. */
  run(until = Number.POSITIVE_INFINITY): void {
    for (let next = this.#heap[0]; next && next.at <= until; next = this.#heap[0]) {
      this.#pop();
      this.#now = next.at;
      next.task();
    }
    if (until !== Number.POSITIVE_INFINITY && until > this.#now) this.#now = until;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    heap[0] = last;
    for (let i = 0; ; ) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) {
        if (child < heap.length && before(heap[child]!, heap[least]!)) least = child;
      }
      if (least === i) return;
      swap(heap, i, least);
      i = least;
    }
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function swap(heap: Entry[], i: number, k: number): void {
  const entry = heap[i]!;
  heap[i] = heap[k]!;
  heap[k] = entry;
}
