/**
 * Unpacks entries of zips beside the work on those that came before: a few by the threads that Node has for it, and those of a
 * large zip on a thread of their own, whose arrays are used again and again.
 * @module
 */
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { crc32, inflateRaw, type ZlibOptions } from 'node:zlib';
import type { Inflated } from '../inspect/files/walk.ts';

/** An entry to unpack, or a slot that is of no more use. */
export type ToUnpacking =
  | { readonly id: number; readonly packed: Uint8Array; readonly size: number }
  | { readonly id?: undefined; readonly slot: number };

/** What became of an entry: the bytes, or the slot that they are in. Or a new slot, which is the next one. */
export type FromUnpacking =
  | {
      readonly id: number;
      readonly slot: number;
      readonly length: number;
      readonly crc32: number;
      readonly sent?: Uint8Array;
    }
  | { readonly id: number; readonly problem: string }
  | { readonly id?: undefined; readonly bytes: Uint8Array };

/** Bytes that are unpacked without a thread: it takes a while to start. */
const MOST_WITHOUT = 64 << 20;
/** Bytes that zlib writes at once: larger buffers take longer to get than to fill. */
const INFLATED = 1 << 20;

interface Waiting {
  readonly resolve: (inflated: Inflated) => void;
  readonly reject: (error: Error) => void;
}

const inflateAll = promisify<Uint8Array, ZlibOptions, Uint8Array>(inflateRaw);

export class Unpacker {
  #unpacked = 0;
  #thread: Worker | undefined;
  /** Why the thread ended. What was unpacked stays readable; nothing more is. */
  #failed: Error | undefined;
  #count = 0;
  readonly #waiting = new Map<number, Waiting>();
  /** Memory of the thread, and which part of it an array is in. */
  readonly #slots: Uint8Array[] = [];
  readonly #slotOf = new WeakMap<Uint8Array, number>();

  /** As `Inflate` has it. */
  readonly inflate = async (packed: Uint8Array, size: number): Promise<Inflated> => {
    this.#unpacked += size;
    if (this.#unpacked > MOST_WITHOUT) return this.#onThread(packed, size);
    // With room to spare, so that zlib need not be asked whether there is more.
    const chunkSize = Math.min(size + 64, INFLATED);
    const bytes = await inflateAll(packed, { chunkSize, maxOutputLength: Math.max(1, size) });
    return { bytes, crc32: crc32(bytes) };
  };

  /** Takes back what was unpacked: it must not be read any more. */
  readonly release = (bytes: Uint8Array): void => {
    const slot = this.#slotOf.get(bytes);
    if (slot === undefined) return;
    this.#slotOf.delete(bytes);
    this.#thread?.postMessage({ slot });
  };

  /** Nothing more is to be unpacked, and what was is no longer read. */
  async close(): Promise<void> {
    const thread = this.#thread;
    this.#thread = undefined;
    this.#slots.length = 0;
    await thread?.terminate();
  }

  #onThread(packed: Uint8Array, size: number): Promise<Inflated> {
    if (this.#failed) return Promise.reject(this.#failed);
    this.#thread ??= this.#start();
    const id = this.#count++;
    this.#thread.ref();
    this.#thread.postMessage({ id, packed, size });
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #start(): Worker {
    const thread = new Worker(new URL('./unpack-thread.js', import.meta.url));
    thread.on('message', (answer: FromUnpacking) => {
      if (answer.id === undefined) this.#slots.push(answer.bytes);
      else this.#take(answer);
    });
    thread.on('error', (error) => {
      this.#failed = error;
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    });
    return thread;
  }

  #take(answer: Exclude<FromUnpacking, { readonly id?: undefined }>): void {
    const { resolve, reject } = this.#waiting.get(answer.id)!;
    this.#waiting.delete(answer.id);
    // While nothing is waited for, it ends with everything else.
    if (this.#waiting.size === 0) this.#thread?.unref();
    if ('problem' in answer) {
      reject(new Error(answer.problem));
      return;
    }
    const { slot, length, sent } = answer;
    const bytes = sent ?? this.#slots[slot]!.subarray(0, length);
    if (!sent) this.#slotOf.set(bytes, slot);
    resolve({ bytes, crc32: answer.crc32 });
  }
}
