/**
 * Geneve (RFC 8926 §3.4): frames in UDP, with options. Cilium's other overlay, with the sender's identity as VNI.
 *
 * ```text
 *  0               1               2               3
 * +---+-----------+-+-+-----------+-------------------------------+
 * |Ver|  Opt Len  |O|C|   Rsvd.   |          Protocol Type        |
 * +---+-----------+-+-+-----------+---------------+---------------+
 * |                      VNI                      |   Reserved    |
 * +-----------------------------------------------+---------------+
 * |  options, Opt Len words of 4 bytes …
 * ```
 * @module
 */
import { putU16, putU32, u16, u24 } from '../base/bytes.ts';
import type { Fault } from '../base/errors.ts';
import type { FieldSpec } from './field.ts';

/** Without options. */
export const HEADER_LEN = 8;
/** IANA's port, and Cilium's. */
export const PORT = 6081;
/** Protocol Type of an Ethernet frame (Trans-Ether Bridging). */
export const TYPE_ETHERNET = 0x6558;

/** Field map of the header. */
export const FIELDS = [
  { name: 'version', at: 0, len: 1, bits: [6, 2], about: '0; others are not known.' },
  { name: 'optionWords', at: 0, len: 1, bits: [0, 6], about: 'Length of the options, in words of 4 bytes.' },
  { name: 'flags', at: 1, len: 1, about: '0x80: a control packet. 0x40: one of the options is critical.' },
  { name: 'type', at: 2, len: 2, about: 'What follows, as an EtherType; 0x6558 is an Ethernet frame.' },
  {
    name: 'vni',
    at: 4,
    len: 3,
    about: "The virtual network. Cilium puts the sender's security identity here.",
  },
  { name: 'reserved', at: 7, len: 1, about: 'Sent as zero, ignored on receipt.' },
] as const satisfies readonly FieldSpec[];

/** A control packet (O flag): no frame of a pod. */
export const FLAG_CONTROL = 0x80;

/**
 * Proves that the header and its options lie in `b[at..end)`.
 * @returns the first fault, or `undefined` if every accessor is safe
 */
export function check(b: Uint8Array, at = 0, end = b.length): Fault | undefined {
  const has = Math.max(0, end - at);
  if (has < HEADER_LEN) return fault(`header needs ${HEADER_LEN} bytes, has ${has}`);
  if (version(b, at) !== 0) return fault(`version ${version(b, at)} is not known`);
  const len = headerLen(b, at);
  return has < len ? fault(`header needs ${len} bytes with its options, has ${has}`) : undefined;
}

/** Bytes of the header with its options. */
export function headerLen(b: Uint8Array, at = 0): number {
  return HEADER_LEN + 4 * (b[at]! & 0x3f);
}

export function version(b: Uint8Array, at = 0): number {
  return b[at]! >>> 6;
}

export function flags(b: Uint8Array, at = 0): number {
  return b[at + 1]!;
}

export function type(b: Uint8Array, at = 0): number {
  return u16(b, at + 2);
}

export function vni(b: Uint8Array, at = 0): number {
  return u24(b, at + 4);
}

/** Writes the header of an Ethernet frame, without options, at `at`. */
export function put(out: Uint8Array, at: number, vni: number): void {
  putU16(out, at, 0);
  putU16(out, at + 2, TYPE_ETHERNET);
  putU32(out, at + 4, vni << 8);
}

function fault(problem: string): Fault {
  return { layer: 'geneve', at: 0, problem };
}
