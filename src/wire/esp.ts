/**
 * ESP on the wire (RFC 4303 §2): what can be read without keys, the trailer once it is decrypted, and ESP in
 * UDP (RFC 3948).
 *
 * ```text
 *  0               1               2               3
 * +---------------------------------------------------------------+
 * |               Security parameters index (SPI)                 |
 * +---------------------------------------------------------------+
 * |                 Sequence number, low 32 bits                  |
 * +---------------------------------------------------------------+
 * |  IV (cipher's), then the encrypted text:
 * |  payload …        +-------------------------------------------+
 * |                   |  padding, 0 to 255 bytes  |               |
 * +-------------------------------+---------------+---------------+
 * |                               |  Pad length   |  Next header  |
 * +-------------------------------+---------------+---------------+
 * |  ICV (cipher's)
 * ```
 * @module
 */
import { putU32, u32 } from '../base/bytes.ts';
import { type Fault, WireError } from '../base/errors.ts';
import type { FieldSpec } from './field.ts';

export const PROTOCOL = 50;
/** SPI and sequence number. */
export const HEADER_LEN = 8;
/** Pad length and next header: what even an empty payload has. */
export const TRAILER_LEN = 2;
/** Next header of a dummy packet, sent to hide traffic (RFC 4303 §2.6). */
export const DUMMY = 59;

/** Field map of the header. */
export const FIELDS = [
  { name: 'spi', at: 0, len: 4, about: 'With the destination, names the security association.' },
  { name: 'seq', at: 4, len: 4, about: 'One more for every packet. With ESN, the low half of the number.' },
] as const satisfies readonly FieldSpec[];

/** Field map of the trailer's fixed part, from where the padding ends. */
export const TRAILER_FIELDS = [
  { name: 'padLength', at: 0, len: 1, about: 'Bytes of padding before this one.' },
  { name: 'nextHeader', at: 1, len: 1, about: 'What the payload is: 4 IPv4, 41 IPv6, 17 UDP, 59 a dummy.' },
] as const satisfies readonly FieldSpec[];

export interface Header {
  readonly spi: number;
  /** Low 32 bits of the sequence number. */
  readonly seq: number;
}

/**
 * Proves that SPI and sequence number lie in `b[at..end)`.
 *
 * How much more a packet needs, only its SA knows.
 * @returns the first fault, or `undefined` if both accessors are safe
 */
export function check(b: Uint8Array, at = 0, end = b.length): Fault | undefined {
  if (end - at < HEADER_LEN)
    return fault(0, `header needs ${HEADER_LEN} bytes, has ${Math.max(0, end - at)}`);
  return undefined;
}

/**
 * Proves that the decrypted text `b[at..end)`, ICV excluded, ends in a trailer whose padding lies in it.
 * @returns the first fault, its `at` counted from the start of the text, or `undefined`
 */
export function checkTrailer(b: Uint8Array, at: number, end: number): Fault | undefined {
  const have = Math.max(0, end - at);
  if (have < TRAILER_LEN) return fault(0, `trailer needs ${TRAILER_LEN} bytes, has ${have}`);
  if (padLength(b, end) > have - TRAILER_LEN) {
    return fault(
      have - 2,
      `pad length is ${padLength(b, end)}, but only ${have - TRAILER_LEN} bytes are before it`,
    );
  }
  return undefined;
}

export function spi(b: Uint8Array, at = 0): number {
  return u32(b, at);
}

/** The low 32 bits of the sequence number: all that is sent. */
export function seq(b: Uint8Array, at = 0): number {
  return u32(b, at + 4);
}

/** Bytes of padding in the decrypted text that ends at `end`. */
export function padLength(b: Uint8Array, end: number): number {
  return b[end - 2]!;
}

/** What the decrypted text that ends at `end` carries. */
export function nextHeader(b: Uint8Array, end: number): number {
  return b[end - 1]!;
}

/** Where the payload ends in the decrypted text that ends at `end`. */
export function payloadEnd(b: Uint8Array, end: number): number {
  return end - TRAILER_LEN - b[end - 2]!;
}

export function setSpi(b: Uint8Array, at: number, v: number): void {
  putU32(b, at, v);
}

export function setSeq(b: Uint8Array, at: number, v: number): void {
  putU32(b, at + 4, v);
}

/** What a datagram on port 4500 is (RFC 3948 §2). */
export type UdpPayload = 'esp' | 'ike' | 'keepalive' | 'short';

/**
 * Tells apart what shares port 4500. `b[at..end)` is the UDP payload.
 *
 * - `keepalive`: the one byte 0xff (§2.3).
 * - `ike`: four zero bytes, which no SPI can be (§2.2).
 * - `short`: no more than an ESP header; Linux does not take it for ESP.
 */
export function classifyUdp(b: Uint8Array, at: number, end: number): UdpPayload {
  const len = end - at;
  if (len === 1 && b[at] === 0xff) return 'keepalive';
  if (len >= 4 && u32(b, at) === 0) return 'ike';
  return len > HEADER_LEN ? 'esp' : 'short';
}

/**
 * Reads the header.
 * @throws {WireError} if {@link check} finds a fault
 */
export function parse(b: Uint8Array, at = 0, end = b.length): Header {
  const bad = check(b, at, end);
  if (bad) throw new WireError(bad);
  return { spi: spi(b, at), seq: seq(b, at) };
}

/** Writes the header at `at`, and returns how many bytes it takes. */
export function emit(h: Header, out: Uint8Array, at = 0): number {
  setSpi(out, at, h.spi);
  setSeq(out, at, h.seq);
  return HEADER_LEN;
}

function fault(at: number, problem: string): Fault {
  return { layer: 'esp', at, problem };
}
