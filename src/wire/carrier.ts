/**
 * What carries IP packets, between the first header of a frame and the packet, and inside other IP packets.
 *
 * ```text
 *  MPLS      RFC 3032   | label, 20 bits | class, 3 | last, 1 | TTL, 8 | …        then IP by its version, or RFC 4385
 *  802.1ah              | I-TCI, 4 | Ethernet …
 *  VN-Tag               | tag, 4 | type, 2 | …
 *  LLC       IEEE 802.2 | DSAP | SSAP | control | …     SNAP: aa aa 03 | OUI, 3 | type, 2 | …
 *  AH        RFC 4302   | next | words - 2 | 0, 2 | SPI, 4 | number, 4 | ICV … | what `next` says
 *  GRE       RFC 2784   | flags, version, 2 | type, 2 | checksum, 4 | key, 4 | number, 4 | …    RFC 2890; RFC 2637
 *  EtherIP   RFC 3378   | 30 00 | Ethernet …
 *  VXLAN     RFC 7348   vxlan.ts; VXLAN-GPE names what follows in the byte before the VNI
 *  Geneve    RFC 8926   | version, 2 bits; words of options, 6 | flags | type, 2 | VNI, 3 | 0 | options … | …
 *  GTP-U     TS 29.281  | flags | type | length, 2 | TEID, 4 | number, 2 | N-PDU | next extension | extensions … | IP …
 *  Teredo    RFC 4380   | authentication, or origin … | IPv6 …
 * ```
 *
 * Not looked into, but named: {@link Layer.what}.
 * @module
 */
import { u16, u24, u32 } from '../base/bytes.ts';
import * as ah from './ah.ts';
import * as ethernet from './ethernet.ts';
import * as geneve from './geneve.ts';
import * as ipv4 from './ipv4.ts';
import * as ipv6 from './ipv6.ts';
import { AUTHENTICATION } from './ipv6-extensions.ts';
import { type As, Layer, type LayerKind } from './layer.ts';
import { LINK_ETHERNET, LINK_PPP, readLink, readPppoe, readWlan } from './link-type.ts';
import * as tcp from './tcp.ts';
import * as udp from './udp.ts';
import * as vxlan from './vxlan.ts';

/** Headers that a frame may have before an IP packet, or between two: more are taken for an attack. */
export const MOST_HEADERS = 32;

const PROTOCOL_GRE = 47;
const PROTOCOL_ETHERIP = 97;
const PROTOCOL_IPIP = 94;
const PROTOCOL_MPLS = 137;
/** SRv6's Ethernet (RFC 8986). */
const PROTOCOL_ETHERNET = 143;

const PORT_GTPU = 2152;
const PORT_TEREDO = 3544;
const PORT_VXLAN_GPE = 4790;
const PORT_MPLS = 6635;
const PORT_GRE = 4754;
const PORT_LISP = 4341;
const PORT_L2TP = 1701;
const PORT_GUE = 6080;
const PORTS_CAPWAP = [5246, 5247];

const TYPE_TEB = 0x6558;
const TYPE_PPP = 0x880b;
const TYPE_MPLS = 0x8847;
const TYPE_MPLS_MULTICAST = 0x8848;
const TYPE_PPPOE = 0x8864;
const TYPE_PBB = 0x88e7;
const TYPE_VNTAG = 0x8926;
const TYPE_ERSPAN = 0x88be;
const TYPE_ERSPAN_3 = 0x22eb;

/** IEEE's and others' types of what is not looked into. */
const NAMED_TYPES: ReadonlyMap<number, string> = new Map([
  [0x22f3, 'TRILL'],
  [0x883e, 'WCCP'],
  [0x88e5, 'MACsec'],
  [0x894f, 'NSH'],
]);

