/**
 * ICMP (RFC 792) and ICMPv6 (RFC 4443): one header for both, and `ping`.
 *
 * ```text
 *  0               1               2               3
 * +---------------+---------------+-------------------------------+
 * |     Type      |     Code      |           Checksum            |
 * +---------------+---------------+-------------------------------+
 * |    Id (echo)                  |    Sequence number (echo)     |
 * +-------------------------------+-------------------------------+
 * ```
 *
 * The last four bytes are id and number in an echo; other messages keep other things there, such as the MTU.
 * ICMPv6 counts its IP addresses into the checksum, ICMP does not.
 * @module
 */
import { putU16, u16 } from '../base/bytes.ts';
import { type Fault, WireError } from '../base/errors.ts';
import type { Address } from './address.ts';
import { fillTransport } from './checksum.ts';
import type { FieldSpec } from './field.ts';
import * as ipv4 from './ipv4.ts';
import * as ipv6 from './ipv6.ts';

export const PROTOCOL = 1;
export const PROTOCOL_V6 = 58;
export const HEADER_LEN = 8;

export const ECHO_REPLY = 0;
export const UNREACHABLE = 3;
/** Code of {@link UNREACHABLE}: too big, and must not be fragmented. */
export const FRAGMENTATION_NEEDED = 4;
export const ECHO_REQUEST = 8;
export const TIME_EXCEEDED = 11;

export const V6_UNREACHABLE = 1;
export const V6_PACKET_TOO_BIG = 2;
export const V6_TIME_EXCEEDED = 3;
export const V6_ECHO_REQUEST = 128;
export const V6_ECHO_REPLY = 129;

const SOURCE_QUENCH = 4;
const REDIRECT = 5;
const PARAMETER_PROBLEM = 12;
export const V6_PARAMETER_PROBLEM = 4;
/** Code of {@link V6_PARAMETER_PROBLEM}: a next header that the host does not have. */
export const V6_NEXT_HEADER = 1;

/** Does a message of this type send back the packet that caused it (RFC 792, RFC 4443 §2.1)? */
export function isError(type: number, isV6: boolean): boolean {
  if (isV6) return type >= V6_UNREACHABLE && type <= V6_PARAMETER_PROBLEM;
  switch (type) {
    case UNREACHABLE:
    case SOURCE_QUENCH:
    case REDIRECT:
    case TIME_EXCEEDED:
    case PARAMETER_PROBLEM:
      return true;
    default:
      return false;
  }
}

/** Field map of the header, as an echo has it. */
export const FIELDS = [
  {
    name: 'type',
    at: 0,
    len: 1,
    about: 'What it says: 8 and 0 are echo request and reply, 128 and 129 in IPv6.',
  },
  { name: 'code', at: 1, len: 1, about: 'Which kind of that type; 0 in an echo.' },
  { name: 'checksum', at: 2, len: 2, about: 'Over the message; in IPv6 over the pseudo header too.' },
  { name: 'echoId', at: 4, len: 2, about: 'Tells one ping process from another.' },
  { name: 'echoSeq', at: 6, len: 2, about: 'Counts the requests; the reply repeats it.' },
] as const satisfies readonly FieldSpec[];

export interface Header {
  readonly type: number;
  readonly code: number;
  readonly checksum: number;
  /** Of an echo; in other messages, what lies there. */
  readonly echoId: number;
  readonly echoSeq: number;
}

/** A ping, by its addresses: 4 bytes make ICMP, 16 make ICMPv6. */
export interface Echo {
  readonly src: Address;
  readonly dst: Address;
  readonly reply: boolean;
  readonly id: number;
  readonly seq: number;
  readonly data: Uint8Array;
  /** TTL or hop limit, default 64. */
  readonly ttl?: number;
}

/**
 * Proves that the header lies in `b[at..end)`.
 * @returns the first fault, or `undefined` if every accessor is safe
 */
export function check(b: Uint8Array, at = 0, end = b.length): Fault | undefined {
  if (end - at < HEADER_LEN) {
    return {
      layer: 'icmp',
      at: 0,
      problem: `header needs ${HEADER_LEN} bytes, has ${Math.max(0, end - at)}`,
    };
  }
  return undefined;
}

export function type(b: Uint8Array, at = 0): number {
  return b[at]!;
}

export function code(b: Uint8Array, at = 0): number {
  return b[at + 1]!;
}

export function checksum(b: Uint8Array, at = 0): number {
  return u16(b, at + 2);
}

export function echoId(b: Uint8Array, at = 0): number {
  return u16(b, at + 4);
}

export function echoSeq(b: Uint8Array, at = 0): number {
  return u16(b, at + 6);
}

/**
 * Reads the header.
 * @throws {WireError} if {@link check} finds a fault
 */
export function parse(b: Uint8Array, at = 0, end = b.length): Header {
  const bad = check(b, at, end);
  if (bad) throw new WireError(bad);
  return {
    type: type(b, at),
    code: code(b, at),
    checksum: checksum(b, at),
    echoId: echoId(b, at),
    echoSeq: echoSeq(b, at),
  };
}

