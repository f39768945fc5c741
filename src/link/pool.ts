/**
 * Batches that are used again: what links keep frames in while these are on the way.
 * @module
 */
import { Batch, type BatchOptions } from '../wire/packet.ts';

/** Frames in a batch of a pool. */
const CAPACITY = 32;

export class BatchPool {
  readonly #options: BatchOptions;
  readonly #free: Batch[] = [];

  constructor(options: BatchOptions) {
    this.#options = { capacity: CAPACITY, ...options };
  }

  /** An empty batch. Give it back when its frames are no longer needed. */
  take(): Batch {
    return this.#free.pop() ?? new Batch(this.#options);
  }

  give(batch: Batch): void {
    batch.clear();
    this.#free.push(batch);
  }
}