/** Types of what carries no IP: address resolution, discovery, link control, time, storage, old networks. */
const PLAIN_TYPES: ReadonlySet<number> = new Set([
  ...[0x0806, 0x0842, 0x2000, 0x2003, 0x2004, 0x8035, 0x809b, 0x80f3, 0x8137, 0x8808, 0x8809, 0x8863],
  ...[0x887b, 0x888e, 0x8892, 0x8899, 0x88a2, 0x88a4, 0x88ab, 0x88b5, 0x88b6, 0x88ba, 0x88c7, 0x88ca],
  ...[0x88cc, 0x88cd, 0x88d9, 0x88e1, 0x88e3, 0x88f5, 0x88f6, 0x88f7, 0x88fb, 0x8902, 0x8906, 0x890d],
  ...[0x8914, 0x893a, 0x9000],
]);

/** IANA's protocols that are not looked into. */
const NAMED_PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [55, 'minimal encapsulation'],
  [98, 'encapsulation header'],
  [108, 'IPComp'],
  [115, 'L2TPv3'],
  [142, 'ROHC'],
  [144, 'AGGFRAG'],
]);

/** Protocols that carry no IP: control, transport and routing. 255 is what sniffers put where there is none. */
const PLAIN_PROTOCOLS: ReadonlySet<number> = new Set([
  ...[1, 2, 3, 8, 9, 27, 33, 36, 45, 46, 54, 58, 59, 88, 89, 103, 112, 132, 136, 255],
]);

/** What may carry IP, for filters: EtherTypes, protocols of IP, and UDP ports. Readers know more, by their looks. */
export const CARRIER_TYPES: readonly number[] = [
  ...[ethernet.TYPE_VLAN, ethernet.TYPE_QINQ, ethernet.TYPE_QINQ_OLD],
  ...[TYPE_MPLS, TYPE_MPLS_MULTICAST, TYPE_PPPOE, TYPE_PBB, TYPE_VNTAG],
];
export const CARRIER_PROTOCOLS: readonly number[] = [
  ...[ipv4.PROTOCOL, ipv6.PROTOCOL, AUTHENTICATION, PROTOCOL_GRE, PROTOCOL_ETHERIP],
  ...[PROTOCOL_IPIP, PROTOCOL_MPLS, PROTOCOL_ETHERNET],
];
export const CARRIER_PORTS: readonly number[] = [
  ...[vxlan.PORT_LINUX, vxlan.PORT, geneve.PORT, PORT_GTPU, PORT_TEREDO, PORT_VXLAN_GPE, PORT_MPLS, PORT_GRE],
];

/** Reads the header at `b[at..end)`, which is to be read so. Never called for `ip`: that is where this ends. */
export function readLayer(out: Layer, as: As, value: number, b: Uint8Array, at: number, end: number): void {
  switch (as) {
    case 'link':
      readLink(out, value, b, at, end);
      return;
    case 'ethertype':
      readEtherType(out, value, b, at, end);
      return;
    case 'llc':
      readLlc(out, b, at, end);
      return;
    case 'wlan':
      readWlan(out, b, at, end, value === 1);
      return;
    case 'ppp':
      readPppProtocol(out, b, at, end);
      return;
    case 'protocol':
      readProtocol(out, value, b, at, end);
      return;
    case 'ip':
      out.nothing();
  }
}

/** Follows the headers of one frame, or those inside one IP packet, to the next IP packet. */
export class Descent {
  readonly layer = new Layer();
  #headers = 0;

  /** Begins at `b[at..end)`. */
  start(as: As, value: number, at: number, end: number): void {
    const { layer } = this;
    layer.outcome = 'carries';
    layer.as = as;
    layer.value = value;
    layer.at = at;
    layer.end = end;
    this.#headers = 0;
  }

