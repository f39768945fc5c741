/**
 * The link layer: Ethernet with VLAN tags, Linux cooked captures, BSD loopback; and what stands behind the packet in
 * a frame.
 * @module
 */
import { u16, u32 } from '../../base/bytes.ts';
import * as ethernet from '../../wire/ethernet.ts';
import type { FieldSpec } from '../../wire/field.ts';
import * as linkType from '../../wire/link-type.ts';
import { readCarrier } from './carrier.ts';
import { HeaderMap, numberWithName, type WordsFor } from './header.ts';
import { etherTypeName, macText } from './names.ts';
import { bytesText, type Walker } from './walker.ts';

const IEEE = 'IEEE 802.3 §3.2';
const TAGGING = 'IEEE 802.1Q §9.6';
const LIBPCAP = 'LINKTYPE_LINUX_SLL';
const LIBPCAP2 = 'LINKTYPE_LINUX_SLL2';
/** The shortest Ethernet frame, without FCS. */
const MIN_FRAME = 60;
const FCS_LEN = 4;

const showType = numberWithName(etherTypeName, 4);

const ETHERNET = new HeaderMap(ethernet.FIELDS, IEEE, {
  dst: { id: 'eth.dst', label: 'Destination', read: macText },
  src: { id: 'eth.src', label: 'Source', read: macText },
  type: { id: 'eth.type', label: 'Type', show: showType },
} satisfies WordsFor<typeof ethernet.FIELDS>);

const TAG_FIELDS = [
  {
    name: 'priority',
    at: 0,
    len: 2,
    bits: [13, 3],
    about: 'Class of the frame, 0 to 7; switches may queue by it.',
  },
  { name: 'dei', at: 0, len: 2, bits: [12, 1], about: 'May be dropped first when there is congestion.' },
  { name: 'id', at: 0, len: 2, bits: [0, 12], about: 'Which virtual LAN the frame belongs to.' },
  { name: 'type', at: 2, len: 2, about: 'What follows the tag.' },
] as const satisfies readonly FieldSpec[];

const TAG = new HeaderMap(
  TAG_FIELDS,
  TAGGING,
  {
    priority: { id: 'vlan.priority', label: 'Priority' },
    dei: { id: 'vlan.dei', label: 'Drop eligible' },
    id: { id: 'vlan.id', label: 'VLAN' },
    type: { id: 'vlan.etype', label: 'Type', show: showType },
  } satisfies WordsFor<typeof TAG_FIELDS>,
  { 0: { id: 'vlan.tci', label: 'Tag', meaning: 'Priority and VLAN in two bytes.' } },
);

const ABOUT_DIRECTION = 'Was it for this host, from it, or between others?';
const ABOUT_HARDWARE = 'Kind of the interface: 1 is Ethernet.';
const ABOUT_SENDER = "The sender's link-layer address, padded to eight bytes.";
const PACKET_TYPES = ['to us', 'broadcast', 'multicast', 'to another host', 'sent by us'];
const packetType = numberWithName((type) => PACKET_TYPES[type]);

const SLL_FIELDS = [
  { name: 'direction', at: 0, len: 2, about: ABOUT_DIRECTION },
  { name: 'hardware', at: 2, len: 2, about: ABOUT_HARDWARE },
  { name: 'addressLength', at: 4, len: 2, about: 'How many of the next eight bytes are the address.' },
  { name: 'address', at: 6, len: 8, about: ABOUT_SENDER },
  { name: 'type', at: 14, len: 2, about: 'What follows.' },
] as const satisfies readonly FieldSpec[];

const SLL = new HeaderMap(SLL_FIELDS, LIBPCAP, {
  direction: { id: 'sll.pkttype', label: 'Direction', show: packetType },
  hardware: { id: 'sll.hatype', label: 'Hardware type' },
  addressLength: { id: 'sll.halen', label: 'Address length' },
  address: { id: 'sll.src', label: 'Sender', read: macText },
  type: { id: 'sll.etype', label: 'Type', show: showType },
} satisfies WordsFor<typeof SLL_FIELDS>);

