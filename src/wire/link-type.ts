/**
 * Link types of pcap and pcapng (the LINKTYPE_ registry): where IP starts in a captured frame.
 *
 * ```text
 *  0 null, 108 loop   | family, 4            | IP …
 *  1 Ethernet         | dst, 6 | src, 6 | type, 2 | IP …                               tags as in ethernet.ts
 *  12, 14, 101 raw    | IP …
 *  113 Linux cooked   | direction, 2 | arphrd, 2 | len, 2 | address, 8 | type, 2 | IP …
 *  276 Linux cooked 2 | type, 2 | 0, 2 | ifindex, 4 | arphrd, 2 | direction, 1 | len, 1 | address, 8 | IP …
 * ```
 *
 * `tcpdump -i any` writes Linux cooked captures; 113 is the older form.
 * @module
 */
import { u16, u32 } from '../base/bytes.ts';
import * as ethernet from './ethernet.ts';

/** BSD loopback: the address family in the byte order of the capturing host. */
export const LINK_NULL = 0;
export const LINK_ETHERNET = 1;
/** Raw IP, by the number that BSD's and Linux's libpcap used inside. */
export const LINK_RAW_BSD = 12;
/** Raw IP, by OpenBSD's number. */
export const LINK_RAW_OPENBSD = 14;
/** Raw IP, either version. */
export const LINK_RAW = 101;
/** OpenBSD loopback: the address family in network order. */
export const LINK_LOOP = 108;
/** Linux cooked capture, version 1. */
export const LINK_LINUX_SLL = 113;
export const LINK_IPV4 = 228;
export const LINK_IPV6 = 229;
/** Linux cooked capture, version 2. */
export const LINK_LINUX_SLL2 = 276;

const NAMES: ReadonlyMap<number, string> = new Map([
  [LINK_NULL, 'BSD loopback'],
  [LINK_ETHERNET, 'Ethernet'],
  [LINK_RAW_BSD, 'raw IP'],
  [LINK_RAW_OPENBSD, 'raw IP'],
  [LINK_RAW, 'raw IP'],
  [LINK_LOOP, 'OpenBSD loopback'],
  [LINK_LINUX_SLL, 'Linux cooked'],
  [LINK_IPV4, 'raw IPv4'],
  [LINK_IPV6, 'raw IPv6'],
  [LINK_LINUX_SLL2, 'Linux cooked v2'],
]);

/** Either IP version will do. */
const EITHER = 0;

/** Can {@link ipAt} read frames of this link type? */
export function isKnownLinkType(linkType: number): boolean {
  return NAMES.has(linkType);
}

/** The link type's name for people; one that is not known keeps its number. */
export function linkTypeName(linkType: number): string {
  return NAMES.get(linkType) ?? `link type ${linkType}`;
}

/**
 * Finds the IP header in the frame `b[at..end)`.
 * @returns its offset in `b`, where at least one byte lies that says version 4 or 6, as the link layer says too;
 * -1 when the frame carries no IP, is cut off before it, or its link type is not known
 */
export function ipAt(linkType: number, b: Uint8Array, at: number, end: number): number {
  switch (linkType) {
    case LINK_ETHERNET:
      return behindType(b, at + 12, end);
    case LINK_RAW:
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
      return withVersion(b, at, end, EITHER);
    case LINK_IPV4:
      return withVersion(b, at, end, 4);
    case LINK_IPV6:
      return withVersion(b, at, end, 6);
    case LINK_LINUX_SLL:
      return behindType(b, at + 14, end);
    case LINK_LINUX_SLL2:
      return behindSll2(b, at, end);
    case LINK_NULL:
    case LINK_LOOP:
      return behindFamily(b, at, end);
    default:
      return -1;
  }
}

/** `typeAt` is where an EtherType lies, or the first VLAN tag. */
function behindType(b: Uint8Array, typeAt: number, end: number): number {
  const last = ethernet.lastTypeAt(b, typeAt, end);
  return last < 0 ? -1 : withVersion(b, last + 2, end, versionOf(u16(b, last)));
}

/** Here the type is not next to the payload, so a tag's value and inner type start behind the whole header. */
function behindSll2(b: Uint8Array, at: number, end: number): number {
  if (end - at < 20) return -1;
  const type = u16(b, at);
  if (ethernet.isTag(type)) return behindType(b, at + 22, end);
  return withVersion(b, at + 20, end, versionOf(type));
}

function behindFamily(b: Uint8Array, at: number, end: number): number {
  if (end - at < 4) return -1;
  let family = u32(b, at);
  // Families are small numbers, so a large one is in the other byte order.
  if (family > 0xffff) family = swap(family);
  switch (family) {
    case 2:
      return withVersion(b, at + 4, end, 4);
    case 10: // Linux
    case 23: // Windows
    case 24: // NetBSD, OpenBSD
    case 28: // FreeBSD
    case 30: // macOS
      return withVersion(b, at + 4, end, 6);
    default:
      return -1;
  }
}

function swap(v: number): number {
  return ((v << 24) | ((v & 0xff00) << 8) | ((v >>> 8) & 0xff00) | (v >>> 24)) >>> 0;
}

/** The IP version that an EtherType announces; -1 for another protocol. */
function versionOf(etherType: number): number {
  if (etherType === ethernet.TYPE_IPV4) return 4;
  return etherType === ethernet.TYPE_IPV6 ? 6 : -1;
}

/** `at`, when the IP version there is `wanted`, or {@link EITHER} is; else -1. */
function withVersion(b: Uint8Array, at: number, end: number, wanted: number): number {
  if (at >= end) return -1;
  const version = b[at]! >>> 4;
  if (version !== 4 && version !== 6) return -1;
  return wanted === EITHER || version === wanted ? at : -1;
}
