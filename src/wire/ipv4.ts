/**
 * IPv4 (RFC 791), with the fields of RFC 2474 (DSCP) and RFC 3168 (ECN).
 *
 * ```text
 *  0               1               2               3
 * +-------+-------+-----------+---+-------------------------------+
 * |Version|  IHL  |   DSCP    |ECN|         Total length          |
 * +-------+-------+-----------+---+-----+-------------------------+
 * |        Identification         |R|D|M|     Fragment offset     |
 * +---------------+---------------+-----+-------------------------+
 * |      TTL      |   Protocol    |        Header checksum        |
 * +---------------+---------------+-------------------------------+
 * |                            Source                             |
 * +---------------------------------------------------------------+
 * |                          Destination                          |
 * +---------------------------------------------------------------+
 * |                    Options, IHL - 5 words …
 * ```
 *
 * `check` asks for the whole packet. A capture may have cut it (snap length), and a decapsulated packet must be
 * told from a damaged one, so {@link checkHeader} asks for the header only.
 * @module
 */
import { putU16, u16 } from '../base/bytes.ts';
import { type Fault, WireError } from '../base/errors.ts';
import { checksum as checksumOf, sum, update } from './checksum.ts';
import type { FieldSpec } from './field.ts';

/** Shortest header: without options. */
export const HEADER_LEN = 20;
/** Longest header: an IHL of 15. */
export const MAX_HEADER_LEN = 60;
/** Total length is a 16-bit field. */
export const MAX_LEN = 0xffff;
export const ADDRESS_LEN = 4;
export const SRC_AT = 12;
export const DST_AT = 16;
/** Next header number of IPv4 in IP: what ESP in tunnel mode carries. */
export const PROTOCOL = 4;

/** Don't fragment, in the 16 bits of {@link fragmentField}. */
export const DF = 0x4000;
/** More fragments, in the 16 bits of {@link fragmentField}. */
export const MF = 0x2000;

/** Field map of the fixed header. */
export const FIELDS = [
  { name: 'version', at: 0, len: 1, bits: [4, 4], about: 'Always 4.' },
  {
    name: 'ihl',
    at: 0,
    len: 1,
    bits: [0, 4],
    about: 'Header length in words of 4 bytes; 5 without options.',
  },
  { name: 'dscp', at: 1, len: 1, bits: [2, 6], about: 'Traffic class. IPsec copies it to the outer header.' },
  {
    name: 'ecn',
    at: 1,
    len: 1,
    bits: [0, 2],
    about: 'Congestion marks; 3 says that a router was congested.',
  },
  { name: 'totalLength', at: 2, len: 2, about: 'Header and payload, in bytes.' },
  { name: 'id', at: 4, len: 2, about: 'The same in all fragments of one packet.' },
  { name: 'reserved', at: 6, len: 1, bits: [7, 1], about: 'Zero.' },
  { name: 'dontFragment', at: 6, len: 1, bits: [6, 1], about: 'Routers must drop rather than fragment.' },
  { name: 'moreFragments', at: 6, len: 1, bits: [5, 1], about: 'Set in every fragment but the last.' },
  { name: 'fragmentOffset', at: 6, len: 2, bits: [0, 13], about: 'Where the fragment belongs, in 8 bytes.' },
  { name: 'ttl', at: 8, len: 1, about: 'Hops left. Every router takes one and drops the packet at zero.' },
  { name: 'protocol', at: 9, len: 1, about: 'What follows: 50 is ESP, 17 UDP, 6 TCP, 1 ICMP.' },
  { name: 'checksum', at: 10, len: 2, about: 'Over the header only; routers change it with the TTL.' },
  { name: 'src', at: 12, len: 4, about: 'Sender. In tunnel mode, the node that encrypted.' },
  { name: 'dst', at: 16, len: 4, about: 'Receiver. In tunnel mode, the node that decrypts.' },
] as const satisfies readonly FieldSpec[];

