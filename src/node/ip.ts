/**
 * The few fields of an IP packet that a router reads, whatever its version.
 * @module
 */
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';

/**
 * Checks the IP packet at `at` as a host does that receives it (Linux ip_rcv): version, lengths, and the checksum
 * of IPv4.
 * @returns its length by its header, 0 when it is to be dropped
 */
export function ipLength(b: Uint8Array, at: number, len: number): number {
  // What nearly every packet is: IPv4 without options.
  if (len >= ipv4.HEADER_LEN && b[at] === 0x45) {
    const total = (b[at + 2]! << 8) | b[at + 3]!;
    return total >= ipv4.HEADER_LEN && total <= len && headerSum(b, at) === 0xffff ? total : 0;
  }
  return anyLength(b, at, len);
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

function anyLength(b: Uint8Array, at: number, len: number): number {
  const version = len > 0 ? b[at]! >>> 4 : 0;
  if (version === 4) {
    return ipv4.check(b, at, at + len) || !ipv4.checksumOk(b, at) ? 0 : ipv4.totalLength(b, at);
  }
  if (version === 6) {
    return ipv6.check(b, at, at + len) ? 0 : ipv6.HEADER_LEN + ipv6.payloadLength(b, at);
  }
  return 0;
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
