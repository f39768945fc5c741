/**
 * What a flow says of a packet's own headers: addresses, protocol, ports, flags.
 * @module
 */
import { u16 } from '../base/bytes.ts';
import * as icmp from '../wire/icmp.ts';
import { LATER_FRAGMENT } from '../wire/ip.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import type { Batch } from '../wire/packet.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';
import { AT, type FlowRows, HAS } from './flow-rows.ts';

export const SCTP = 132;
const SCTP_HEADER_LEN = 12;
const ICMP_HEADER_LEN = 8;

/**
 * Writes down packet `i`, as far as its header could be read: a damaged one has perhaps no addresses, a later fragment has
 * no ports.
 * @param rowAt where its row starts
 */
export function readPacket({ view, bytes }: FlowRows, rowAt: number, batch: Batch, i: number): void {
  const { slab, offset, length, family, protocol, l4, fragment } = batch;
  const at = offset[i]!;
  view.setUint32(rowAt + AT.LENGTH, length[i]!);
  if (family[i] === 4) {
    copy(bytes, rowAt + AT.SRC, slab, at + ipv4.SRC_AT, ipv4.ADDRESS_LEN);
    copy(bytes, rowAt + AT.DST, slab, at + ipv4.DST_AT, ipv4.ADDRESS_LEN);
    view.setUint16(rowAt + AT.HAS, HAS.IP);
  } else if (family[i] === 6) {
    copy(bytes, rowAt + AT.SRC, slab, at + ipv6.SRC_AT, ipv6.ADDRESS_LEN);
    copy(bytes, rowAt + AT.DST, slab, at + ipv6.DST_AT, ipv6.ADDRESS_LEN);
    view.setUint16(rowAt + AT.HAS, HAS.IP | HAS.IPV6);
  }
  if (protocol[i]! < 0) return;
  bytes[rowAt + AT.PROTOCOL] = protocol[i]!;
  if (fragment[i] !== LATER_FRAGMENT)
    readUpper(view, bytes, rowAt, slab, l4[i]!, at + length[i]!, protocol[i]!);
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