export interface Header {
  /** DSCP and ECN. */
  readonly tos: number;
  /** Header and payload, in bytes. */
  readonly totalLength: number;
  readonly id: number;
  readonly dontFragment: boolean;
  readonly moreFragments: boolean;
  /** In bytes: a multiple of 8. */
  readonly fragmentOffset: number;
  readonly ttl: number;
  readonly protocol: number;
  readonly src: Uint8Array;
  readonly dst: Uint8Array;
  /** Raw options, padded to a multiple of 4 bytes; at most 40. */
  readonly options: Uint8Array;
}

/**
 * Proves that `b[at..end)` holds one whole packet. Bytes after it are allowed: Ethernet pads short frames.
 * @returns the first fault, or `undefined` if every accessor is safe and the payload is there
 */
export function check(b: Uint8Array, at = 0, end = b.length): Fault | undefined {
  const bad = checkHeader(b, at, end);
  if (bad) return bad;
  const len = totalLength(b, at);
  if (len > end - at) return fault(2, `total length is ${len} bytes, but only ${end - at} are there`);
  return undefined;
}

/**
 * Proves that `b[at..end)` holds a sane header, whose packet may be longer than what is there.
 * @returns the first fault, or `undefined` if every accessor is safe
 */
export function checkHeader(b: Uint8Array, at = 0, end = b.length): Fault | undefined {
  const have = Math.max(0, end - at);
  // The version first: on a packet that is not IPv4 at all, its length says little.
  if (have > 0 && version(b, at) !== 4) return fault(0, `version is ${version(b, at)}, not 4`);
  if (have < HEADER_LEN) return fault(0, `header needs ${HEADER_LEN} bytes, has ${have}`);
  if (ihl(b, at) < 5) return fault(0, `header length is ${ihl(b, at)} words, below the least, 5`);
  const len = headerLen(b, at);
  if (len > have) return fault(0, `header needs ${len} bytes, has ${have}`);
  if (totalLength(b, at) < len) {
    return fault(2, `total length is ${totalLength(b, at)} bytes, less than the header's ${len}`);
  }
  return undefined;
}

export function version(b: Uint8Array, at = 0): number {
  return b[at]! >>> 4;
}

/** Header length in words of 4 bytes. */
export function ihl(b: Uint8Array, at = 0): number {
  return b[at]! & 0xf;
}

/** Header length in bytes: where the payload starts. */
export function headerLen(b: Uint8Array, at = 0): number {
  return (b[at]! & 0xf) * 4;
}

/** DSCP and ECN in one byte. */
export function tos(b: Uint8Array, at = 0): number {
  return b[at + 1]!;
}

export function dscp(b: Uint8Array, at = 0): number {
  return b[at + 1]! >>> 2;
}

export function ecn(b: Uint8Array, at = 0): number {
  return b[at + 1]! & 3;
}

/** Header and payload, in bytes. */
export function totalLength(b: Uint8Array, at = 0): number {
  return u16(b, at + 2);
}

export function id(b: Uint8Array, at = 0): number {
  return u16(b, at + 4);
}

/** The 16 bits of flags and fragment offset: `& DF`, `& MF`; the rest counts 8 bytes. */
export function fragmentField(b: Uint8Array, at = 0): number {
  return u16(b, at + 6);
}

export function dontFragment(b: Uint8Array, at = 0): boolean {
  return (b[at + 6]! & 0x40) !== 0;
}

export function moreFragments(b: Uint8Array, at = 0): boolean {
  return (b[at + 6]! & 0x20) !== 0;
}

/** Where the fragment belongs in the whole payload, in bytes. */
export function fragmentOffset(b: Uint8Array, at = 0): number {
  return (u16(b, at + 6) & 0x1fff) * 8;
}

/** Is this a piece of a packet, first, last or between? */
export function isFragment(b: Uint8Array, at = 0): boolean {
  return (u16(b, at + 6) & 0x3fff) !== 0;
}

