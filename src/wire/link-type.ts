/**
 * Link types of pcap and pcapng (the LINKTYPE_ registry, https://www.tcpdump.org/linktypes.html): what a frame begins
 * with, and how what is behind that is to be read.
 *
 * ```text
 *  0 null, 108 loop   | family, 4            | IP …
 *  1 Ethernet         | dst, 6 | src, 6 | type, 2 | …
 *  9, 50 PPP          | ff 03, often left out | protocol, 1 or 2 | …       50 may be Cisco HDLC, by its first byte
 *  51 PPPoE           | version, type 11 | code | session, 2 | length, 2 | PPP …
 *  12, 14, 101 raw    | IP …
 *  104 Cisco HDLC     | address | control | type, 2 | …
 *  105 802.11         | control, 2 | duration, 2 | addresses … | LLC …      little-endian, as 127 and 192
 *  107 Frame Relay    | address, 2 to 4 | 03 | NLPID | …                   Cisco: a type, 2, behind the address
 *  109 enc            | family, 4 | SPI, 4 | flags, 4 | IP …               family in the order of the host
 *  113 Linux cooked   | direction, 2 | arphrd, 2 | len, 2 | address, 8 | type, 2 | …
 *  127 radiotap       | 0 | pad | len, 2 | present, 4 … | fields … | 802.11 …
 *  192 PPI            | version | flags | len, 2 | DLT, 4 | fields … | frame of that DLT …
 *  226 IPNET          | version | family | …, 24 in all | IP …
 *  239 NFLOG          | family | 0 | group, 2 | { len, 2 | type, 2 | value, padded to 4 } … type 9 holds IP
 *  242 IPoIB          | GRH, 40 | type, 2 | 0, 2 | …
 *  258 PKTAP          | len, 4 | record type, 4 | DLT, 4 | … | frame of that DLT …
 *  276 Linux cooked 2 | type, 2 | 0, 2 | ifindex, 4 | arphrd, 2 | direction, 1 | len, 1 | address, 8 | …
 * ```
 *
 * `tcpdump -i any` writes Linux cooked captures; 113 is the older form.
 * @module
 */
import { u16, u32 } from '../base/bytes.ts';
import * as ethernet from './ethernet.ts';
import type { Layer, LayerKind } from './layer.ts';

/** BSD loopback: the address family in the byte order of the capturing host. */
export const LINK_NULL = 0;
export const LINK_ETHERNET = 1;
/** PPP (RFC 1661), in HDLC-like framing (RFC 1662) where it begins so. */
export const LINK_PPP = 9;
/** Raw IP, by the number that BSD's and Linux's libpcap used inside. */
export const LINK_RAW_BSD = 12;
/** Raw IP, by OpenBSD's number. */
export const LINK_RAW_OPENBSD = 14;
/** PPP in HDLC-like framing, or Cisco's PPP (RFC 1547 §4.3.1). */
export const LINK_PPP_HDLC = 50;
/** PPPoE sessions (RFC 2516), without Ethernet. */
export const LINK_PPP_ETHER = 51;
/** Raw IP, either version. */
export const LINK_RAW = 101;
export const LINK_C_HDLC = 104;
export const LINK_IEEE802_11 = 105;
/** Frame Relay (RFC 2427). */
export const LINK_FRELAY = 107;
/** OpenBSD loopback: the address family in network order. */
export const LINK_LOOP = 108;
/** The enc interface of BSDs: packets as they come out of IPsec, and go in. */
export const LINK_ENC = 109;
/** Linux cooked capture, version 1. */
export const LINK_LINUX_SLL = 113;
export const LINK_RADIOTAP = 127;
/** PPP of pppd: the direction stands where 0xff was. */
export const LINK_PPP_PPPD = 166;
export const LINK_PPI = 192;
/** PPP with a byte in front that says which way. */
export const LINK_PPP_WITH_DIR = 204;
export const LINK_IPNET = 226;
export const LINK_IPV4 = 228;
export const LINK_IPV6 = 229;
/** Linux's netfilter log: what `tcpdump -i nflog:5` writes, strongSwan's way to see both sides of ESP. */
export const LINK_NFLOG = 239;
export const LINK_IPOIB = 242;
/** macOS: `tcpdump -i any`, and `-k`. */
export const LINK_PKTAP = 258;
/** Linux cooked capture, version 2. */
export const LINK_LINUX_SLL2 = 276;

