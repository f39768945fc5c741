/**
 * UDP, with what shares port 4500: ESP, IKE and keepalives.
 * @module
 */
import { transportOk } from '../../wire/checksum.ts';
import * as esp from '../../wire/esp.ts';
import * as udp from '../../wire/udp.ts';
import * as vxlan from '../../wire/vxlan.ts';
import { readCarrier } from './carrier.ts';
import { readEsp } from './esp.ts';
import { HeaderMap, hexNumber, numberWithName, type WordsFor } from './header.ts';
import { portName } from './names.ts';
import { readVxlan } from './vxlan.ts';
import type { IpContext, Walker } from './walker.ts';

const ref = 'RFC 768';
const showPort = numberWithName(portName);

const UDP = new HeaderMap(udp.FIELDS, ref, {
  srcPort: { id: 'udp.srcport', label: 'Source port', show: showPort },
  dstPort: { id: 'udp.dstport', label: 'Destination port', show: showPort },
  length: { id: 'udp.length', label: 'Length' },
  checksum: { id: 'udp.checksum', label: 'Checksum', show: (n) => (n === 0 ? '0 (none)' : hexNumber(4)(n)) },
} satisfies WordsFor<typeof udp.FIELDS>);

/** Reads a UDP datagram and what it carries. */
export function readUdp(w: Walker, at: number, end: number, ip: IpContext): void {
  const { b } = w;
  const fault = udp.checkHeader(b, at, end);
  const headerEnd = Math.min(at + udp.HEADER_LEN, end);
  const length = fault ? 0 : udp.length(b, at);
  const problems: Record<string, string> = {};
  if (fault?.at === 4) problems['length'] = fault.problem;
  else if (length > end - at && ip.whole)
    problems['length'] = `the datagram has ${length} bytes, ${end - at} are here`;
  const dataEnd = fault ? end : Math.min(end, at + length);
  const isWhole = !fault && ip.whole && length <= end - at;
  if (isWhole && udp.checksum(b, at) !== 0 && !transportOk(b, ip.ipAt, udp.PROTOCOL, at, dataEnd))
    problems['checksum'] = WRONG_CHECKSUM;
  if (fault) w.stop(at + fault.at, 'udp', fault.problem);
  else if (problems['length'] !== undefined) w.stop(end, 'udp', problems['length']);
  w.layer({
    id: 'udp',
    label: 'UDP',
    at,
    end: headerEnd,
    text: headerEnd - at >= 4 ? `port ${udp.srcPort(b, at)} > ${udp.dstPort(b, at)}` : '',
    meaning: 'From port to port, each datagram by itself.',
    reference: ref,
    children: UDP.fields(w, at, headerEnd, problems),
    problem: fault?.problem,
  });
  if (fault) {
    w.data(headerEnd, end, { label: 'Not read', meaning: 'What follows a header that cannot be trusted.' });
    return;
  }
  readPayload(w, at, headerEnd, dataEnd, ip);
  w.data(dataEnd, end, {
    id: 'udp.surplus',
    label: 'Surplus',
    meaning: 'In the IP packet, but behind the end of the datagram. Nobody reads it.',
    reference: 'RFC 768',
  });
}

/** A checksum that does not fit need not be damage. */
export const WRONG_CHECKSUM = 'the checksum is wrong, or its interface was to fill it in after the capture';

function readPayload(w: Walker, udpAt: number, at: number, end: number, ip: IpContext): void {
  if (at >= end) return;
  const ports = [udp.srcPort(w.b, udpAt), udp.dstPort(w.b, udpAt)];
  if (ports.some((port) => port === udp.PORT_ESP || w.options.udpPorts.includes(port))) {
    readNatTraversal(w, at, end, ip);
  } else if (vxlan.isPort(ports[1]!)) readVxlan(w, at, end);
  else readCarrier(w, 'protocol', udp.PROTOCOL, udpAt, end, { ip, from: at });
}

function readNatTraversal(w: Walker, at: number, end: number, ip: IpContext): void {
  switch (esp.classifyUdp(w.b, at, end)) {
    case 'esp':
      readEsp(w, at, end, ip);
      return;
    case 'keepalive':
      w.layer({
        id: 'udpencap.nat_keepalive',
        label: 'NAT keepalive',
        at,
        end,
        value: 0xff,
        text: '0xff',
        meaning: 'Keeps the mapping in a NAT alive. The receiver drops it.',
        reference: 'RFC 3948 §2.3',
      });
      return;
    case 'ike':
      w.layer({
        id: 'udpencap.non_esp_marker',
        label: 'Non-ESP marker',
        at,
        end: at + 4,
        value: 0,
        text: '0x00000000',
        meaning: 'Four zeroes, which are no SPI: what follows is IKE.',
        reference: 'RFC 3948 §2.2',
      });
      w.data(at + 4, end, {
        id: 'isakmp',
        label: 'IKE',
        meaning: 'The key exchange. Cilium has none: its keys come from a Secret.',
        reference: 'RFC 7296 §3',
      });
      return;
    case 'short':
      w.data(at, end, {
        id: 'udpencap.short',
        label: 'Too short for ESP',
        meaning: 'On the port of ESP, but no longer than its header. Linux hands it to the IKE daemon.',
        reference: 'RFC 3948 §2',
      });
  }
}
