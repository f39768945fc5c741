/**
 * VXLAN (RFC 7348): Ethernet frames in UDP. Cilium's overlay, with the sender's identity as VNI.
 *
 * ```text
 *  0               1               2               3
 * +---------------+-----------------------------------------------+
 * |R R R R I R R R|                   Reserved                    |
 * +---------------+---------------+---------------+---------------+
 * |                      VNI                      |   Reserved    |
 * +-----------------------------------------------+---------------+
 * |                      Ethernet frame …
 * ```
 * @module
 */
import { putU32, u24 } from '../base/bytes.ts';
import { type Fault, WireError } from '../base/errors.ts';
import type { FieldSpec } from './field.ts';

export const HEADER_LEN = 8;
/** IANA's port. */
export const PORT = 4789;
/** Linux's port from before IANA gave one, and Cilium's default. */
export const PORT_LINUX = 8472;
/** The I flag: the VNI counts. */
export const FLAG_VNI = 0x08;

/** Field map of the header. */
export const FIELDS = [
  { name: 'flags', at: 0, len: 1, about: 'Bit 0x08 says that the VNI counts, and must be set.' },
  { name: 'reserved', at: 1, len: 3, about: 'Sent as zero, ignored on receipt.' },
  {
    name: 'vni',
    at: 4,
    len: 3,
    about: "The virtual network. Cilium puts the sender's security identity here.",
  },
  { name: 'reserved2', at: 7, len: 1, about: 'Sent as zero, ignored on receipt.' },
] as const satisfies readonly FieldSpec[];

export interface Header {
  /** 24 bits. */
  readonly vni: number;
}

/**
 * Proves that the header lies in `b[at..end)` and its VNI counts.
 * @returns the first fault, or `undefined` if every accessor is safe
 */
export function check(b: Uint8Array, at = 0, end = b.length): Fault | undefined {
  if (end - at < HEADER_LEN)
    return fault(0, `header needs ${HEADER_LEN} bytes, has ${Math.max(0, end - at)}`);
  // RFC 7348 §5: other flags are ignored.
  if ((flags(b, at) & FLAG_VNI) === 0) return fault(0, 'the flag that makes the VNI count is not set');
  return undefined;
}

/**
 * Is nothing set but the VNI and its flag? RFC 7348 §5 ignores the rest; Linux drops such packets, unless an extension
 * was asked for (`vxlan_rcv`: unparsed flags).
 */
export function isPlain(b: Uint8Array, at = 0): boolean {
  return b[at] === FLAG_VNI && u24(b, at + 1) === 0 && b[at + 7] === 0;
}

/** Do datagrams to this UDP port carry VXLAN? */
export function isPort(port: number): boolean {
  return port === PORT || port === PORT_LINUX;
}

export function flags(b: Uint8Array, at = 0): number {
  return b[at]!;
}

export function vni(b: Uint8Array, at = 0): number {
  return u24(b, at + 4);
}

/**
 * Reads the header.
 * @throws {WireError} if {@link check} finds a fault
 */
export function parse(b: Uint8Array, at = 0, end = b.length): Header {
  const bad = check(b, at, end);
  if (bad) throw new WireError(bad);
  return { vni: vni(b, at) };
}

/** Writes the header at `at`, and returns how many bytes it takes. */
export function emit(h: Header, out: Uint8Array, at = 0): number {
  put(out, at, h.vni);
  return HEADER_LEN;
}

/** Writes the header at `at`: {@link emit} without an object, for the packet path. */
export function put(out: Uint8Array, at: number, vni: number): void {
  putU32(out, at, FLAG_VNI << 24);
  putU32(out, at + 4, vni << 8);
}

function fault(at: number, problem: string): Fault {
  return { layer: 'vxlan', at, problem };
}