const NAMES: ReadonlyMap<number, string> = new Map([
  [LINK_NULL, 'BSD loopback'],
  [LINK_ETHERNET, 'Ethernet'],
  [LINK_PPP, 'PPP'],
  [LINK_RAW_BSD, 'raw IP'],
  [LINK_RAW_OPENBSD, 'raw IP'],
  [LINK_PPP_HDLC, 'PPP in HDLC framing'],
  [LINK_PPP_ETHER, 'PPPoE'],
  [LINK_RAW, 'raw IP'],
  [LINK_C_HDLC, 'Cisco HDLC'],
  [LINK_IEEE802_11, 'IEEE 802.11'],
  [LINK_FRELAY, 'Frame Relay'],
  [LINK_LOOP, 'OpenBSD loopback'],
  [LINK_ENC, 'enc of a BSD'],
  [LINK_LINUX_SLL, 'Linux cooked'],
  [LINK_RADIOTAP, 'IEEE 802.11 with radiotap'],
  [LINK_PPP_PPPD, 'PPP of pppd'],
  [LINK_PPI, 'PPI'],
  [LINK_PPP_WITH_DIR, 'PPP with direction'],
  [LINK_IPNET, 'Solaris IPNET'],
  [LINK_IPV4, 'raw IPv4'],
  [LINK_IPV6, 'raw IPv6'],
  [LINK_NFLOG, 'Linux NFLOG'],
  [LINK_IPOIB, 'IP over InfiniBand'],
  [LINK_PKTAP, 'Apple PKTAP'],
  [LINK_LINUX_SLL2, 'Linux cooked v2'],
]);

/** Link types that captures have beside those with IP, so that what is not read has a name. */
const OTHERS: ReadonlyMap<number, string> = new Map([
  [6, 'Token Ring'],
  [10, 'FDDI'],
  [119, 'Prism'],
  [143, 'DOCSIS'],
  [163, 'AVS'],
  [187, 'Bluetooth HCI'],
  [189, 'USB, Linux'],
  [195, 'IEEE 802.15.4'],
  [201, 'Bluetooth HCI'],
  [220, 'USB, Linux'],
  [227, 'CAN'],
  [230, 'IEEE 802.15.4'],
  [231, 'D-Bus'],
  [247, 'InfiniBand'],
  [249, 'USB, Windows'],
  [251, 'Bluetooth LE'],
  [253, 'netlink'],
  [256, 'Bluetooth LE'],
  [266, 'USB, macOS'],
  [271, 'vsock'],
]);

/** Can {@link readLink} read frames of this link type? */
export function isKnownLinkType(linkType: number): boolean {
  return NAMES.has(linkType);
}

/** The link type's name for people; one that is not known keeps its number. */
export function linkTypeName(linkType: number): string {
  const name = NAMES.get(linkType);
  if (name !== undefined) return name;
  const other = OTHERS.get(linkType);
  return `link type ${linkType}${other ? ` (${other})` : ''}`;
}