const SLL2_FIELDS = [
  { name: 'type', at: 0, len: 2, about: 'What follows.' },
  { name: 'reserved', at: 2, len: 2, about: 'Zero.' },
  { name: 'interface', at: 4, len: 4, about: 'Number of the interface on the host that captured.' },
  { name: 'hardware', at: 8, len: 2, about: ABOUT_HARDWARE },
  { name: 'direction', at: 10, len: 1, about: ABOUT_DIRECTION },
  { name: 'addressLength', at: 11, len: 1, about: 'How many of the next eight bytes are the address.' },
  { name: 'address', at: 12, len: 8, about: ABOUT_SENDER },
] as const satisfies readonly FieldSpec[];

const SLL2 = new HeaderMap(SLL2_FIELDS, LIBPCAP2, {
  type: { id: 'sll.etype', label: 'Type', show: showType },
  reserved: { id: 'sll.reserved', label: 'Reserved' },
  interface: { id: 'sll.ifindex', label: 'Interface' },
  hardware: { id: 'sll.hatype', label: 'Hardware type' },
  direction: { id: 'sll.pkttype', label: 'Direction', show: packetType },
  addressLength: { id: 'sll.halen', label: 'Address length' },
  address: { id: 'sll.src', label: 'Sender', read: macText },
} satisfies WordsFor<typeof SLL2_FIELDS>);

/** Reads a frame of a link type. */
export function readLink(w: Walker, type: number, at: number, end: number): void {
  switch (type) {
    case linkType.LINK_ETHERNET:
      readEthernet(w, at, end);
      return;
    case linkType.LINK_LINUX_SLL:
      readCooked(w, at, end, SLL, 16, at + 14);
      return;
    case linkType.LINK_LINUX_SLL2:
      readCooked(w, at, end, SLL2, 20, at);
      return;
    case linkType.LINK_NULL:
    case linkType.LINK_LOOP:
      readLoopback(w, at, end);
      return;
    default:
      if (linkType.isKnownLinkType(type)) readCarrier(w, 'link', type, at, end);
      else w.unreadable(at, end, 'frame', `link type ${type} is not known here`);
  }
}

function readEthernet(w: Walker, at: number, end: number): void {
  if (w.tooDeep(at, end)) return;
  const headerEnd = at + ethernet.HEADER_LEN;
  const whole = headerEnd <= end;
  w.layer({
    id: 'eth',
    label: 'Ethernet',
    at,
    end: Math.min(headerEnd, end),
    text: whole ? `${macText(w.b, at + 6, at + 12)} > ${macText(w.b, at, at + 6)}` : '',
    meaning: 'From station to station on one link. A router replaces it.',
    reference: IEEE,
    children: ETHERNET.fields(w, at, end),
    ...(!whole && { problem: cutOff(w, at, end, 'eth', ethernet.HEADER_LEN) }),
  });
  if (whole) readTags(w, u16(w.b, at + 12), headerEnd, end, at);
}

/** VLAN tags, and what is behind them. */
function readTags(w: Walker, first: number, from: number, end: number, frameAt: number): void {
  let type = first;
  let at = from;
  for (let tags = 0; ethernet.isTag(type); tags++) {
    if (tags === ethernet.MAX_TAGS) {
      w.unreadable(at, end, 'vlan', `more than ${ethernet.MAX_TAGS} VLAN tags`);
      return;
    }
    const whole = at + ethernet.TAG_LEN <= end;
    w.layer({
      id: 'vlan',
      label: 'VLAN tag',
      at,
      end: Math.min(at + ethernet.TAG_LEN, end),
      text: whole ? `VLAN ${u16(w.b, at) & 0xfff}` : '',
      meaning: 'Says which virtual LAN the frame belongs to.',
      reference: TAGGING,
      children: TAG.fields(w, at, end),
      ...(!whole && { problem: cutOff(w, at, end, 'vlan', ethernet.TAG_LEN) }),
    });
    if (!whole) return;
    type = u16(w.b, at + 2);
    at += ethernet.TAG_LEN;
  }
  w.next.etherType(w, type, at, end, frameAt);
}

