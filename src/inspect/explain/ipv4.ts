/**
 * IPv4 with options.
 * @module
 */
import { toHex, u16 } from '../../base/bytes.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import { HeaderMap, hexNumber, numberWithName, type WordsFor } from './header.ts';
import { readTrailer } from './link.ts';
import { dscpName, ecnName, ipText, protocolName } from './names.ts';
import { type Dialect, readOptions } from './options.ts';
import type { Walker } from './walker.ts';

const ref = 'RFC 791 §3.1';

const IPV4 = new HeaderMap(
  ipv4.FIELDS,
  ref,
  {
    version: { id: 'ip.version', label: 'Version' },
    ihl: { id: 'ip.hdr_len', label: 'Header length', show: (n) => `${n} words (${n * 4} bytes)` },
    dscp: { id: 'ip.dsfield.dscp', label: 'DSCP', reference: 'RFC 2474 §3', show: numberWithName(dscpName) },
    ecn: { id: 'ip.dsfield.ecn', label: 'ECN', reference: 'RFC 3168 §5', show: numberWithName(ecnName) },
    totalLength: { id: 'ip.len', label: 'Total length' },
    id: { id: 'ip.id', label: 'Identification', show: hexNumber(4) },
    reserved: { id: 'ip.flags.rb', label: 'Reserved' },
    dontFragment: { id: 'ip.flags.df', label: "Don't fragment" },
    moreFragments: { id: 'ip.flags.mf', label: 'More fragments' },
    fragmentOffset: {
      id: 'ip.frag_offset',
      label: 'Fragment offset',
      show: (n) => (n === 0 ? '0' : `${n} (byte ${n * 8})`),
    },
    ttl: { id: 'ip.ttl', label: 'Time to live' },
    protocol: { id: 'ip.proto', label: 'Protocol', show: numberWithName(protocolName) },
    checksum: { id: 'ip.checksum', label: 'Header checksum', show: hexNumber(4) },
    src: { id: 'ip.src', label: 'Source', read: ipText },
    dst: { id: 'ip.dst', label: 'Destination', read: ipText },
  } satisfies WordsFor<typeof ipv4.FIELDS>,
  {
    0: {
      id: 'ip.version_len',
      label: 'Version, length',
      meaning: 'Two halves of a byte. 0x45 is IPv4 with a header of 20 bytes.',
    },
    1: {
      id: 'ip.dsfield',
      label: 'Traffic class',
      reference: 'RFC 2474 §3',
      meaning: 'How the packet should be queued, and whether it met congestion.',
    },
    6: {
      id: 'ip.flags_offset',
      label: 'Flags, offset',
      meaning: 'Whether this is a piece of a packet, and where it belongs.',
      show: (n) => `0x${n.toString(16).padStart(4, '0')}${n === ipv4.DF ? " (don't fragment)" : ''}`,
    },
  },
);

const OPTIONS: Dialect = {
  id: 'ip.opt',
  reference: ref,
  single: [0, 1],
  last: 0,
  length: (n) => n,
  known: {
    0: { id: 'eol', label: 'End of options', meaning: 'Nothing behind it counts.' },
    1: { id: 'nop', label: 'No operation', meaning: 'Fills up to the next word.' },
    7: { id: 'rr', label: 'Record route', meaning: 'Routers write their addresses here.' },
    68: { id: 'ts', label: 'Timestamp', meaning: 'Routers write the time here.' },
    131: {
      id: 'lsrr',
      label: 'Loose source route',
      meaning: 'Routers that the packet must pass. Most networks drop it.',
    },
    137: {
      id: 'ssrr',
      label: 'Strict source route',
      meaning: 'Every router on the way. Most networks drop it.',
    },
    148: {
      id: 'ra',
      label: 'Router alert',
      meaning: 'Routers should look at what is inside.',
      reference: 'RFC 2113 §2.1',
      show: (b, at, end) => (end - at === 2 ? String(u16(b, at)) : toHex(b, at, end)),
    },
  },
};

/** Reads an IPv4 packet and what it carries. */
export function readIpv4(w: Walker, at: number, end: number, frameAt: number, quoted: boolean): void {
  const { b } = w;
  const fault = ipv4.checkHeader(b, at, end);
  const fixedEnd = Math.min(at + ipv4.HEADER_LEN, end);
  const headerEnd =
    fixedEnd < at + ipv4.HEADER_LEN
      ? end
      : Math.min(end, at + Math.max(ipv4.HEADER_LEN, ipv4.headerLen(b, at)));
  const packetEnd = fault ? end : Math.min(end, at + ipv4.totalLength(b, at));
  const isCut = !fault && at + ipv4.totalLength(b, at) > end;
  const problems: Record<string, string> = {};
  if (fault?.at === 2) problems['totalLength'] = fault.problem;
  else if (isCut && !quoted)
    problems['totalLength'] = `the packet has ${ipv4.totalLength(b, at)} bytes, ${end - at} are here`;
  if (!fault && !ipv4.checksumOk(b, at)) problems['checksum'] = 'the checksum is wrong';
  const children = IPV4.fields(w, at, fixedEnd, problems);
  if (headerEnd > fixedEnd) {
    children.push(
      w.field({
        id: 'ip.options',
        label: 'Options',
        at: fixedEnd,
        end: headerEnd,
        text: `${headerEnd - fixedEnd} bytes`,
        meaning: 'Rare on the Internet, and dropped by many routers.',
        reference: ref,
        children: readOptions(w, OPTIONS, fixedEnd, headerEnd),
      }),
    );
  }
  if (fault) w.stop(at + fault.at, 'ip', fault.problem);
  else if (isCut && !quoted) w.stop(end, 'ip', problems['totalLength']!);
  w.layer({
    id: 'ip',
    label: quoted ? 'IPv4, sent back' : 'IPv4',
    at,
    end: headerEnd,
    text:
      fault && fixedEnd < at + ipv4.HEADER_LEN
        ? ''
        : `${ipText(b, at + 12, at + 16)} > ${ipText(b, at + 16, at + 20)}`,
    meaning: 'From host to host; in front of ESP in tunnel mode, from node to node.',
    reference: ref,
    children,
    problem: fault?.problem,
  });
  if (fault) {
    w.data(headerEnd, end, { label: 'Not read', meaning: 'What follows a header that cannot be trusted.' });
    return;
  }
  const protocol = ipv4.protocol(b, at);
  if (ipv4.isFragment(b, at)) readFragment(w, headerEnd, packetEnd, protocol, ipv4.fragmentOffset(b, at));
  else w.next.protocol(w, protocol, headerEnd, packetEnd, { ipAt: at, whole: !isCut && !quoted, quoted });
  readTrailer(w, packetEnd, end, frameAt);
}

/** A piece of a packet: what it means shows when all are together. */
export function readFragment(w: Walker, at: number, end: number, protocol: number, offset: number): void {
  const { reassembled } = w.options;
  const name = protocolName(protocol) ?? `protocol ${protocol}`;
  let inner: ReturnType<Walker['packet']> | undefined;
  if (reassembled && w.origin === 'frame') {
    const whole = w.inside(reassembled, 'reassembled');
    w.next.ip(whole, 0, reassembled.length, -1);
    inner = whole.packet();
  }
  w.data(at, end, {
    id: 'ip.fragment',
    label: 'Fragment',
    text: `bytes ${offset} to ${offset + end - at - 1} of ${name}`,
    meaning: inner
      ? 'The last piece to arrive: with it the packet is whole, and stands below.'
      : 'A piece of a packet. ESP can be opened when all pieces are together.',
    reference: 'RFC 791 §3.2',
    inner,
  });
}
