import { describe, expect, it } from 'vitest';
import { hex } from '../../src/base/bytes.ts';
import { VirtualClock } from '../../src/base/clock.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { TooBig } from '../../src/node/too-big.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { transportOk } from '../../src/wire/checksum.ts';
import * as icmp from '../../src/wire/icmp.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import type { Batch } from '../../src/wire/packet.ts';
import { udp4, udp6 } from '../support/datagram.ts';
import { batchOf } from '../support/frames.ts';
import { ipv4Packet, ipv6Packet } from '../support/sa.ts';
import { ends, PODS, twoNodes } from '../support/two-nodes.ts';

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

  it('is cut to a narrower path, too', () => {
    const { send, got, nodes, wire } = twoNodes({ mtu: 1500 });
    nodes[0].setPathMtu(1300);
    const long = v4(1400, { dontFragment: false });
    send('a1', long);
    expect(wire.map((frame) => frame.length <= 1300)).toEqual([true, true]);
    expect(got.b1[0]!.subarray(20)).toEqual(long.subarray(20));
    nodes[0].setPathMtu(1500);
    send('a1', long);
    expect(wire).toHaveLength(3);
  });

  it('is measured by the link where the path claims to take more, and never by less than 68 bytes', () => {
    const { send, got, nodes, wire } = twoNodes({ mtu: 1500 });
    nodes[0].setPathMtu(9000);
    const long = v4(1480, { dontFragment: false });
    send('a1', long, v4(1480));
    expect(wire.map((frame) => frame.length <= 1500)).toEqual([true, true]);
    expect(nodes[0].stats().out.drops).toEqual({ 'out-too-big': 1 });
    expect(got.b1[0]!.subarray(20)).toEqual(long.subarray(20));
    nodes[0].setPathMtu(1);
    send('a1', long);
    expect(Math.max(...wire.slice(2).map(({ length }) => length))).toBe(68);
    expect(got.b1).toHaveLength(2);
  });

  it('is cut into longer pieces when the path widens beyond what the link took at the start', () => {
    const lengths: number[] = [];
    const { a } = memoryPair(new VirtualClock(), { mtu: 9000 });
    const outside = {
      ...a,
      send: (batch: Batch) => {
        for (let i = 0; i < batch.count; i++) lengths.push(batch.length[i]!);
        return batch.count;
      },
    };
    const long = batchOf([v4(20_000, { dontFragment: false })], 20_000);
    const tooBig = new TooBig(1500, 1);
    tooBig.mtu = 9000;
    expect(tooBig.cut(long, outside)).toBe(1);
    expect(lengths).toEqual([8996, 8996, 2048]);
  });

  it('leaves in as many fragments as it takes: more than 64', () => {
    const { send, got, nodes, wire } = twoNodes({ mtu: 576 });
    nodes[0].setPathMtu(100);
    const long = v4(8900, { dontFragment: false });
    send('a1', long);
    expect(wire.length).toBeGreaterThan(64);
    expect(Math.max(...wire.map(({ length }) => length))).toBeLessThanOrEqual(100);
    expect(got.b1[0]!.subarray(20)).toEqual(long.subarray(20));
    expect(nodes[0].stats().tooBig).toMatchObject({ cut: 1, fragments: wire.length });
  });

  it('never leaves whole where the link takes only some of its fragments', () => {
    const { nodes, wire, clock } = twoNodes({ mtu: 1500, queue: 2 });
    const batch = batchOf([v4(4000, { dontFragment: false }), v4(100)], 9000);
    nodes[0].fromPods(batch);
    clock.run();
    expect(wire.every(({ length }) => length <= 1500)).toBe(true);
    expect(nodes[0].stats().out).toMatchObject({ packets: 2, refused: 2, encrypted: 0 });
    expect(nodes[0].stats().tooBig.cut).toBe(0);
  });

  it('for a destination outside the cluster is cut without DF, and answered with it', () => {
    const { send, got, nodes, wire } = twoNodes({ mtu: 1500 });
    const far = { dst: parseAddress('198.51.100.7')! };
    send('a1', v4(3000, { ...far, dontFragment: false }));
    expect(got.a1).toEqual([]);
    expect(wire.map(({ length }) => length)).toEqual([1500, 1500, 40]);
    expect(nodes[0].stats()).toMatchObject({ out: { clear: 1, drops: {} }, tooBig: { cut: 1, icmpSent: 0 } });
    send('a1', v4(3000, far));
    expect(icmp.echoSeq(got.a1[0]!, 20)).toBe(1500);
    expect(nodes[0].stats()).toMatchObject({ out: { clear: 1, drops: { 'too-big': 1 } } });
  });

  it('of IPv6 for many is answered by the node itself, and not at all by a node without an IPv6 address', () => {
    const group = udp6(1600, { ...ends('a1', 'b1', 6), dst: parseAddress('ff0e::1')! });
    const nameless = twoNodes({
      mtu: 1500,
      change: (plan) => ({
        ...plan,
        routes: plan.routes.filter(
          ({ prefix, route }) => !(route.kind === 'self' && prefix.address.length === 16),
        ),
      }),
    });
    nameless.send('a1', group);
    expect(nameless.got.a1).toEqual([]);
    expect(nameless.nodes[0].stats().tooBig).toMatchObject({ icmpSent: 0, icmpSuppressed: 1 });
    const { send, got } = twoNodes({ mtu: 1500 });
    send('a1', group);
    expect(ipv6.parse(got.a1[0]!).src).toEqual(parseAddress('fd00:10:244:1::1'));
    expect(icmp.type(got.a1[0]!, 40)).toBe(icmp.V6_PACKET_TOO_BIG);
  });

  // Later fragments, of ICMPv6 too: tried on Linux 6.1 with scapy. Redirects Linux answers; RFC 4443 §2.4 forbids it.
  it.each([
    ['a later IPv6 fragment', { nextHeader: 44 }, '110000880000000100', 1],
    ['an ICMPv6 error behind options', { nextHeader: 60 }, '3a00010400000000 0100', 0],
    ['an echo request behind options', { nextHeader: 60 }, '3a00010400000000 8000', 1],
    ['an ICMPv6 redirect', { nextHeader: 58 }, '8900', 0],
    ['a chain that is broken', { nextHeader: 60 }, '3aff', 0],
  ] as const)('answers or not: %s', (_, given, start, answers) => {
    const payload = new Uint8Array(1600 - 40);
    payload.set(hex(start.replace(' ', '')));
    const { send, got } = twoNodes({ mtu: 1500 });
    send('a1', ipv6Packet(1600, { ...ends('a1', 'b1', 6), ...given }, payload));
    expect(got.a1).toHaveLength(answers);
  });
});

