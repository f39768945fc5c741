import { describe, expect, it } from 'vitest';
import { NodeEngine } from '../../src/crypto/node.ts';
import { Cluster } from '../../src/sim/cluster.ts';
import { reportOf } from '../../src/sim/report.ts';
import { parseScenario } from '../../src/sim/scenario.ts';
import { rotationTests, runScenario } from '../support/cluster.ts';

rotationTests(3, 12, '10ms');

describe('who looks on at a run', () => {
  it('is told of every packet and step, each once, at the node that it is about', () => {
    const scenario = parseScenario(
      `duration: 4s
nodes:
  - { name: a, secret: { min: 1s, max: 1s }, rotation: { installTime: 500ms } }
  - { name: b, secret: { min: 2s, max: 2s }, rotation: { keep: 0s, look: 250ms } }
traffic:
  - { kind: udp, from: a/pod-1, to: b/pod-1, every: 100ms }
  - { kind: ping, from: b/pod-1, to: a/pod-1, every: 100ms }
events:
  - { at: 0s, rotate: true }
`,
      'test.yaml',
    );
    const steps: string[] = [];
    const sent: number[][] = [[], []];
    const arrived: number[][] = [[], []];
    const drops: string[] = [];
    const cluster = new Cluster({
      scenario,
      engine: new NodeEngine(),
      watcher: {
        agent: (node, { kind, keyId }, at) => keyId && steps.push(`${at} ${node} ${kind} ${keyId}`),
        sent: (flow, n) => sent[flow]!.push(n),
        arrived: (flow, n) => arrived[flow]!.push(n),
        dropped: ({ node, peer, direction, keyId, row }) =>
          drops.push(`${node} ${direction} ${peer} key ${keyId} ${row.counter}`),
      },
    });
    cluster.runTo(cluster.end);
    expect(steps).toEqual([
      '1500 a install 4',
      '1500 a advertise 4',
      '1500 a send 4',
      '2000 b install 4',
      '2000 b advertise 4',
      '2000 b send 4',
      '2000 b reclaim 3',
    ]);
    const report = reportOf(cluster);
    expect(sent).toEqual([Array.from({ length: 40 }, (_, n) => n), Array.from({ length: 40 }, (_, n) => n)]);
    expect(arrived.map(({ length }) => length)).toEqual(report.flows.map(({ delivered }) => delivered));
    expect(drops).toHaveLength(report.totals.dropped);
    expect(new Set(drops).size).toBe(report.drops.length);
  });
});

describe('a run', () => {
  const text = `
duration: 2s
nodes: 3
mode: tunnel
news: { max: 100ms }
link: { loss: 2%, duplicate: 2%, bitErrors: 2%, jitter: 1ms }
traffic:
  - { kind: udp, pairs: 4, every: 5ms }
  - { kind: tcp, from: node-1/pod-1, to: node-3/pod-1 }
events:
  - { at: 1s, rotate: true }
`;

  it('is the same again from the same file and seed, and another from another seed', () => {
    const first = runScenario(text);
    expect(runScenario(text)).toEqual(first);
    expect(runScenario(text, 2).wire).not.toEqual(first.wire);
  });

  it('accounts for every packet, whatever the lines do', () => {
    const { wire, totals, accounted, flows } = runScenario(text);
    for (const count of [wire.lost, wire.duplicated, wire.corrupted]) expect(count).toBeGreaterThan(0);
    expect([accounted, totals.changed, totals.clear]).toEqual([true, 0, 0]);
    expect(flows.at(-1)).toMatchObject({ kind: 'tcp', sent: 1, delivered: 1 });
  });

  it('counts drops by peer as the nodes count them in all', () => {
    const { drops, nodes } = runScenario(text);
    for (const { node, xfrm, dropped } of nodes) {
      const own = drops.filter((drop) => drop.node === node);
      for (const [counter, count] of Object.entries(xfrm)) {
        const sum = own.reduce((total, drop) => total + (drop.counter === counter ? drop.count : 0), 0);
        expect([node, counter, sum]).toEqual([node, counter, count]);
      }
      expect(own.reduce((total, { count }) => total + count, 0)).toBe(dropped);
      expect(own.every(({ peer }) => peer !== null && peer !== node)).toBe(true);
    }
    expect(drops.length).toBeGreaterThan(0);
  });

  it.each([4, 6])('has IPv%i, native and in the overlay', (family) => {
    for (const mode of ['native', 'tunnel']) {
      const { totals, wire, drops } = runScenario(
        `duration: 1s\nnodes: 2\nfamily: ${family}\nmode: ${mode}\ntraffic:\n  - { kind: ping, from: node-1/pod-1, to: node-2/pod-1, every: 100ms }\n`,
      );
      expect([totals.sent, totals.delivered, totals.changed, wire.esp, wire.clear, drops]).toEqual([
        20,
        20,
        0,
        20,
        0,
        [],
      ]);
    }
  });

  it('drops what waits too long for a narrow line', () => {
    const { wire, totals, accounted } = runScenario(
      'duration: 2s\nnodes: 2\nlink: { bandwidth: 1 Mbit/s }\ntraffic:\n  - { kind: udp, from: node-1/pod-1, to: node-2/pod-1, every: 5ms, size: 1000 }\n',
    );
    expect([wire.full > 0, totals.delivered, accounted]).toEqual([true, totals.sent - wire.full, true]);
    // 1 Mbit/s for 2.2 s, frames of 1084 bytes.
    expect(totals.delivered).toBeGreaterThan(230);
    expect(totals.delivered).toBeLessThan(270);
  });
});
