import { describe, expect, it } from 'vitest';
import { xorshift32 } from '../../src/base/rng.ts';
import { TcpEnd } from '../../src/sim/tcp-end.ts';
import { reverse, tcpPacket, text, udpPacket } from '../../src/sim/traffic.ts';
import * as tcp from '../../src/wire/tcp.ts';
import { ip } from '../support/cilium-cluster.ts';

const flow = { src: ip('10.0.0.1'), dst: ip('10.0.0.2'), srcPort: 4000, dstPort: 80 };

function pair(request = 200, answer = 2500) {
  const [ask, say] = [text(request), text(answer)];
  return {
    client: new TcpEnd({ flow, first: 100, role: 'client', say: ask, expect: say }),
    server: new TcpEnd({ flow: reverse(flow), first: 0xffff_ff00, role: 'server', say, expect: ask }),
  };
}

/** A segment as tcpdump shows it: flags, relative numbers, length. */
function line(packet: Uint8Array): string {
  const isClient = tcp.srcPort(packet, 20) === 4000;
  const { seq, ack, flags } = tcp.parse(packet, 20);
  const [own, other] = isClient ? [100, 0xffff_ff00] : [0xffff_ff00, 100];
  const letters = [
    [tcp.SYN, 'S'],
    [tcp.FIN, 'F'],
    [tcp.PSH, 'P'],
    [tcp.ACK, '.'],
  ] as const;
  const shown = letters.map(([bit, letter]) => (flags & bit ? letter : '')).join('');
  const acked = flags & tcp.ACK ? ` ack ${(ack - other) >>> 0}` : '';
  return `${isClient ? '>' : '<'} ${shown} ${(seq - own) >>> 0}${acked} len ${packet.length - 40}`;
}

/** Carries segments both ways; `fate` says how often each arrives. Sends again when nothing moves. */
function talk(ends: ReturnType<typeof pair>, fate: (n: number) => number = () => 1, shuffle?: () => number) {
  const { client, server } = ends;
  const seen: string[] = [];
  let way = client.open();
  let n = 0;
  for (let rounds = 0; rounds < 200 && !(client.isDone && server.isDone); rounds++) {
    if (way.length === 0) way = [...client.resend(), ...server.resend()];
    const arriving = way.flatMap((packet) => Array<Uint8Array>(fate(n++)).fill(packet));
    if (shuffle) arriving.sort(() => (shuffle() % 2 === 0 ? 1 : -1));
    way = [];
    for (const packet of arriving) {
      seen.push(line(packet));
      way.push(...(server.isFor(packet) ? server : client).take(packet));
    }
  }
  return seen;
}

describe('a small TCP', () => {
  it('opens, asks, answers and closes, with numbers that wrap', () => {
    const ends = pair();
    expect(talk(ends)).toEqual([
      '> S 0 len 0',
      '< S. 0 ack 1 len 0',
      '> . 1 ack 1 len 0',
      '> P. 1 ack 1 len 200',
      '< P. 1 ack 201 len 1000',
      '< P. 1001 ack 201 len 1000',
      '< P. 2001 ack 201 len 500',
      '> . 201 ack 1001 len 0',
      '> . 201 ack 2001 len 0',
      '> F. 201 ack 2501 len 0',
      '< F. 2501 ack 202 len 0',
      '> . 202 ack 2502 len 0',
    ]);
    expect([ends.client.isDone, ends.server.isDone]).toEqual([true, true]);
    expect([ends.client.resent, ends.server.resent]).toEqual([0, 0]);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'comes to a good end over a wire that loses, doubles and reorders: seed %i',
    (seed) => {
      const next = xorshift32(seed * 7919);
      const ends = pair(1500, 6000);
      talk(ends, () => (next() % 4 === 0 ? 0 : next() % 4 === 0 ? 2 : 1), next);
      expect([ends.client.isDone, ends.server.isDone]).toEqual([true, true]);
      expect(ends.client.resent + ends.server.resent).toBeGreaterThan(0);
    },
  );

  it('is not done when nothing arrives', () => {
    const ends = pair();
    talk(ends, () => 0);
    expect([ends.client.isDone, ends.server.isDone]).toEqual([false, false]);
  });

  it('is not done when it heard something else than it should', () => {
    const client = new TcpEnd({ flow, first: 1, role: 'client', say: text(10), expect: text(20) });
    const server = new TcpEnd({
      flow: reverse(flow),
      first: 1,
      role: 'server',
      say: new Uint8Array(20),
      expect: text(10),
    });
    talk({ client, server });
    expect([client.isDone, server.isDone]).toEqual([false, true]);
  });

  it('knows its own segments', () => {
    const { server } = pair();
    const segment = { seq: 1, ack: 0, flags: tcp.SYN };
    expect(server.isFor(tcpPacket(flow, segment))).toBe(true);
    expect(server.isFor(tcpPacket({ ...flow, srcPort: 4001 }, segment))).toBe(false);
    expect(server.isFor(tcpPacket({ ...flow, dstPort: 81 }, segment))).toBe(false);
    expect(server.isFor(tcpPacket({ ...flow, src: ip('10.0.0.9') }, segment))).toBe(false);
    expect(server.isFor(udpPacket(flow, text(20)))).toBe(false);
  });
});
