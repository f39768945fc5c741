/**
 * Counts different things without keeping them: 8 bytes each, up to a bound.
 * @module
 */

/** Beyond this, things are no longer told apart. */
export const MOST_DISTINCT = 1 << 20;

export class DistinctCount {
  /** Pairs of hashes, open addressing; a pair of zeros is free. */
  #slots = new Uint32Array(2 * 1024);
  #count = 0;

  /** How many different ones were added: at least so many where {@link isFull}. */
  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count >= MOST_DISTINCT;
  }

  /** Adds a thing by a text that is its own. Two things are taken for one with a chance of 2^-64. */
  add(text: string): void {
    if (this.isFull) return;
    const a = hashOf(text, 0x811c_9dc5) || 1;
    const b = hashOf(text, 0x2545_f491);
    if (!put(this.#slots, a, b)) return;
    this.#count++;
    if (this.#count * 4 > this.#slots.length) this.#grow();
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length * 2);
    for (let i = 0; i < old.length; i += 2) if (old[i] !== 0) put(this.#slots, old[i]!, old[i + 1]!);
  }
}

/** @returns false where the pair is there */
function put(slots: Uint32Array, a: number, b: number): boolean {
  const mask = slots.length - 1;
  for (let i = (a << 1) & mask; ; i = (i + 2) & mask) {
    if (slots[i] === 0) {
      slots[i] = a;
      slots[i + 1] = b;
      return true;
    }
    if (slots[i] === a && slots[i + 1] === b) return false;
  }
}

/** FNV-1a over the characters, with the bits of the end spread over all. */
function hashOf(text: string, seed: number): number {
  let h = seed;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x0100_0193);
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
