/**
 * IPv6 with its extension headers.
 * @module
 */
import { toHex, u16, u32 } from '../../base/bytes.ts';
import type { FieldSpec } from '../../wire/field.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as extensions from '../../wire/ipv6-extensions.ts';
import { HeaderMap, hexNumber, numberWithName, type WordsFor } from './header.ts';
import { readFragment } from './ipv4.ts';
import { readTrailer } from './link.ts';
import { dscpName, ecnName, ipText, protocolName } from './names.ts';
import { type Dialect, readOptions } from './options.ts';
import type { Field } from './tree.ts';
import type { Walker } from './walker.ts';

const ref = 'RFC 8200 §3';
const showNext = numberWithName(protocolName);

const IPV6 = new HeaderMap(
  ipv6.FIELDS,
  ref,
  {
    version: { id: 'ipv6.version', label: 'Version' },
    dscp: { id: 'ipv6.tclass.dscp', label: 'DSCP', reference: 'RFC 2474 §3', show: numberWithName(dscpName) },
    ecn: { id: 'ipv6.tclass.ecn', label: 'ECN', reference: 'RFC 3168 §5', show: numberWithName(ecnName) },
    flowLabel: { id: 'ipv6.flow', label: 'Flow label', reference: 'RFC 6437 §2', show: hexNumber(5) },
    payloadLength: { id: 'ipv6.plen', label: 'Payload length' },
    nextHeader: { id: 'ipv6.nxt', label: 'Next header', show: showNext },
    hopLimit: { id: 'ipv6.hlim', label: 'Hop limit' },
    src: { id: 'ipv6.src', label: 'Source', read: ipText },
    dst: { id: 'ipv6.dst', label: 'Destination', read: ipText },
  } satisfies WordsFor<typeof ipv6.FIELDS>,
  {
    0: {
      id: 'ipv6.version_class_flow',
      label: 'Version, class, flow',
      meaning: 'One word with the version, the traffic class and the flow label.',
    },
  },
);

const FRAGMENT = new HeaderMap(
  extensions.FRAGMENT_FIELDS,
  'RFC 8200 §4.5',
  {
    nextHeader: { id: 'ipv6.fraghdr.nxt', label: 'Next header', show: showNext },
    reserved: { id: 'ipv6.fraghdr.reserved_octet', label: 'Reserved' },
    fragmentOffset: {
      id: 'ipv6.fraghdr.offset',
      label: 'Fragment offset',
      show: (n) => (n === 0 ? '0' : `${n} (byte ${n * 8})`),
    },
    reserved2: { id: 'ipv6.fraghdr.reserved_bits', label: 'Reserved' },
    moreFragments: { id: 'ipv6.fraghdr.more', label: 'More fragments' },
    fragmentId: { id: 'ipv6.fraghdr.ident', label: 'Identification', show: hexNumber(8) },
  } satisfies WordsFor<typeof extensions.FRAGMENT_FIELDS>,
  {
    2: {
      id: 'ipv6.fraghdr.offset_more',
      label: 'Offset, more',
      meaning: 'Where the fragment belongs, and whether more follow.',
    },
  },
);

const OPTIONS: Dialect = {
  id: 'ipv6.opt',
  reference: 'RFC 8200 §4.2',
  single: [0],
  last: -1,
  length: (n) => n + 2,
  known: {
    0: { id: 'pad1', label: 'Pad1', meaning: 'One byte of filling.' },
    1: { id: 'padn', label: 'PadN', meaning: 'Filling.' },
    4: {
      id: 'tel',
      label: 'Tunnel limit',
      meaning: 'How many more tunnels may be put around it.',
      reference: 'RFC 2473 §4.1.1',
    },
    5: {
      id: 'router_alert',
      label: 'Router alert',
      meaning: 'Routers should look at what is inside.',
      reference: 'RFC 2711 §2.1',
      show: (b, at, end) => (end - at === 2 ? String(u16(b, at)) : toHex(b, at, end)),
    },
    194: {
      id: 'jumbo',
      label: 'Jumbo payload',
      meaning: 'Length of a packet above 65535 bytes.',
      reference: 'RFC 2675 §2',
      show: (b, at, end) => (end - at === 4 ? String(u32(b, at)) : toHex(b, at, end)),
    },
  },
};

/** What extension headers are called, and what for. */
const HEADERS: Readonly<Record<number, { id: string; label: string; meaning: string; reference: string }>> = {
  [extensions.HOP_BY_HOP]: {
    id: 'ipv6.hopopts',
    label: 'Hop-by-hop options',
    meaning: 'For every router on the way. It stays in front of ESP, in the clear.',
    reference: 'RFC 8200 §4.3',
  },
  [extensions.ROUTING]: {
    id: 'ipv6.routing',
    label: 'Routing header',
    meaning: 'Stations that the packet must pass.',
    reference: 'RFC 8200 §4.4',
  },
  [extensions.DESTINATION]: {
    id: 'ipv6.dstopts',
    label: 'Destination options',
    meaning: 'For the receiver alone.',
    reference: 'RFC 8200 §4.6',
  },
  [extensions.AUTHENTICATION]: {
    id: 'ah',
    label: 'AH',
    meaning: 'Authenticates the packet, and hides nothing. Cilium does not use it.',
    reference: 'RFC 4302 §2',
  },
  [extensions.MOBILITY]: {
    id: 'mip6',
    label: 'Mobility header',
    meaning: 'Mobile IPv6.',
    reference: 'RFC 6275 §6.1',
  },
  [extensions.HIP]: { id: 'hip', label: 'HIP', meaning: 'Host identity protocol.', reference: 'RFC 7401 §5' },
  [extensions.SHIM6]: { id: 'shim6', label: 'Shim6', meaning: 'Multihoming shim.', reference: 'RFC 5533 §5' },
};

