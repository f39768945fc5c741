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
  find(batch: Batch, i: number): number {
    const last = this.#last;
    if (last >= 0 && isSameFlow(batch, last, i)) return last;
    const kept = this.#kept[slotOf(batch, i)]!;
    if (kept < 0 || kept === last || !isSameFlow(batch, kept, i)) return -1;
    this.#last = kept;
    return kept;
  }

  /** Keeps packet `i`, which stays where it is for as long as others are looked for. */
  keep(batch: Batch, i: number): void {
    this.#kept[slotOf(batch, i)] = i;
    this.#last = i;
  }
}

function isSameFlow({ words, offset, family }: Batch, kept: number, i: number): boolean {
  if (family[kept] !== family[i]) return false;
  const a = offset[kept]!;
  const b = offset[i]!;
  if (family[i] === 4)
    return (
      words.getInt32(a + ipv4.SRC_AT) === words.getInt32(b + ipv4.SRC_AT) &&
      words.getInt32(a + ipv4.DST_AT) === words.getInt32(b + ipv4.DST_AT)
    );
  for (let k: number = ipv6.SRC_AT; k < ipv6.HEADER_LEN; k += 4)
    if (words.getInt32(a + k) !== words.getInt32(b + k)) return false;
  return true;
}

/** In IPv6 by the last halves of the addresses: the first are those of their networks. */
function slotOf({ words, offset, family }: Batch, i: number): number {
  const at = offset[i]!;
  if (family[i] === 4) return spread(words.getInt32(at + ipv4.SRC_AT), words.getInt32(at + ipv4.DST_AT));
  const src = words.getInt32(at + ipv6.SRC_AT + 8) ^ words.getInt32(at + ipv6.SRC_AT + 12);
  return spread(src, words.getInt32(at + ipv6.DST_AT + 8) ^ words.getInt32(at + ipv6.DST_AT + 12));
}

function spread(a: number, b: number): number {
  return Math.imul(a ^ Math.imul(b, 0x9e37_79b1), 0x85eb_ca6b) >>> SLOT_SHIFT;
}
