/**
 * The Internet checksum (RFC 1071): the one's complement of the one's complement sum of 16-bit words.
 *
 * Sums are kept folded to 16 bits, so the result of one range is the `carry` of the next: header, pseudo header
 * and payload add up in any order, as long as every range but the last has an even length.
 *
 * RFC 1624 updates a checksum when one word changes, without reading the rest. Its equation 3 is used: the older
 * equation of RFC 1141 yields 0xffff where a full computation yields 0.
 * @module
 */
import { putU16, u16 } from '../base/bytes.ts';

const ICMP = 1;
const TCP = 6;
const UDP = 17;
const ICMPV6 = 58;

/**
 * Sums the 16-bit words of `b[at..end)`; an odd last byte counts as the high half of a word.
 * @param carry a sum to start from
 * @returns the sum, folded to 16 bits; exact for ranges up to 128 KiB
 */
export function sum(b: Uint8Array, at: number, end: number, carry = 0): number {
  let s = carry;
  let i = at;
  for (; i + 1 < end; i += 2) s += (b[i]! << 8) | b[i + 1]!;
  if (i < end) s += b[i]! << 8;
  return fold(s);
}

/** The checksum of `b[at..end)`, with `carry` as {@link sum} takes it. */
export function checksum(b: Uint8Array, at: number, end: number, carry = 0): number {
  return ~sum(b, at, end, carry) & 0xffff;
}

/**
 * A checksum after one 16-bit word that it covers has changed (RFC 1624 §3, equation 3).
 * @param old the checksum so far
 * @param from the word's old value
 * @param to the word's new value
 */
export function update(old: number, from: number, to: number): number {
  return ~fold((~old & 0xffff) + (~from & 0xffff) + to) & 0xffff;
}

/**
 * Sums the pseudo header of UDP, TCP and ICMPv6: addresses, protocol and length (RFC 768, RFC 8200 §8.1).
 *
 * The version is read from the IP header. With an IPv6 routing header that still has segments left, the true
 * destination is in that header and this sum is not the one that the sender used.
 * @param ipAt where the IP header starts
 * @param len bytes of upper-layer header and data
 */
export function pseudoSum(b: Uint8Array, ipAt: number, protocol: number, len: number): number {
  const v6 = b[ipAt]! >>> 4 === 6;
  const s = v6 ? sum(b, ipAt + 8, ipAt + 40) : sum(b, ipAt + 12, ipAt + 20);
  return fold(s + protocol + (len >>> 16) + (len & 0xffff));
}

/** Where a protocol keeps its checksum, from the start of its header; -1 when it has none that we know. */
export function checksumAt(protocol: number): number {
  switch (protocol) {
    case ICMP:
    case ICMPV6:
      return 2;
    case TCP:
      return 16;
    case UDP:
      return 6;
    default:
      return -1;
  }
}

/**
 * Writes the checksum of the UDP, TCP, ICMP or ICMPv6 message in `b[at..end)`; other protocols are left alone.
 * @param ipAt where the IP header before it starts: the pseudo header is made from it
 */
export function fillTransport(b: Uint8Array, ipAt: number, protocol: number, at: number, end: number): void {
  const field = checksumAt(protocol);
  if (field < 0) return;
  putU16(b, at + field, 0);
  const value = checksum(b, at, end, carryOf(b, ipAt, protocol, end - at));
  // RFC 768: zero means that none was computed, so a computed zero travels as 0xffff, which sums to the same.
  putU16(b, at + field, value === 0 && protocol === UDP ? 0xffff : value);
}

/**
 * Is the checksum of the message in `b[at..end)` right?
 *
 * True for a protocol whose checksum we do not know, and for UDP over IPv4 without one. UDP over IPv6 must have
 * one (RFC 8200 §8.1); tunnels that send none (RFC 6935) are for their receiver to allow.
 * @param ipAt where the IP header before it starts
 */
export function transportOk(b: Uint8Array, ipAt: number, protocol: number, at: number, end: number): boolean {
  const field = checksumAt(protocol);
  if (field < 0) return true;
  if (at + field + 2 > end) return false;
  if (protocol === UDP && u16(b, at + field) === 0) return b[ipAt]! >>> 4 === 4;
  return sum(b, at, end, carryOf(b, ipAt, protocol, end - at)) === 0xffff;
}

/** ICMP alone has no pseudo header (RFC 792). */
function carryOf(b: Uint8Array, ipAt: number, protocol: number, len: number): number {
  return protocol === ICMP ? 0 : pseudoSum(b, ipAt, protocol, len);
}

function fold(s: number): number {
  const once = (s & 0xffff) + (s >>> 16);
  return (once & 0xffff) + (once >>> 16);
}
