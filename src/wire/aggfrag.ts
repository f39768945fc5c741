/**
 * The payload of IP-TFS on the wire (RFC 9347 §6.1): whole inner packets and pieces of them, in ESP with next header 144.
 *
 * ```text
 *  0               1               2               3
 * +---------------+-----------+-+-+-------------------------------+
 * |   Sub-type    | Reserved  |P|E|         Block offset          |
 * +---------------+-----------+-+-+-------------------------------+
 * |  only sub-type 1: loss event rate, delays, two time stamps (20 bytes)
 * +---------------------------------------------------------------+
 * |  the end of an inner packet that began earlier (block offset bytes)
 * |  data blocks: IPv4 (4), IPv6 (6) or padding up to the end (0), by their first four bits
 * ```
 *
 * The last data block may go on in the next payload.
 * @module
 */
import { u16, u32 } from '../base/bytes.ts';
import type { Fault } from '../base/errors.ts';
import type { FieldSpec } from './field.ts';
import * as ipv4 from './ipv4.ts';
import * as ipv6 from './ipv6.ts';

export const PROTOCOL = 144;
/** Sub-type 0, without congestion control, and the beginning of sub-type 1. */
export const HEADER_LEN = 4;
/** Sub-type 1, with congestion control. */
export const CONGESTION_HEADER_LEN = 24;
export const PLAIN = 0;
export const CONGESTION = 1;
/** Bytes of an inner packet that tell its length, whatever its version. */
export const LENGTH_AT_MOST = 6;

/** Field map of the header of both sub-types. */
export const FIELDS = [
  { name: 'subtype', at: 0, len: 1, about: 'Says which header this is: 0, or 1 with congestion control.' },
  { name: 'flags', at: 1, len: 1, about: 'Reserved; P and E of congestion control in its last two bits.' },
  {
    name: 'blockOffset',
    at: 2,
    len: 2,
    about: 'Bytes up to the first data block that begins here. It may lie in a later payload.',
  },
] as const satisfies readonly FieldSpec[];

/** Field map of what sub-type 1 has behind it. */
export const CONGESTION_FIELDS = [
  { name: 'lossEventRate', at: 4, len: 4, about: "The inverse of the receiver's rate of losses." },
  {
    name: 'delays',
    at: 8,
    len: 8,
    about: 'Round trip (22 bits), echo and transmit delay (21 bits each), in µs.',
  },
  { name: 'tval', at: 16, len: 4, about: 'A time stamp, which the other end sends back.' },
  { name: 'techo', at: 20, len: 4, about: 'The time stamp of the other end that came last.' },
] as const satisfies readonly FieldSpec[];

/**
 * Proves that the header lies in `b[at..end)`, and that it is one that Linux reads.
 * @returns the first fault, or `undefined` if every accessor is safe
 */
export function check(b: Uint8Array, at = 0, end = b.length): Fault | undefined {
  const have = Math.max(0, end - at);
  if (have < HEADER_LEN) return fault(0, `header needs ${HEADER_LEN} bytes, has ${have}`);
  if (b[at]! > CONGESTION) return fault(0, `sub-type is ${b[at]!}, not 0 or 1`);
  if (have < headerLen(b, at)) return fault(0, `header needs ${headerLen(b, at)} bytes, has ${have}`);
  if (b[at + 1] !== 0) return fault(1, 'flags are set, which Linux refuses');
  return undefined;
}

export function subtype(b: Uint8Array, at = 0): number {
  return b[at]!;
}

export function flags(b: Uint8Array, at = 0): number {
  return b[at + 1]!;
}

export function blockOffset(b: Uint8Array, at = 0): number {
  return u16(b, at + 2);
}

export function lossEventRate(b: Uint8Array, at = 0): number {
  return u32(b, at + 4);
}

/** Round trip, echo and transmit delay, in µs. */
export function delays(b: Uint8Array, at = 0): readonly [rtt: number, echo: number, transmit: number] {
  const [hi, lo] = [u32(b, at + 8), u32(b, at + 12)];
  return [hi >>> 10, ((hi & 0x3ff) << 11) | (lo >>> 21), lo & 0x1f_ffff];
}

export function tval(b: Uint8Array, at = 0): number {
  return u32(b, at + 16);
}

export function techo(b: Uint8Array, at = 0): number {
  return u32(b, at + 20);
}

/** Bytes of the header of a known sub-type. */
export function headerLen(b: Uint8Array, at = 0): number {
  return b[at] === CONGESTION ? CONGESTION_HEADER_LEN : HEADER_LEN;
}

/** What a data block is. */
export type BlockKind = 'ipv4' | 'ipv6' | 'padding' | 'unknown';

/** What the data block at `at` is: its first four bits say it. */
export function blockKind(b: Uint8Array, at: number): BlockKind {
  const type = b[at]! >>> 4;
  return type === 4 ? 'ipv4' : type === 6 ? 'ipv6' : type === 0 ? 'padding' : 'unknown';
}

/**
 * How long the inner packet is that begins at `at`, by its own header.
 * @param have bytes of it that are here
 * @returns -1 where they do not tell
 */
export function innerLength(b: Uint8Array, at: number, have: number): number {
  if (b[at]! >>> 4 === 4) return have < 4 ? -1 : u16(b, at + 2);
  return have < LENGTH_AT_MOST ? -1 : ipv6.HEADER_LEN + u16(b, at + 4);
}

/** Is the length that an inner packet gives shorter than the header that it gives? `b[at..)` has at least 4 bytes. */
export function isTooShort(b: Uint8Array, at: number): boolean {
  if (b[at]! >>> 4 !== 4) return false;
  const headerLen = (b[at]! & 0xf) * 4;
  return headerLen < ipv4.HEADER_LEN || u16(b, at + 2) < headerLen;
}

function fault(at: number, problem: string): Fault {
  return { layer: 'aggfrag', at, problem };
}
