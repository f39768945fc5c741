import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { Agent } from '../../src/cilium/agent.ts';
import type { AgentPlan, PlannedRoute } from '../../src/cilium/agent-plan.ts';
import type { Peer } from '../../src/cilium/ipcache.ts';
import { type NumberedPlan, PlanDecoder, PlanEncoder, type PlanPart } from '../../src/cli/plan-delta.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import type { Policy } from '../../src/ipsec/spd.ts';
import { anySa } from '../support/arbitrary-sa.ts';
import { GCM, keysFrom, nodeObject, nodesFrom } from '../support/cilium-cluster.ts';
import { saConfig } from '../support/sa.ts';

/** As between threads. */
function cross(decoder: PlanDecoder, parts: readonly PlanPart[]): NumberedPlan {
  const plans = parts.flatMap((part) => decoder.take(structuredClone(part)) ?? []);
  expect(plans).toHaveLength(1);
  return plans[0]!;
}

/** With its keys, which an SA does not show. */
function plain({ sas, ...rest }: AgentPlan) {
  const shown = sas.map(({ keys, ...sa }) => [sa, keys.suite, keys.key(), keys.salt(), keys.macKey()]);
  return { ...rest, sas: shown };
}

const prefix = fc.record({ address: fc.uint8Array({ minLength: 4, maxLength: 4 }), bits: fc.nat(32) });
const peer: fc.Arbitrary<Peer> = fc.record({
  name: fc.constantFrom('node-1', 'node-2', 'a b'),
  nodeId: fc.nat(3),
  encrypts: fc.boolean(),
  keyId: fc.nat(2),
  encryptMark: fc.nat(2),
  decryptMark: fc.nat(2),
});
const route: fc.Arbitrary<PlannedRoute> = fc.oneof(
  fc.record({ prefix, route: fc.constant({ kind: 'self' as const }) }),
  fc.record({ prefix, route: fc.record({ kind: fc.constant('node' as const), peer }) }),
  fc.record({
    prefix,
    route: fc.record(
      { kind: fc.constant('remote' as const), peer, identity: fc.nat(3) },
      { requiredKeys: ['kind', 'peer'] },
    ),
  }),
);
const policy: fc.Arbitrary<Policy> = fc.record({
  dir: fc.constantFrom('in' as const, 'out' as const, 'fwd' as const),
  selector: fc.record({ src: prefix, dst: prefix }),
  action: fc.constantFrom('allow' as const, 'block' as const),
  priority: fc.nat(5),
  templates: fc.constant([{ mode: 'tunnel' as const, level: 'use' as const }]),
});

