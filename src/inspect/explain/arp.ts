/**
 * ARP (RFC 826): which station has an IPv4 address?
 * @module
 */
import { u16 } from '../../base/bytes.ts';
import type { FieldSpec } from '../../wire/field.ts';
import { HeaderMap, numberWithName, type WordsFor } from './header.ts';
import { cutOff, readTrailer } from './link.ts';
import { etherTypeName, ipText, macText } from './names.ts';
import type { Given, Walker } from './walker.ts';

const RFC = 'RFC 826';

const FIELDS = [
  { name: 'hardware', at: 0, len: 2, about: 'Kind of link: 1 is Ethernet.' },
  { name: 'protocol', at: 2, len: 2, about: 'Kind of the addresses that are asked for, as an EtherType.' },
  { name: 'hardwareLength', at: 4, len: 1, about: 'Bytes of a link address.' },
  { name: 'protocolLength', at: 5, len: 1, about: 'Bytes of a protocol address.' },
  { name: 'operation', at: 6, len: 2, about: '1 asks, 2 answers.' },
] as const satisfies readonly FieldSpec[];

const LEN = 8;

const OPERATIONS: ReadonlyMap<number, string> = new Map([
  [1, 'request'],
  [2, 'reply'],
]);

const ARP = new HeaderMap(FIELDS, RFC, {
  hardware: { id: 'arp.hw.type', label: 'Hardware type' },
  protocol: { id: 'arp.proto.type', label: 'Protocol type', show: numberWithName(etherTypeName, 4) },
  hardwareLength: { id: 'arp.hw.size', label: 'Hardware length' },
  protocolLength: { id: 'arp.proto.size', label: 'Protocol length' },
  operation: { id: 'arp.opcode', label: 'Operation', show: numberWithName((n) => OPERATIONS.get(n)) },
} satisfies WordsFor<typeof FIELDS>);

/** Reads an ARP packet. */
export function readArp(w: Walker, at: number, end: number, frameAt: number): void {
  const { b } = w;
  const given: Given = {
    id: 'arp',
    label: 'ARP',
    at,
    end,
    meaning: 'Asks, or says, which station on the link has an IPv4 address.',
    reference: RFC,
  };
  const children = ARP.fields(w, at, end);
  if (end - at < LEN) {
    w.layer({ ...given, children, problem: cutOff(w, at, end, 'arp', LEN) });
    return;
  }
  const hardwareLen = b[at + 4]!;
  const protocolLen = b[at + 5]!;
  let from = at + LEN;
  let problem: string | undefined;
  for (const [id, label, len, meaning] of [
    ['arp.src.hw_mac', 'Sender, link address', hardwareLen, 'Station that asks or answers.'],
    ['arp.src.proto_ipv4', 'Sender, address', protocolLen, 'Its own address.'],
    [
      'arp.dst.hw_mac',
      'Target, link address',
      hardwareLen,
      'Zeroes in a request: this is what is asked for.',
    ],
    ['arp.dst.proto_ipv4', 'Target, address', protocolLen, 'The address whose station is wanted.'],
  ] as const) {
    if (len === 0) continue;
    const to = from + len;
    if (to > end) {
      problem = `needs ${to - at} bytes for its addresses, has ${end - at}`;
      w.stop(from, id, problem);
      if (from < end) {
        children.push(
          w.field({ id: `${id}.cut`, label, at: from, end, meaning: 'Cut off.', reference: RFC, problem }),
        );
      }
      from = end;
      break;
    }
    const isIp = id.endsWith('ipv4') && (len === 4 || len === 16);
    const text = isIp ? ipText(b, from, to) : macText(b, from, to);
    children.push(w.field({ id, label, at: from, end: to, value: text, text, meaning, reference: RFC }));
    from = to;
  }
  const operation = OPERATIONS.get(u16(b, at + 6)) ?? '';
  w.layer({ ...given, end: from, children, text: operation, problem });
  readTrailer(w, from, end, frameAt);
}
