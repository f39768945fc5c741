/**
 * The chains of a hash table whose entries are kept elsewhere, under small whole numbers: an index is in the chain of its
 * hash. Adding and removing take constant time on average, and nothing is allocated but when the table doubles.
 *
 * The hashes are kept, so doubling does not look at the entries: of 16,384 it takes some 0.2 ms.
 * @module
 */

/** Chains at the start. */
const FIRST_SIZE = 64;
/** In place of the next index: it is in no chain. */
const ABSENT = -2;

export class HashChains {
  /** First index of each chain, by hash; -1 ends. */
  #heads = new Int32Array(FIRST_SIZE).fill(-1);
  /** By index: the rest of its chain, what is before it there, and its hash. */
  #next = new Int32Array(FIRST_SIZE).fill(ABSENT);
  #previous = new Int32Array(FIRST_SIZE);
  #hashes = new Int32Array(FIRST_SIZE);
  /** One more than the largest index that ever was. */
  #end = 0;

  /** The first index of the chain of a hash, or -1. Others with other hashes may be in it. */
  first(hash: number): number {
    return this.#heads[hash & (this.#heads.length - 1)]!;
  }

  /** The index behind `index` in its chain, or -1. */
  next(index: number): number {
    return this.#next[index]!;
  }

  /** Adds an index that is in no chain: the smallest free one, so that the table stays dense. */
  add(index: number, hash: number): void {
    if (index >= this.#next.length) this.#grow(index);
    this.#hashes[index] = hash;
    this.#end = Math.max(this.#end, index + 1);
    this.#link(index);
  }

  /** Removes an index that is in a chain. */
  remove(index: number): void {
    const next = this.#next[index]!;
    const previous = this.#previous[index]!;
    if (previous >= 0) this.#next[previous] = next;
    else this.#heads[this.#hashes[index]! & (this.#heads.length - 1)] = next;
    if (next >= 0) this.#previous[next] = previous;
    this.#next[index] = ABSENT;
  }

  #link(index: number): void {
    const bucket = this.#hashes[index]! & (this.#heads.length - 1);
    const next = this.#heads[bucket]!;
    this.#next[index] = next;
    this.#previous[index] = -1;
    if (next >= 0) this.#previous[next] = index;
    this.#heads[bucket] = index;
  }

  /** Doubles until `index` has room. */
  #grow(index: number): void {
    let size = this.#heads.length;
    while (size <= index) size *= 2;
    this.#next = grown(this.#next, size);
    this.#previous = grown(this.#previous, size);
    this.#hashes = grown(this.#hashes, size);
    this.#heads = new Int32Array(size).fill(-1);
    for (let i = 0; i < this.#end; i++) if (this.#next[i] !== ABSENT) this.#link(i);
  }
}

function grown(old: Int32Array, size: number): Int32Array<ArrayBuffer> {
  const array = new Int32Array(size).fill(ABSENT);
  array.set(old);
  return array;
}
