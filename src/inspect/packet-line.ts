/**
 * A clear IP packet in one line, as tcpdump would say it: `10.0.0.1.80 > 10.0.0.2.4711: TCP [S.], length 60`.
 * @module
 */
import { type TextBuffer, textOf } from '../base/text-buffer.ts';
import { putAddress } from '../wire/address.ts';
import * as icmp from '../wire/icmp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { walk } from '../wire/ipv6-extensions.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';

/** Describes the IP packet in `b[at..end)`. Any bytes will do: what cannot be read is said to be so. */
export function packetLine(b: Uint8Array, at: number, end: number): string {
  return textOf((out) => putPacketLine(out, b, at, end));
}

/** The name of an address of `len` bytes, for people; null where it has none. */
export type NameOf = (b: Uint8Array, at: number, len: number) => string | null;

/** Writes what {@link packetLine} says. @param nameOf names that stand behind addresses, in brackets */
export function putPacketLine(
  out: TextBuffer,
  b: Uint8Array,
  at: number,
  end: number,
  nameOf?: NameOf,
): void {
  const version = end > at ? b[at]! >>> 4 : 0;
  if (version === 4 && !ipv4.checkHeader(b, at, end)) {
    out.text('IP ');
    // Of a later fragment only the first bytes are a header.
    if (ipv4.fragmentOffset(b, at) > 0)
      putProtocol(out, b, at + ipv4.SRC_AT, 4, ipv4.protocol(b, at), nameOf);
    else putUpper(out, b, at + ipv4.SRC_AT, 4, ipv4.protocol(b, at), at + ipv4.headerLen(b, at), end, nameOf);
    if (ipv4.isFragment(b, at)) out.text(` (fragment at ${ipv4.fragmentOffset(b, at)})`);
  } else if (version === 6 && !ipv6.checkHeader(b, at, end)) {
    out.text('IP6 ');
    if (walk.run(b, at, end)) {
      putAddresses(out, b, at + ipv6.SRC_AT, 16, nameOf);
      out.text(': damaged extension headers');
    } else putUpper(out, b, at + ipv6.SRC_AT, 16, walk.protocol, walk.at, end, nameOf);
  } else out.text('no IP packet');
  out.text(', length ');
  out.decimal(end - at);
}

/** @param srcAt where the addresses of `len` bytes lie, source and destination */
function putUpper(
  out: TextBuffer,
  b: Uint8Array,
  srcAt: number,
  len: number,
  protocol: number,
  at: number,
  end: number,
  nameOf: NameOf | undefined,
): void {
  if (protocol === tcp.PROTOCOL && !tcp.check(b, at, end)) {
    putEnds(out, b, srcAt, len, tcp.srcPort(b, at), tcp.dstPort(b, at), nameOf);
    out.text(': TCP [');
    out.text(flagText(tcp.flags(b, at)));
    out.text(']');
  } else if (protocol === udp.PROTOCOL && end - at >= udp.HEADER_LEN) {
    putEnds(out, b, srcAt, len, udp.srcPort(b, at), udp.dstPort(b, at), nameOf);
    out.text(': UDP');
  } else if ((protocol === icmp.PROTOCOL || protocol === icmp.PROTOCOL_V6) && !icmp.check(b, at, end)) {
    putAddresses(out, b, srcAt, len, nameOf);
    out.text(protocol === icmp.PROTOCOL ? ': ICMP ' : ': ICMP6 ');
    out.text(icmpText(protocol, icmp.type(b, at)));
  } else putProtocol(out, b, srcAt, len, protocol, nameOf);
}

function putProtocol(
  out: TextBuffer,
  b: Uint8Array,
  srcAt: number,
  len: number,
  protocol: number,
  nameOf: NameOf | undefined,
): void {
  putAddresses(out, b, srcAt, len, nameOf);
  out.text(': protocol ');
  out.decimal(protocol);
}

function putAddresses(
  out: TextBuffer,
  b: Uint8Array,
  srcAt: number,
  len: number,
  nameOf: NameOf | undefined,
): void {
  putEnd(out, b, srcAt, len, -1, nameOf);
  out.text(' > ');
  putEnd(out, b, srcAt + len, len, -1, nameOf);
}

/** Addresses with ports: `10.0.0.1.80 > 10.0.0.2.4711`. */
function putEnds(
  out: TextBuffer,
  b: Uint8Array,
  srcAt: number,
  len: number,
  srcPort: number,
  dstPort: number,
  nameOf: NameOf | undefined,
): void {
  putEnd(out, b, srcAt, len, srcPort, nameOf);
  out.text(' > ');
  putEnd(out, b, srcAt + len, len, dstPort, nameOf);
}

/** @param port -1 for none */
function putEnd(
  out: TextBuffer,
  b: Uint8Array,
  at: number,
  len: number,
  port: number,
  nameOf: NameOf | undefined,
): void {
  putAddress(out, b, at, len);
  if (port >= 0) {
    out.text('.');
    out.decimal(port);
  }
  const name = nameOf?.(b, at, len) ?? null;
  if (name !== null) out.utf8(` (${name})`);
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
