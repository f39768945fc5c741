/**
 * TTL and hop limit: what a router takes off before it forwards (RFC 1812 §5.3.1, RFC 8200 §3).
 *
 * ESP itself leaves the inner packet's TTL alone (RFC 4301 §5.1.2: a gateway decrements it because it forwards,
 * not because it encrypts).
 * @module
 */
import * as ipv4 from '../wire/ipv4.ts';

/**
 * Lowers the TTL or hop limit of the IP packet at `at` by one; the checksum of IPv4 follows.
 * @returns false, with nothing changed, when the packet must not be forwarded: it is 1 or 0 already
 */
export function decrementHopLimit(b: Uint8Array, at: number): boolean {
  const isV4 = b[at]! >>> 4 === 4;
  const limit = b[at + (isV4 ? 8 : 7)]!;
  if (limit <= 1) return false;
  if (isV4) ipv4.decrementTtl(b, at);
  else b[at + 7] = limit - 1;
  return true;
}
