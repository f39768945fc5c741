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
  readonly markMask: number;
  readonly srcBits: number;
  readonly dstBits: number;
  /** Place of its first policy: those of later shapes come behind. */
  readonly first: number;
  /** First place of each chain, by hash; -1 ends. */
  heads: Int32Array;
}

/** Policies that one step of {@link PolicyIndex.fill} takes. */
const A_STEP = 32;

export class PolicyIndex {
  readonly #shapes4: Shape[] = [];
  readonly #shapes6: Shape[] = [];
  /** The next place of the same chain, always a later one. */
  #next = new Int32Array(0);

  /** Indexes all policies at once: see {@link fill}. */
  static of(policies: readonly Policy[]): PolicyIndex {
    const index = new PolicyIndex();
    const steps = index.fill(policies);
    while (!steps.next().done);
    return index;
  }

  /**
   * Indexes the policies, a few in each step.
   * @param policies in the order in which they are asked; a place is an index of it
   */
  *fill(policies: readonly Policy[]): Generator<void, void> {
    this.#next = new Int32Array(policies.length);
    const counts = new Map<Shape, number>();
    const shapeOf = new Array<Shape>(policies.length);
    for (let place = 0; place < policies.length; place++) {
      const shape = this.#shapeOf(policies[place]!, place);
      shapeOf[place] = shape;
      counts.set(shape, (counts.get(shape) ?? 0) + 1);
      if (place % A_STEP === 0) yield;
    }
    for (const [shape, count] of counts)
      shape.heads = new Int32Array(2 ** Math.ceil(Math.log2(count * 2))).fill(-1);
    // From the last, so that a chain begins with its first.
    for (let place = policies.length - 1; place >= 0; place--) {
      const { selector, mark } = policies[place]!;
      const { heads, srcBits, dstBits } = shapeOf[place]!;
      const hash = hashOf(
        mark?.value ?? 0,
        selector.src.address,
        0,
        srcBits,
        selector.dst.address,
        0,
        dstBits,
      );
      const at = hash & (heads.length - 1);
      this.#next[place] = heads[at]!;
      heads[at] = place;
      if (place % A_STEP === 0) yield;
    }
  }

  /** The shape of a policy; those that are new begin with it. */
  #shapeOf({ selector: { src, dst }, mark }: Policy, place: number): Shape {
    const len = dst.address.length;
    const markMask = mark?.mask ?? 0;
    const shapes = len === 4 ? this.#shapes4 : this.#shapes6;
    for (const shape of shapes)
      if (shape.markMask === markMask && shape.srcBits === src.bits && shape.dstBits === dst.bits)
        return shape;
    const heads = new Int32Array(0);
    const shape = { markMask, srcBits: src.bits, dstBits: dst.bits, first: place, heads };
    shapes.push(shape);
    return shape;
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

/**
 * Hashes what a policy asks of addresses and mark.
 * @param mark under the policy's mask
 */
export function hashOf(
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