/** Reads what the frame `b[at..end)` begins with. */
export function readLink(out: Layer, linkType: number, b: Uint8Array, at: number, end: number): void {
  switch (linkType) {
    case LINK_ETHERNET:
      if (end - at < ethernet.HEADER_LEN) out.broken('eth');
      else out.carries('eth', at + 14, end, 'ethertype', u16(b, at + 12));
      return;
    case LINK_RAW:
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
      out.carries('ip', at, end, 'ip', 0);
      return;
    case LINK_IPV4:
      out.carries('ip', at, end, 'ip', 4);
      return;
    case LINK_IPV6:
      out.carries('ip', at, end, 'ip', 6);
      return;
    case LINK_LINUX_SLL:
      if (end - at < 16) out.broken('sll');
      else readCooked(out, u16(b, at + 14), at + 16, end);
      return;
    case LINK_LINUX_SLL2:
      if (end - at < 20) out.broken('sll');
      else readCooked(out, u16(b, at), at + 20, end);
      return;
    case LINK_NULL:
    case LINK_LOOP:
      readFamily(out, 'null', b, at, at + 4, end);
      return;
    case LINK_ENC:
      readFamily(out, 'enc', b, at, at + 12, end);
      return;
    case LINK_PPP:
      readPpp(out, b, at, end);
      return;
    case LINK_PPP_HDLC:
      if (at < end && (b[at] === 0x0f || b[at] === 0x8f)) readCiscoHdlc(out, b, at, end);
      else readPpp(out, b, at, end);
      return;
    case LINK_PPP_PPPD:
      // The address byte, 0xff, gave way to the direction; its control byte is still there.
      out.carries('ppp', at + (at + 1 < end && b[at + 1] === 3 ? 2 : 0), end, 'ppp', 0);
      return;
    case LINK_PPP_WITH_DIR:
      out.carries('direction', at + 1, end, 'link', LINK_PPP);
      return;
    case LINK_PPP_ETHER:
      readPppoe(out, b, at, end);
      return;
    case LINK_C_HDLC:
      readCiscoHdlc(out, b, at, end);
      return;
    case LINK_FRELAY:
      readFrameRelay(out, b, at, end);
      return;
    case LINK_IEEE802_11:
      readWlan(out, b, at, end, false);
      return;
    case LINK_RADIOTAP:
      readRadiotap(out, b, at, end);
      return;
    case LINK_PPI:
      readPpi(out, b, at, end);
      return;
    case LINK_PKTAP:
      readPktap(out, b, at, end);
      return;
    case LINK_IPNET:
      readIpnet(out, b, at, end);
      return;
    case LINK_NFLOG:
      readNflog(out, b, at, end);
      return;
    case LINK_IPOIB:
      if (end - at < GRH_LEN + 4) out.broken('ipoib');
      else out.carries('ipoib', at + GRH_LEN + 4, end, 'ethertype', u16(b, at + GRH_LEN));
      return;
    default:
      out.unknown(linkTypeName(linkType));
  }
}

/** Linux's numbers below those of Ethernet: of frames that begin with LLC, … */
export const COOKED_LLC = 4;

function readCooked(out: Layer, type: number, at: number, end: number): void {
  if (type === COOKED_LLC) out.carries('sll', at, end, 'llc', 0);
  // … and of what has no IP, such as CAN.
  else if (type < ethernet.MIN_TYPE) out.nothing();
  else out.carries('sll', at, end, 'ethertype', type);
}

function readFamily(
  out: Layer,
  kind: LayerKind,
  b: Uint8Array,
  at: number,
  behind: number,
  end: number,
): void {
  if (behind > end) {
    out.broken(kind);
    return;
  }
  let family = u32(b, at);
  // Families are small numbers, so a large one is in the other byte order.
  if (family > 0xffff) family = swap(family);
  switch (family) {
    case 2:
      out.carries(kind, behind, end, 'ip', 4);
      return;
    case 10: // Linux
    case 23: // Windows
    case 24: // NetBSD, OpenBSD
    case 28: // FreeBSD
    case 30: // macOS
      out.carries(kind, behind, end, 'ip', 6);
      return;
    default:
      out.nothing();
  }
}

function swap(v: number): number {
  return ((v << 24) | ((v & 0xff00) << 8) | ((v >>> 8) & 0xff00) | (v >>> 24)) >>> 0;
}

/** The address and control bytes of HDLC-like framing (RFC 1662 §3.1), which peers may agree to leave out. */
function readPpp(out: Layer, b: Uint8Array, at: number, end: number): void {
  const hasFraming = end - at >= 2 && b[at] === 0xff && b[at + 1] === 3;
  out.carries('ppp', hasFraming ? at + 2 : at, end, 'ppp', 0);
}

