/**
 * Ethernet II frames, with VLAN tags (IEEE 802.1Q and 802.1ad, and the older 0x9100), without FCS.
 *
 * ```text
 *  0               6               12      14
 * +---------------+---------------+-------+----------------
 * |  Destination  |    Source     | Type  | Payload …
 * +---------------+---------------+-------+----------------
 *                                 | 8100  | TCI   | Type  | Payload …     with one tag
 * ```
 *
 * A tag pushes the type, and all behind it, four bytes back. The type that counts is the last one.
 *
 * What else a frame may carry is in `carrier.ts`.
 * @module
 */
import { putU16, u16 } from '../base/bytes.ts';
import { type Fault, WireError } from '../base/errors.ts';
import type { FieldSpec } from './field.ts';

export const HEADER_LEN = 14;
export const ADDRESS_LEN = 6;
export const DST_AT = 0;
export const SRC_AT = 6;
/** Bytes that a VLAN tag adds. */
export const TAG_LEN = 4;
/** More stacked tags than this are taken for garbage; providers use two. */
export const MAX_TAGS = 4;

export const TYPE_IPV4 = 0x0800;
export const TYPE_ARP = 0x0806;
export const TYPE_IPV6 = 0x86dd;
/** IEEE 802.1Q: a customer's VLAN tag. */
export const TYPE_VLAN = 0x8100;
/** IEEE 802.1ad: a provider's tag before the customer's. */
export const TYPE_QINQ = 0x88a8;
/** What switches used before 802.1ad. */
export const TYPE_QINQ_OLD = 0x9100;
/** Smaller values are no type but the length of an IEEE 802.3 frame. */
export const MIN_TYPE = 0x0600;

/** Field map of an untagged header. */
export const FIELDS = [
  { name: 'dst', at: 0, len: 6, about: 'Station on this link that should take the frame.' },
  { name: 'src', at: 6, len: 6, about: 'Station on this link that sent it.' },
  { name: 'type', at: 12, len: 2, about: 'What follows: 0x0800 IPv4, 0x86dd IPv6, 0x8100 a VLAN tag.' },
] as const satisfies readonly FieldSpec[];

/** One VLAN tag. */
export interface Tag {
  /** {@link TYPE_VLAN}, {@link TYPE_QINQ} or {@link TYPE_QINQ_OLD}. */
  readonly type: number;
  /** Priority (3 bits), drop eligible (1), VLAN id (12). */
  readonly tci: number;
}

export interface Header {
  readonly dst: Uint8Array;
  readonly src: Uint8Array;
  /** Outermost first. */
  readonly tags: readonly Tag[];
  /** The type behind all tags. */
  readonly type: number;
}

/**
 * Proves that the header and all its tags lie in `b[at..end)`.
 * @returns the first fault, or `undefined` if every accessor is safe
 */
export function check(b: Uint8Array, at = 0, end = b.length): Fault | undefined {
  if (end - at < HEADER_LEN)
    return fault(0, `header needs ${HEADER_LEN} bytes, has ${Math.max(0, end - at)}`);
  let typeAt = at + 12;
  for (let tags = 0; isTag(u16(b, typeAt)); tags++) {
    if (tags === MAX_TAGS) return fault(typeAt - at, `more than ${MAX_TAGS} VLAN tags`);
    if (end - typeAt < TAG_LEN + 2) return fault(typeAt - at, 'VLAN tag is cut off');
    typeAt += TAG_LEN;
  }
  return undefined;
}

/** The first type field: a tag's, when there is one. */
export function type(b: Uint8Array, at = 0): number {
  return u16(b, at + 12);
}

/** The type behind all tags; below {@link MIN_TYPE} it is the length of an 802.3 frame. */
export function etherType(b: Uint8Array, at = 0): number {
  return u16(b, lastTypeAt(b, at + 12, b.length));
}

/** Offset in `b` of what the frame carries, behind all tags. */
export function payloadAt(b: Uint8Array, at = 0): number {
  return lastTypeAt(b, at + 12, b.length) + 2;
}

/**
 * Follows VLAN tags from a type field at `typeAt` to the type behind the last tag.
 *
 * Linux cooked captures have tags after their own header, so this does not ask for an Ethernet header.
 * @returns the offset of that type in `b`, or -1 when tags run past `end` or are more than `most`
 */
export function lastTypeAt(b: Uint8Array, typeAt: number, end: number, most = MAX_TAGS): number {
  for (let tags = 0; tags <= most; tags++) {
    const at = typeAt + tags * TAG_LEN;
    if (at + 2 > end) return -1;
    if (!isTag(u16(b, at))) return at;
  }
  return -1;
}

/** Is this the type of a VLAN tag? */
export function isTag(type: number): boolean {
  return type === TYPE_VLAN || type === TYPE_QINQ || type === TYPE_QINQ_OLD;
}

/**
 * Reads the header and its tags.
 * @throws {WireError} if {@link check} finds a fault
 */
export function parse(b: Uint8Array, at = 0, end = b.length): Header {
  const bad = check(b, at, end);
  if (bad) throw new WireError(bad);
  const tags: Tag[] = [];
  let typeAt = at + 12;
  for (; isTag(u16(b, typeAt)); typeAt += TAG_LEN) {
    tags.push({ type: u16(b, typeAt), tci: u16(b, typeAt + 2) });
  }
  return {
    dst: b.slice(at, at + ADDRESS_LEN),
    src: b.slice(at + SRC_AT, at + SRC_AT + ADDRESS_LEN),
    tags,
    type: u16(b, typeAt),
  };
}

/** Writes header and tags at `at`, and returns how many bytes they take. */
export function emit(h: Header, out: Uint8Array, at = 0): number {
  out.set(h.dst, at + DST_AT);
  out.set(h.src, at + SRC_AT);
  let typeAt = at + 12;
  for (const tag of h.tags) {
    putU16(out, typeAt, tag.type);
    putU16(out, typeAt + 2, tag.tci);
    typeAt += TAG_LEN;
  }
  putU16(out, typeAt, h.type);
  return typeAt + 2 - at;
}

function fault(at: number, problem: string): Fault {
  return { layer: 'ethernet', at, problem };
}
