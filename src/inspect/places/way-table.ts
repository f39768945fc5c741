/**
 * A bounded table by addresses and a number, which allocates nothing where it finds one.
 * @module
 */
import { fingerprint } from '../diagnose/seen.ts';

interface Entry<T> {
  /** Source and destination. */
  readonly ends: Uint8Array;
  readonly id: number;
  readonly value: T;
}

export class WayTable<T> {
  readonly #most: number;
  readonly #byHash = new Map<number, Entry<T>[]>();
  readonly #all: T[] = [];
  #last: Entry<T> | undefined;

  /** @param most entries that are told apart */
  constructor(most: number) {
    this.#most = most;
  }

  get all(): readonly T[] {
    return this.#all;
  }

  /**
   * The entry of the addresses in `b[srcAt..)`, source and destination of `len` bytes each, and `id`.
   * @param make makes it where it is new
   * @returns `undefined` where it is new and there are too many
   */
  get(b: Uint8Array, srcAt: number, len: number, id: number, make?: (ends: Uint8Array) => T): T | undefined {
    const last = this.#last;
    if (last && isSame(last, b, srcAt, len, id)) return last.value;
    const hash = fingerprint(b, srcAt, srcAt + 2 * len, id | 0);
    const same = this.#byHash.get(hash);
    let entry = same?.find((one) => isSame(one, b, srcAt, len, id));
    if (!entry) {
      if (!make || this.#all.length >= this.#most) return undefined;
      const ends = b.slice(srcAt, srcAt + 2 * len);
      entry = { ends, id, value: make(ends) };
      this.#all.push(entry.value);
      if (same) same.push(entry);
      else this.#byHash.set(hash, [entry]);
    }
    this.#last = entry;
    return entry.value;
  }
}

function isSame<T>(
  { ends, id: own }: Entry<T>,
  b: Uint8Array,
  srcAt: number,
  len: number,
  id: number,
): boolean {
  if (own !== id || ends.length !== 2 * len) return false;
  for (let i = 0; i < ends.length; i++) if (ends[i] !== b[srcAt + i]) return false;
  return true;
}
