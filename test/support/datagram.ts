/**
 * Whole IP packets with real UDP in them, for the eyes of other programs.
 * @module
 */
import * as checksum from '../../src/wire/checksum.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import * as udp from '../../src/wire/udp.ts';
import { ipv4Packet, ipv6Packet } from './sa.ts';

/** Writes a UDP header with its checksum over the start of an IP packet's payload. */
export function asDatagram(packet: Uint8Array, srcPort: number, dstPort: number): Uint8Array {
  const at = packet[0]! >>> 4 === 4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN;
  udp.emit({ srcPort, dstPort, length: packet.length - at, checksum: 0 }, packet, at);
  checksum.fillTransport(packet, 0, udp.PROTOCOL, at, packet.length);
  return packet;
}

/** A datagram in IPv4 of `len` bytes in all; addresses as {@link ipv4Packet} has them. */
export function udp4(len: number, given: Partial<ipv4.Header> = {}): Uint8Array {
  return asDatagram(ipv4Packet(len, given), 5000, 7000);
}

/** A datagram in IPv6 of `len` bytes in all; addresses as {@link ipv6Packet} has them. */
export function udp6(len: number, given: Partial<ipv6.Header> = {}): Uint8Array {
  return asDatagram(ipv6Packet(len, given), 5000, 7000);
}
