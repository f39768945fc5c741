import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/base/clock.ts';
import { EsplaneError } from '../../src/base/errors.ts';
import { seededBytes, xorshift32 } from '../../src/base/rng.ts';
import { planAgent } from '../../src/cilium/agent-plan.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { decrementHopLimit } from '../../src/ipsec/hop-limit.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { DECISIONS } from '../../src/node/decisions.ts';
import { Node, type NodeObserver } from '../../src/node/node.ts';
import { parsePrefix } from '../../src/wire/address.ts';
import { Batch, ON } from '../../src/wire/packet.ts';
import { GCM, ip, keysFrom, nodesFrom } from '../support/cilium-cluster.ts';
import { batchOf, received } from '../support/frames.ts';
import { ipv4Packet, ipv6Packet } from '../support/sa.ts';
import { ends, IDS, PODS, podNode, twoNodes } from '../support/two-nodes.ts';

/** The packet after so many routers. */
function hops(packet: Uint8Array, count: number): Uint8Array {
  const copy = packet.slice();
  for (let i = 0; i < count; i++) decrementHopLimit(copy, 0);
  return copy;
}

describe('two nodes', () => {
  const sizes = [28, 29, 30, 31, 32, 64, 576, 1280, 1400];

  it('deliver IPv4 between their pods byte for byte, two hops later', () => {
    const two = twoNodes();
    const there = sizes.map((len, n) => ipv4Packet(len, { ...ends('a1', 'b1'), id: n, tos: n << 2 }));
    const back = sizes.map((len, n) => ipv4Packet(len, { ...ends('b1', 'a2'), id: n, dontFragment: false }));
    two.send('a1', ...there);
    two.send('b1', ...back);
    expect(two.got.b1).toEqual(there.map((packet) => hops(packet, 2)));
    expect(two.got.a2).toEqual(back.map((packet) => hops(packet, 2)));
    expect(two.got.a1).toEqual([]);
    expect(two.wire.every((frame) => frame[9] === 50)).toBe(true);
  });

  it('deliver IPv6 between their pods byte for byte, two hops later', () => {
    const two = twoNodes();
    const there = sizes.map((len, n) => ipv6Packet(len + 20, { ...ends('a1', 'b1', 6), flowLabel: n }));
    two.send('a1', ...there);
    expect(two.got.b1).toEqual(there.map((packet) => hops(packet, 2)));
    expect(two.wire.every((frame) => frame[6] === 50)).toBe(true);
  });

  it('deliver on the same node one hop later, and nothing reaches the wire', () => {
    const two = twoNodes();
    const packets = [ipv4Packet(60, ends('a1', 'a2')), ipv6Packet(60, ends('a1', 'a2', 6))];
    two.send('a1', ...packets);
    expect(two.got.a2).toEqual(packets.map((packet) => hops(packet, 1)));
    expect(two.wire).toEqual([]);
  });

  it('cut off what lies behind the IP packet', () => {
    const two = twoNodes();
    const packet = ipv4Packet(46, ends('a1', 'b1'));
    const padded = new Uint8Array(60);
    padded.set(packet);
    two.send('a1', padded, ipv4Packet(46, ends('a1', 'a2')));
    expect(two.got.b1).toEqual([hops(packet, 2)]);
    expect(two.got.a2[0]).toHaveLength(46);
  });

  it('count each packet once: what came in went out, to a pod or to a drop', () => {
    const two = twoNodes();
    const next = xorshift32(0xacc);
    const targets = [
      'a1',
      'a2',
      'b1',
      '10.244.2.99',
      '10.244.1.99',
      '10.244.1.1',
      '10.244.2.1',
      '198.51.100.7',
    ];
    for (let round = 0; round < 60; round++) {
      const packets = Array.from({ length: 1 + (next() % 40) }, () => {
        const packet = ipv4Packet(40 + (next() % 1400), {
          ...ends('a1', targets[next() % targets.length]!),
          ttl: next() % 4 === 0 ? next() % 4 : 64,
        });
        if (next() % 10 === 0) packet[next() % 20]! ^= 1 << (next() % 8);
        return packet;
      });
      two.send('a1', ...packets);
      const frame = two.wire[next() % Math.max(1, two.wire.length)];
      if (frame)
        two.inject(
          2,
          frame,
          Uint8Array.from(frame, (v, i) => (i === 40 ? v ^ 1 : v)),
        );
    }
    const sum = (counts: object) => Object.values(counts).reduce((a: number, b: number) => a + b, 0);
    for (const node of two.nodes) {
      const { out, in: into, decisions } = node.stats();
      expect(out.packets).toBe(out.encrypted + out.clear + out.local + out.refused + sum(out.drops));
      expect(out.packets).toBe(sum(decisions));
      expect(into.packets + into.reassembled).toBe(
        into.fragments + into.delivered + into.refused + sum(into.drops),
      );
    }
    const [one, second] = two.nodes.map((node) => node.stats());
    expect(sum(one!.out.drops)).toBeGreaterThan(50);
    expect(sum(second!.in.drops)).toBeGreaterThan(50);
    expect(one!.out.encrypted).toBe(
      sum(
        Object.fromEntries(
          one!.sas.filter((sa) => sa.direction === 'out').map((sa) => [`${sa.src} ${sa.dst}`, sa.packets]),
        ),
      ),
    );
    expect(second!.xfrm['XfrmFwdHdrError']).toBe(second!.in.drops['no-pod']);
  });

  it('give the same bytes for the same seed', () => {
    const run = () => {
      const two = twoNodes();
      two.send('a1', ...sizes.map((len) => ipv4Packet(len, ends('a1', 'b1'))));
      return [two.wire, two.nodes.map((node) => node.stats())];
    };
    expect(run()).toEqual(run());
  });

  it('carry a rotation: the older key while one of them has it', () => {
    const keys = keysFrom(`15+ ${GCM}\n1+ ${GCM.replace('4443', '5554')}`);
    const spis = [
      [15, 15],
      [1, 15],
      [1, 1],
    ].map(([own, theirs]) => {
      const nodes = nodesFrom(
        podNode(1, { encryption: { key: own } }),
        podNode(2, { encryption: { key: theirs } }),
      );
      const two = twoNodes({ nodes, keys });
      two.send('a1', ipv4Packet(60, ends('a1', 'b1')));
      two.send('b1', ipv4Packet(60, ends('b1', 'a1')));
      expect([two.got.a1.length, two.got.b1.length]).toEqual([1, 1]);
      return two.wire.map((frame) => frame[23]);
    });
    expect(spis).toEqual([
      [15, 15],
      [15, 15],
      [1, 1],
    ]);
  });
});

