/**
 * Addresses by number. A cluster has millions of states and thousands of addresses, so a state holds two numbers.
 * @module
 */
import { type Address, formatAddress, parseAddress } from '../wire/address.ts';

/** Stands for a text that is no address. */
export const NO_ADDRESS = -1;

export class AddressIds {
  readonly #addresses: Address[] = [];
  readonly #texts: string[] = [];
  readonly #byText = new Map<string, number>();
  /** Texts as bytes, by hash: open addressing, numbers plus 1, 0 for a free place. */
  #slots = new Int32Array(1 << 10);
  readonly #known: { readonly bytes: Uint8Array; readonly id: number }[] = [];

  /** How many there are: numbers count from 0. */
  get size(): number {
    return this.#texts.length;
  }

  /** The address as text, in its usual form. */
  textOf(id: number): string {
    return this.#texts[id]!;
  }

  addressOf(id: number): Address {
    return this.#addresses[id]!;
  }

  isSameFamily(one: number, other: number): boolean {
    return this.#addresses[one]?.length === this.#addresses[other]?.length;
  }

  /** The number of an address that is there already; {@link NO_ADDRESS} for others. */
  find(address: Address): number {
    return this.#byText.get(formatAddress(address)) ?? NO_ADDRESS;
  }

  of(address: Address): number {
    const text = formatAddress(address);
    const known = this.#byText.get(text);
    if (known !== undefined) return known;
    const id = this.#texts.length;
    this.#texts.push(text);
    this.#addresses.push(address);
    this.#byText.set(text, id);
    return id;
  }

  /** The number of what a text says; {@link NO_ADDRESS} where it is no address. */
  ofText(text: string): number {
    const address = parseAddress(text);
    return address ? this.of(address) : NO_ADDRESS;
  }

  /** The same of the ASCII text `b[at..end)`, without making a string of one that came before. */
  ofBytes(b: Uint8Array, at: number, end: number): number {
    let hash = end - at;
    for (let i = at; i < end; i++) hash = Math.imul(hash ^ b[i]!, 0x0100_0193);
    hash ^= hash >>> 15;
    let slot = hash & (this.#slots.length - 1);
    for (; this.#slots[slot] !== 0; slot = (slot + 1) & (this.#slots.length - 1)) {
      const { bytes, id } = this.#known[this.#slots[slot]! - 1]!;
      if (isSame(bytes, b, at, end)) return id;
    }
    const id = this.ofText(String.fromCharCode(...b.subarray(at, end)));
    if (id === NO_ADDRESS) return NO_ADDRESS;
    this.#known.push({ bytes: b.slice(at, end), id });
    this.#slots[slot] = this.#known.length;
    if (2 * this.#known.length > this.#slots.length) this.#grow();
    return id;
  }

  #grow(): void {
    const slots = new Int32Array(2 * this.#slots.length);
    for (const [i, { bytes }] of this.#known.entries()) {
      let hash = bytes.length;
      for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x0100_0193);
      hash ^= hash >>> 15;
      let slot = hash & (slots.length - 1);
      while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1);
      slots[slot] = i + 1;
    }
    this.#slots = slots;
  }
}

function isSame(bytes: Uint8Array, b: Uint8Array, at: number, end: number): boolean {
  if (bytes.length !== end - at) return false;
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== b[at + i]) return false;
  return true;
}
