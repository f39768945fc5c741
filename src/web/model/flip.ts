/**
 * Bits flipped on the way, and what is mended after it: what a line, a router or an attacker does to a packet.
 * @module
 */
import type { Packet } from '../../inspect/explain/tree.ts';
import * as checksum from '../../wire/checksum.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as udp from '../../wire/udp.ts';

/** Where IPv4 has its checksum. */
const CHECKSUM_AT = 10;

/** One bit of the frame. */
export interface Flip {
  readonly byte: number;
  /** 0 is the lowest. */
  readonly bit: number;
}

/** Reads `34.7,60.0`: what is no bit of a frame of `length` bytes, or there twice, is left out. */
export function parseFlips(text: string | undefined, length: number): Flip[] {
  const flips = new Map<number, Flip>();
  for (const part of (text ?? '').split(',')) {
    const match = /^(\d{1,5})\.([0-7])$/.exec(part);
    const flip = { byte: Number(match?.[1]), bit: Number(match?.[2]) };
    if (match && flip.byte < length) flips.set(flip.byte * 8 + flip.bit, flip);
  }
  return [...flips.values()];
}

/** Writes them for an address; `undefined` for none. */
export function formatFlips(flips: readonly Flip[]): string | undefined {
  return flips.length > 0 ? flips.map(({ byte, bit }) => `${byte}.${bit}`).join(',') : undefined;
}

/** Flips one more, or flips it back. */
export function toggled(flips: readonly Flip[], { byte, bit }: Flip): Flip[] {
  const others = flips.filter((flip) => flip.byte !== byte || flip.bit !== bit);
  return others.length < flips.length ? others : [...flips, { byte, bit }];
}

/** The frame with bits flipped. */
export function altered(bytes: Uint8Array, flips: readonly Flip[]): Uint8Array {
  const out = bytes.slice();
  for (const { byte, bit } of flips) out[byte]! ^= 1 << bit;
  return out;
}

/**
 * Puts those checksums right that everybody can compute: of IPv4, and of UDP around VXLAN. One that has a bit flipped in
 * itself stays wrong.
 * @param frame what was sent, as explained
 * @param bytes what was made of it, changed in place
 */
export function mend(frame: Packet, bytes: Uint8Array, flips: readonly Flip[]): void {
  const isFlipped = (at: number) => flips.some(({ byte }) => byte === at || byte === at + 1);
  // What is inside counts in the checksum of what is around it.
  for (let i = frame.layers.length - 1; i >= 0; i--) {
    const { id, at } = frame.layers[i]!;
    if (id === 'ip' && ipv4.ihl(bytes, at) === ipv4.HEADER_LEN / 4 && !isFlipped(at + CHECKSUM_AT)) {
      ipv4.fillChecksum(bytes, at);
    }
    const ip = frame.layers[i - 1];
    const field = at + checksum.checksumAt(udp.PROTOCOL);
    if (id === 'udp' && ip && !isFlipped(field) && (bytes[field] !== 0 || bytes[field + 1] !== 0)) {
      checksum.fillTransport(bytes, ip.at, udp.PROTOCOL, at, frame.bytes.length / 2);
    }
  }
}
