import { describe, expect, it } from 'vitest';
import { reverse, tcpPacket, text, udpPacket } from '../../src/sim/traffic.ts';
import { transportOk } from '../../src/wire/checksum.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import * as tcp from '../../src/wire/tcp.ts';
import * as udp from '../../src/wire/udp.ts';
import { ip } from '../support/cilium-cluster.ts';

const FLOWS = {
  IPv4: { src: ip('10.0.0.1'), dst: ip('10.0.0.2'), srcPort: 4000, dstPort: 80 },
  IPv6: { src: ip('fd00::1'), dst: ip('fd00::2'), srcPort: 4000, dstPort: 80 },
};

describe.each(Object.entries(FLOWS))('%s', (family, flow) => {
  const at = family === 'IPv4' ? 20 : 40;
  const whole = (packet: Uint8Array) =>
    family === 'IPv4'
      ? ipv4.check(packet) === undefined &&
        ipv4.checksumOk(packet) &&
        ipv4.totalLength(packet) === packet.length
      : ipv6.check(packet) === undefined && 40 + ipv6.payloadLength(packet) === packet.length;

  it.each([0, 1, 2, 1000])('UDP with %i bytes is whole, and its checksums are right', (len) => {
    const packet = udpPacket(flow, text(len));
    expect(whole(packet)).toBe(true);
    expect(transportOk(packet, 0, udp.PROTOCOL, at, packet.length)).toBe(true);
    expect(udp.parse(packet, at)).toMatchObject({ srcPort: 4000, dstPort: 80, length: 8 + len });
    expect(packet.subarray(at + 8)).toEqual(text(len));
  });

  it.each([0, 1, 999])('TCP with %i bytes is whole, and its checksums are right', (len) => {
    const packet = tcpPacket(flow, { seq: 0xffff_fff0, ack: 7, flags: tcp.ACK | tcp.PSH, data: text(len) });
    expect(whole(packet)).toBe(true);
    expect(transportOk(packet, 0, tcp.PROTOCOL, at, packet.length)).toBe(true);
    expect(tcp.parse(packet, at)).toMatchObject({ seq: 0xffff_fff0, ack: 7, flags: 0x18 });
    expect(packet.subarray(at + 20)).toEqual(text(len));
  });

  it('turns a flow round', () => {
    const back = udpPacket(reverse(flow), text(1));
    expect(udp.parse(back, at)).toMatchObject({ srcPort: 80, dstPort: 4000 });
    expect(reverse(reverse(flow))).toEqual(flow);
  });
});