it('rebuilds every plan of a sequence, and what stays is the same object', () => {
  const items = fc.record({
    sas: fc.array(anySa, { maxLength: 90 }),
    policies: fc.array(policy, { maxLength: 60 }),
    routes: fc.array(route, { maxLength: 60 }),
  });
  // A plan is a choice from the same items, in any order, some of them twice.
  const picks = fc.array(fc.array(fc.nat(200), { maxLength: 120 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(items, picks, ({ sas, policies, routes }, plans) => {
      const encoder = new PlanEncoder();
      const decoder = new PlanDecoder();
      let before: { readonly sent: AgentPlan; readonly got: AgentPlan } | undefined;
      for (const [i, pick] of plans.entries()) {
        const choose = <T>(from: readonly T[]) => pick.flatMap((k) => (k < from.length ? [from[k]!] : []));
        const sent: AgentPlan = {
          sas: choose(sas),
          policies: choose(policies),
          // An agent makes its routes anew with each plan.
          routes: structuredClone(choose(routes)),
          ...(i % 2 === 0 && { mtuReserve: i, overlay: 'vxlan-in-esp' as const }),
        };
        const pods = [{ address: Uint8Array.of(10, 0, i, 0), bits: 24 }];
        const { plan: got, pods: gotPods, number } = cross(decoder, encoder.encode({ plan: sent, pods }));
        expect([plain(got), gotPods, number]).toEqual([plain(sent), pods, i + 1]);
        if (before) {
          expectSameObjects(before.sent.sas, before.got.sas, sent.sas, got.sas);
          expectSameObjects(before.sent.policies, before.got.policies, sent.policies, got.policies);
        }
        before = { sent, got };
      }
    }),
    { numRuns: 60 },
  );
});

/** What both plans had is one object at the other end, too, and what only one has is not. */
function expectSameObjects<T extends SaConfig | Policy>(
  sentBefore: readonly T[],
  gotBefore: readonly T[],
  sent: readonly T[],
  got: readonly T[],
): void {
  const known = new Map(sentBefore.map((one, i) => [one, gotBefore[i]!]));
  const old = new Set(gotBefore);
  for (const [i, one] of sent.entries()) {
    const had = known.get(one);
    if (had) expect(got[i]).toBe(had);
    else expect(old.has(got[i]!)).toBe(false);
  }
}

it('gives SAs that share a key, as all do under a global one, that key each', () => {
  const one = saConfig({ spi: 3 });
  const sas = [one, { ...one, spi: 4 }, { ...one, spi: 5 }];
  const { plan } = cross(
    new PlanDecoder(),
    new PlanEncoder().encode({ plan: { sas, policies: [], routes: [] }, pods: [] }),
  );
  expect(plain(plan)).toEqual(plain({ sas, policies: [], routes: [] }));
  expect(plan.sas.every(({ keys }) => keys.equals(one.keys))).toBe(true);
});

it('carries a rotation of an agent: only its new SAs, policies and marks cross', () => {
  const nodes = nodesFrom(...Array.from({ length: 40 }, (_, i) => nodeObject(i + 1)));
  let id = 0;
  const agent = new Agent({ local: nodes[0]!, random: () => id++ * 77, keyRotationDuration: 1000 });
  agent.setNodes(nodes, 0);
  agent.setKeys(keysFrom(`3+ ${GCM}\n`), 0);
  const encoder = new PlanEncoder();
  const decoder = new PlanDecoder();
  const send = () => {
    const parts = encoder.encode({ plan: agent.plan, pods: [] });
    const items = { addresses: 0, peers: 0, routes: 0, policies: 0, sas: 0 };
    for (const part of parts) if (part.kind === 'part') items[part.list] += part.items.length;
    const { plan } = cross(decoder, parts);
    expect(plain(plan)).toEqual(plain(agent.plan));
    return { items, plan };
  };
  const first = send();
  const policies = agent.plan.policies.length;
  expect(first.items).toEqual({ addresses: 80, peers: 39, routes: 160, policies, sas: 156 });
  // Nothing new: ids alone.
  expect(send().items).toEqual({ addresses: 0, peers: 0, routes: 0, policies: 0, sas: 0 });
  agent.setKeys(keysFrom(`4+ ${GCM}\n`), 5000);
  const second = send();
  expect([second.items.addresses, second.items.sas], 'the ends are known').toEqual([0, 156]);
  const kept = new Set(second.plan.sas);
  expect(first.plan.sas.every((sa) => kept.has(sa))).toBe(true);
  agent.advance(1e9);
  const third = send();
  expect([third.items.sas, third.plan.sas.length]).toEqual([0, 156]);
  // Every SA of one kind shares what describes it.
  expect(new Set(third.plan.sas.map(({ keys }) => keys.suite)).size).toBe(1);
});

it('cuts plans into messages of at most 8 new items', () => {
  const nodes = nodesFrom(...Array.from({ length: 90 }, (_, i) => nodeObject(i + 1)));
  let id = 0;
  const agent = new Agent({ local: nodes[0]!, random: () => id++ * 77 });
  agent.setNodes(nodes, 0);
  agent.setKeys(keysFrom(`3+ ${GCM}\n`), 0);
  const parts = new PlanEncoder().encode({ plan: agent.plan, pods: [] });
  const sizes = parts.flatMap((part) => (part.kind === 'part' ? [part.items.length] : []));
  expect(Math.max(...sizes)).toBe(8);
  expect(parts.at(-1)!.kind).toBe('plan');
});
