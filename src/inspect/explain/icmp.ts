/**
 * ICMP and ICMPv6: echoes, errors with the packet that caused them, and neighbour discovery.
 * @module
 */
import { toHex, u16, u32 } from '../../base/bytes.ts';
import { transportOk } from '../../wire/checksum.ts';
import type { FieldSpec } from '../../wire/field.ts';
import * as icmp from '../../wire/icmp.ts';
import { HeaderMap, hexNumber, numberWithName, type WordsFor } from './header.ts';
import { ipText, macText } from './names.ts';
import { type Dialect, readOptions } from './options.ts';
import type { Field } from './tree.ts';
import type { IpContext, Walker } from './walker.ts';

const V4 = 'RFC 792';
const V6 = 'RFC 4443 §2.1';

const TYPES: ReadonlyMap<number, string> = new Map([
  [icmp.ECHO_REPLY, 'echo reply'],
  [icmp.UNREACHABLE, 'destination unreachable'],
  [4, 'source quench'],
  [5, 'redirect'],
  [icmp.ECHO_REQUEST, 'echo request'],
  [icmp.TIME_EXCEEDED, 'time exceeded'],
  [12, 'parameter problem'],
]);

const TYPES_V6: ReadonlyMap<number, string> = new Map([
  [icmp.V6_UNREACHABLE, 'destination unreachable'],
  [icmp.V6_PACKET_TOO_BIG, 'packet too big'],
  [icmp.V6_TIME_EXCEEDED, 'time exceeded'],
  [4, 'parameter problem'],
  [icmp.V6_ECHO_REQUEST, 'echo request'],
  [icmp.V6_ECHO_REPLY, 'echo reply'],
  [130, 'multicast listener query'],
  [131, 'multicast listener report'],
  [132, 'multicast listener done'],
  [133, 'router solicitation'],
  [134, 'router advertisement'],
  [135, 'neighbour solicitation'],
  [136, 'neighbour advertisement'],
  [137, 'redirect'],
  [143, 'multicast listener report, version 2'],
]);

const NEIGHBOUR_SOLICITATION = 135;
const NEIGHBOUR_ADVERTISEMENT = 136;

const ECHO = new HeaderMap(icmp.FIELDS, V4, {
  type: { id: 'icmp.type', label: 'Type', show: numberWithName((n) => TYPES.get(n)) },
  code: { id: 'icmp.code', label: 'Code' },
  checksum: { id: 'icmp.checksum', label: 'Checksum', show: hexNumber(4) },
  echoId: { id: 'icmp.ident', label: 'Identifier' },
  echoSeq: { id: 'icmp.seq', label: 'Number' },
} satisfies WordsFor<typeof icmp.FIELDS>);

const ECHO_V6 = new HeaderMap(icmp.FIELDS, V6, {
  type: { id: 'icmpv6.type', label: 'Type', show: numberWithName((n) => TYPES_V6.get(n)) },
  code: { id: 'icmpv6.code', label: 'Code' },
  checksum: { id: 'icmpv6.checksum', label: 'Checksum', show: hexNumber(4) },
  echoId: { id: 'icmpv6.echo.identifier', label: 'Identifier', reference: 'RFC 4443 §4.1' },
  echoSeq: { id: 'icmpv6.echo.sequence_number', label: 'Number', reference: 'RFC 4443 §4.1' },
} satisfies WordsFor<typeof icmp.FIELDS>);

/** The first four bytes are the same in every message. */
const COMMON = icmp.FIELDS.filter(({ at }) => at < 4) as readonly FieldSpec[];

const plain = (id: string, reference: string, types: typeof TYPES) =>
  new HeaderMap(COMMON, reference, {
    type: { id: `${id}.type`, label: 'Type', show: numberWithName((n) => types.get(n)) },
    code: { id: `${id}.code`, label: 'Code' },
    checksum: { id: `${id}.checksum`, label: 'Checksum', show: hexNumber(4) },
  });
const PLAIN = plain('icmp', V4, TYPES);
const PLAIN_V6 = plain('icmpv6', V6, TYPES_V6);