describe('one node', () => {
  function lonely(queue: number) {
    const clock = new VirtualClock();
    const [outside, pods] = [memoryPair(clock, { queue }), memoryPair(clock, { queue })];
    const nodes = nodesFrom(podNode(1), podNode(2));
    const node = new Node({
      name: 'node-1',
      plan: planAgent(nodes[0]!, keysFrom(`3+ ${GCM}`), nodes, IDS[0]),
      outside: outside.a,
      engine: new NodeEngine(),
      clock,
      random: seededBytes(1),
      capacity: 8,
    });
    node.addPod('a2', PODS.a2.addresses.map(ip), pods.a);
    return { node, clock, outside: outside.b, pod: pods.b };
  }

  it('counts what met a full queue, outside and at a pod', () => {
    const { node, clock, outside } = lonely(2);
    const atPeer = received(outside);
    const packets = [...Array(4).fill(ends('a2', 'b1')), ...Array(3).fill(ends('a1', 'a2'))];
    node.fromPods(batchOf(packets.map((addresses) => ipv4Packet(60, addresses))));
    clock.run();
    expect(atPeer).toHaveLength(2);
    expect(node.stats()).toMatchObject({
      out: { packets: 7, encrypted: 2, local: 2, refused: 3, drops: {} },
      pods: [{ name: 'a2', delivered: 2, refused: 1 }],
    });
  });

  it('leaves alone what was dropped before, and does not count it', () => {
    const { node, clock, outside } = lonely(10);
    const atPeer = received(outside);
    const batch = batchOf([ipv4Packet(60, ends('a2', 'b1')), ipv4Packet(60, ends('a2', 'b1'))]);
    batch.drop(0, 5);
    const before = batch.copy(0);
    node.fromPods(batch);
    clock.run();
    expect([batch.copy(0), batch.verdict[0], atPeer.length]).toEqual([before, 5, 1]);
    expect(node.stats().out).toMatchObject({ packets: 1, encrypted: 1, drops: {} });
    node.fromOutside(batch);
    expect(node.stats().in.packets, 'the one that passed').toBe(1);
  });

  it('refuses a batch that is larger than it was made for', () => {
    const { node } = lonely(10);
    const batch = batchOf(Array(9).fill(ipv4Packet(60)));
    expect(() => node.fromPods(batch)).toThrow(EsplaneError);
    expect(() => node.fromOutside(batch)).toThrow('a batch of 9 packets for a node that takes 8 at once');
  });

  it('takes a few packets in a batch that has room for many', () => {
    const { node, clock, outside, pod } = lonely(10);
    const [atPeer, atPod] = [received(outside), received(pod)];
    const batch = new Batch({ capacity: 100 });
    for (const to of ['b1', 'a2']) batch.push(ipv4Packet(60, ends('a1', to)));
    node.fromPods(batch);
    clock.run();
    expect([atPeer.length, atPod.length]).toEqual([1, 1]);
  });

  it('closes its link outside', () => {
    const { node, clock, outside } = lonely(10);
    const atPeer = received(outside);
    node.close();
    node.fromPods(batchOf([ipv4Packet(60, ends('a1', 'b1'))]));
    clock.run();
    expect(atPeer).toEqual([]);
    expect(node.stats().out.refused).toBe(1);
  });
});

