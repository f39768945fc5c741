/**
 * The header of an IP packet, whatever its version: read once, and noted in the batch for all stages to come.
 * @module
 */
import * as ipv4 from './ipv4.ts';
import * as ipv6 from './ipv6.ts';
import * as extensions from './ipv6-extensions.ts';
import type { Batch } from './packet.ts';

/** {@link Batch.fragment}. */
export const WHOLE = 0;
export const FIRST_FRAGMENT = 1;
export const LATER_FRAGMENT = 2;

/**
 * Checks packet `i` as a host does that receives it (Linux ip_rcv): version, lengths, and the checksum of IPv4. Cuts off
 * what lies behind it, and notes family, protocol, where that begins, and whether it is a fragment: of a packet that
 * is not sound, as far as they can be read.
 * @returns false when it is to be dropped
 */
export function parse(batch: Batch, i: number): boolean {
  const { slab } = batch;
  const at = batch.offset[i]!;
  const len = batch.length[i]!;
  // What nearly every packet is: IPv4 without options, and whole.
  if (len >= ipv4.HEADER_LEN && slab[at] === 0x45) {
    const total = (slab[at + 2]! << 8) | slab[at + 3]!;
    batch.family[i] = 4;
    batch.protocol[i] = slab[at + 9]!;
    batch.l4[i] = at + ipv4.HEADER_LEN;
    batch.fragment[i] = fragmentOf(slab, at);
    if (total < ipv4.HEADER_LEN || total > len || headerSum(slab, at) !== 0xffff) return false;
    batch.length[i] = total;
    return true;
  }
  return parseAny(batch, i, slab, at, len);
}

/** The Internet checksum over a header of 20 bytes, not complemented: 0xffff when it is right (RFC 1071). */
function headerSum(b: Uint8Array, at: number): number {
  let high = 0;
  let low = 0;
  for (let k = 0; k < ipv4.HEADER_LEN; k += 2) {
    high += b[at + k]!;
    low += b[at + k + 1]!;
  }
  const sum = (high << 8) + low;
  return (sum & 0xffff) + (sum >>> 16);
}

function fragmentOf(b: Uint8Array, at: number): number {
  if (!ipv4.isFragment(b, at)) return WHOLE;
  return ipv4.fragmentOffset(b, at) === 0 ? FIRST_FRAGMENT : LATER_FRAGMENT;
}

function parseAny(batch: Batch, i: number, b: Uint8Array, at: number, len: number): boolean {
  const version = len > 0 ? b[at]! >>> 4 : 0;
  const isV4 = version === 4 && len >= ipv4.HEADER_LEN;
  const isV6 = version === 6 && len >= ipv6.HEADER_LEN;
  batch.family[i] = isV4 ? 4 : isV6 ? 6 : 0;
  batch.protocol[i] = batch.l4[i] = -1;
  batch.fragment[i] = WHOLE;
  if (isV4) {
    batch.protocol[i] = ipv4.protocol(b, at);
    batch.l4[i] = at + ipv4.headerLen(b, at);
    batch.fragment[i] = fragmentOf(b, at);
  } else if (isV6 && !extensions.walk.run(b, at, at + len)) {
    const { protocol, at: l4, fragmentAt } = extensions.walk;
    batch.protocol[i] = protocol;
    batch.l4[i] = l4;
    if (fragmentAt >= 0 && extensions.isFragment(b, fragmentAt))
      batch.fragment[i] = extensions.fragmentOffset(b, fragmentAt) === 0 ? FIRST_FRAGMENT : LATER_FRAGMENT;
  }
  const total = lengthOf(b, at, len);
  if (total === 0 || (isV4 && !ipv4.checksumOk(b, at))) return false;
  batch.length[i] = total;
  return true;
}

/** How long the IP packet at `at` is by its header; 0 when it is none, or longer than the `len` bytes here. */
export function lengthOf(b: Uint8Array, at: number, len: number): number {
  const version = len > 0 ? b[at]! >>> 4 : 0;
  if (version === 4 && !ipv4.check(b, at, at + len)) return ipv4.totalLength(b, at);
  if (version === 6 && !ipv6.check(b, at, at + len)) return ipv6.HEADER_LEN + ipv6.payloadLength(b, at);
  return 0;
}

/** May a router cut the packet? None of IPv6, and one of IPv4 only without DF. */
export function mayBeCut(b: Uint8Array, at: number): boolean {
  return b[at]! >>> 4 === 4 && (ipv4.fragmentField(b, at) & ipv4.DF) === 0;
}

/** TOS of IPv4, traffic class of IPv6: DSCP and ECN in one byte. */
export function trafficClass(b: Uint8Array, at: number): number {
  return b[at]! >>> 4 === 4 ? ipv4.tos(b, at) : ipv6.trafficClass(b, at);
}

/** Where the source address starts. */
export function srcAt(b: Uint8Array, at: number): number {
  return at + (b[at]! >>> 4 === 4 ? ipv4.SRC_AT : ipv6.SRC_AT);
}

/** Where the destination address starts. */
export function dstAt(b: Uint8Array, at: number): number {
  return at + (b[at]! >>> 4 === 4 ? ipv4.DST_AT : ipv6.DST_AT);
}

/** Bytes of an address. */
export function addressLen(b: Uint8Array, at: number): 4 | 16 {
  return b[at]! >>> 4 === 4 ? 4 : 16;
}
