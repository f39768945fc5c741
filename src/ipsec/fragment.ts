/**
 * Cuts packets that are longer than the link takes and may be cut: ESP first, then fragments, as a router or Linux's
 * `ip_do_fragment` does (RFC 791 §3.2, RFC 8200 §4.5). The receiver puts them together before it decrypts.
 *
 * What every fragment repeats: the IPv4 header, options included (those that belong to the first fragment alone are
 * no-operations in the others, as in Linux), or the IPv6 header with the extensions that routers read. A fragment can be
 * cut again.
 * @module
 */
import { putU16, putU32, u16 } from '../base/bytes.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { FRAGMENT, FRAGMENT_LEN, walk } from '../wire/ipv6-extensions.ts';
import type { Batch } from '../wire/packet.ts';

const MORE_V6 = 1;
/** Bits of an IPv4 option that say: also in later fragments. */
const COPIED = 0x80;
const END_OF_OPTIONS = 0;
const NO_OPERATION = 1;

/**
 * Appends fragments of packet `i` to `out`, as many as it has slots for.
 * @param mtu the longest that a fragment may be, in bytes
 * @param id of IPv6 fragments: different for every packet between two addresses; IPv4 has its own in the header
 * @param from payload byte to begin at: 0, or what the call before returned
 * @returns the payload byte to go on from, 0 when all is there; -1, with `out` unchanged, when the packet cannot be cut to
 *   this length or a slot is too small for a fragment
 */
export function fragment(batch: Batch, i: number, mtu: number, id: number, out: Batch, from = 0): number {
  const { slab } = batch;
  const at = batch.offset[i]!;
  const len = batch.length[i]!;
  const isV4 = slab[at]! >>> 4 === 4;
  // Errors are only for headers that are cut off, and this packet has been checked.
  if (!isV4) walk.run(slab, at, at + len);
  const head = isV4 ? ipv4.headerLen(slab, at) : walk.transportAt - at;
  const newHead = isV4 ? head : head + FRAGMENT_LEN;
  const piece = (mtu - newHead) & ~7;
  const total = len - head;
  if (piece <= 0 || out.headroom + newHead + piece > out.slotSize) return -1;
  let done = from;
  while (done < total && out.count < out.capacity) {
    const size = Math.min(piece, total - done);
    const to = out.offset[out.reserve(newHead + size)]!;
    out.slab.set(slab.subarray(at, at + head), to);
    out.slab.set(slab.subarray(at + head + done, at + head + done + size), to + newHead);
    const isLast = done + size === total;
    if (isV4) finishV4(out.slab, to, head, done, newHead + size, isLast);
    else {
      const next = walk.transportNextAt - at;
      out.slab[to + head] = slab[at + next]!;
      out.slab[to + head + 1] = 0;
      putU16(out.slab, to + head + 2, done | (isLast ? 0 : MORE_V6));
      putU32(out.slab, to + head + 4, id);
      out.slab[to + next] = FRAGMENT;
      ipv6.setPayloadLength(out.slab, to, newHead + size - ipv6.HEADER_LEN);
    }
    done += size;
  }
  return done === total ? 0 : done;
}

/** Puts right the copied header of a fragment whose payload begins `done` bytes into the packet's. */
function finishV4(b: Uint8Array, to: number, head: number, done: number, len: number, isLast: boolean): void {
  // The packet may be a fragment itself: then its offset counts on, and its last one is the last only if it was.
  const field = u16(b, to + 6) & ~ipv4.DF;
  ipv4.setTotalLength(b, to, len);
  ipv4.setFragmentField(b, to, (field + (done >>> 3)) | (isLast ? 0 : ipv4.MF));
  if (done > 0) dropFirstOnly(b, to + ipv4.HEADER_LEN, to + head);
  ipv4.fillChecksum(b, to);
}

/** Linux ip_options_fragment: what the first fragment alone carries becomes no-operations. */
function dropFirstOnly(b: Uint8Array, at: number, end: number): void {
  let k = at;
  while (k < end) {
    const kind = b[k]!;
    if (kind === END_OF_OPTIONS) return;
    const len = kind === NO_OPERATION ? 1 : b[k + 1]!;
    if ((kind !== NO_OPERATION && len < 2) || k + len > end) return;
    if ((kind & COPIED) === 0) b.fill(NO_OPERATION, k, k + len);
    k += len;
  }
}
