/**
 * Numbers in columns, for tables of millions of rows: an object for each would take ten times the memory.
 * @module
 */

type Column = Uint8Array | Uint16Array | Uint32Array | Int32Array;

/** A column as long as it needs to be. The array is another one after it grew. */
export class Grown<T extends Column> {
  array: T;
  readonly #make: (length: number) => T;
  readonly #fill: number;

  constructor(make: (length: number) => T, fill = 0) {
    this.#make = make;
    this.#fill = fill;
    this.array = make(64);
    this.array.fill(fill);
  }

  /** Sees to it that there are so many places. */
  reserve(length: number): void {
    const before = this.array;
    if (length <= before.length) return;
    const after = this.#make(Math.max(length, 2 * before.length));
    after.set(before);
    if (this.#fill !== 0) after.fill(this.#fill, before.length);
    this.array = after;
  }
}

/** Places of a page, as a power of two. */
const PAGE_BITS = 14;
const PAGE = 1 << PAGE_BITS;

/**
 * A column in pages, each made when it gets another number than the usual one: what is the same in most rows takes no memory,
 * and none is copied when the column grows.
 */
export class Paged {
  readonly #make: (length: number) => Column;
  readonly #usual: number;
  readonly #pages: (Column | undefined)[] = [];

  constructor(make: (length: number) => Column, usual = 0) {
    this.#make = make;
    this.#usual = usual;
  }

  /** What is at a place; the usual number where nothing was put. */
  get(at: number): number {
    const page = this.#pages[at >>> PAGE_BITS];
    return page === undefined ? this.#usual : page[at & (PAGE - 1)]!;
  }

  set(at: number, value: number): void {
    let page = this.#pages[at >>> PAGE_BITS];
    if (page === undefined) {
      if (value === this.#usual) return;
      page = this.#make(PAGE);
      if (this.#usual !== 0) page.fill(this.#usual);
      this.#pages[at >>> PAGE_BITS] = page;
    }
    page[at & (PAGE - 1)] = value;
  }
}

/** Numbers for pairs of numbers, counted from 0 in the order in which they come. */
export class PairIndex {
  readonly one = new Grown((n) => new Int32Array(n));
  readonly other = new Grown((n) => new Int32Array(n));
  #size = 0;
  /** Open addressing: numbers plus 1, 0 for a free place. */
  #slots = new Int32Array(256);

  get size(): number {
    return this.#size;
  }

  /** The number of a pair, or -1. */
  find(one: number, other: number): number {
    return this.#slots[this.#slot(one, other)]! - 1;
  }

  /** The number of a pair, a new one where it has none. */
  of(one: number, other: number): number {
    const slot = this.#slot(one, other);
    const known = this.#slots[slot]!;
    if (known > 0) return known - 1;
    const id = this.#size++;
    this.one.reserve(this.#size);
    this.other.reserve(this.#size);
    this.one.array[id] = one;
    this.other.array[id] = other;
    this.#slots[slot] = this.#size;
    if (2 * this.#size > this.#slots.length) this.#grow();
    return id;
  }

  #slot(one: number, other: number): number {
    const mask = this.#slots.length - 1;
    const [ones, others] = [this.one.array, this.other.array];
    let slot = mixed(one, other) & mask;
    for (let known = this.#slots[slot]!; known > 0; known = this.#slots[slot]!) {
      if (ones[known - 1] === one && others[known - 1] === other) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  #grow(): void {
    this.#slots = new Int32Array(2 * this.#slots.length);
    const mask = this.#slots.length - 1;
    for (let id = 0; id < this.#size; id++) {
      let slot = mixed(this.one.array[id]!, this.other.array[id]!) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = id + 1;
    }
  }
}

/** The last step of MurmurHash3 over both: numbers in a row are spread. */
function mixed(one: number, other: number): number {
  let h = Math.imul(one ^ Math.imul(other, 0x9e37_79b1), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
