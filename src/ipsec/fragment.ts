/**
 * Cuts outer packets that are longer than the link takes and may be cut: ESP first, then fragments, as a router or
 * Linux's `ip_do_fragment` does (RFC 791 §3.2, RFC 8200 §4.5). The receiver puts them together before it decrypts.
 *
 * For headers without options and extensions, which is what the encapsulator writes.
 * @module
 */
import { putU16, putU32 } from '../base/bytes.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { FRAGMENT } from '../wire/ipv6-extensions.ts';
import type { Batch } from '../wire/packet.ts';

/** Bytes of the IPv6 fragment header. */
const FRAGMENT_HEADER = 8;
const MORE_V4 = 0x2000;
const MORE_V6 = 1;

/** May the outer packet at `at` be cut on its way? */
export function mayFragment(b: Uint8Array, at: number): boolean {
  return b[at]! >>> 4 === 6 || (ipv4.fragmentField(b, at) & ipv4.DF) === 0;
}

/** How many fragments of at most `mtu` bytes a packet of `len` bytes makes. */
export function fragmentCount(version: 4 | 6, len: number, mtu: number): number {
  const head = version === 4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN;
  return Math.ceil((len - head) / pieceLength(version, mtu));
}

/**
 * Appends the fragments of packet `i` to `out`.
 * @param id of IPv6 fragments: different for every packet between two addresses; IPv4 has its own in the header
 * @returns how many; 0, with `out` unchanged, when they do not all fit into it
 */
export function fragment(batch: Batch, i: number, mtu: number, id: number, out: Batch): number {
  const { slab } = batch;
  const at = batch.offset[i]!;
  const len = batch.length[i]!;
  const version = slab[at]! >>> 4 === 4 ? 4 : 6;
  const head = version === 4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN;
  const newHead = version === 4 ? head : head + FRAGMENT_HEADER;
  const piece = pieceLength(version, mtu);
  const count = fragmentCount(version, len, mtu);
  if (piece <= 0 || out.count + count > out.capacity) return 0;
  const before = out.count;
  for (let done = 0; done < len - head; done += piece) {
    const size = Math.min(piece, len - head - done);
    const k = out.reserve(newHead + size);
    if (k < 0) {
      out.count = before;
      return 0;
    }
    const to = out.offset[k]!;
    const isLast = done + size === len - head;
    out.slab.set(slab.subarray(at, at + head), to);
    out.slab.set(slab.subarray(at + head + done, at + head + done + size), to + newHead);
    if (version === 4) {
      ipv4.setTotalLength(out.slab, to, newHead + size);
      ipv4.setFragmentField(out.slab, to, (done >>> 3) | (isLast ? 0 : MORE_V4));
      ipv4.fillChecksum(out.slab, to);
    } else {
      out.slab[to + head] = slab[at + 6]!;
      out.slab[to + head + 1] = 0;
      putU16(out.slab, to + head + 2, done | (isLast ? 0 : MORE_V6));
      putU32(out.slab, to + head + 4, id);
      out.slab[to + 6] = FRAGMENT;
      ipv6.setPayloadLength(out.slab, to, FRAGMENT_HEADER + size);
    }
  }
  return out.count - before;
}

/** Payload of every fragment but the last: offsets count in units of eight bytes. */
function pieceLength(version: 4 | 6, mtu: number): number {
  const head = version === 4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN + FRAGMENT_HEADER;
  return (mtu - head) & ~7;
}
