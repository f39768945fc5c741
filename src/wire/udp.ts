/**
 * UDP (RFC 768), also the carrier of ESP through NAT (RFC 3948) and of VXLAN (RFC 7348).
 *
 * ```text
 *  0               1               2               3
 * +-------------------------------+-------------------------------+
 * |          Source port          |       Destination port        |
 * +-------------------------------+-------------------------------+
 * |            Length             |           Checksum            |
 * +-------------------------------+-------------------------------+
 * ```
 *
 * Checksums are in `checksum.ts`: they need the IP header too.
 * @module
 */
import { putU16, u16 } from '../base/bytes.ts';
import { type Fault, WireError } from '../base/errors.ts';
import type { FieldSpec } from './field.ts';

export const PROTOCOL = 17;
export const HEADER_LEN = 8;

/** IANA: ESP and IKE behind NAT (RFC 3948 §2). */
export const PORT_ESP = 4500;

/** Field map of the header. */
export const FIELDS = [
  { name: 'srcPort', at: 0, len: 2, about: 'Chosen by the sender; tunnels put flow entropy here.' },
  { name: 'dstPort', at: 2, len: 2, about: 'Selects the receiver: 4500 is ESP, 4789 or 8472 VXLAN.' },
  { name: 'length', at: 4, len: 2, about: 'Header and payload, in bytes; never below 8.' },
  { name: 'checksum', at: 6, len: 2, about: 'Zero says that none was computed; ESP in UDP sends zero.' },
] as const satisfies readonly FieldSpec[];

export interface Header {
  readonly srcPort: number;
  readonly dstPort: number;
  /** Header and payload, in bytes. */
  readonly length: number;
  /** 0 when the sender computed none. */
  readonly checksum: number;
}

/**
 * Proves that `b[at..end)` holds one whole datagram. Bytes after it are allowed.
 * @returns the first fault, or `undefined` if every accessor is safe and the payload is there
 */
export function check(b: Uint8Array, at = 0, end = b.length): Fault | undefined {
  const bad = checkHeader(b, at, end);
  if (bad) return bad;
  if (length(b, at) > end - at)
    return fault(4, `length is ${length(b, at)}, but only ${end - at} bytes are there`);
  return undefined;
}

/**
 * Proves that `b[at..end)` holds a sane header, whose datagram may be longer than what is there: in a first
 * fragment, or a cut capture.
 * @returns the first fault, or `undefined` if every accessor is safe
 */
export function checkHeader(b: Uint8Array, at = 0, end = b.length): Fault | undefined {
  if (end - at < HEADER_LEN)
    return fault(0, `header needs ${HEADER_LEN} bytes, has ${Math.max(0, end - at)}`);
  if (length(b, at) < HEADER_LEN) {
    return fault(4, `length is ${length(b, at)}, less than the header's ${HEADER_LEN}`);
  }
  return undefined;
}

export function srcPort(b: Uint8Array, at = 0): number {
  return u16(b, at);
}

export function dstPort(b: Uint8Array, at = 0): number {
  return u16(b, at + 2);
}

/** Header and payload, in bytes. */
export function length(b: Uint8Array, at = 0): number {
  return u16(b, at + 4);
}

export function checksum(b: Uint8Array, at = 0): number {
  return u16(b, at + 6);
}

export function setSrcPort(b: Uint8Array, at: number, v: number): void {
  putU16(b, at, v);
}

export function setDstPort(b: Uint8Array, at: number, v: number): void {
  putU16(b, at + 2, v);
}

export function setLength(b: Uint8Array, at: number, v: number): void {
  putU16(b, at + 4, v);
}

export function setChecksum(b: Uint8Array, at: number, v: number): void {
  putU16(b, at + 6, v);
}

/**
 * Reads the header.
 * @throws {WireError} if {@link check} finds a fault
 */
export function parse(b: Uint8Array, at = 0, end = b.length): Header {
  const bad = check(b, at, end);
  if (bad) throw new WireError(bad);
  return {
    srcPort: srcPort(b, at),
    dstPort: dstPort(b, at),
    length: length(b, at),
    checksum: checksum(b, at),
  };
}

/** Writes the header at `at`, and returns how many bytes it takes. */
export function emit(h: Header, out: Uint8Array, at = 0): number {
  setSrcPort(out, at, h.srcPort);
  setDstPort(out, at, h.dstPort);
  setLength(out, at, h.length);
  setChecksum(out, at, h.checksum);
  return HEADER_LEN;
}

function fault(at: number, problem: string): Fault {
  return { layer: 'udp', at, problem };
}