  /** Reads one more header. Only while the last one carries something that is not IP. */
  next(b: Uint8Array): void {
    const { layer } = this;
    if (++this.#headers > MOST_HEADERS) layer.unknown(`more than ${MOST_HEADERS} headers in one another`);
    else readLayer(layer, layer.as, layer.value, b, layer.at, layer.end);
  }

  /** Has an IP packet been reached, whose first byte says what the header before it said? */
  isAtIp(b: Uint8Array): boolean {
    const { layer } = this;
    return layer.outcome === 'carries' && layer.as === 'ip' && isIp(layer, b);
  }
}

function isIp({ at, end, value }: Layer, b: Uint8Array): boolean {
  if (at >= end) return false;
  const version = b[at]! >>> 4;
  return value === 0 ? version === 4 || version === 6 : version === value;
}

const descent = new Descent();

/**
 * Finds the IP header in the frame `b[at..end)`.
 * @returns its offset in `b`, where at least one byte lies that says version 4 or 6, as the header before it says too;
 * -1 when the frame carries no IP, is cut off before it, or what it carries is not known
 */
export function ipAt(linkType: number, b: Uint8Array, at: number, end: number): number {
  descent.start('link', linkType, at, end);
  const { layer } = descent;
  while (layer.outcome === 'carries' && layer.as !== 'ip') descent.next(b);
  return descent.isAtIp(b) ? layer.at : -1;
}

function readEtherType(out: Layer, type: number, b: Uint8Array, at: number, end: number): void {
  switch (type) {
    case ethernet.TYPE_IPV4:
      out.carries('ip', at, end, 'ip', 4);
      return;
    case ethernet.TYPE_IPV6:
      out.carries('ip', at, end, 'ip', 6);
      return;
    case ethernet.TYPE_VLAN:
    case ethernet.TYPE_QINQ:
    case ethernet.TYPE_QINQ_OLD: {
      // The first tag's type lies elsewhere in Linux cooked captures: the next ones follow its value.
      const last = at + 4 > end ? -1 : ethernet.lastTypeAt(b, at + 2, end, ethernet.MAX_TAGS - 1);
      if (last < 0) out.broken('vlan');
      else out.carries('vlan', last + 2, end, 'ethertype', u16(b, last), u16(b, at) & 0xfff);
      return;
    }
    case TYPE_MPLS:
    case TYPE_MPLS_MULTICAST:
      readMpls(out, b, at, end);
      return;
    case TYPE_PPPOE:
      readPppoe(out, b, at, end);
      return;
    case TYPE_PBB:
      out.carries('pbb', at + 4, end, 'link', LINK_ETHERNET, u24(b, at + 1));
      return;
    case TYPE_VNTAG:
      if (end - at < 6) out.broken('vntag');
      else out.carries('vntag', at + 6, end, 'ethertype', u16(b, at + 4));
      return;
    case TYPE_TEB:
      out.carries('eth', at, end, 'link', LINK_ETHERNET);
      return;
    default:
      if (type < ethernet.MIN_TYPE) out.carries('llc', at, Math.min(end, at + type), 'llc', 0);
      else if (PLAIN_TYPES.has(type)) out.nothing();
      else out.unknown(named(NAMED_TYPES.get(type), `EtherType 0x${type.toString(16).padStart(4, '0')}`));
  }
}

const SAP_IP = 0x06;
const SAP_SNAP = 0xaa;
/** Unnumbered information. */
const LLC_UI = 3;

function readLlc(out: Layer, b: Uint8Array, at: number, end: number): void {
  if (end - at < 3) {
    out.broken('llc');
    return;
  }
  const sap = b[at]!;
  if (b[at + 2] !== LLC_UI) out.nothing();
  else if (sap === SAP_IP) out.carries('llc', at + 3, end, 'ip', 4);
  else if (sap !== SAP_SNAP) out.nothing();
  else if (end - at < 8) out.broken('llc');
  else {
    const oui = u24(b, at + 3);
    // 0000f8: Ethernet types of old, where a bridge has to tell them from its own.
    if (oui === 0 || oui === 0xf8) out.carries('llc', at + 8, end, 'ethertype', u16(b, at + 6));
    else out.nothing();
  }
}

/** RFC 1661 §2: two bytes, or one where peers have agreed to that. */
function readPppProtocol(out: Layer, b: Uint8Array, at: number, end: number): void {
  const isShort = at < end && (b[at]! & 1) === 1;
  const next = at + (isShort ? 1 : 2);
  if (next > end) {
    out.broken('ppp');
    return;
  }
  const protocol = isShort ? b[at]! : u16(b, at);
  switch (protocol) {
    case 0x21:
      out.carries('ppp', next, end, 'ip', 4);
      return;
    case 0x57:
      out.carries('ppp', next, end, 'ip', 6);
      return;
    case 0x281:
      out.carries('ppp', next, end, 'ethertype', TYPE_MPLS);
      return;
    case 0x283:
      out.carries('ppp', next, end, 'ethertype', TYPE_MPLS_MULTICAST);
      return;
    case 0x31:
      out.unknown('bridged PPP');
      return;
    case 0x3d:
      out.unknown('multilink PPP');
      return;
    case 0x53:
    case 0x55:
      out.unknown('encrypted PPP');
      return;
    case 0xfb:
    case 0xfd:
      out.unknown('compressed PPP');
      return;
    default:
      // What sets up and watches the link has numbers from 0x8000 on; the others are other networks.
      out.nothing();
  }
}

/** The label stack, and by its first four bits what follows (RFC 4385 §3, RFC 4928 §3). */
function readMpls(out: Layer, b: Uint8Array, at: number, end: number): void {
  let next = at;
  do {
    if (next + 4 > end || next - at === 4 * MOST_HEADERS) {
      out.broken('mpls');
      return;
    }
    next += 4;
  } while ((b[next - 2]! & 1) === 0);
  const label = u24(b, next - 4) >>> 4;
  const first = next < end ? b[next]! >>> 4 : -1;
  if (first === 4 || first === 6) out.carries('mpls', next, end, 'ip', first, label);
  // A pseudowire: Ethernet behind a control word, or without one where its addresses cannot be taken for IP.
  else if (first === 0 && hasIp(b, next + 4, end))
    out.carries('mpls', next + 4, end, 'link', LINK_ETHERNET, label);
  else if (hasIp(b, next, end)) out.carries('mpls', next, end, 'link', LINK_ETHERNET, label);
  else out.unknown('MPLS without IP');
}

/** Is this an Ethernet frame with IP in it, by its type and by the first byte behind it? */
function hasIp(b: Uint8Array, at: number, end: number): boolean {
  const last = ethernet.lastTypeAt(b, at + 12, end);
  if (last < 0 || last + 2 >= end) return false;
  const version = b[last + 2]! >>> 4;
  const type = u16(b, last);
  return type === ethernet.TYPE_IPV4 ? version === 4 : type === ethernet.TYPE_IPV6 && version === 6;
}

/** What an IP header names as its next protocol. ESP itself is for `EspPlace`. */
function readProtocol(out: Layer, protocol: number, b: Uint8Array, at: number, end: number): void {
  switch (protocol) {
    case udp.PROTOCOL:
      readUdp(out, b, at, end);
      return;
    case tcp.PROTOCOL:
      if (end - at >= 20 && isOnPort(b, at, udp.PORT_ESP) && end > at + tcp.headerLen(b, at))
        out.unknown('TCP on port 4500, which may hold ESP (RFC 9329)');
      else out.nothing();
      return;
    case ipv4.PROTOCOL:
    case PROTOCOL_IPIP:
      out.carries('ip', at, end, 'ip', 4);
      return;
    case ipv6.PROTOCOL:
      out.carries('ip', at, end, 'ip', 6);
      return;
    case AUTHENTICATION:
      if (end - at < ah.MIN_LEN || ah.headerLen(b, at) < ah.MIN_LEN) out.broken('ah');
      else out.carries('ah', at + ah.headerLen(b, at), end, 'protocol', b[at]!);
      return;
    case PROTOCOL_GRE:
      readGre(out, b, at, end);
      return;
    case PROTOCOL_ETHERIP:
      if (end - at < 2 || b[at]! >>> 4 !== 3) out.broken('etherip');
      else out.carries('etherip', at + 2, end, 'link', LINK_ETHERNET);
      return;
    case PROTOCOL_MPLS:
      readMpls(out, b, at, end);
      return;
    case PROTOCOL_ETHERNET:
      out.carries('eth', at, end, 'link', LINK_ETHERNET);
      return;
    default:
      if (PLAIN_PROTOCOLS.has(protocol)) out.nothing();
      else out.unknown(named(NAMED_PROTOCOLS.get(protocol), `IP protocol ${protocol}`));
  }
}

const GRE_CHECKSUM = 0x8000;
const GRE_ROUTING = 0x4000;
const GRE_KEY = 0x2000;
const GRE_NUMBER = 0x1000;
/** Of version 1. */
const GRE_ACKNOWLEDGED = 0x0080;

function readGre(out: Layer, b: Uint8Array, at: number, end: number): void {
  if (end - at < 4) {
    out.broken('gre');
    return;
  }
  const flags = u16(b, at);
  const type = u16(b, at + 2);
  const version = flags & 7;
  if (version > 1) out.unknown(`GRE of version ${version}`);
  else if ((flags & GRE_ROUTING) !== 0) out.unknown('GRE with routing');
  else if (version === 1) {
    // PPTP (RFC 2637 §4.1): acknowledgements alone have no number, and carry nothing.
    const next = at + 12 + ((flags & GRE_ACKNOWLEDGED) !== 0 ? 4 : 0);
    if ((flags & GRE_NUMBER) === 0) out.nothing();
    else if (type !== TYPE_PPP) out.unknown('GRE of version 1 without PPP');
    else out.carries('gre', next, end, 'link', LINK_PPP);
  } else {
    const hasKey = (flags & GRE_KEY) !== 0;
    const keyAt = at + 4 + ((flags & GRE_CHECKSUM) !== 0 ? 4 : 0);
    const next = keyAt + (hasKey ? 4 : 0) + ((flags & GRE_NUMBER) !== 0 ? 4 : 0);
    if (next > end) out.broken('gre');
    // Type 0 keeps a tunnel alive, Cisco's way.
    else if (type === 0) out.nothing();
    else if (type === TYPE_ERSPAN || type === TYPE_ERSPAN_3)
      readErspan(out, type, (flags & GRE_NUMBER) !== 0, b, next, end);
    else if (type === TYPE_PPP) out.carries('gre', next, end, 'link', LINK_PPP);
    else out.carries('gre', next, end, 'ethertype', type, hasKey ? u32(b, keyAt) : -1);
  }
}

/** draft-foschiano-erspan: mirrored frames. Type I has no header of its own, and no number in GRE. */
function readErspan(
  out: Layer,
  type: number,
  hasNumber: boolean,
  b: Uint8Array,
  at: number,
  end: number,
): void {
  if (type === TYPE_ERSPAN) {
    out.carries('erspan', at + (hasNumber ? 8 : 0), end, 'link', LINK_ETHERNET);
    return;
  }
  if (end - at < 12) {
    out.broken('erspan');
    return;
  }
  const word = u16(b, at + 10);
  const next = at + 12 + ((word & 1) !== 0 ? 8 : 0);
  const frameType = (word >>> 10) & 0x1f;
  if (frameType === 0) out.carries('erspan', next, end, 'link', LINK_ETHERNET);
  else if (frameType === 2) out.carries('erspan', next, end, 'ip', 0);
  else out.unknown(`ERSPAN of frame type ${frameType}`);
}

function readUdp(out: Layer, b: Uint8Array, at: number, end: number): void {
  if (end - at < udp.HEADER_LEN) {
    out.nothing();
    return;
  }
  const next = at + udp.HEADER_LEN;
  const last = Math.min(end, at + udp.length(b, at));
  const port = udp.dstPort(b, at);
  switch (port) {
    case vxlan.PORT:
    case vxlan.PORT_LINUX:
      readVxlan(out, b, next, last);
      return;
    case geneve.PORT:
      readGeneve(out, b, next, last);
      return;
    case PORT_GTPU:
      readGtpu(out, b, next, last);
      return;
    case PORT_VXLAN_GPE:
      readVxlanGpe(out, b, next, last);
      return;
    case PORT_MPLS:
      readMpls(out, b, next, last);
      return;
    case PORT_GRE:
      readGre(out, b, next, last);
      return;
    case PORT_LISP:
      out.unknown('LISP (UDP port 4341)');
      return;
    case PORT_GUE:
      out.unknown('GUE (UDP port 6080)');
      return;
    case PORTS_CAPWAP[0]:
    case PORTS_CAPWAP[1]:
      out.unknown(`CAPWAP (UDP port ${port})`);
      return;
  }
  if (isOnPort(b, at, PORT_TEREDO)) readTeredo(out, b, next, last);
  else if (isOnPort(b, at, PORT_L2TP)) readL2tp(out, b, next, last);
  else if (last - next >= MOST_TOLD_BY) readByLooks(out, b, next, last);
  else out.nothing();
}

function isOnPort(b: Uint8Array, at: number, port: number): boolean {
  return udp.dstPort(b, at) === port || udp.srcPort(b, at) === port;
}

function readVxlan(out: Layer, b: Uint8Array, at: number, end: number): void {
  if (vxlan.check(b, at, end)) out.broken('vxlan');
  else out.carries('vxlan', at + vxlan.HEADER_LEN, end, 'link', LINK_ETHERNET, vxlan.vni(b, at));
}

/** draft-ietf-nvo3-vxlan-gpe: the P flag says that the fourth byte names what follows. */
function readVxlanGpe(out: Layer, b: Uint8Array, at: number, end: number): void {
  const next = at + vxlan.HEADER_LEN;
  if (next > end) out.broken('vxlan-gpe');
  else if ((b[at]! & 4) === 0 || b[at + 3] === 3)
    out.carries('vxlan-gpe', next, end, 'link', LINK_ETHERNET, vxlan.vni(b, at));
  else if (b[at + 3] === 1) out.carries('vxlan-gpe', next, end, 'ip', 4, vxlan.vni(b, at));
  else if (b[at + 3] === 2) out.carries('vxlan-gpe', next, end, 'ip', 6, vxlan.vni(b, at));
  else out.unknown(`VXLAN-GPE of protocol ${b[at + 3]}`);
}

function readGeneve(out: Layer, b: Uint8Array, at: number, end: number): void {
  if (end - at < geneve.HEADER_LEN) out.broken('geneve');
  else if (geneve.version(b, at) !== 0) out.unknown(`Geneve of version ${geneve.version(b, at)}`);
  else if ((geneve.flags(b, at) & geneve.FLAG_CONTROL) !== 0) out.nothing();
  else
    out.carries(
      'geneve',
      at + geneve.headerLen(b, at),
      end,
      'ethertype',
      geneve.type(b, at),
      geneve.vni(b, at),
    );
}

const GTPU_T_PDU = 255;
/** Of the flags: any of them makes the header four bytes longer; this one makes the last of these count. */
const GTPU_LONGER = 7;
const GTPU_EXTENDED = 4;

function readGtpu(out: Layer, b: Uint8Array, at: number, end: number): void {
  // Version 1, and the flag that tells GTP from GTP'.
  if (end - at < 8 || b[at]! >>> 4 !== 3) {
    out.broken('gtpu');
    return;
  }
  if (b[at + 1] !== GTPU_T_PDU) {
    out.nothing();
    return;
  }
  const last = Math.min(end, at + 8 + u16(b, at + 2));
  let next = at + 8;
  if ((b[at]! & GTPU_LONGER) !== 0) {
    next += 4;
    let type = (b[at]! & GTPU_EXTENDED) !== 0 && next <= last ? b[next - 1]! : 0;
    while (type !== 0) {
      const len = next < last ? 4 * b[next]! : 0;
      if (len === 0 || next + len > last) {
        out.broken('gtpu');
        return;
      }
      next += len;
      type = b[next - 1]!;
    }
  }
  const version = next < last ? b[next]! >>> 4 : 0;
  if (version === 4 || version === 6) out.carries('gtpu', next, last, 'ip', version, u32(b, at + 4));
  else if (hasIp(b, next, last)) out.carries('gtpu', next, last, 'link', LINK_ETHERNET, u32(b, at + 4));
  else out.unknown('GTP-U without IP');
}

/** Indicators of authentication and origin may stand before the packet (RFC 4380 §5.1.1). */
function readTeredo(out: Layer, b: Uint8Array, at: number, end: number): void {
  let next = at;
  if (end - next >= 4 && u16(b, next) === 1) next += 4 + b[next + 2]! + b[next + 3]! + 9;
  if (end - next >= 2 && u16(b, next) === 0) next += 8;
  if (next < end && b[next]! >>> 4 === 6) out.carries('teredo', next, end, 'ip', 6);
  else out.nothing();
}

function readL2tp(out: Layer, b: Uint8Array, at: number, end: number): void {
  // Data, not control, of version 2 or 3 (RFC 2661 §3.1, RFC 3931 §4.1.2.1).
  if (end - at >= 6 && (b[at]! & 0x80) === 0 && (b[at + 1]! & 0xf) >= 2) out.unknown('L2TP (UDP port 1701)');
  else out.nothing();
}

/** Fewer bytes tell too little: a header of eight, and of an Ethernet frame with IPv4 all headers. */
const MOST_TOLD_BY = 8 + ethernet.HEADER_LEN + ipv4.HEADER_LEN;
/** VXLAN with nothing but the VNI. */
const PLAIN_VXLAN = vxlan.FLAG_VNI << 24;

/**
 * VXLAN and Geneve on a port of their own, as Cilium may be told to use one; and what is not looked into, where it shows
 * what it is. Taken for such only where the whole header is as most senders make it, and an IP packet follows.
 */
function readByLooks(out: Layer, b: Uint8Array, at: number, end: number): void {
  const first = u32(b, at);
  if (first === PLAIN_VXLAN && b[at + 7] === 0 && hasIp(b, at + 8, end)) readVxlan(out, b, at, end);
  else if (
    (first & 0xc0bf_ffff) >>> 0 === TYPE_TEB &&
    b[at + 7] === 0 &&
    hasIp(b, at + 8 + 4 * (b[at]! & 0x3f), end)
  )
    readGeneve(out, b, at, end);
  else if (isWireGuard(first, end - at)) out.unknown('WireGuard');
  else out.nothing();
}

/** WireGuard's transport data: type 4 and three zeroes; the rest is encrypted in blocks of 16 bytes. */
function isWireGuard(first: number, len: number): boolean {
  return first === 0x0400_0000 && len % 16 === 0;
}

function named(name: string | undefined, number: string): string {
  return name === undefined ? number : `${name} (${number})`;
}

/** What a header is called. */
export const LAYER_NAMES: Readonly<Record<LayerKind, string>> = {
  null: 'loopback',
  eth: 'Ethernet',
  ppp: 'PPP',
  chdlc: 'Cisco HDLC',
  fr: 'Frame Relay',
  nflog: 'NFLOG',
  enc: 'enc',
  radiotap: 'radiotap',
  wlan: 'IEEE 802.11',
  ppi: 'PPI',
  pktap: 'PKTAP',
  ipoib: 'IP over InfiniBand',
  ipnet: 'IPNET',
  sll: 'Linux cooked',
  direction: 'direction',
  vlan: 'VLAN',
  vntag: 'VN-Tag',
  pbb: 'IEEE 802.1ah',
  pppoe: 'PPPoE',
  mpls: 'MPLS',
  llc: 'LLC',
  ip: 'IP',
  ah: 'AH',
  gre: 'GRE',
  erspan: 'ERSPAN',
  etherip: 'EtherIP',
  vxlan: 'VXLAN',
  'vxlan-gpe': 'VXLAN-GPE',
  geneve: 'Geneve',
  gtpu: 'GTP-U',
  teredo: 'Teredo',
};
