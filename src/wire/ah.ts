/**
 * AH (RFC 4302) as a header to take off: a receiver that has checked it goes on with the packet as it would be without.
 *
 * ```text
 *  0               1               2               3
 * +---------------+---------------+-------------------------------+
 * |  Next header  |   Words - 2   |              0                |
 * +---------------+---------------+-------------------------------+
 * |               SPI, sequence number, ICV …
 * ```
 * @module
 */
import * as ipv4 from './ipv4.ts';
import * as ipv6 from './ipv6.ts';

/** What the shortest has: all but the ICV. */
export const MIN_LEN = 12;

/** Bytes of the header that starts at `at` (RFC 4302 §2.2). */
export function headerLen(b: Uint8Array, at: number): number {
  return (b[at + 1]! + 2) * 4;
}

/**
 * A copy of the IP packet `b[at..end)` without the AH header at `ahAt`, which is not checked.
 *
 * The IP length goes down by as much, also where the packet is longer than the bytes at hand; the IPv4 checksum is right.
 * @param namedAt the byte that names AH as what comes next
 * @returns `undefined` where the header does not lie whole before `end`
 */
export function without(
  b: Uint8Array,
  at: number,
  end: number,
  namedAt: number,
  ahAt: number,
): Uint8Array | undefined {
  if (end - ahAt < MIN_LEN) return undefined;
  const len = headerLen(b, ahAt);
  if (len < MIN_LEN || len > end - ahAt) return undefined;
  const packet = new Uint8Array(end - at - len);
  packet.set(b.subarray(at, ahAt));
  packet.set(b.subarray(ahAt + len, end), ahAt - at);
  packet[namedAt - at] = b[ahAt]!;
  if (b[at]! >>> 4 === 4) {
    ipv4.setTotalLength(packet, 0, Math.max(ahAt - at, ipv4.totalLength(b, at) - len));
    ipv4.fillChecksum(packet, 0);
  } else ipv6.setPayloadLength(packet, 0, Math.max(0, ipv6.payloadLength(b, at) - len));
  return packet;
}
