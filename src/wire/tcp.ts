/**
 * TCP's header (RFC 9293 §3.1). Connections are none of our business: it is read to name flows and explain
 * packets, and written by simulated traffic.
 *
 * ```text
 *  0               1               2               3
 * +-------------------------------+-------------------------------+
 * |          Source port          |       Destination port        |
 * +-------------------------------+-------------------------------+
 * |                        Sequence number                        |
 * +---------------------------------------------------------------+
 * |                    Acknowledgement number                     |
 * +-------+-------+---------------+-------------------------------+
 * | Words | Rsrvd |     Flags     |            Window             |
 * +-------+-------+---------------+-------------------------------+
 * |           Checksum            |        Urgent pointer         |
 * +-------------------------------+-------------------------------+
 * |                   Options, Words - 5 words …
 * ```
 * @module
 */
import { putU16, putU32, u16, u32 } from '../base/bytes.ts';
import { type Fault, WireError } from '../base/errors.ts';
import type { FieldSpec } from './field.ts';

export const PROTOCOL = 6;
/** Shortest header: without options. */
export const HEADER_LEN = 20;
/** Longest header: 15 words. */
export const MAX_HEADER_LEN = 60;

export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;
export const URG = 0x20;
export const ECE = 0x40;
export const CWR = 0x80;

export const OPTION_END = 0;
export const OPTION_NOP = 1;
export const OPTION_MSS = 2;
export const OPTION_WINDOW_SCALE = 3;
export const OPTION_SACK_PERMITTED = 4;
export const OPTION_SACK = 5;
export const OPTION_TIMESTAMPS = 8;

/** Field map of the fixed header. */
export const FIELDS = [
  { name: 'srcPort', at: 0, len: 2, about: 'Port of the sender.' },
  { name: 'dstPort', at: 2, len: 2, about: 'Port of the receiver.' },
  { name: 'seq', at: 4, len: 4, about: 'Number of the first payload byte in the stream.' },
  { name: 'ack', at: 8, len: 4, about: 'Number of the next byte that the sender expects.' },
  {
    name: 'words',
    at: 12,
    len: 1,
    bits: [4, 4],
    about: 'Header length in words of 4 bytes; 5 without options.',
  },
  { name: 'reserved', at: 12, len: 1, bits: [0, 4], about: 'Zero.' },
  { name: 'flags', at: 13, len: 1, about: 'SYN opens, FIN closes, RST aborts; ACK says that ack counts.' },
  { name: 'window', at: 14, len: 2, about: 'How much the sender can take, before scaling.' },
  { name: 'checksum', at: 16, len: 2, about: 'Over pseudo header, header and payload.' },
  { name: 'urgentPointer', at: 18, len: 2, about: 'End of urgent data, with URG only.' },
] as const satisfies readonly FieldSpec[];

export interface Header {
  readonly srcPort: number;
  readonly dstPort: number;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly window: number;
  readonly checksum: number;
  readonly urgentPointer: number;
  /** Raw options, padded to a multiple of 4 bytes; at most 40. */
  readonly options: Uint8Array;
}

/** One option, where it lies. */
export interface Option {
  readonly kind: number;
  /** Offset in the array of its kind byte. */
  readonly at: number;
  /** Kind, length and value, in bytes. */
  readonly len: number;
}

/**
 * Proves that the header, options included, lies in `b[at..end)`.
 * @returns the first fault, or `undefined` if every accessor is safe
 */
export function check(b: Uint8Array, at = 0, end = b.length): Fault | undefined {
  const have = Math.max(0, end - at);
  if (have < HEADER_LEN) return fault(0, `header needs ${HEADER_LEN} bytes, has ${have}`);
  if (words(b, at) < 5) return fault(12, `header length is ${words(b, at)} words, below the least, 5`);
  if (headerLen(b, at) > have) return fault(12, `header needs ${headerLen(b, at)} bytes, has ${have}`);
  return undefined;
}

export function srcPort(b: Uint8Array, at = 0): number {
  return u16(b, at);
}

export function dstPort(b: Uint8Array, at = 0): number {
  return u16(b, at + 2);
}

export function seq(b: Uint8Array, at = 0): number {
  return u32(b, at + 4);
}

export function ack(b: Uint8Array, at = 0): number {
  return u32(b, at + 8);
}

/** Header length in words of 4 bytes: RFC 9293's data offset. */
export function words(b: Uint8Array, at = 0): number {
  return b[at + 12]! >>> 4;
}

/** Header length in bytes: where the payload starts. */
export function headerLen(b: Uint8Array, at = 0): number {
  return words(b, at) * 4;
}

export function flags(b: Uint8Array, at = 0): number {
  return b[at + 13]!;
}

export function window(b: Uint8Array, at = 0): number {
  return u16(b, at + 14);
}

export function checksum(b: Uint8Array, at = 0): number {
  return u16(b, at + 16);
}

export function urgentPointer(b: Uint8Array, at = 0): number {
  return u16(b, at + 18);
}

/**
 * Walks the options of a checked header.
 *
 * Stops behind an end-of-list option, or where a length makes no sense: what is left is then not yielded.
 */
export function* options(b: Uint8Array, at = 0): Generator<Option> {
  const end = at + headerLen(b, at);
  for (let i = at + HEADER_LEN; i < end; ) {
    const kind = b[i]!;
    const single = kind === OPTION_END || kind === OPTION_NOP;
    if (!single && i + 1 >= end) return;
    const len = single ? 1 : b[i + 1]!;
    if (len < (single ? 1 : 2) || i + len > end) return;
    yield { kind, at: i, len };
    if (kind === OPTION_END) return;
    i += len;
  }
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
    seq: seq(b, at),
    ack: ack(b, at),
    flags: flags(b, at),
    window: window(b, at),
    checksum: checksum(b, at),
    urgentPointer: urgentPointer(b, at),
    options: b.slice(at + HEADER_LEN, at + headerLen(b, at)),
  };
}

/**
 * Writes the header at `at`. The caller fills the checksum when the payload is there.
 * @returns bytes written
 * @throws {RangeError} when the options are no whole words, or too long
 */
export function emit(h: Header, out: Uint8Array, at = 0): number {
  const len = HEADER_LEN + h.options.length;
  if (len % 4 !== 0 || len > MAX_HEADER_LEN) {
    throw new RangeError(`tcp: options need 0 to 40 bytes in steps of 4, have ${h.options.length}`);
  }
  putU16(out, at, h.srcPort);
  putU16(out, at + 2, h.dstPort);
  putU32(out, at + 4, h.seq);
  putU32(out, at + 8, h.ack);
  out[at + 12] = (len / 4) << 4;
  out[at + 13] = h.flags;
  putU16(out, at + 14, h.window);
  putU16(out, at + 16, h.checksum);
  putU16(out, at + 18, h.urgentPointer);
  out.set(h.options, at + HEADER_LEN);
  return len;
}

function fault(at: number, problem: string): Fault {
  return { layer: 'tcp', at, problem };
}
