import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NobleEngine } from '../../../src/crypto/noble.ts';
import { NodeEngine } from '../../../src/crypto/node.ts';
import { RotationJob, type RotationRun, runRotation } from '../../../src/web/model/rotation.ts';
import {
  EVERY,
  formatNode,
  GRID,
  LENGTH,
  MOMENTS,
  move,
  type NodePlan,
  PHASE,
  parseNode,
  ROTATION_PRESETS,
  type RotationPlan,
  scenarioText,
} from '../../../src/web/model/rotation-plan.ts';

const preset = (id: string) => ROTATION_PRESETS.find((one) => one.id === id)!.plan;
const run = (plan: RotationPlan): RotationRun => runRotation(plan, { engine: new NodeEngine() });

/** Every lost packet, as `from>to at key counter`. */
function lost(result: RotationRun): string[] {
  return result.flows.flatMap(({ from, to, packets }) =>
    packets
      .filter(({ fate }) => fate === 'lost')
      .map(({ at, key, drop }) => `${from}>${to} ${at} key ${key} ${drop!.counter}`),
  );
}

/**
 * The obvious rotation: a sender takes the new key once it sends with it and has heard that the receiver has it
 * (`get_min_encrypt_key`), and both must hold the key then.
 */
function foretold({ nodes, news }: RotationPlan): string[] {
  const losses: string[] = [];
  for (const [a, from] of nodes.entries())
    for (const [b, to] of nodes.entries())
      for (let at = PHASE; a !== b && at < LENGTH; at += EVERY) {
        const isNew = at > from.send && at > to.advertise + news;
        const holds = (node: NodePlan) => (isNew ? at > node.install : at < node.forget);
        const counter = !holds(from) ? 'XfrmOutPolBlock' : holds(to) ? undefined : 'XfrmInNoStates';
        if (counter) losses.push(`${a}>${b} ${at} key ${isNew ? 4 : 3} ${counter}`);
      }
  return losses;
}

const time = fc.integer({ min: 0, max: LENGTH / GRID }).map((n) => n * GRID);
const anyNode: fc.Arbitrary<NodePlan> = fc.tuple(time, time, time, time, time).map((times) => {
  const read = Math.min(...times.slice(0, 4));
  const [, install, advertise, send, forget] = times as [number, number, number, number, number];
  return { read, install, advertise, send, forget: Math.max(read, forget) };
});
const news = fc.integer({ min: 0, max: 20 }).map((n) => n * GRID);
const anyPlan: fc.Arbitrary<RotationPlan> = fc.record({ nodes: fc.tuple(anyNode, anyNode, anyNode), news });

/** In the right order, and nobody forgets before everybody has switched. */
const rightPlan: fc.Arbitrary<RotationPlan> = anyPlan.map((plan) => {
  const nodes = plan.nodes.map((node) => {
    const install = Math.min(node.install, 40);
    const [advertise, send] = [
      Math.max(install, Math.min(node.advertise, 45)),
      Math.max(install, Math.min(node.send, 45)),
    ];
    return { read: Math.min(node.read, install), install, advertise, send, forget: LENGTH };
  }) as unknown as RotationPlan['nodes'];
  const last = Math.max(...nodes.map(({ advertise, send }) => Math.max(advertise + plan.news, send)));
  return {
    news: plan.news,
    nodes: nodes.map((node) => ({ ...node, forget: last })) as unknown as RotationPlan['nodes'],
  };
});

/** Installs before it says so and before it sends. */
const isRightOrder = ({ install, advertise, send }: NodePlan) => install <= advertise && install <= send;

