import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/base/clock.ts';
import { seededBytes, xorshift32 } from '../../src/base/rng.ts';
import { Agent } from '../../src/cilium/agent.ts';
import { type AgentPlan, planAgent } from '../../src/cilium/agent-plan.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { aead, type KeyMaterial } from '../../src/crypto/suite.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import type { Policy } from '../../src/ipsec/spd.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { Node } from '../../src/node/node.ts';
import { formatPrefix, type Prefix, parsePrefix } from '../../src/wire/address.ts';
import { GCM, ip, keysFrom, nodesFrom } from '../support/cilium-cluster.ts';
import { ipv4Packet, ipv6Packet } from '../support/sa.ts';
import { IDS, podNode, twoNodes } from '../support/two-nodes.ts';

/** One step at a time. */
const ONE = () => true;
const ALL = () => false;
const KEY = (id: number) => `${id}+ ${GCM.replace('4443', `${id.toString(16).padStart(2, '0')}43`)}`;

/** Counts the keys that are in the engine. */
class CountingEngine extends NodeEngine {
  readonly held = new Set<number>();
  override addKey(keys: KeyMaterial): number {
    const handle = super.addKey(keys);
    this.held.add(handle);
    return handle;
  }
  override removeKey(handle: number): void {
    this.held.delete(handle);
    super.removeKey(handle);
  }
}

describe.each(['native', 'tunnel'] as const)('between two steps of a change, %s', (mode) => {
  const v4 = (from: 1 | 2) =>
    ipv4Packet(100, {
      src: ip(from === 1 ? '10.244.1.10' : '10.244.2.20'),
      dst: ip(from === 1 ? '10.244.2.20' : '10.244.1.10'),
    });
  const v6 = (from: 1 | 2) =>
    ipv6Packet(100, {
      src: ip(from === 1 ? 'fd00:10:244:1::10' : 'fd00:10:244:2::20'),
      dst: ip(from === 1 ? 'fd00:10:244:2::20' : 'fd00:10:244:1::10'),
    });
  const list = (key: number) =>
    [1, 2].map((i) => podNode(i, { encryption: { key } })) as [
      ReturnType<typeof podNode>,
      ReturnType<typeof podNode>,
    ];
  /** Node-1's plan with these keys, when all send with the one of this id. */
  const planOf = (keys: string, sends: number, node: 1 | 2) => {
    const nodes = nodesFrom(...list(sends));
    return planAgent(nodes[node - 1]!, keysFrom(keys), nodes, IDS[node - 1]!, { mode });
  };
  const BOTH = `${KEY(3)}\n${KEY(4)}`;

  /** Changes node-1's plan, with a packet of each family each way after every step. */
  const walk = (before: AgentPlan, after: AgentPlan) => {
    const two = twoNodes({
      nodes: nodesFrom(...list(3)),
      keys: keysFrom(KEY(3)),
      mode,
      change: (_, node) => (node === 1 ? before : planOf(BOTH, 3, 2)),
    });
    const change = two.nodes[0].changePlan(after);
    const spis: number[] = [];
    let steps = 0;
    for (let isOver = false; !isOver; steps++) {
      isOver = change.step(ONE);
      two.wire.length = 0;
      two.send('a1', v4(1), v6(1));
      for (const frame of two.wire) {
        // The SPI's low byte, where the frame is ESP.
        spis.push(
          frame[0]! >>> 4 === 4 ? (frame[9] === 50 ? frame[23]! : -1) : frame[6] === 50 ? frame[43]! : -1,
        );
      }
      two.send('b1', v4(2), v6(2));
    }
    return { two, spis, steps };
  };

  const outErrors = ({ nodes }: { readonly nodes: readonly Node[] }) =>
    Object.keys(nodes[0]!.stats().xfrm).filter((row) => row.startsWith('XfrmOut'));

  it('every packet goes by the old plan or by the new one', () => {
    // The worst rotation: the new key comes, is used, and the old one goes, all in one plan.
    const { two, spis, steps } = walk(planOf(KEY(3), 3, 1), planOf(KEY(4), 4, 1));
    expect(steps).toBeGreaterThan(5);
    const first = spis.indexOf(4);
    expect(first).toBeGreaterThan(0);
    expect(spis).toHaveLength(2 * steps);
    expect(spis.slice(0, first).every((spi) => spi === 3)).toBe(true);
    expect(spis.slice(first).every((spi) => spi === 4)).toBe(true);
    expect(two.got.b1).toHaveLength(2 * steps);
    expect(outErrors(two)).toEqual([]);
  });

  it.each([
    ['installed', KEY(3), 3, BOTH, 3],
    ['used', BOTH, 3, BOTH, 4],
    ['installed and used', KEY(3), 3, BOTH, 4],
  ] as const)('a key that is %s loses nothing, either way', (_, keys, sends, next, sendsNext) => {
    const { two, spis, steps } = walk(planOf(keys, sends, 1), planOf(next, sendsNext, 1));
    expect(new Set(spis)).toEqual(new Set([sends, sendsNext]));
    expect([two.got.b1.length, two.got.a1.length]).toEqual([2 * steps, 2 * steps]);
    expect(two.nodes.map((node) => node.stats().xfrm)).toEqual([{}, {}]);
  });

  it('a peer that is new, or that is gone, is so in one step', () => {
    const whole = planOf(KEY(3), 3, 1);
    const nodes = nodesFrom(...list(3)).slice(0, 1);
    const alone = planAgent(nodes[0]!, keysFrom(KEY(3)), nodes, IDS[0], { mode });
    for (const [before, after] of [
      [whole, alone],
      [alone, whole],
    ] as const) {
      const { two, spis } = walk(before, after);
      const turn = spis.findIndex((spi, i) => i > 0 && spi !== spis[i - 1]);
      expect(turn).toBeGreaterThan(0);
      expect(new Set(spis.slice(turn)).size).toBe(1);
      expect(outErrors(two)).toEqual([]);
    }
  });
});

