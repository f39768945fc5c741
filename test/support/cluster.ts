/**
 * Key rotations in simulated clusters of any size.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { NodeEngine } from '../../src/crypto/node.ts';
import { Cluster } from '../../src/sim/cluster.ts';
import { reportOf, type ScenarioReport } from '../../src/sim/report.ts';
import { parseScenario } from '../../src/sim/scenario.ts';

/** Runs a scenario to its end. */
export function runScenario(text: string, seed?: number): ScenarioReport {
  const cluster = new Cluster({ scenario: parseScenario(text, 'test.yaml'), seed, engine: new NodeEngine() });
  cluster.runTo(cluster.end);
  return reportOf(cluster);
}

/** A rotation while agents hear of keys and of each other at random times. */
function rotation(nodes: number, order: string, pairs: number, every: string, peers = 'all'): string {
  return `
duration: 8s
nodes: ${nodes}
peers: ${peers}
rotation: { order: ${order}, installTime: 500ms }
secret: { max: 3s }
news: { min: 10ms, max: 1s }
traffic:
  - { kind: udp, pairs: ${pairs}, every: ${every}, size: 32 }
events:
  - { at: 1s, rotate: true }
`;
}

/** Tests what the two orders of a rotation do to packets. @param every how often each pair sends */
export function rotationTests(nodes: number, pairs: number, every: string, peers = 'all'): void {
  describe(`a rotation in a cluster of ${nodes} nodes under traffic between ${pairs} pairs`, () => {
    it('loses no packet', { timeout: 60_000 }, () => {
      const { totals, steps, drops, wire, accounted } = runScenario(
        rotation(nodes, 'install-first', pairs, every, peers),
      );
      expect(steps.map(({ step, nodes: agents }) => [step, agents])).toEqual([
        ['key 4: install', nodes],
        ['key 4: advertise', nodes],
        ['key 4: send', nodes],
      ]);
      expect(totals.sent).toBeGreaterThan(7000);
      expect([totals.delivered, totals.encrypted, totals.changed, drops, wire.leaks, accounted]).toEqual([
        totals.sent,
        totals.sent,
        0,
        [],
        0,
        true,
      ]);
    });

    it('loses packets in the old order, as XfrmInNoStates at the peers', { timeout: 60_000 }, () => {
      const { totals, drops, accounted } = runScenario(
        rotation(nodes, 'advertise-first', pairs, every, peers),
      );
      expect(new Set(drops.map(({ counter, direction }) => `${counter} ${direction}`))).toEqual(
        new Set(['XfrmInNoStates in']),
      );
      expect(totals.dropped).toBeGreaterThan(0);
      expect([totals.delivered + totals.dropped, accounted]).toEqual([totals.sent, true]);
    });
  });
}
