/**
 * Addresses and ranges by number. A cluster has millions of states and policies and thousands of addresses, so that each
 * holds numbers.
 * @module
 */
import {
  type Address,
  formatAddress,
  formatPrefix,
  type Prefix,
  parseAddress,
  parsePrefix,
} from '../wire/address.ts';

/** Stands for a text that is no address, or no range. */
export const NO_ADDRESS = -1;

interface Known {
  readonly bytes: Uint8Array;
  readonly id: number;
}

/** Numbers of things, counted from 0 in the order in which they come. */
class Ids<T> {
  readonly #parse: (text: string) => T | undefined;
  readonly #format: (thing: T) => string;
  readonly #things: T[] = [];
  readonly #texts: string[] = [];
  readonly #byText = new Map<string, number>();
  /** Texts as bytes, by hash: open addressing, numbers plus 1, 0 for a free place. */
  #slots = new Int32Array(1 << 10);
  readonly #known: Known[] = [];
  /** The two that were asked for last. */
  #last: Known | undefined;
  #before: Known | undefined;

  constructor(parse: (text: string) => T | undefined, format: (thing: T) => string) {
    this.#parse = parse;
    this.#format = format;
  }

  /** How many there are: numbers count from 0. */
  get size(): number {
    return this.#texts.length;
  }

  /** As text, in its usual form. */
  textOf(id: number): string {
    return this.#texts[id]!;
  }

  thing(id: number): T {
    return this.#things[id]!;
  }

  /** The number of what is there already; {@link NO_ADDRESS} for others. */
  find(thing: T): number {
    return this.#byText.get(this.#format(thing)) ?? NO_ADDRESS;
  }

  of(thing: T): number {
    const text = this.#format(thing);
    const known = this.#byText.get(text);
    if (known !== undefined) return known;
    const id = this.#texts.length;
    this.#texts.push(text);
    this.#things.push(thing);
    this.#byText.set(text, id);
    return id;
  }

  /** The number of what a text says; {@link NO_ADDRESS} where it says nothing of the kind. */
  ofText(text: string): number {
    const thing = this.#parse(text);
    return thing === undefined ? NO_ADDRESS : this.of(thing);
  }

  /** The same of the ASCII text `b[at..end)`, without making a string of one that came before. */
  ofBytes(b: Uint8Array, at: number, end: number): number {
    // Every entry of a node has its own address, and most tables one address many times in a row.
    const last = this.#last;
    if (last && isSame(last.bytes, b, at, end)) return last.id;
    const before = this.#before;
    if (before && isSame(before.bytes, b, at, end)) {
      this.#before = last;
      this.#last = before;
      return before.id;
    }
    this.#before = last;
    const mask = this.#slots.length - 1;
    let slot = hashOf(b, at, end) & mask;
    for (; this.#slots[slot] !== 0; slot = (slot + 1) & mask) {
      const known = this.#known[this.#slots[slot]! - 1]!;
      if (!isSame(known.bytes, b, at, end)) continue;
      this.#last = known;
      return known.id;
    }
    const id = this.ofText(String.fromCharCode(...b.subarray(at, end)));
    if (id === NO_ADDRESS) return NO_ADDRESS;
    const known = { bytes: b.slice(at, end), id };
    this.#last = known;
    this.#known.push(known);
    this.#slots[slot] = this.#known.length;
    if (2 * this.#known.length > this.#slots.length) this.#grow();
    return id;
  }

  #grow(): void {
    const slots = new Int32Array(2 * this.#slots.length);
    for (const [i, { bytes }] of this.#known.entries()) {
      let slot = hashOf(bytes, 0, bytes.length) & (slots.length - 1);
      while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1);
      slots[slot] = i + 1;
    }
    this.#slots = slots;
  }
}

export class AddressIds extends Ids<Address> {
  constructor() {
    super(parseAddress, (address) => formatAddress(address));
  }

  isSameFamily(one: number, other: number): boolean {
    return this.thing(one)?.length === this.thing(other)?.length;
  }
}

export class PrefixIds extends Ids<Prefix> {
  constructor() {
    super(parsePrefix, formatPrefix);
  }
}

function hashOf(b: Uint8Array, at: number, end: number): number {
  let hash = end - at;
  for (let i = at; i < end; i++) hash = Math.imul(hash ^ b[i]!, 0x0100_0193);
  return hash ^ (hash >>> 15);
}

function isSame(bytes: Uint8Array, b: Uint8Array, at: number, end: number): boolean {
  if (bytes.length !== end - at) return false;
  // Addresses of one cluster differ at their ends.
  for (let i = bytes.length - 1; i >= 0; i--) if (bytes[i] !== b[at + i]) return false;
  return true;
}
