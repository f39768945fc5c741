/**
 * What a flow says of a packet's own headers: addresses, protocol, ports, flags.
 * @module
 */
import { u16 } from '../base/bytes.ts';
import * as icmp from '../wire/icmp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { Walk } from '../wire/ipv6-extensions.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';
import { AT, type FlowRows, HAS } from './flow-rows.ts';

export const SCTP = 132;
const SCTP_HEADER_LEN = 12;
const ICMP_HEADER_LEN = 8;

/** Reads packets into rows. One object is used again and again. */
export class PacketReader {
  readonly #walk = new Walk();

  /**
   * Writes down the packet in `b[at..at + len)`, as far as it can be read: a damaged one has perhaps no addresses, a
   * later fragment has no ports.
   * @param rowAt where its row starts
   */
  read({ view, bytes }: FlowRows, rowAt: number, b: Uint8Array, at: number, len: number): void {
    view.setUint32(rowAt + AT.LENGTH, len);
    const end = at + len;
    const version = len > 0 ? b[at]! >>> 4 : 0;
    let protocol: number;
    let upper: number;
    let isWhole = true;
    if (version === 4 && len >= ipv4.HEADER_LEN) {
      copy(bytes, rowAt + AT.SRC, b, at + ipv4.SRC_AT, ipv4.ADDRESS_LEN);
      copy(bytes, rowAt + AT.DST, b, at + ipv4.DST_AT, ipv4.ADDRESS_LEN);
      view.setUint16(rowAt + AT.HAS, HAS.IP);
      protocol = ipv4.protocol(b, at);
      upper = at + ipv4.headerLen(b, at);
      isWhole = ipv4.fragmentOffset(b, at) === 0;
    } else if (version === 6 && len >= ipv6.HEADER_LEN) {
      copy(bytes, rowAt + AT.SRC, b, at + ipv6.SRC_AT, ipv6.ADDRESS_LEN);
      copy(bytes, rowAt + AT.DST, b, at + ipv6.DST_AT, ipv6.ADDRESS_LEN);
      view.setUint16(rowAt + AT.HAS, HAS.IP | HAS.IPV6);
      if (this.#walk.run(b, at, end)) return;
      // For a later fragment the walk stops at its fragment header, which is no protocol that follows.
      protocol = this.#walk.protocol;
      upper = this.#walk.at;
    } else return;
    bytes[rowAt + AT.PROTOCOL] = protocol;
    if (isWhole) readUpper(view, bytes, rowAt, b, upper, end, protocol);
  }
}

function readUpper(
  view: DataView,
  bytes: Uint8Array,
  rowAt: number,
  b: Uint8Array,
  at: number,
  end: number,
  protocol: number,
): void {
  const left = end - at;
  switch (protocol) {
    case tcp.PROTOCOL:
      if (left < tcp.HEADER_LEN) return;
      bytes[rowAt + AT.FLAGS] = tcp.flags(b, at);
      bytes[rowAt + AT.CODE] = b[at + 12]! & 1;
      break;
    case udp.PROTOCOL:
      if (left < udp.HEADER_LEN) return;
      break;
    case SCTP:
      if (left < SCTP_HEADER_LEN) return;
      break;
    case icmp.PROTOCOL:
    case icmp.PROTOCOL_V6: {
      if (left < ICMP_HEADER_LEN) return;
      bytes[rowAt + AT.FLAGS] = b[at]!;
      bytes[rowAt + AT.CODE] = b[at + 1]!;
      const id = isEcho(protocol, b[at]!) ? u16(b, at + 4) : 0;
      view.setUint16(rowAt + AT.SPORT, id);
      view.setUint16(rowAt + AT.DPORT, id);
      mark(view, rowAt, HAS.L4);
      return;
    }
    default:
      return;
  }
  view.setUint16(rowAt + AT.SPORT, u16(b, at));
  view.setUint16(rowAt + AT.DPORT, u16(b, at + 2));
  mark(view, rowAt, HAS.L4);
}

/** Adds bits to the known facts about a row. */
export function mark(view: DataView, rowAt: number, bits: number): void {
  view.setUint16(rowAt + AT.HAS, view.getUint16(rowAt + AT.HAS) | bits);
}

/** Is it an echo request or reply? */
function isEcho(protocol: number, type: number): boolean {
  return protocol === icmp.PROTOCOL ? type === 8 || type === 0 : type === 128 || type === 129;
}

/** Is it an ICMP error, which belongs to the packet that it quotes? */
export function isIcmpError(protocol: number, type: number): boolean {
  if (protocol === icmp.PROTOCOL_V6) return type < 128;
  return protocol === icmp.PROTOCOL && (type === 3 || type === 11 || type === 12);
}

/** Copies a few bytes: a loop costs less than a view. */
export function copy(to: Uint8Array, toAt: number, from: Uint8Array, at: number, len: number): void {
  for (let k = 0; k < len; k++) to[toAt + k] = from[at + k]!;
}
