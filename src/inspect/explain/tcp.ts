/**
 * TCP with options.
 * @module
 */
import { toHex, u16, u32 } from '../../base/bytes.ts';
import { transportOk } from '../../wire/checksum.ts';
import * as tcp from '../../wire/tcp.ts';
import { HeaderMap, hexNumber, numberWithName, type WordsFor } from './header.ts';
import { portName } from './names.ts';
import { type Dialect, readOptions } from './options.ts';
import { WRONG_CHECKSUM } from './udp.ts';
import type { IpContext, Walker } from './walker.ts';

const ref = 'RFC 9293 §3.1';
const showPort = numberWithName(portName);

/** Highest bit first. */
const FLAGS = [
  ['cwr', 'CWR', 7, 'Congestion window reduced: answer to ECE.', 'RFC 3168 §6.1'],
  ['ece', 'ECE', 6, 'The receiver met congestion marks.', 'RFC 3168 §6.1'],
  ['urg', 'URG', 5, 'The urgent pointer counts.', ref],
  ['ack', 'ACK', 4, 'The acknowledgement number counts.', ref],
  ['push', 'PSH', 3, 'Hand what is here to the application.', ref],
  ['reset', 'RST', 2, 'Aborts the connection.', ref],
  ['syn', 'SYN', 1, 'Opens the connection.', ref],
  ['fin', 'FIN', 0, 'Nothing more will be sent.', ref],
] as const;

const TCP = new HeaderMap(
  tcp.FIELDS,
  ref,
  {
    srcPort: { id: 'tcp.srcport', label: 'Source port', show: showPort },
    dstPort: { id: 'tcp.dstport', label: 'Destination port', show: showPort },
    seq: { id: 'tcp.seq_raw', label: 'Sequence number' },
    ack: { id: 'tcp.ack_raw', label: 'Acknowledgement' },
    words: { id: 'tcp.hdr_len', label: 'Header length', show: (n) => `${n} words (${n * 4} bytes)` },
    reserved: { id: 'tcp.reserved', label: 'Reserved' },
    flags: {
      id: 'tcp.flags',
      label: 'Flags',
      show: (n) => {
        const set = FLAGS.filter(([, , shift]) => (n >>> shift) & 1).map(([, label]) => label);
        return `0x${n.toString(16).padStart(2, '0')} (${set.length > 0 ? set.join(', ') : 'none'})`;
      },
    },
    window: { id: 'tcp.window_size_value', label: 'Window' },
    checksum: { id: 'tcp.checksum', label: 'Checksum', show: hexNumber(4) },
    urgentPointer: { id: 'tcp.urgent_pointer', label: 'Urgent pointer' },
  } satisfies WordsFor<typeof tcp.FIELDS>,
  {
    12: {
      id: 'tcp.len_reserved',
      label: 'Header length',
      meaning: 'The upper half of the byte counts words; the lower is reserved.',
    },
  },
  {
    flags: FLAGS.map(([id, label, shift, meaning, reference]) => ({
      id: `tcp.flags.${id}`,
      label,
      meaning,
      reference,
      bits: [shift, 1] as const,
    })),
  },
);

const OPTIONS: Dialect = {
  id: 'tcp.options',
  reference: 'RFC 9293 §3.2',
  single: [tcp.OPTION_END, tcp.OPTION_NOP],
  last: tcp.OPTION_END,
  length: (n) => n,
  known: {
    [tcp.OPTION_END]: { id: 'eol', label: 'End of options', meaning: 'Nothing behind it counts.' },
    [tcp.OPTION_NOP]: { id: 'nop', label: 'No operation', meaning: 'Fills up to the next word.' },
    [tcp.OPTION_MSS]: {
      id: 'mss',
      label: 'Maximum segment',
      meaning:
        'The largest payload that the sender takes. Too large for a tunnel, it makes long packets vanish.',
      reference: 'RFC 9293 §3.7.1',
      show: (b, at, end) => (end - at === 2 ? String(u16(b, at)) : toHex(b, at, end)),
    },
    [tcp.OPTION_WINDOW_SCALE]: {
      id: 'wscale',
      label: 'Window scale',
      meaning: 'By how many bits every later window is to be shifted.',
      reference: 'RFC 7323 §2',
      show: (b, at, end) => (end - at === 1 ? String(b[at]!) : toHex(b, at, end)),
    },
    [tcp.OPTION_SACK_PERMITTED]: {
      id: 'sack_perm',
      label: 'SACK permitted',
      meaning: 'The sender understands selective acknowledgements.',
      reference: 'RFC 2018 §2',
    },
    [tcp.OPTION_SACK]: {
      id: 'sack',
      label: 'SACK',
      meaning: 'Ranges beyond the acknowledgement that have arrived.',
      reference: 'RFC 2018 §3',
      show: (b, at, end) => {
        if ((end - at) % 8 !== 0) return toHex(b, at, end);
        const ranges: string[] = [];
        for (let i = at; i < end; i += 8) ranges.push(`${u32(b, i)}-${u32(b, i + 4)}`);
        return ranges.join(', ');
      },
    },
    [tcp.OPTION_TIMESTAMPS]: {
      id: 'timestamp',
      label: 'Timestamps',
      meaning: "The sender's clock, and the last one that it saw of the other end.",
      reference: 'RFC 7323 §3',
      show: (b, at, end) => (end - at === 8 ? `${u32(b, at)}, echo ${u32(b, at + 4)}` : toHex(b, at, end)),
    },
  },
};

/** Reads a TCP segment. */
export function readTcp(w: Walker, at: number, end: number, ip: IpContext): void {
  const { b } = w;
  const fault = tcp.check(b, at, end);
  const fixedEnd = Math.min(at + tcp.HEADER_LEN, end);
  const headerEnd = fault ? fixedEnd : at + tcp.headerLen(b, at);
  const problems: Record<string, string> = {};
  if (fault?.at === 12) problems['words'] = fault.problem;
  if (!fault && ip.whole && !transportOk(b, ip.ipAt, tcp.PROTOCOL, at, end))
    problems['checksum'] = WRONG_CHECKSUM;
  const children = TCP.fields(w, at, fixedEnd, problems);
  if (headerEnd > fixedEnd) {
    children.push(
      w.field({
        id: 'tcp.options',
        label: 'Options',
        at: fixedEnd,
        end: headerEnd,
        text: `${headerEnd - fixedEnd} bytes`,
        meaning: 'What both ends can do beyond the basic protocol.',
        reference: 'RFC 9293 §3.2',
        children: readOptions(w, OPTIONS, fixedEnd, headerEnd),
      }),
    );
  }
  if (fault && !ip.quoted) w.stop(at + fault.at, 'tcp', fault.problem);
  w.layer({
    id: 'tcp',
    label: 'TCP',
    at,
    end: headerEnd,
    text: fixedEnd - at >= 4 ? `port ${tcp.srcPort(b, at)} > ${tcp.dstPort(b, at)}` : '',
    meaning: 'A stream of bytes between two ports, in order and without loss.',
    reference: ref,
    children,
    problem: ip.quoted ? undefined : fault?.problem,
  });
  if (fault)
    w.data(headerEnd, end, { label: 'Not read', meaning: 'What follows a header that cannot be trusted.' });
  else
    w.data(headerEnd, end, {
      id: 'tcp.payload',
      label: 'Payload',
      meaning: 'What the application sent.',
      reference: ref,
    });
}
