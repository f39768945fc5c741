/**
 * A clear IP packet in one line, as tcpdump would say it: `10.0.0.1.80 > 10.0.0.2.4711: TCP [S.], length 60`.
 * @module
 */
import { formatAddress } from '../wire/address.ts';
import * as icmp from '../wire/icmp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as extensions from '../wire/ipv6-extensions.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';

const walk = new extensions.Walk();

/** Describes the IP packet in `b[at..end)`. Any bytes will do: what cannot be read is said to be so. */
export function packetLine(b: Uint8Array, at: number, end: number): string {
  const version = end > at ? b[at]! >>> 4 : 0;
  if (version === 4 && !ipv4.checkHeader(b, at, end)) {
    const from = formatAddress(b, at + ipv4.SRC_AT, 4);
    const to = formatAddress(b, at + ipv4.DST_AT, 4);
    const piece = ipv4.isFragment(b, at) ? ` (fragment at ${ipv4.fragmentOffset(b, at)})` : '';
    if (ipv4.fragmentOffset(b, at) > 0) {
      return `IP ${from} > ${to}: protocol ${ipv4.protocol(b, at)}${piece}, length ${end - at}`;
    }
    return `IP ${upperLine(b, from, to, ipv4.protocol(b, at), at + ipv4.headerLen(b, at), end)}${piece}, length ${end - at}`;
  }
  if (version === 6 && !ipv6.checkHeader(b, at, end)) {
    const from = formatAddress(b, at + ipv6.SRC_AT, 16);
    const to = formatAddress(b, at + ipv6.DST_AT, 16);
    if (walk.run(b, at, end)) return `IP6 ${from} > ${to}: damaged extension headers, length ${end - at}`;
    return `IP6 ${upperLine(b, from, to, walk.protocol, walk.at, end)}, length ${end - at}`;
  }
  return `no IP packet, length ${end - at}`;
}

function upperLine(
  b: Uint8Array,
  from: string,
  to: string,
  protocol: number,
  at: number,
  end: number,
): string {
  if (protocol === tcp.PROTOCOL && !tcp.check(b, at, end)) {
    return `${from}.${tcp.srcPort(b, at)} > ${to}.${tcp.dstPort(b, at)}: TCP [${flagText(tcp.flags(b, at))}]`;
  }
  if (protocol === udp.PROTOCOL && end - at >= udp.HEADER_LEN) {
    return `${from}.${udp.srcPort(b, at)} > ${to}.${udp.dstPort(b, at)}: UDP`;
  }
  if ((protocol === icmp.PROTOCOL || protocol === icmp.PROTOCOL_V6) && !icmp.check(b, at, end)) {
    const name = protocol === icmp.PROTOCOL ? 'ICMP' : 'ICMP6';
    return `${from} > ${to}: ${name} ${icmpText(protocol, icmp.type(b, at))}`;
  }
  return `${from} > ${to}: protocol ${protocol}`;
}

/** tcpdump's letters: S, F, P, R, and a dot for ACK. */
function flagText(flags: number): string {
  let text = '';
  if (flags & tcp.SYN) text += 'S';
  if (flags & tcp.FIN) text += 'F';
  if (flags & tcp.PSH) text += 'P';
  if (flags & tcp.RST) text += 'R';
  if (flags & tcp.ACK) text += '.';
  return text === '' ? 'none' : text;
}

function icmpText(protocol: number, type: number): string {
  if (type === (protocol === icmp.PROTOCOL ? 8 : 128)) return 'echo request';
  if (type === (protocol === icmp.PROTOCOL ? 0 : 129)) return 'echo reply';
  return `type ${type}`;
}
