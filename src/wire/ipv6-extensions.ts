/**
 * IPv6 extension headers (RFC 8200 §4): the walk from the fixed header to the upper layer.
 *
 * ```text
 *  hop-by-hop, destination, routing, mobility, …     fragment
 *  0      1      2                                   0      1      2           4
 * +------+------+----------------                   +------+------+-----------+--------+
 * | Next | Len  | Len * 8 + 6 bytes …               | Next |   0  | Offset  |M| Id, 4  |
 * +------+------+----------------                   +------+------+-----------+--------+
 * ```
 *
 * For ESP the walk answers three questions:
 * - On receipt: is this ESP, where is it, and which byte named it, so that transport mode can put the old value
 *   back there.
 * - On sending in transport mode: where ESP goes in. RFC 4303 §3.1.1 keeps clear what routers on the way need:
 *   hop-by-hop options, routing, and destination options before a routing header. Other destination options are
 *   for the receiver and go inside. (Linux leaves destination options clear too when there is no routing header;
 *   receivers take both.)
 *   AH is where the walk ends: what it carries is of no account before its ICV was checked. Linux looks for an AH state
 *   (XfrmInNoStates without one), and a selector's protocol is then AH.
 * - Is it a fragment: ESP protects whole packets only (RFC 4303 §3.3.4), and a piece must be reassembled before
 *   it is read.
 * @module
 */
import { u16, u32 } from '../base/bytes.ts';
import type { Fault } from '../base/errors.ts';
import type { FieldSpec } from './field.ts';
import * as ipv6 from './ipv6.ts';

export const HOP_BY_HOP = 0;
export const ROUTING = 43;
export const FRAGMENT = 44;
export const AUTHENTICATION = 51;
export const DESTINATION = 60;
export const MOBILITY = 135;
export const HIP = 139;
export const SHIM6 = 140;

export const FRAGMENT_LEN = 8;

/** A longer chain is taken for an attack; the RFC's own order has at most seven. */
export const MAX_EXTENSIONS = 16;

/** Field map of the fragment header. */
export const FRAGMENT_FIELDS = [
  { name: 'nextHeader', at: 0, len: 1, about: 'What the first fragment starts with.' },
  { name: 'reserved', at: 1, len: 1, about: 'Zero.' },
  { name: 'fragmentOffset', at: 2, len: 2, bits: [3, 13], about: 'Where the fragment belongs, in 8 bytes.' },
  { name: 'reserved2', at: 2, len: 2, bits: [1, 2], about: 'Zero.' },
  { name: 'moreFragments', at: 2, len: 2, bits: [0, 1], about: 'Set in every fragment but the last.' },
  { name: 'fragmentId', at: 4, len: 4, about: 'The same in all fragments of one packet.' },
] as const satisfies readonly FieldSpec[];

/** Where the fragment belongs in the whole payload, in bytes. `at` is the fragment header's. */
export function fragmentOffset(b: Uint8Array, at: number): number {
  return u16(b, at + 2) & 0xfff8;
}

/** Do more fragments follow? `at` is the fragment header's. */
export function moreFragments(b: Uint8Array, at: number): boolean {
  return (b[at + 3]! & 1) !== 0;
}

/** What the fragments of one packet share. `at` is the fragment header's. */
export function fragmentId(b: Uint8Array, at: number): number {
  return u32(b, at + 4);
}

/** Is this a true piece? A lone fragment header with offset 0 and nothing to follow is a whole packet (RFC 6946). */
export function isFragment(b: Uint8Array, at: number): boolean {
  return (u16(b, at + 2) & 0xfff9) !== 0;
}

/** A walk over the headers of a packet. All offsets are absolute, in the array that was walked. */
class Walk {
  /** The upper-layer protocol. {@link FRAGMENT} for a later fragment, whose bytes are no header. */
  protocol = 0;
  /** Where the upper layer starts; for a later fragment, where its fragment header does. */
  at = 0;
  /** The byte that names {@link protocol}. */
  nextAt = 0;
  /** Where the fragment header starts, or -1. Of several, the first that makes the packet a true piece. */
  fragmentAt = -1;
  /** The byte that names the fragment header, or -1. */
  fragmentNextAt = -1;
  /** Where ESP goes in transport mode. */
  transportAt = 0;
  /** The byte that will say 50 then; what it said before becomes ESP's own next header. */
  transportNextAt = 0;

  /**
   * Walks the packet in `b[at..end)`, whose fixed header {@link ipv6.checkHeader} has passed.
   * @param end where the packet ends, or what is left of it
   * @returns the first fault, or `undefined` if every offset above is good and lies in `[at, end]`
   */
  run(b: Uint8Array, at: number, end: number): Fault | undefined {
    this.protocol = ipv6.nextHeader(b, at);
    this.at = at + ipv6.HEADER_LEN;
    this.nextAt = at + 6;
    this.fragmentAt = -1;
    this.fragmentNextAt = -1;
    this.transportAt = this.at;
    this.transportNextAt = this.nextAt;
    let clear = true; // still among what stays before ESP

    for (let count = 0; this.protocol !== AUTHENTICATION && isExtension(this.protocol); count++) {
      if (count === MAX_EXTENSIONS)
        return fault(this.at - at, `more than ${MAX_EXTENSIONS} extension headers`);
      // Eight bytes are the least that any of them has.
      const len = this.at + 8 > end ? 8 : extensionLen(b, this.protocol, this.at);
      if (this.at + len > end) {
        return fault(
          this.at - at,
          `extension header ${this.protocol} needs ${len} bytes, has ${end - this.at}`,
        );
      }
      const kind = this.protocol;
      if (kind === FRAGMENT) {
        if (this.fragmentAt < 0 || !isFragment(b, this.fragmentAt)) {
          this.fragmentAt = this.at;
          this.fragmentNextAt = this.nextAt;
        }
        // What follows is a piece from the middle, not the header that the next-header byte names.
        if (fragmentOffset(b, this.at) !== 0) return undefined;
      }
      clear &&= kind === HOP_BY_HOP || kind === ROUTING || kind === DESTINATION;
      this.protocol = b[this.at]!;
      this.nextAt = this.at;
      this.at += len;
      // Destination options stay clear only when a routing header moves this mark past them.
      if (clear && kind !== DESTINATION) {
        this.transportAt = this.at;
        this.transportNextAt = this.nextAt;
      }
    }
    return undefined;
  }
}

/** The one walk there is: what it found holds until it is run again. So no packet costs an allocation. */
export const walk = new Walk();

/** Is this the number of an extension header? ESP is not: what follows it is encrypted. */
export function isExtension(protocol: number): boolean {
  switch (protocol) {
    case HOP_BY_HOP:
    case ROUTING:
    case FRAGMENT:
    case AUTHENTICATION:
    case DESTINATION:
    case MOBILITY:
    case HIP:
    case SHIM6:
      return true;
    default:
      return false;
  }
}

/** Bytes of an extension header; never below 8. */
export function extensionLen(b: Uint8Array, protocol: number, at: number): number {
  if (protocol === FRAGMENT) return FRAGMENT_LEN;
  // RFC 4302 §2.2: AH counts words of 4 bytes, less two. IPv6 keeps it a multiple of 8 bytes.
  if (protocol === AUTHENTICATION) return Math.max(8, (b[at + 1]! + 2) * 4);
  return (b[at + 1]! + 1) * 8;
}

function fault(at: number, problem: string): Fault {
  return { layer: 'ipv6', at, problem };
}