const key = (fill: number) => aead('rfc4106(gcm(aes))', new Uint8Array(20).fill(fill), 128);
const A = ip('192.0.2.1');
const MASKS = [0xffff_ff00, 0xffff_0f00, 0xf00, 0];
const PREFIXES = ['10.1.0.0/16', '10.1.0.0/24', '10.1.0.7/32', '10.2.0.0/16', 'fd00::/64'].map(
  (text) => parsePrefix(text)!,
);

const arbitrarySa = fc
  .record({
    peer: fc.integer({ min: 2, max: 3 }),
    spi: fc.integer({ min: 1, max: 2 }),
    fill: fc.integer({ min: 1, max: 2 }),
    mark: fc.option(
      fc.record({
        value: fc.constantFrom(0x100, 0x200, 0x1_0100, 0x1_0d01),
        mask: fc.constantFrom(...MASKS),
      }),
      { nil: undefined },
    ),
    hardPackets: fc.option(fc.constantFrom(5, 9), { nil: undefined }),
    window: fc.constantFrom(64, 2 ** 30),
  })
  .map(
    ({ peer, spi, fill, mark, hardPackets, window }): SaConfig => ({
      src: A,
      dst: ip(`192.0.2.${peer}`),
      spi,
      mode: 'tunnel',
      keys: key(fill),
      esn: false,
      replayWindow: window,
      reqid: 1,
      flags: [],
      ...(mark && { mark }),
      ...(hardPackets !== undefined && { lifetime: { hardPackets } }),
      origin: 'arbitrary',
    }),
  );

const arbitraryPolicy = fc
  .record({
    at: fc.nat({ max: 3 }),
    priority: fc.nat({ max: 2 }),
    mark: fc.option(fc.constantFrom(1, 2), { nil: undefined }),
    dir: fc.constantFrom('in' as const, 'out' as const),
  })
  .map(
    ({ at, priority, mark, dir }): Policy => ({
      dir,
      selector: { src: parsePrefix('0.0.0.0/0')!, dst: PREFIXES[at]! },
      action: 'allow',
      priority,
      ...(mark !== undefined && { mark: { value: mark, mask: 0xff } }),
      templates: [],
    }),
  );

const arbitraryPlan = fc.record({
  // Most plans have no impossible window.
  sas: fc
    .array(arbitrarySa, { maxLength: 6 })
    .chain((sas) =>
      fc
        .integer({ min: 0, max: 9 })
        .map((n) => (n > 0 ? sas.filter(({ replayWindow }) => replayWindow === 64) : sas)),
    ),
  policies: fc.array(arbitraryPolicy, { maxLength: 6 }),
  routes: fc.array(
    fc.record({
      prefix: fc.constantFrom(...PREFIXES),
      route: fc.constantFrom(1, 2, 3).map((n) => ({
        kind: 'node' as const,
        peer: { name: `n${n}`, nodeId: n, encrypts: true, keyId: 1, encryptMark: n, decryptMark: n },
      })),
    }),
    { maxLength: 6 },
  ),
});

function nodeWith(plan: AgentPlan) {
  const clock = new VirtualClock();
  const engine = new CountingEngine();
  const { a } = memoryPair(clock, { mtu: 1500 });
  return { engine, node: new Node({ name: 'a', plan, outside: a, engine, clock, random: seededBytes(7) }) };
}

