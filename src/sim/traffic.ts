/**
 * Packets that hosts send: whole IP packets of either family with UDP or TCP in them, checksums filled. Pings are
 * in `wire/icmp.ts`.
 * @module
 */
import type { Address } from '../wire/address.ts';
import { fillTransport } from '../wire/checksum.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';

const NOTHING = new Uint8Array(0);
/** What every system sends with. */
const TTL = 64;

/** From where to where; both of one family. */
export interface Flow {
  readonly src: Address;
  readonly dst: Address;
  readonly srcPort: number;
  readonly dstPort: number;
}

/** The same flow, from the other end. */
export function reverse({ src, dst, srcPort, dstPort }: Flow): Flow {
  return { src: dst, dst: src, srcPort: dstPort, dstPort: srcPort };
}

/** Makes a UDP datagram. */
export function udpPacket({ src, dst, srcPort, dstPort }: Flow, data: Uint8Array): Uint8Array {
  const length = udp.HEADER_LEN + data.length;
  const { packet, at } = ipPacket(src, dst, udp.PROTOCOL, length);
  udp.emit({ srcPort, dstPort, length, checksum: 0 }, packet, at);
  packet.set(data, at + udp.HEADER_LEN);
  fillTransport(packet, 0, udp.PROTOCOL, at, packet.length);
  return packet;
}

/** A TCP segment's own part. */
export interface Segment {
  readonly seq: number;
  readonly ack: number;
  /** `tcp.SYN`, `tcp.ACK`, … */
  readonly flags: number;
  readonly data?: Uint8Array;
}

/** Makes a TCP segment without options. */
export function tcpPacket({ src, dst, srcPort, dstPort }: Flow, segment: Segment): Uint8Array {
  const { seq, ack, flags, data = NOTHING } = segment;
  const { packet, at } = ipPacket(src, dst, tcp.PROTOCOL, tcp.HEADER_LEN + data.length);
  tcp.emit(
    { srcPort, dstPort, seq, ack, flags, window: 0xffff, checksum: 0, urgentPointer: 0, options: NOTHING },
    packet,
    at,
  );
  packet.set(data, at + tcp.HEADER_LEN);
  fillTransport(packet, 0, tcp.PROTOCOL, at, packet.length);
  return packet;
}

/** `len` bytes of readable text, so that eyes recognise it, in the clear and after decryption. */
export function text(len: number): Uint8Array {
  const b = new Uint8Array(len);
  for (let i = 0; i < len; i++) b[i] = WORDS[i % WORDS.length]!;
  return b;
}

/** What {@link text} repeats. */
export const PHRASE = 'esplane demo, not a secret. ';
const WORDS = new TextEncoder().encode(PHRASE);

/** An IP header with room for `len` bytes after it. */
function ipPacket(
  src: Address,
  dst: Address,
  protocol: number,
  len: number,
): { packet: Uint8Array; at: number } {
  if (src.length === ipv6.ADDRESS_LEN) {
    const packet = new Uint8Array(ipv6.HEADER_LEN + len);
    const fixed = { trafficClass: 0, flowLabel: 0, hopLimit: TTL };
    const at = ipv6.emit({ ...fixed, payloadLength: len, nextHeader: protocol, src, dst }, packet);
    return { packet, at };
  }
  const packet = new Uint8Array(ipv4.HEADER_LEN + len);
  const unfragmented = { id: 0, dontFragment: true, moreFragments: false, fragmentOffset: 0 };
  const at = ipv4.emit(
    { ...unfragmented, tos: 0, totalLength: packet.length, ttl: TTL, protocol, src, dst, options: NOTHING },
    packet,
  );
  return { packet, at };
}