describe('an observer', () => {
  it('sees every stage of a packet, in order', () => {
    const seen: string[] = [];
    const look =
      (stage: string): NonNullable<NodeObserver['intercepted']> =>
      (node, batch) => {
        const decision = DECISIONS[batch.decision[0]!]?.name;
        seen.push(
          `${node.name} ${stage} ${batch.length[0]} ${batch.next[0] === ON ? 'on' : batch.next[0]}${stage === 'intercepted' ? ` ${decision} ${batch.mark[0]!.toString(16)}` : ''}`,
        );
      };
    const two = twoNodes({
      observer: {
        intercepted: look('intercepted'),
        leaving: look('leaving'),
        admitted: look('admitted'),
        decrypted: look('decrypted'),
      },
    });
    two.send('a1', ipv4Packet(60, ends('a1', 'b1')));
    expect(seen).toEqual([
      'node-1 intercepted 60 on encrypt cb93e00',
      'node-1 leaving 116 on',
      'node-2 admitted 116 on',
      'node-2 decrypted 60 0',
    ]);
  });
});

it('follows pods that get other addresses, and leaves an address to whoever has it now', () => {
  const two = twoNodes();
  const [, there] = two.nodes;
  const prefix = (text: string) => parsePrefix(text)!;
  there.movePods('b1', [prefix('10.244.2.20/32')], [prefix('10.244.2.77/32')]);
  two.send('a1', ipv4Packet(100, ends('a1', '10.244.2.77')), ipv4Packet(100, ends('a1', '10.244.2.20')));
  expect(two.got.b1).toHaveLength(1);
  expect(there.stats().in.drops).toEqual({ 'no-pod': 1 });
  // Between the two an address became another node's.
  const peer = there.routes.get(prefix('10.244.1.0/24'))!;
  there.routes.set(prefix('10.244.2.77/32'), peer);
  there.movePods('b1', [prefix('10.244.2.77/32')], []);
  expect(there.routes.get(prefix('10.244.2.77/32'))).toBe(peer);
});
