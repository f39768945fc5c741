import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../src/wire/address.ts';
import { transportOk } from '../../src/wire/checksum.ts';
import * as icmp from '../../src/wire/icmp.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { udp4, udp6 } from '../support/datagram.ts';
import { PODS, twoNodes } from '../support/two-nodes.ts';

const v4 = (len: number, given = {}) =>
  udp4(len, { src: parseAddress(PODS.a1.addresses[0])!, dst: parseAddress(PODS.b1.addresses[0])!, ...given });
const v6 = (len: number) =>
  udp6(len, { src: parseAddress(PODS.a1.addresses[1])!, dst: parseAddress(PODS.b1.addresses[1])! });

describe('a packet that does not fit', () => {
  it('is dropped with DF, and its sender learns the MTU that fits', () => {
    const { send, got, nodes } = twoNodes({ mtu: 1500 });
    const long = v4(1480);
    send('a1', long);
    expect(got.b1).toEqual([]);
    const [answer] = got.a1;
    expect(ipv4.parse(answer!).src).toEqual(ipv4.parse(long).dst);
    expect([icmp.type(answer!, 20), icmp.code(answer!, 20)]).toEqual([
      icmp.UNREACHABLE,
      icmp.FRAGMENTATION_NEEDED,
    ]);
    expect(transportOk(answer!, 0, 1, 20, answer!.length)).toBe(true);
    expect(answer!.length).toBe(576);
    const mtu = icmp.echoSeq(answer!, 20);
    expect(nodes[0].stats().out.drops).toEqual({ 'out-too-big': 1 });
    expect(nodes[0].stats().tooBig.icmpSent).toBe(1);
    send('a1', v4(mtu));
    expect(got.b1).toHaveLength(1);
    send('a1', v4(mtu + 1));
    expect(got.b1, 'one byte more does not fit').toHaveLength(1);
  });

  it('goes in fragments without DF, and arrives whole', () => {
    const { send, got, nodes, wire } = twoNodes({ mtu: 1500 });
    const long = v4(4000, { dontFragment: false });
    send('a1', long);
    expect(got.b1).toHaveLength(1);
    expect(got.b1[0]!.subarray(20)).toEqual(long.subarray(20));
    expect(wire.length).toBe(3);
    for (const frame of wire) expect(frame.length).toBeLessThanOrEqual(1500);
    const out = nodes[0].stats();
    expect(out.tooBig).toEqual({ icmpSent: 0, icmpSuppressed: 0, cut: 1, fragments: 3 });
    expect([out.out.encrypted, out.out.refused]).toEqual([1, 0]);
    expect(nodes[1].stats().in).toMatchObject({ fragments: 3, reassembled: 1, decrypted: 1 });
  });

  it('of IPv6 is answered with packet too big, and at least 1280', () => {
    const { send, got } = twoNodes({ mtu: 1500 });
    send('a1', v6(1500));
    const [answer] = got.a1;
    expect(icmp.type(answer!, 40)).toBe(icmp.V6_PACKET_TOO_BIG);
    expect(icmp.echoSeq(answer!, 40)).toBeGreaterThanOrEqual(1280);
    expect(transportOk(answer!, 0, 58, 40, answer!.length)).toBe(true);
    expect(answer!.length).toBe(1280);
  });

  it('is not answered when it is an ICMP error itself, or for many, or in a flood', () => {
    const { send, got, nodes } = twoNodes({ mtu: 1500 });
    const error = v4(1490, { protocol: 1 });
    error[20] = icmp.UNREACHABLE;
    send('a1', error);
    expect(got.a1).toEqual([]);
    for (let n = 0; n < 150; n++) send('a1', v4(1490));
    expect(got.a1).toHaveLength(100);
    expect(nodes[0].stats().tooBig).toMatchObject({ icmpSent: 100, icmpSuppressed: 51 });
  });

  it('learns of a narrower path under way', () => {
    const { send, got, nodes } = twoNodes({ mtu: 1500 });
    send('a1', v4(1400));
    expect(got.b1).toHaveLength(1);
    nodes[0].setPathMtu(1300);
    send('a1', v4(1400));
    expect(got.b1).toHaveLength(1);
    expect(icmp.echoSeq(got.a1[0]!, 20)).toBeLessThan(1300);
  });
});