function readCooked(w: Walker, at: number, end: number, map: HeaderMap, len: number, typeAt: number): void {
  const whole = at + len <= end;
  w.layer({
    id: 'sll',
    label: 'Linux cooked',
    at,
    end: Math.min(at + len, end),
    text: '',
    meaning:
      'What `tcpdump -i any` writes instead of the link layer, which differs from interface to interface.',
    reference: map === SLL ? LIBPCAP : LIBPCAP2,
    children: map.fields(w, at, end),
    ...(!whole && { problem: cutOff(w, at, end, 'sll', len) }),
  });
  if (!whole) return;
  const type = u16(w.b, typeAt);
  // Below Ethernet's types Linux has numbers of its own, which are no lengths.
  if (type === linkType.COOKED_LLC) readCarrier(w, 'llc', 0, at + len, end);
  else if (type < ethernet.MIN_TYPE) w.data(at + len, end, { label: 'Payload' });
  else readTags(w, type, at + len, end, -1);
}

function readLoopback(w: Walker, at: number, end: number): void {
  const whole = end - at >= 4;
  const family = whole ? u32(w.b, at) : 0;
  w.layer({
    id: 'null',
    label: 'Loopback',
    at,
    end: Math.min(at + 4, end),
    value: whole ? family : null,
    text: whole ? `family 0x${family.toString(16).padStart(8, '0')}` : '',
    meaning: "Address family, in the byte order of the host that captured; Linux's 2 is IPv4, 10 IPv6.",
    reference: 'LINKTYPE_NULL',
    ...(!whole && { problem: cutOff(w, at, end, 'null', 4) }),
  });
  if (whole) w.next.ip(w, at + 4, end, -1);
}

/** Notes that a header is cut off, and returns the words for it. */
export function cutOff(w: Walker, at: number, end: number, id: string, need: number): string {
  const problem = `needs ${bytesText(need)}, has ${end - at}`;
  w.stop(end, id, problem);
  return problem;
}

/** What stands behind the packet in its frame: padding, FCS, or something unannounced. */
export function readTrailer(w: Walker, at: number, end: number, frameAt: number): void {
  if (at >= end) return;
  if (frameAt < 0) {
    w.data(at, end, {
      id: 'frame.trailer',
      label: 'Trailing bytes',
      meaning: 'Behind the end that the IP header gives. Nobody reads them.',
    });
    return;
  }
  const fcsAt = end - FCS_LEN;
  const hasFcs = fcsAt >= at && fcsAt - frameAt >= ethernet.HEADER_LEN && isFcs(w.b, frameAt, fcsAt);
  const last = hasFcs ? fcsAt : end;
  const isPadding = last - frameAt <= MIN_FRAME && w.b.subarray(at, last).every((v) => v === 0);
  w.data(at, last, {
    id: isPadding ? 'eth.padding' : 'eth.trailer',
    label: isPadding ? 'Padding' : 'Trailer',
    meaning: isPadding
      ? `Zeroes that make the frame ${MIN_FRAME} bytes long, the least that Ethernet takes.`
      : 'Behind the end that the IP header gives: padding of the link, or something that a tap or switch has added.',
    reference: IEEE,
  });
  w.layer({
    id: 'eth.fcs',
    label: 'FCS',
    at: last,
    end,
    text: 'right',
    meaning: 'Frame check sequence, a CRC over the frame. Most captures are without.',
    reference: IEEE,
  });
}

/** Is the CRC of `b[from..at)` what stands at `at`? */
function isFcs(b: Uint8Array, from: number, at: number): boolean {
  let crc = 0xffff_ffff;
  for (let i = from; i < at; i++) {
    crc ^= b[i]!;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb8_8320 : 0);
  }
  const sent = (b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)) >>> 0;
  return ~crc >>> 0 === sent;
}