/** The header of a PPPoE session (RFC 2516 §4). */
export function readPppoe(out: Layer, b: Uint8Array, at: number, end: number): void {
  if (end - at < 6 || b[at] !== 0x11) {
    out.broken('pppoe');
    return;
  }
  // Code 0 is a session; the others set it up.
  if (b[at + 1] !== 0) out.nothing();
  else out.carries('pppoe', at + 6, Math.min(end, at + 6 + u16(b, at + 4)), 'ppp', 0, u16(b, at + 2));
}

function readCiscoHdlc(out: Layer, b: Uint8Array, at: number, end: number): void {
  if (end - at < 4) out.broken('chdlc');
  else out.carries('chdlc', at + 4, end, 'ethertype', u16(b, at + 2));
}

/** Network layer protocol identifiers (ISO 9577). */
const NLPID_SNAP = 0x80;
const NLPID_IPV6 = 0x8e;
const NLPID_IPV4 = 0xcc;
const NLPID_PPP = 0xcf;

function readFrameRelay(out: Layer, b: Uint8Array, at: number, end: number): void {
  // Q.922: the lowest bit is set in the last byte of the address.
  let next = at;
  while (next < end && next - at < 4 && (b[next]! & 1) === 0) next++;
  next++;
  if (end - next < 2 || next - at < 2 || next - at > 4) {
    out.broken('fr');
    return;
  }
  if (b[next] !== 3) {
    // Cisco's way: a type of Ethernet instead of UI and NLPID.
    out.carries('fr', next + 2, end, 'ethertype', u16(b, next));
    return;
  }
  next++;
  // RFC 2427 §3: a byte of padding where what follows is to be aligned.
  if (b[next] === 0) next++;
  const nlpid = next < end ? b[next]! : 0;
  next++;
  if (nlpid === NLPID_IPV4) out.carries('fr', next, end, 'ip', 4);
  else if (nlpid === NLPID_IPV6) out.carries('fr', next, end, 'ip', 6);
  else if (nlpid === NLPID_PPP) out.carries('fr', next, end, 'ppp', 0);
  else if (nlpid !== NLPID_SNAP) out.nothing();
  else if (end - next < 5) out.broken('fr');
  else if (b[next] === 0 && u16(b, next + 1) === 0)
    out.carries('fr', next + 5, end, 'ethertype', u16(b, next + 3));
  else out.unknown('Frame Relay with bridged frames');
}

const WLAN_DATA = 2;
const WLAN_NO_DATA = 4;
const WLAN_QOS = 8;

/** @param isPadded the header is filled up to a multiple of four bytes, as some radios do */
export function readWlan(out: Layer, b: Uint8Array, at: number, end: number, isPadded: boolean): void {
  if (end - at < 2) {
    out.broken('wlan');
    return;
  }
  const subtype = b[at]! >>> 4;
  const flags = b[at + 1]!;
  if (((b[at]! >>> 2) & 3) !== WLAN_DATA || (subtype & WLAN_NO_DATA) !== 0) {
    out.nothing();
    return;
  }
  const hasQos = (subtype & WLAN_QOS) !== 0;
  const qosAt = at + 24 + ((flags & 3) === 3 ? 6 : 0);
  // The order bit of a QoS frame announces the HT control field.
  let len = qosAt - at + (hasQos ? 2 : 0) + (hasQos && (flags & 0x80) !== 0 ? 4 : 0);
  if (isPadded) len = (len + 3) & ~3;
  if (at + len > end) out.broken('wlan');
  else if ((flags & 0x40) !== 0) out.unknown('encrypted IEEE 802.11');
  else if ((flags & 4) !== 0 || (b[at + 22]! & 0xf) !== 0) out.unknown('fragments of IEEE 802.11');
  else if (hasQos && (b[qosAt]! & 0x80) !== 0) out.unknown('aggregates (A-MSDU) of IEEE 802.11');
  else out.carries('wlan', at + len, end, 'llc', 0);
}

