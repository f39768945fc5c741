/**
 * The fixed IPv6 header (RFC 8200 §3). What follows it is walked in `ipv6-extensions.ts`.
 *
 * ```text
 *  0               1               2               3
 * +-------+-----------+---+---------------------------------------+
 * |Version|   DSCP    |ECN|              Flow label               |
 * +-------+-----------+---+-------+---------------+---------------+
 * |        Payload length         |  Next header  |   Hop limit   |
 * +-------------------------------+---------------+---------------+
 * |                      Source, 16 bytes                         |
 * +---------------------------------------------------------------+
 * |                    Destination, 16 bytes                      |
 * +---------------------------------------------------------------+
 * ```
 *
 * **Not** read: jumbograms (RFC 2675). Their payload length of 0 reads as an empty packet.
 * @module
 */
import { putU16, u16, u24 } from '../base/bytes.ts';
import { type Fault, WireError } from '../base/errors.ts';
import type { FieldSpec } from './field.ts';

export const HEADER_LEN = 40;
/** Every link carries packets of this length (RFC 8200 §5). */
export const MIN_MTU = 1280;
/** Payload length is a 16-bit field; the fixed header does not count. */
export const MAX_PAYLOAD = 0xffff;
export const ADDRESS_LEN = 16;
export const SRC_AT = 8;
export const DST_AT = 24;
/** Next header number of IPv6 in IP: what ESP in tunnel mode carries. */
export const PROTOCOL = 41;

/** Field map of the fixed header. */
export const FIELDS = [
  { name: 'version', at: 0, len: 1, bits: [4, 4], about: 'Always 6.' },
  { name: 'dscp', at: 0, len: 2, bits: [6, 6], about: 'Traffic class. IPsec copies it to the outer header.' },
  {
    name: 'ecn',
    at: 0,
    len: 2,
    bits: [4, 2],
    about: 'Congestion marks; 3 says that a router was congested.',
  },
  { name: 'flowLabel', at: 1, len: 3, bits: [0, 20], about: 'The same for all packets of one flow.' },
  { name: 'payloadLength', at: 4, len: 2, about: 'Bytes after this header, extension headers included.' },
  { name: 'nextHeader', at: 6, len: 1, about: 'What follows: 50 is ESP, 44 a fragment, 17 UDP.' },
  {
    name: 'hopLimit',
    at: 7,
    len: 1,
    about: 'Hops left. Every router takes one and drops the packet at zero.',
  },
  { name: 'src', at: 8, len: 16, about: 'Sender. In tunnel mode, the node that encrypted.' },
  { name: 'dst', at: 24, len: 16, about: 'Receiver. In tunnel mode, the node that decrypts.' },
] as const satisfies readonly FieldSpec[];

export interface Header {
  /** DSCP and ECN. */
  readonly trafficClass: number;
  /** 20 bits. */
  readonly flowLabel: number;
  /** Bytes after the fixed header. */
  readonly payloadLength: number;
  readonly nextHeader: number;
  readonly hopLimit: number;
  readonly src: Uint8Array;
  readonly dst: Uint8Array;
}

/**
 * Proves that `b[at..end)` holds one whole packet. Bytes after it are allowed: Ethernet pads short frames.
 * @returns the first fault, or `undefined` if every accessor is safe and the payload is there
 */
export function check(b: Uint8Array, at = 0, end = b.length): Fault | undefined {
  const bad = checkHeader(b, at, end);
  if (bad) return bad;
  const len = payloadLength(b, at);
  const have = end - at - HEADER_LEN;
  if (len > have) return fault(4, `payload length is ${len} bytes, but only ${have} are there`);
  return undefined;
}

/**
 * Proves that `b[at..end)` holds a sane header, whose packet may be longer than what is there.
 * @returns the first fault, or `undefined` if every accessor is safe
 */
export function checkHeader(b: Uint8Array, at = 0, end = b.length): Fault | undefined {
  const have = Math.max(0, end - at);
  // The version first: on a packet that is not IPv6 at all, its length says little.
  if (have > 0 && version(b, at) !== 6) return fault(0, `version is ${version(b, at)}, not 6`);
  if (have < HEADER_LEN) return fault(0, `header needs ${HEADER_LEN} bytes, has ${have}`);
  return undefined;
}

export function version(b: Uint8Array, at = 0): number {
  return b[at]! >>> 4;
}

/** DSCP and ECN in one byte. */
export function trafficClass(b: Uint8Array, at = 0): number {
  return (u16(b, at) >>> 4) & 0xff;
}

export function dscp(b: Uint8Array, at = 0): number {
  return (u16(b, at) >>> 6) & 0x3f;
}

export function ecn(b: Uint8Array, at = 0): number {
  return (b[at + 1]! >>> 4) & 3;
}

export function flowLabel(b: Uint8Array, at = 0): number {
  return u24(b, at + 1) & 0xf_ffff;
}

/** Bytes after the fixed header. */
export function payloadLength(b: Uint8Array, at = 0): number {
  return u16(b, at + 4);
}

export function nextHeader(b: Uint8Array, at = 0): number {
  return b[at + 6]!;
}

export function hopLimit(b: Uint8Array, at = 0): number {
  return b[at + 7]!;
}

export function setTrafficClass(b: Uint8Array, at: number, v: number): void {
  b[at] = 0x60 | ((v >>> 4) & 0xf);
  b[at + 1] = ((v & 0xf) << 4) | (b[at + 1]! & 0xf);
}

export function setFlowLabel(b: Uint8Array, at: number, v: number): void {
  b[at + 1] = (b[at + 1]! & 0xf0) | ((v >>> 16) & 0xf);
  putU16(b, at + 2, v);
}

export function setPayloadLength(b: Uint8Array, at: number, v: number): void {
  putU16(b, at + 4, v);
}

export function setNextHeader(b: Uint8Array, at: number, v: number): void {
  b[at + 6] = v;
}

export function setHopLimit(b: Uint8Array, at: number, v: number): void {
  b[at + 7] = v;
}

/**
 * Reads the fixed header.
 * @throws {WireError} if {@link check} finds a fault
 */
export function parse(b: Uint8Array, at = 0, end = b.length): Header {
  const bad = check(b, at, end);
  if (bad) throw new WireError(bad);
  return {
    trafficClass: trafficClass(b, at),
    flowLabel: flowLabel(b, at),
    payloadLength: payloadLength(b, at),
    nextHeader: nextHeader(b, at),
    hopLimit: hopLimit(b, at),
    src: b.slice(at + SRC_AT, at + SRC_AT + ADDRESS_LEN),
    dst: b.slice(at + DST_AT, at + DST_AT + ADDRESS_LEN),
  };
}

/** Writes the fixed header at `at`, and returns how many bytes it takes. */
export function emit(h: Header, out: Uint8Array, at = 0): number {
  setTrafficClass(out, at, h.trafficClass);
  setFlowLabel(out, at, h.flowLabel);
  setPayloadLength(out, at, h.payloadLength);
  setNextHeader(out, at, h.nextHeader);
  setHopLimit(out, at, h.hopLimit);
  out.set(h.src, at + SRC_AT);
  out.set(h.dst, at + DST_AT);
  return HEADER_LEN;
}

function fault(at: number, problem: string): Fault {
  return { layer: 'ipv6', at, problem };
}