export function ttl(b: Uint8Array, at = 0): number {
  return b[at + 8]!;
}

export function protocol(b: Uint8Array, at = 0): number {
  return b[at + 9]!;
}

export function checksum(b: Uint8Array, at = 0): number {
  return u16(b, at + 10);
}

/** Is the header checksum right? */
export function checksumOk(b: Uint8Array, at = 0): boolean {
  return sum(b, at, at + headerLen(b, at)) === 0xffff;
}

/** Like all setters, it leaves the checksum stale until {@link fillChecksum}. */
export function setTos(b: Uint8Array, at: number, v: number): void {
  b[at + 1] = v;
}

export function setTotalLength(b: Uint8Array, at: number, v: number): void {
  putU16(b, at + 2, v);
}

export function setId(b: Uint8Array, at: number, v: number): void {
  putU16(b, at + 4, v);
}

/** Writes flags and fragment offset, as {@link fragmentField} reads them. */
export function setFragmentField(b: Uint8Array, at: number, v: number): void {
  putU16(b, at + 6, v);
}

export function setTtl(b: Uint8Array, at: number, v: number): void {
  b[at + 8] = v;
}

export function setProtocol(b: Uint8Array, at: number, v: number): void {
  b[at + 9] = v;
}

/** Computes and writes the header checksum. */
export function fillChecksum(b: Uint8Array, at = 0): void {
  putU16(b, at + 10, 0);
  putU16(b, at + 10, checksumOf(b, at, at + headerLen(b, at)));
}

/** Takes one hop, as a router does, and keeps the checksum right (RFC 1624). The TTL must not be 0. */
export function decrementTtl(b: Uint8Array, at = 0): void {
  const before = u16(b, at + 8); // TTL and protocol: the word that the checksum sees change
  b[at + 8] = b[at + 8]! - 1;
  putU16(b, at + 10, update(checksum(b, at), before, u16(b, at + 8)));
}

/**
 * Reads the header.
 * @throws {WireError} if {@link check} finds a fault
 */
export function parse(b: Uint8Array, at = 0, end = b.length): Header {
  const bad = check(b, at, end);
  if (bad) throw new WireError(bad);
  return {
    tos: tos(b, at),
    totalLength: totalLength(b, at),
    id: id(b, at),
    dontFragment: dontFragment(b, at),
    moreFragments: moreFragments(b, at),
    fragmentOffset: fragmentOffset(b, at),
    ttl: ttl(b, at),
    protocol: protocol(b, at),
    src: b.slice(at + SRC_AT, at + SRC_AT + ADDRESS_LEN),
    dst: b.slice(at + DST_AT, at + DST_AT + ADDRESS_LEN),
    options: b.slice(at + HEADER_LEN, at + headerLen(b, at)),
  };
}

/**
 * Writes the header at `at`, its checksum included.
 * @returns bytes written
 * @throws {RangeError} when the options are no whole words, or too long
 */
export function emit(h: Header, out: Uint8Array, at = 0): number {
  const len = HEADER_LEN + h.options.length;
  if (len % 4 !== 0 || len > MAX_HEADER_LEN) {
    throw new RangeError(`ipv4: options need 0 to 40 bytes in steps of 4, have ${h.options.length}`);
  }
  out[at] = 0x40 | (len / 4);
  setTos(out, at, h.tos);
  setTotalLength(out, at, h.totalLength);
  setId(out, at, h.id);
  setFragmentField(
    out,
    at,
    (h.dontFragment ? DF : 0) | (h.moreFragments ? MF : 0) | (h.fragmentOffset >>> 3),
  );
  setTtl(out, at, h.ttl);
  setProtocol(out, at, h.protocol);
  out.set(h.src, at + SRC_AT);
  out.set(h.dst, at + DST_AT);
  out.set(h.options, at + HEADER_LEN);
  fillChecksum(out, at);
  return len;
}

function fault(at: number, problem: string): Fault {
  return { layer: 'ipv4', at, problem };
}