describe('a rotation in the lab', () => {
  it('loses nothing in the right order, whenever each node does it', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(rightPlan, (plan) => {
        const result = run(plan);
        expect(lost(result)).toEqual([]);
        expect([result.report.totals.dropped, result.report.accounted]).toEqual([0, true]);
        expect(result.report.totals.delivered).toBe(6 * (LENGTH / EVERY));
      }),
      { numRuns: 6 },
    );
  });

  it('loses exactly the packets that can be foretold, in any order', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(anyPlan, (plan) => {
        const result = run(plan);
        const want = foretold(plan);
        expect(lost(result)).toEqual(want);
        // What is drawn is what the report counts.
        expect(result.report.totals.dropped).toBe(want.length);
        for (const counter of ['XfrmInNoStates', 'XfrmOutPolBlock']) {
          const counted = result.report.nodes.reduce((sum, { xfrm }) => sum + (xfrm[counter] ?? 0), 0);
          expect(counted).toBe(want.filter((one) => one.endsWith(counter)).length);
        }
        expect(result.losses.reduce((sum, { count }) => sum + count, 0)).toBe(want.length);
        expect(result.flows.flatMap(({ packets }) => packets).filter(({ fate }) => fate === 'way')).toEqual(
          [],
        );
      }),
      { numRuns: 10 },
    );
  });

  it('says when each node did what, as its agent did it', () => {
    const { done, heard } = run(preset('old-order'));
    expect(done[1]).toEqual({ read: 13, install: 19, advertise: 13, send: 19, forget: 55 });
    expect(heard[0]).toEqual([undefined, 14, 25]);
  });

  it('gives the same with the engine of the browser', () => {
    const plan = preset('old-order');
    const { report: noble, ...one } = runRotation(plan, { engine: new NobleEngine() });
    const { report: node, ...other } = run(plan);
    expect(one).toEqual(other);
    expect({ ...noble, engine: '' }).toEqual({ ...node, engine: '' });
  });

  it('gives the same in parts', () => {
    const plan = preset('forgets-early');
    const job = new RotationJob(plan, { engine: new NodeEngine() });
    let parts = 0;
    let result = job.runUntil(() => true);
    while (!result) {
      parts++;
      result = job.runUntil(() => true);
    }
    expect(parts).toBe(64);
    expect(result).toEqual(run(plan));
  });

  it('hands every frame of a node on', () => {
    const frames: string[] = [];
    runRotation(preset('right'), {
      engine: new NodeEngine(),
      record: (node) => ({
        interface: () => 0,
        comment: () => {},
        sas: () => {},
        frame: () => frames.push(node),
      }),
    });
    // Each packet is seen where it leaves and where it comes in.
    expect(frames).toHaveLength(2 * 6 * (LENGTH / EVERY));
  });
});

describe.each(ROTATION_PRESETS)('the scene $id', ({ id, plan }) => {
  const COUNTED: Readonly<Record<string, Readonly<Record<string, number>>>> = {
    right: {},
    'old-order': { XfrmInNoStates: 30 },
    'forgets-early': { XfrmInNoStates: 26, XfrmOutPolBlock: 30 },
    'sends-early': { XfrmOutPolBlock: 56 },
    'slow-news': {},
  };

  it('loses what it says', () => {
    const { report, losses } = run(plan);
    const sum: Record<string, number> = {};
    for (const { xfrm } of report.nodes)
      for (const [name, count] of Object.entries(xfrm)) sum[name] = (sum[name] ?? 0) + count;
    expect(sum).toEqual(COUNTED[id]);
    expect(lost(run(plan))).toEqual(foretold(plan));
    for (const { why } of losses) expect(why).toMatch(/^node-[123] (said|forgot|sends) .*\d s/);
  });
});

describe('the times of a node', () => {
  it('are the same after a way through an address', () => {
    fc.assert(
      fc.property(anyNode, (node) => {
        expect(parseNode(formatNode(node))).toEqual(node);
      }),
    );
  });

  it.each(['', '1,2,3,4', '1,2,3,4,5,6', '1,2,x,4,5', '1,2,-3,4,5', '1e3,2,3,4,5', '1,2,3,4,99999'])(
    'are none: %s',
    (text) => expect(parseNode(text)).toBeUndefined(),
  );

  it('are put onto the line and the grid, and nothing is before reading', () => {
    expect(parseNode('10.1,3,99,12.26,5')).toEqual({
      read: 10,
      install: 10,
      advertise: 60,
      send: 12.5,
      forget: 10,
    });
  });

  it('move alone, but with reading all that follows', () => {
    const plan = { read: 4, install: 10, advertise: 10, send: 12, forget: 52 };
    expect(move(plan, 'install', 7.2)).toEqual({ ...plan, install: 7 });
    expect(move(plan, 'advertise', 1)).toEqual({ ...plan, advertise: 4 });
    expect(move(plan, 'read', 8)).toEqual({ read: 8, install: 14, advertise: 14, send: 16, forget: 52 });
    expect(move(plan, 'read', 60)).toEqual({ read: 60, install: 60, advertise: 60, send: 60, forget: 60 });
    fc.assert(
      fc.property(
        anyNode,
        fc.constantFrom(...MOMENTS),
        fc.double({ min: -10, max: 90, noNaN: true }),
        (node, moment, to) => {
          const moved = move(node, moment, to);
          for (const one of MOMENTS) {
            expect(moved[one]).toBeGreaterThanOrEqual(moved.read);
            expect(moved[one]).toBeLessThanOrEqual(LENGTH);
          }
          if (moment === 'read' && isRightOrder(node)) expect(isRightOrder(moved)).toBe(true);
        },
      ),
    );
  });
});

it('writes a scenario that says what it is', () => {
  const text = scenarioText(preset('old-order'));
  expect(text).toContain('steps: { install: 6s, advertise: 0s, send: 6s }');
  expect(text.split('\n').filter((line) => line.includes('kind: udp'))).toHaveLength(6);
});
