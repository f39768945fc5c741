/**
 * Finds the packet before that has the addresses of the one at hand: most packets of a batch are answered as one before was,
 * without asking tables again. The one found last is looked at first: packets mostly come in runs. Then a small
 * direct-mapped table, where two flows on one slot drive each other out.
 *
 * It holds for one pass over one batch. Tables change between batches, never during one, so nothing has to be told of it.
 * @module
 */
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import type { Batch } from '../wire/packet.ts';

const SLOTS = 64;
const SLOT_SHIFT = 26;
/** Source and destination of IPv6, in words. */
const WORDS = 8;

export class FlowMemo {
  /** By slot, the packet that was kept last; -1 for none. */
  readonly #kept = new Int32Array(SLOTS).fill(-1);
  #last = -1;

  /** Forgets: what is seen next is new. */
  clear(): void {
    this.#kept.fill(-1);
    this.#last = -1;
  }

  /** The packet before with the addresses of packet `i` that was kept; -1 for none. */
  find({ words, offset }: Batch, i: number): number {
    const at = offset[i]!;
    const isV4 = words.getUint8(at) >>> 4 === 4;
    const last = this.#last;
    if (last >= 0 && isSameFlow(words, offset[last]!, at, isV4)) return last;
    const kept = this.#kept[slotOf(words, at, isV4)]!;
    if (kept < 0 || kept === last || !isSameFlow(words, offset[kept]!, at, isV4)) return -1;
    this.#last = kept;
    return kept;
  }

  /** Keeps packet `i`, which stays where it is for as long as others are looked for. */
  keep({ words, offset }: Batch, i: number): void {
    const at = offset[i]!;
    this.#kept[slotOf(words, at, words.getUint8(at) >>> 4 === 4)] = i;
    this.#last = i;
  }
}

function isSameFlow(words: DataView, kept: number, at: number, isV4: boolean): boolean {
  if (words.getUint8(kept) >>> 4 !== words.getUint8(at) >>> 4) return false;
  const first = isV4 ? ipv4.SRC_AT : ipv6.SRC_AT;
  const count = isV4 ? 2 : WORDS;
  for (let k = first; k < first + 4 * count; k += 4)
    if (words.getInt32(kept + k) !== words.getInt32(at + k)) return false;
  return true;
}

/** In IPv6 by the last halves of the addresses: the first are those of their networks. */
function slotOf(words: DataView, at: number, isV4: boolean): number {
  if (isV4) return spread(words.getInt32(at + ipv4.SRC_AT), words.getInt32(at + ipv4.DST_AT));
  const src = words.getInt32(at + ipv6.SRC_AT + 8) ^ words.getInt32(at + ipv6.SRC_AT + 12);
  return spread(src, words.getInt32(at + ipv6.DST_AT + 8) ^ words.getInt32(at + ipv6.DST_AT + 12));
}

function spread(a: number, b: number): number {
  return Math.imul(a ^ Math.imul(b, 0x9e37_79b1), 0x85eb_ca6b) >>> SLOT_SHIFT;
}
