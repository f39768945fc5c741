/**
 * Remembers the addresses of packets, to know the next of the same flow: most packets of a batch are answered as one
 * before was, without asking tables again. A small direct-mapped table: two flows on one slot drive each other out.
 *
 * It holds for one batch only. Tables change between batches, never during one, so nothing has to be told of it.
 * @module
 */
import { i32 } from '../base/bytes.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';

/** Slots of the table; a stage that keeps something about a flow has an array of this length. */
export const FLOW_SLOTS = 64;
/** Source and destination of IPv6, in words. */
const WORDS = 8;

export class FlowMemo {
  readonly #words = new Int32Array(FLOW_SLOTS * WORDS);
  /** Which batch a slot is of, times two, and one more for IPv4. A double counts batches for longer than machines run. */
  readonly #tags = new Float64Array(FLOW_SLOTS);
  #batch = 2;

  /** Forgets: what is seen next is new. */
  clear(): void {
    this.#batch += 2;
  }

  /** The slot in which the addresses of the IP packet at `at` were kept; -1 when they were not. */
  find(b: Uint8Array, at: number): number {
    const isV4 = b[at]! >>> 4 === 4;
    const slot = isV4 ? slotV4(b, at) : slotV6(b, at);
    if (this.#tags[slot] !== this.#batch + (isV4 ? 1 : 0)) return -1;
    const words = this.#words;
    const first = slot * WORDS;
    if (isV4) {
      const same = words[first] === i32(b, at + ipv4.SRC_AT) && words[first + 1] === i32(b, at + ipv4.DST_AT);
      return same ? slot : -1;
    }
    for (let k = 0; k < WORDS; k++) if (words[first + k] !== i32(b, at + ipv6.SRC_AT + 4 * k)) return -1;
    return slot;
  }

  /** Keeps the addresses of the IP packet at `at`, and returns their slot. */
  keep(b: Uint8Array, at: number): number {
    const isV4 = b[at]! >>> 4 === 4;
    const slot = isV4 ? slotV4(b, at) : slotV6(b, at);
    const from = at + (isV4 ? ipv4.SRC_AT : ipv6.SRC_AT);
    const count = isV4 ? 2 : WORDS;
    for (let k = 0; k < count; k++) this.#words[slot * WORDS + k] = i32(b, from + 4 * k);
    this.#tags[slot] = this.#batch + (isV4 ? 1 : 0);
    return slot;
  }
}

function slotV4(b: Uint8Array, at: number): number {
  return spread(i32(b, at + ipv4.SRC_AT), i32(b, at + ipv4.DST_AT));
}

/** By the last halves of the addresses: the first are those of their networks. */
function slotV6(b: Uint8Array, at: number): number {
  const src = i32(b, at + ipv6.SRC_AT + 8) ^ i32(b, at + ipv6.SRC_AT + 12);
  return spread(src, i32(b, at + ipv6.DST_AT + 8) ^ i32(b, at + ipv6.DST_AT + 12));
}

function spread(a: number, b: number): number {
  return Math.imul(a ^ Math.imul(b, 0x9e37_79b1), 0x85eb_ca6b) >>> 26;
}