/** Writes the header at `at`, and returns how many bytes it takes. */
export function emit(h: Header, out: Uint8Array, at = 0): number {
  out[at] = h.type;
  out[at + 1] = h.code;
  putU16(out, at + 2, h.checksum);
  putU16(out, at + 4, h.echoId);
  putU16(out, at + 6, h.echoSeq);
  return HEADER_LEN;
}

/**
 * Makes the answer to a packet that is too long to go on: ICMP "fragmentation needed" (RFC 1191 §4) or ICMPv6 "packet
 * too big" (RFC 4443 §3.2), with as much of the packet as a router sends back.
 * @param packet a whole IP packet, from its header on
 * @param from who answers, of the packet's family
 * @param mtu the longest packet that goes on
 */
export function tooBigPacket(packet: Uint8Array, from: Address, mtu: number): Uint8Array {
  const v6 = packet[0]! >>> 4 === 6;
  // The MTU is 32 bits in ICMPv6 and the low 16 of the same word in ICMP.
  return v6
    ? errorPacket(packet, from, V6_PACKET_TOO_BIG, 0, mtu)
    : errorPacket(packet, from, UNREACHABLE, FRAGMENTATION_NEEDED, mtu & 0xffff);
}

/** Makes the answer to a packet whose TTL or hop limit is used up (RFC 792, RFC 4443 §3.3); as {@link tooBigPacket}. */
export function timeExceededPacket(packet: Uint8Array, from: Address): Uint8Array {
  const v6 = packet[0]! >>> 4 === 6;
  return errorPacket(packet, from, v6 ? V6_TIME_EXCEEDED : TIME_EXCEEDED, 0, 0);
}

/** @param word the four bytes after the checksum */
function errorPacket(
  packet: Uint8Array,
  from: Address,
  type: number,
  code: number,
  word: number,
): Uint8Array {
  const v6 = packet[0]! >>> 4 === 6;
  const at = v6 ? ipv6.HEADER_LEN : ipv4.HEADER_LEN;
  const quoted = packet.subarray(0, (v6 ? MOST_ERROR_V6 : MOST_ERROR_V4) - at - HEADER_LEN);
  const src = packet.slice(v6 ? ipv6.SRC_AT : ipv4.SRC_AT, v6 ? ipv6.DST_AT : ipv4.DST_AT);
  const answer = new Uint8Array(at + HEADER_LEN + quoted.length);
  const to = { src: from, dst: src, reply: false, id: 0, seq: 0, data: quoted };
  if (v6) emitV6(to, answer);
  else emitV4(to, answer);
  emit({ type, code, checksum: 0, echoId: word >>> 16, echoSeq: word & 0xffff }, answer, at);
  answer.set(quoted, at + HEADER_LEN);
  fillTransport(answer, 0, v6 ? PROTOCOL_V6 : PROTOCOL, at, answer.length);
  return answer;
}

/** Longest ICMP error: what every host takes (RFC 1812 §4.3.2.3, RFC 4443 §2.4). */
const MOST_ERROR_V4 = 576;
const MOST_ERROR_V6 = 1280;

/**
 * Makes a whole IP packet with an echo request or reply, checksums filled.
 * @throws {RangeError} when the addresses are of different families
 * @example
 * ```ts
 * echoPacket({ src: a, dst: b, reply: false, id: 1, seq: 1, data: new Uint8Array(56) }); // what ping sends
 * ```
 */
export function echoPacket(echo: Echo): Uint8Array {
  if (echo.src.length !== echo.dst.length)
    throw new RangeError('icmp: src and dst are of different families');
  const v6 = echo.src.length === ipv6.ADDRESS_LEN;
  const at = v6 ? ipv6.HEADER_LEN : ipv4.HEADER_LEN;
  const packet = new Uint8Array(at + HEADER_LEN + echo.data.length);
  if (v6) emitV6(echo, packet);
  else emitV4(echo, packet);

  const request = v6 ? V6_ECHO_REQUEST : ECHO_REQUEST;
  const reply = v6 ? V6_ECHO_REPLY : ECHO_REPLY;
  const type = echo.reply ? reply : request;
  emit({ type, code: 0, checksum: 0, echoId: echo.id, echoSeq: echo.seq }, packet, at);
  packet.set(echo.data, at + HEADER_LEN);
  fillTransport(packet, 0, v6 ? PROTOCOL_V6 : PROTOCOL, at, packet.length);
  return packet;
}

function emitV4(echo: Echo, packet: Uint8Array): void {
  ipv4.emit(
    {
      tos: 0,
      totalLength: packet.length,
      id: 0, // RFC 6864: without fragments it means nothing
      dontFragment: true,
      moreFragments: false,
      fragmentOffset: 0,
      ttl: echo.ttl ?? 64,
      protocol: PROTOCOL,
      src: echo.src,
      dst: echo.dst,
      options: new Uint8Array(0),
    },
    packet,
  );
}

function emitV6(echo: Echo, packet: Uint8Array): void {
  ipv6.emit(
    {
      trafficClass: 0,
      flowLabel: 0,
      payloadLength: packet.length - ipv6.HEADER_LEN,
      nextHeader: PROTOCOL_V6,
      hopLimit: echo.ttl ?? 64,
      src: echo.src,
      dst: echo.dst,
    },
    packet,
  );
}