/** Of the field `Flags` in radiotap. */
const RADIOTAP_PADDED = 0x20;

/** https://www.radiotap.org: fields lie in the order of their bits, each at a multiple of its own size. */
function readRadiotap(out: Layer, b: Uint8Array, at: number, end: number): void {
  const len = end - at < 8 ? 0 : u16le(b, at + 2);
  if (len < 8 || b[at] !== 0 || at + len > end) {
    out.broken('radiotap');
    return;
  }
  let fieldsAt = at + 8;
  for (let word = at + 4; (b[word + 3]! & 0x80) !== 0 && fieldsAt + 4 <= at + len; word += 4) fieldsAt += 4;
  const hasTime = (b[at + 4]! & 1) !== 0;
  const flagsAt = hasTime ? at + ((fieldsAt - at + 7) & ~7) + 8 : fieldsAt;
  const hasFlags = (b[at + 4]! & 2) !== 0 && flagsAt < at + len;
  const isPadded = hasFlags && (b[flagsAt]! & RADIOTAP_PADDED) !== 0;
  out.carries('radiotap', at + len, end, 'wlan', isPadded ? 1 : 0);
}

function readPpi(out: Layer, b: Uint8Array, at: number, end: number): void {
  const len = end - at < 8 ? 0 : u16le(b, at + 2);
  if (len < 8) out.broken('ppi');
  else out.carries('ppi', at + len, end, 'link', u32le(b, at + 4));
}

/** A packet, among the records of PKTAP. */
const PKTAP_PACKET = 1;

function readPktap(out: Layer, b: Uint8Array, at: number, end: number): void {
  const len = end - at < 12 ? 0 : u32le(b, at);
  if (len < 12 || len > end - at) out.broken('pktap');
  else if (u32le(b, at + 4) !== PKTAP_PACKET) out.nothing();
  else out.carries('pktap', at + len, end, 'link', u32le(b, at + 8));
}

/** Solaris's AF_INET and AF_INET6. */
const SOLARIS_INET = 2;
const SOLARIS_INET6 = 26;

function readIpnet(out: Layer, b: Uint8Array, at: number, end: number): void {
  if (end - at < 24) out.broken('ipnet');
  else if (b[at + 1] === SOLARIS_INET) out.carries('ipnet', at + 24, end, 'ip', 4);
  else if (b[at + 1] === SOLARIS_INET6) out.carries('ipnet', at + 24, end, 'ip', 6);
  else out.nothing();
}

const NFULA_PAYLOAD = 9;
/** What the two highest bits of a type say is not a part of it. */
const NFULA_TYPE = 0x3fff;

function readNflog(out: Layer, b: Uint8Array, at: number, end: number): void {
  if (end - at < 8) {
    out.broken('nflog');
    return;
  }
  // Lengths and types are in the order of the host, which shows in the first of them: both are small.
  const isLittle = u16le(b, at + 4) <= end - at - 4 && u16le(b, at + 6) < 0x100;
  const read = isLittle ? u16le : u16;
  for (let tlv = at + 4; tlv + 4 <= end; ) {
    const len = read(b, tlv);
    if (len < 4) break;
    if ((read(b, tlv + 2) & NFULA_TYPE) === NFULA_PAYLOAD) {
      const version = b[at] === 2 ? 4 : b[at] === 10 ? 6 : 0;
      out.carries('nflog', tlv + 4, Math.min(end, tlv + len), 'ip', version);
      return;
    }
    tlv += (len + 3) & ~3;
  }
  out.nothing();
}

/** The global route header of InfiniBand. */
const GRH_LEN = 40;
function u16le(b: Uint8Array, at: number): number {
  return b[at]! | (b[at + 1]! << 8);
}

function u32le(b: Uint8Array, at: number): number {
  return (b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)) >>> 0;
}
