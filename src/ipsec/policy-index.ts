/**
 * Finds the policies that a packet's addresses and mark fit, without asking every one.
 *
 * Policies that look at the same bits (a mark mask, a source and a destination prefix length, an IP version) have one
 * shape, and are found by a hash of those bits: a look-up costs a probe for each shape, however many policies there are.
 * Shapes are asked in the order of their best policy, so the first ones mostly end it. Read only: made anew when the
 * policies change.
 * @module
 */
import { u32 } from '../base/bytes.ts';
import type { Policy } from './spd.ts';

interface Shape {
  readonly len: number;
  readonly markMask: number;
  readonly srcBits: number;
  readonly dstBits: number;
  /** Place of its first policy: those of later shapes come behind. */
  readonly first: number;
  /** First place of each chain, by hash; -1 ends. */
  heads: Int32Array;
}

export class PolicyIndex {
  readonly #shapes4: Shape[] = [];
  readonly #shapes6: Shape[] = [];
  /** The next place of the same chain, always a later one. */
  readonly #next: Int32Array;

  /** @param policies in the order in which they are asked; a place is an index of it */
  constructor(policies: readonly Policy[]) {
    this.#next = new Int32Array(policies.length).fill(-1);
    const shapes = new Map<string, { shape: Shape; places: number[] }>();
    policies.forEach(({ selector: { src, dst }, mark }, place) => {
      const len = dst.address.length;
      const name = `${len}/${mark?.mask ?? 0}/${src.bits}/${dst.bits}`;
      let found = shapes.get(name);
      if (!found) {
        const shape = {
          ...{ len, markMask: mark?.mask ?? 0, srcBits: src.bits, dstBits: dst.bits },
          ...{ first: place, heads: new Int32Array(0) },
        };
        found = { shape, places: [] };
        shapes.set(name, found);
        (len === 4 ? this.#shapes4 : this.#shapes6).push(shape);
      }
      found.places.push(place);
    });
    for (const { shape, places } of shapes.values()) {
      const size = 2 ** Math.ceil(Math.log2(places.length * 2));
      shape.heads = new Int32Array(size).fill(-1);
      // From the last, so that a chain begins with its first.
      for (const place of places.reverse()) {
        const { selector, mark } = policies[place]!;
        const value = mark?.value ?? 0;
        const at =
          hashOf(value, selector.src.address, 0, shape.srcBits, selector.dst.address, 0, shape.dstBits) &
          (size - 1);
        this.#next[place] = shape.heads[at]!;
        shape.heads[at] = place;
      }
    }
  }

  /** How many shapes a packet of this address length is looked up in. */
  shapes(len: number): number {
    return (len === 4 ? this.#shapes4 : this.#shapes6).length;
  }

  /**
   * The first place of shape `k` that the packet may fit, whose chain {@link next} goes on; -1 for none. What has the hash
   * need not have the bits: the caller compares.
   * @param before -2 when the shape begins only behind this place: no later shape can have a better one
   */
  head(k: number, before: number, mark: number, b: Uint8Array, srcAt: number, len: number): number {
    const shape = (len === 4 ? this.#shapes4 : this.#shapes6)[k]!;
    if (shape.first > before) return -2;
    const value = mark & shape.markMask;
    const { heads } = shape;
    return heads[hashOf(value, b, srcAt, shape.srcBits, b, srcAt + len, shape.dstBits) & (heads.length - 1)]!;
  }

  next(place: number): number {
    return this.#next[place]!;
  }
}

function hashOf(
  mark: number,
  src: Uint8Array,
  srcAt: number,
  srcBits: number,
  dst: Uint8Array,
  dstAt: number,
  dstBits: number,
): number {
  const h = addBits(addBits(0x811c_9dc5 ^ mark, src, srcAt, srcBits), dst, dstAt, dstBits);
  return h ^ (h >>> 15);
}

/** Adds the first `bits` bits at `at` (FNV-1a over words). */
function addBits(hash: number, b: Uint8Array, at: number, bits: number): number {
  let h = hash;
  let k = at;
  for (let left = bits; left > 0; left -= 32, k += 4) {
    const word = left >= 32 ? u32(b, k) : u32(b, k) & (-1 << (32 - left));
    h = Math.imul(h ^ word, 0x0100_0193);
    h ^= h >>> 13;
  }
  return h;
}