const NEIGHBOUR_OPTIONS: Dialect = {
  id: 'icmpv6.opt',
  reference: 'RFC 4861 §4.6',
  single: [],
  last: -1,
  length: (n) => n * 8,
  known: {
    1: {
      id: 'linkaddr.source',
      label: "Sender's link address",
      meaning: 'Station that asks.',
      reference: 'RFC 4861 §4.6.1',
      show: macText,
    },
    2: {
      id: 'linkaddr.target',
      label: "Target's link address",
      meaning: 'The answer: the station that has the address.',
      reference: 'RFC 4861 §4.6.1',
      show: macText,
    },
  },
};

/** Reads an ICMP or ICMPv6 message. */
export function readIcmp(w: Walker, protocol: number, at: number, end: number, ip: IpContext): void {
  const { b } = w;
  const v6 = protocol === icmp.PROTOCOL_V6;
  const name = v6 ? 'icmpv6' : 'icmp';
  const fault = icmp.check(b, at, end);
  const type = b[at]!;
  const isEcho = v6
    ? type === icmp.V6_ECHO_REQUEST || type === icmp.V6_ECHO_REPLY
    : type === icmp.ECHO_REQUEST || type === icmp.ECHO_REPLY;
  const problems: Record<string, string> = {};
  if (!fault && ip.whole && !transportOk(b, ip.ipAt, protocol, at, end))
    problems['checksum'] = 'the checksum is wrong';
  const map = isEcho ? (v6 ? ECHO_V6 : ECHO) : v6 ? PLAIN_V6 : PLAIN;
  let headerEnd = Math.min(at + icmp.HEADER_LEN, end);
  const children: Field[] = map.fields(w, at, headerEnd, problems);
  if (!isEcho && headerEnd > at + 4) {
    children.push(second(w, v6, type, b[at + 1]!, at + 4, headerEnd));
    if (v6 && (type === NEIGHBOUR_SOLICITATION || type === NEIGHBOUR_ADVERTISEMENT) && at + 24 <= end) {
      const target = ipText(b, at + 8, at + 24);
      children.push(
        w.field({
          id: `icmpv6.nd.${type === NEIGHBOUR_SOLICITATION ? 'ns' : 'na'}.target_address`,
          label: 'Target',
          at: at + 8,
          end: at + 24,
          value: target,
          text: target,
          meaning: 'The address whose station is wanted.',
          reference: 'RFC 4861 §4.3',
        }),
        ...readOptions(w, NEIGHBOUR_OPTIONS, at + 24, end),
      );
      headerEnd = end;
    }
  }
  if (fault && !ip.quoted) w.stop(end, name, fault.problem);
  w.layer({
    id: name,
    label: v6 ? 'ICMPv6' : 'ICMP',
    at,
    end: headerEnd,
    text: (v6 ? TYPES_V6 : TYPES).get(type) ?? `type ${type}`,
    meaning: 'Reports errors and answers pings.',
    reference: v6 ? V6 : V4,
    children,
    problem: ip.quoted ? undefined : fault?.problem,
  });
  if (headerEnd >= end) return;
  if (icmp.isError(type, v6) && (b[headerEnd]! >>> 4 === 4 || b[headerEnd]! >>> 4 === 6)) {
    w.next.ip(w, headerEnd, end, -1, true);
  } else w.data(headerEnd, end, { label: 'Payload', meaning: 'In a ping, bytes that come back unchanged.' });
}

/** The second word of what is no echo. */
function second(w: Walker, v6: boolean, type: number, code: number, at: number, end: number): Field {
  const { b } = w;
  const whole = end - at === 4;
  const name = v6 ? 'icmpv6' : 'icmp';
  const isMtu = v6
    ? type === icmp.V6_PACKET_TOO_BIG
    : type === icmp.UNREACHABLE && code === icmp.FRAGMENTATION_NEEDED;
  if (whole && isMtu) {
    // IPv4 keeps it in the low half; the high half is unused.
    const mtu = v6 ? u32(b, at) : u16(b, at + 2);
    return w.field({
      id: `${name}.mtu`,
      label: 'MTU',
      at,
      end,
      value: mtu,
      text: `${mtu} bytes`,
      meaning:
        'The longest packet that the next link takes. When these messages get lost, long packets vanish.',
      reference: v6 ? 'RFC 4443 §3.2' : 'RFC 1191 §4',
    });
  }
  return w.field({
    id: `${name}.reserved`,
    label: 'Rest of the header',
    at,
    end,
    value: toHex(b, at, end),
    text: toHex(b, at, end),
    meaning: 'Differs from type to type; zeroes in most.',
    reference: v6 ? V6 : V4,
  });
}