/** All that a node holds, in a form to compare: of SAs all that the plan says. */
function holds({ sad, spd, routes }: Node) {
  const sas = sad.sas.flatMap((sa, index) => (sa ? [{ config: sa.config, age: sad.age(index) }] : []));
  return {
    sas: sas.map(({ config: { keys: _, ...rest } }) => JSON.stringify(rest)).sort(),
    policies: (['in', 'out', 'fwd'] as const).map((dir) => [...spd.policies(dir)]),
    routes: PREFIXES.map((prefix: Prefix) => [formatPrefix(prefix), routes.get(prefix)]),
  };
}

describe('a change of any plan to any other', () => {
  it('ends as a node that began with it, or throws and leaves all as it was; no key stays behind', () => {
    let taken = 0;
    let refused = 0;
    fc.assert(
      fc.property(fc.array(arbitraryPlan, { minLength: 1, maxLength: 5 }), fc.nat(), (plans, seed) => {
        const next = xorshift32(seed + 1);
        const { node, engine } = nodeWith({ sas: [], policies: [], routes: [] });
        for (const plan of plans) {
          let fresh: ReturnType<typeof nodeWith> | undefined;
          let problem: unknown;
          try {
            fresh = nodeWith(plan);
          } catch (error) {
            problem = error;
          }
          const before = holds(node);
          const sas = [...node.sad.sas];
          const keys = new Set(engine.held);
          const change = node.changePlan(plan);
          const walk = () => {
            while (!change.step(() => next() % 3 === 0)) expect(change.isOver).toBe(false);
          };
          if (fresh) {
            walk();
            expect(holds(node)).toEqual(holds(fresh.node));
            expect(engine.held.size).toBe(plan.sas.length);
            taken++;
          } else {
            expect(walk).toThrow();
            expect(problem).toBeInstanceOf(Error);
            expect(holds(node)).toEqual(before);
            expect(node.sad.sas).toEqual(sas);
            expect(engine.held).toEqual(keys);
            refused++;
          }
          expect(change.isOver).toBe(true);
        }
      }),
      { numRuns: 400, seed: 12 },
    );
    expect(taken).toBeGreaterThan(300);
    expect(refused).toBeGreaterThan(100);
  });
});

describe('a change', () => {
  it('is the only one until it is over', () => {
    const plan = { sas: [], policies: [], routes: [] };
    const { node } = nodeWith(plan);
    const change = node.changePlan({ ...plan, routes: [{ prefix: PREFIXES[0]!, route: { kind: 'self' } }] });
    expect(() => node.changePlan(plan)).toThrow(expect.objectContaining({ code: 'ERR_PLAN' }));
    expect(node.routes.get(PREFIXES[0]!)).toBeUndefined();
    expect(change.step(ALL)).toBe(true);
    expect(node.routes.get(PREFIXES[0]!)).toEqual({ kind: 'self' });
    expect(node.changePlan(plan).step(ALL)).toBe(true);
  });

  it('keeps the routes to pods that come and go while it is under way', () => {
    const { node } = nodeWith({ sas: [], policies: [], routes: [] });
    const clock = new VirtualClock();
    node.addInside('pods', [PREFIXES[0]!], memoryPair(clock).a);
    const change = node.changePlan({
      sas: [],
      policies: [],
      routes: [{ prefix: PREFIXES[4]!, route: { kind: 'self' } }],
    });
    expect(change.step(ONE)).toBe(false);
    node.addPod('late', [ip('10.9.9.9')], memoryPair(clock).a);
    node.movePods('pods', [PREFIXES[0]!], [PREFIXES[3]!]);
    change.step(ALL);
    const kinds = [PREFIXES[0]!, PREFIXES[3]!, PREFIXES[4]!, parsePrefix('10.9.9.9/32')!].map(
      (prefix) => node.routes.get(prefix)?.kind,
    );
    expect(kinds).toEqual([undefined, 'pod', 'self', 'pod']);
  });

  it('gives SAs that it makes the path MTU of the moment in which they come', () => {
    const { node } = nodeWith({ sas: [], policies: [], routes: [] });
    const agent = new Agent({ local: nodesFrom(podNode(1))[0]!, mode: 'tunnel', random: xorshift32(1) });
    agent.setNodes(nodesFrom(podNode(1), podNode(2)), 0);
    agent.loadKeys(KEY(3), 'keys', 0);
    const change = node.changePlan(agent.plan);
    while (node.sad.size === 0 && !change.isOver) {
      change.step(ONE);
      node.setPathMtu(1300);
    }
    change.step(ALL);
    expect(node.sad.size).toBeGreaterThan(2);
    expect(new Set(node.sad.sas.map((sa) => sa!.pathMtu))).toEqual(new Set([1300]));
  });
});
