import { expect, it } from 'vitest';
import { seededBytes } from '../../src/base/rng.ts';
import { planAgent } from '../../src/cilium/agent-plan.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { warmUp } from '../../src/node/warm-up.ts';
import { GCM, keysFrom, nodesFrom } from '../support/cilium-cluster.ts';
import { IDS, podNode } from '../support/two-nodes.ts';

const CBC = `hmac(sha256) ${'0123456789abcdef'.repeat(2)} cbc(aes) ${'fedcba9876543210'.repeat(2)}`;
const nodes = nodesFrom(podNode(1), podNode(2));
const planWith = (line: string, mode: 'native' | 'tunnel') =>
  planAgent(nodes[0]!, keysFrom(`3+ ${line}`), nodes, IDS[0], { mode });

/** An engine that says which keys it holds. */
class CountingEngine extends NodeEngine {
  readonly held = new Set<number>();
  override addKey(...args: Parameters<NodeEngine['addKey']>): number {
    const key = super.addKey(...args);
    this.held.add(key);
    return key;
  }
  override removeKey(key: number): void {
    this.held.delete(key);
    super.removeKey(key);
  }
}

it.each([
  ['native routing', planWith(GCM, 'native')],
  ['an overlay', planWith(GCM, 'tunnel')],
  ['CBC with HMAC', planWith(CBC, 'native')],
  [
    'ESP in UDP',
    (() => {
      const plan = planWith(GCM, 'native');
      return { ...plan, sas: plan.sas.map((sa) => ({ ...sa, encap: { sport: 4500, dport: 4500 } })) };
    })(),
  ],
])('every packet of its own arrives, and no key stays: %s', (_, plan) => {
  const engine = new CountingEngine();
  const options = { plan, engine, random: seededBytes(7), capacity: 256 };
  const sent = 1 + 7 + 48 + 200;
  expect(warmUp({ ...options, packets: sent, isEnough: () => false })).toBe(2 * sent);
  expect(engine.held.size).toBe(0);
});

it('stops when it takes too long, and does nothing where there is no SA', () => {
  const engine = new CountingEngine();
  const options = { engine, random: seededBytes(7), capacity: 256, isEnough: () => true };
  expect(warmUp({ ...options, plan: planWith(GCM, 'native') })).toBe(0);
  expect(warmUp({ ...options, plan: { routes: [], policies: [], sas: [] }, isEnough: () => false })).toBe(0);
});
