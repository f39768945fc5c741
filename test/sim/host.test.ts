import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/base/clock.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { Host, PORT_ECHO } from '../../src/sim/host.ts';
import { Ledger } from '../../src/sim/ledger.ts';
import { TcpEnd } from '../../src/sim/tcp-end.ts';
import { reverse, text, udpPacket } from '../../src/sim/traffic.ts';
import * as icmp from '../../src/wire/icmp.ts';
import { ip } from '../support/cilium-cluster.ts';

/** Two hosts on one cable, without a router. */
function twoHosts(queue = 100) {
  const clock = new VirtualClock();
  const ledger = new Ledger();
  const { a, b } = memoryPair(clock, { queue });
  const way = (from: string) => ({ to: from === 'one' ? 'two' : 'one', hops: 0, isProtected: false });
  const shared = { clock, ledger, way };
  const one = new Host({ name: 'one', addresses: [ip('10.0.0.1'), ip('fd00::1')], link: a, ...shared });
  const two = new Host({ name: 'two', addresses: [ip('10.0.0.2'), ip('fd00::2')], link: b, ...shared });
  return { clock, ledger, one, two };
}

describe.each([4, 6] as const)('a host, IPv%i', (family) => {
  it('answers a ping with what it got', () => {
    const { clock, ledger, one, two } = twoHosts();
    const got: Uint8Array[] = [];
    one.onArrival = (packet) => got.push(packet);
    const ping = { src: one.address(family), dst: two.address(family), id: 7, seq: 9, data: text(33) };
    one.send(icmp.echoPacket({ ...ping, reply: false }));
    clock.run();
    expect(got).toEqual([icmp.echoPacket({ ...ping, src: ping.dst, dst: ping.src, reply: true })]);
    expect(ledger).toMatchObject({ sent: 2, arrived: 2, arrivals: { identical: 2 } });
  });

  it('echoes UDP on the echo port, and leaves other ports alone', () => {
    const { clock, ledger, one, two } = twoHosts();
    const flow = { src: one.address(family), dst: two.address(family), srcPort: 5000, dstPort: PORT_ECHO };
    const got: Uint8Array[] = [];
    one.onArrival = (packet) => got.push(packet);
    one.send(udpPacket(flow, text(10)), udpPacket({ ...flow, dstPort: 9 }, text(10)));
    clock.run();
    expect(got).toEqual([udpPacket(reverse(flow), text(10))]);
    expect(ledger.sent).toBe(3);
  });

  it('carries a TCP conversation', () => {
    const { clock, one, two } = twoHosts();
    const flow = { src: one.address(family), dst: two.address(family), srcPort: 5000, dstPort: 80 };
    const client = new TcpEnd({ flow, first: 1, role: 'client', say: text(10), expect: text(3000) });
    const server = new TcpEnd({
      flow: reverse(flow),
      first: 9,
      role: 'server',
      say: text(3000),
      expect: text(10),
    });
    two.join(server, false);
    one.join(client, true);
    clock.run();
    expect([client.isDone, server.isDone, client.resent]).toEqual([true, true, 0]);
  });
});

describe('a host', () => {
  it('gives up on a TCP peer that never answers', () => {
    const { clock, ledger, one, two } = twoHosts();
    const flow = { src: one.address(4), dst: two.address(4), srcPort: 5000, dstPort: 80 };
    const client = new TcpEnd({ flow, first: 1, role: 'client', say: text(1), expect: text(1) });
    one.join(client, true);
    clock.run();
    expect(client.isDone).toBe(false);
    expect(client.resent).toBe(12);
    expect(ledger.sent).toBe(13);
  });

  it('counts what its link does not take', () => {
    const { one, two } = twoHosts(1);
    const flow = { src: one.address(4), dst: two.address(4), srcPort: 1, dstPort: 2 };
    one.send(udpPacket(flow, text(1)), udpPacket(flow, text(2)));
    expect(one.refused).toBe(1);
  });

  it('has the addresses that it was given', () => {
    const clock = new VirtualClock();
    const host = new Host({
      name: 'four',
      addresses: [ip('10.0.0.1')],
      link: memoryPair(clock).a,
      clock,
      ledger: new Ledger(),
      way: () => ({ to: 'x', hops: 0, isProtected: false }),
    });
    expect(() => host.address(6)).toThrow('host four has no IPv6 address');
  });
});