describe('a packet whose hops are used up', () => {
  it.each([4, 6] as const)('is answered by the node that it leaves: IPv%d', (family) => {
    const make = family === 4 ? ipv4Packet : ipv6Packet;
    const { send, got, nodes, wire } = twoNodes();
    const packet = make(100, { ...ends('a1', 'b1', family), ttl: 1, hopLimit: 1 });
    send('a1', packet);
    expect(wire).toEqual([]);
    const [answer] = got.a1;
    const at = family === 4 ? 20 : 40;
    expect(icmp.type(answer!, at)).toBe(family === 4 ? icmp.TIME_EXCEEDED : icmp.V6_TIME_EXCEEDED);
    expect(transportOk(answer!, 0, family === 4 ? 1 : 58, at, answer!.length)).toBe(true);
    expect(answer!.subarray(at + 8)).toEqual(packet);
    const from = family === 4 ? ipv4.parse(answer!).src : ipv6.parse(answer!).src;
    expect(from).toEqual(parseAddress(family === 4 ? '10.244.1.1' : 'fd00:10:244:1::1'));
    expect(nodes[0].stats()).toMatchObject({
      out: { drops: { 'hop-limit': 1 } },
      timeExceeded: { icmpSent: 1, icmpSuppressed: 0 },
      xfrm: {},
    });
  });

  it('is answered through the tunnel by the node that it came to: nothing decrypted is quoted in the clear', () => {
    const { send, got, nodes, wire } = twoNodes();
    const packet = ipv4Packet(100, { ...ends('a1', 'b1'), ttl: 2 });
    send('a1', packet);
    expect(wire.map((frame) => frame[9])).toEqual([50, 50]);
    const [answer] = got.a1;
    expect([icmp.type(answer!, 20), ipv4.parse(answer!).src]).toEqual([
      icmp.TIME_EXCEEDED,
      ends('a1', 'b1').dst,
    ]);
    expect(nodes[1].stats()).toMatchObject({
      in: { drops: { 'hop-limit': 1 }, delivered: 0 },
      out: { packets: 1, encrypted: 1 },
      timeExceeded: { icmpSent: 1 },
      xfrm: {},
    });
  });

  it('is answered in the clear when it came in the clear', () => {
    const { inject, nodes, wire } = twoNodes();
    inject(2, ipv4Packet(100, { ...ends('198.51.100.7', 'b1'), ttl: 1 }));
    expect(wire.map((frame) => [icmp.type(frame, 20), ipv4.parse(frame).src])).toEqual([
      [icmp.TIME_EXCEEDED, parseAddress('10.244.2.1')],
    ]);
    expect(nodes[1].stats().decisions).toEqual({ 'off-cluster': 1 });
  });

  it('is not answered where no answer is due, nor in a flood', () => {
    const { send, got, nodes } = twoNodes();
    const dying = (given: Partial<ipv4.Header>) => ipv4Packet(100, { ...ends('a1', 'b1'), ttl: 1, ...given });
    const error = dying({ protocol: 1 });
    error[20] = icmp.TIME_EXCEEDED;
    ipv4.fillChecksum(error);
    send('a1', error, dying({ fragmentOffset: 80 }), dying({ dst: parseAddress('224.0.0.9')! }));
    send('a1', ipv6Packet(100, { ...ends('a1', 'b1', 6), dst: parseAddress('ff0e::1')!, hopLimit: 1 }));
    expect(got.a1).toEqual([]);
    expect(nodes[0].stats().timeExceeded).toEqual({ icmpSent: 0, icmpSuppressed: 4 });
    send('a1', ...Array(150).fill(dying({})));
    expect(got.a1).toHaveLength(100);
  });
});