const START_FIELDS = [
  { name: 'next', at: 0, len: 1, about: 'What follows this header.' },
  {
    name: 'length',
    at: 1,
    len: 1,
    about: 'Length of this header, in units of 8 bytes, the first not counted.',
  },
] as const satisfies readonly FieldSpec[];

const startOf = (id: string, reference: string) =>
  new HeaderMap(START_FIELDS, reference, {
    next: { id: `${id}.nxt`, label: 'Next header', show: showNext },
    length: {
      id: `${id}.len`,
      label: 'Length',
      ...(id === 'ah' && { meaning: 'Length of this header, in words of 4 bytes, less two.' }),
    },
  } satisfies WordsFor<typeof START_FIELDS>);

/** Reads an IPv6 packet and what it carries. */
export function readIpv6(w: Walker, at: number, end: number, frameAt: number, quoted: boolean): void {
  const { b } = w;
  const fault = ipv6.checkHeader(b, at, end);
  const headerEnd = Math.min(at + ipv6.HEADER_LEN, end);
  const saysEnd = fault ? end : headerEnd + ipv6.payloadLength(b, at);
  const isCut = saysEnd > end;
  const problems: Record<string, string> = {};
  if (isCut && !quoted) {
    problems['payloadLength'] = `the packet has ${saysEnd - at} bytes, ${end - at} are here`;
    w.stop(end, 'ipv6', problems['payloadLength']);
  }
  if (fault) w.stop(at + fault.at, 'ipv6', fault.problem);
  w.layer({
    id: 'ipv6',
    label: quoted ? 'IPv6, sent back' : 'IPv6',
    at,
    end: headerEnd,
    text: fault ? '' : `${ipText(b, at + 8, at + 24)} > ${ipText(b, at + 24, at + 40)}`,
    meaning: 'From host to host; in front of ESP in tunnel mode, from node to node.',
    reference: ref,
    children: IPV6.fields(w, at, headerEnd, problems),
    problem: fault?.problem,
  });
  if (fault) return;
  const packetEnd = Math.min(end, saysEnd);
  readChain(w, at, ipv6.nextHeader(b, at), headerEnd, packetEnd, !isCut && !quoted, quoted);
  readTrailer(w, packetEnd, end, frameAt);
}

/** The extension headers and what comes after them. */
function readChain(
  w: Walker,
  ipAt: number,
  first: number,
  from: number,
  end: number,
  whole: boolean,
  quoted: boolean,
): void {
  const { b } = w;
  let protocol = first;
  let at = from;
  for (let count = 0; extensions.isExtension(protocol); count++) {
    if (count === extensions.MAX_EXTENSIONS) {
      w.unreadable(at, end, 'ipv6', `more than ${extensions.MAX_EXTENSIONS} extension headers`);
      return;
    }
    const len = at + 8 > end ? 8 : extensions.extensionLen(b, protocol, at);
    if (at + len > end) {
      w.unreadable(at, end, 'ipv6', `extension header ${protocol} needs ${len} bytes, has ${end - at}`);
      return;
    }
    if (protocol === extensions.FRAGMENT) {
      w.layer({
        id: 'ipv6.fraghdr',
        label: 'Fragment header',
        at,
        end: at + len,
        text: '',
        meaning: 'This is a piece of a packet, cut by its sender: IPv6 routers do not cut.',
        reference: 'RFC 8200 §4.5',
        children: FRAGMENT.fields(w, at, at + len),
      });
      if (extensions.isFragment(b, at)) {
        readFragment(w, at + len, end, b[at]!, extensions.fragmentOffset(b, at));
        return;
      }
    } else readExtension(w, protocol, at, at + len);
    protocol = b[at]!;
    at += len;
  }
  w.next.protocol(w, protocol, at, end, { ipAt, whole, quoted });
}

function readExtension(w: Walker, protocol: number, at: number, end: number): void {
  const words = HEADERS[protocol]!;
  const children: Field[] = startOf(words.id, words.reference).fields(w, at, at + 2);
  if (protocol === extensions.HOP_BY_HOP || protocol === extensions.DESTINATION) {
    children.push(...readOptions(w, OPTIONS, at + 2, end));
  } else {
    children.push(
      w.field({
        id: `${words.id}.data`,
        label: 'Content',
        at: at + 2,
        end,
        text: toHex(w.b, at + 2, end),
        meaning: 'What the header says; not taken apart here.',
        reference: words.reference,
      }),
    );
  }
  w.layer({ ...words, at, end, children });
}
