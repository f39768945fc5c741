/**
 * TTL and hop limit: what a router takes off before it forwards (RFC 1812 §5.3.1, RFC 8200 §3).
 *
 * ESP itself leaves the inner packet's TTL alone (RFC 4301 §5.1.2: a gateway decrements it because it forwards,
 * not because it encrypts).
 * @module
 */
import { putU16, u16 } from '../base/bytes.ts';

/**
 * Lowers the TTL or hop limit of the IP packet at `at` by one; the checksum of IPv4 follows (RFC 1624 §3).
 * @returns false, with nothing changed, when the packet must not be forwarded: it is 1 or 0 already
 */
export function decrementHopLimit(b: Uint8Array, at: number): boolean {
  const isV4 = b[at]! >>> 4 === 4;
  const limitAt = at + (isV4 ? 8 : 7);
  const limit = b[limitAt]!;
  if (limit <= 1) return false;
  b[limitAt] = limit - 1;
  if (isV4) {
    // The TTL is the upper half of its word: the sum falls by 0x100, so its complement grows by as much.
    const sum = u16(b, at + 10) + 0x100;
    putU16(b, at + 10, sum + (sum >>> 16));
  }
  return true;
}
