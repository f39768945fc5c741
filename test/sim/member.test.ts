import { describe, expect, it } from 'vitest';
import { NodeEngine } from '../../src/crypto/node.ts';
import { Cluster } from '../../src/sim/cluster.ts';
import { reportOf, type ScenarioReport } from '../../src/sim/report.ts';
import { parseScenario } from '../../src/sim/scenario.ts';

/** Runs a scenario; `steps` is what its agents did, with the times. */
function run(text: string): { cluster: Cluster; report: ScenarioReport; steps: string[] } {
  const steps: string[] = [];
  const cluster = new Cluster({
    scenario: parseScenario(text, 'test.yaml'),
    engine: new NodeEngine(),
    watcher: { agent: (node, { kind, text: what }, at) => steps.push(`${at} ${node} ${kind}: ${what}`) },
  });
  cluster.runTo(cluster.end);
  return { cluster, report: reportOf(cluster), steps };
}

const flow = ({ flows }: ScenarioReport, from: string, to: string) => {
  const found = flows.find((one) => one.from === `${from}/pod-1` && one.to === `${to}/pod-1`)!;
  return [found.sent, found.delivered];
};
const dropsOf = ({ drops }: ScenarioReport) =>
  drops.map(({ node, peer, direction, reason, count }) => `${node} ${direction} ${peer}: ${count} ${reason}`);

/** Packets every 10 ms both ways; the others hear of node-3 200 ms after it joined. */
const JOINS = `
duration: 3s
nodes: 3
news: { min: 200ms, max: 200ms }
traffic:
  - { kind: udp, from: node-1/pod-1, to: node-3/pod-1, every: 10ms }
  - { kind: udp, from: node-3/pod-1, to: node-1/pod-1, every: 10ms }
  - { kind: udp, from: node-2/pod-1, to: node-1/pod-1, every: 10ms }
events:
  - { at: 1s, join: node-3 }
`;

describe('a node that joins later', () => {
  it('is not there before, and is known to each of the others when the news has come', () => {
    const { report, steps } = run(JOINS);
    expect(steps.filter((step) => step.includes('node-3')).map((step) => step.replace(/:.*/, ''))).toEqual([
      '1000 node-3 install',
      '1000 node-3 advertise',
      '1000 node-3 send',
      '1000 node-3 node-added',
      '1000 node-3 node-added',
      '1200 node-1 node-added',
      '1200 node-2 node-added',
    ]);
    // 100 meet no node, 20 meet it in the clear, the rest is encrypted.
    expect(flow(report, 'node-1', 'node-3')).toEqual([300, 200]);
    expect(flow(report, 'node-3', 'node-1')).toEqual([200, 180]);
    expect(flow(report, 'node-2', 'node-1')).toEqual([300, 300]);
    expect(dropsOf(report)).toEqual(['node-1 in node-3: 20 no-node-id']);
    const { wire, totals, accounted } = report;
    expect([wire.down, wire.clear, wire.leaks, totals.clear, totals.encrypted, accounted]).toEqual([
      100,
      120,
      120,
      120,
      680,
      true,
    ]);
  });

  it('has the same report again', () => {
    expect(run(JOINS).report).toEqual(run(JOINS).report);
  });

  it('is known by its pods where those have to be announced', () => {
    const { report, steps } = run(`ipcache: pods\n${JOINS}`);
    expect(steps.filter((step) => step.includes('ipcache') && step.includes('on node-3'))).toEqual([
      '1200 node-1 ipcache: 10.0.3.10/32 is on node-3',
      '1200 node-2 ipcache: 10.0.3.10/32 is on node-3',
    ]);
    expect(steps).toContain('1000 node-3 node-added: node node-1 is new: 2 SAs added, 0 removed');
    expect([flow(report, 'node-1', 'node-3'), flow(report, 'node-3', 'node-1')]).toEqual([
      [300, 200],
      [200, 180],
    ]);
  });

  it('has what the Secret says by then, and no older key after it', () => {
    const { cluster, report } = run(`
duration: 6s
news: { max: 10ms }
nodes:
  - name: node-1
  - { name: node-2, secret: { min: 2s, max: 2s } }
traffic:
  - { kind: udp, from: node-1/pod-1, to: node-2/pod-1, every: 10ms, start: 4s }
  - { kind: udp, from: node-2/pod-1, to: node-1/pod-1, every: 10ms, start: 4s }
events:
  - { at: 1s, rotate: true }
  - { at: 1500ms, rotate: true }
  - { at: 2s, join: node-2 }
`);
    expect(cluster.members.map(({ agent }) => [agent.sending, agent.installed])).toEqual([
      [5, [3, 4, 5]],
      [5, [5]],
    ]);
    expect([report.totals.delivered, report.totals.encrypted, report.drops]).toEqual([400, 400, []]);
  });

  it('is told of without a key, too', () => {
    const { cluster, report } = run(
      JOINS.replace('nodes: 3', 'nodes: [{ name: node-1 }, { name: node-2 }, { name: node-3, key: false }]'),
    );
    expect(cluster.members.map(({ agent }) => agent.peerCount)).toEqual([2, 2, 2]);
    expect(dropsOf(report)).toEqual(['node-3 out node-1: 200 out-policy-block']);
    expect([report.totals.clear, report.accounted]).toEqual([300, true]);
  });

  it('hears of a boot id that others never heard of', () => {
    const { report } = run(`
duration: 3s
nodes: 3
traffic: [{ kind: udp, from: node-1/pod-1, to: node-3/pod-1, every: 10ms, start: 2s }]
events:
  - { at: 1s, staleBootId: node-1 }
  - { at: 1500ms, join: node-3 }
`);
    expect(report.timeline[0]!.text).toBe('node node-1 has a new boot id, and node-2 keep the old one');
    expect([report.totals.delivered, report.totals.encrypted]).toEqual([100, 100]);
  });
});

describe('a node that leaves', () => {
  it('is off with its pods, forgotten when the news comes, and another machine when it joins again', () => {
    const text = `${JOINS.replace('at: 1s, join', 'at: 1s, leave')}  - { at: 2s, join: node-3 }\n`;
    const { cluster, report, steps } = run(text);
    const before = new Cluster({ scenario: cluster.scenario, engine: new NodeEngine() });
    expect(before.byName.get('node-3')!.agent.node.bootId).not.toBe(
      cluster.byName.get('node-3')!.agent.node.bootId,
    );
    expect(steps.filter((step) => /^\d+ node-1 node-/.test(step))).toEqual([
      '1200 node-1 node-deleted: node node-3 is deleted: 2 SAs removed',
      '2200 node-1 node-added: node node-3 is new: 2 SAs added, 0 removed',
    ]);
    // 100 met no node: 20 as ESP, 80 in the clear; 20 more met it in the clear.
    expect(flow(report, 'node-1', 'node-3')).toEqual([300, 200]);
    expect(flow(report, 'node-3', 'node-1')).toEqual([200, 180]);
    expect(dropsOf(report)).toEqual(['node-1 in node-3: 20 no-node-id']);
    const { wire, totals, accounted } = report;
    expect([wire.down, wire.clear, totals.encrypted, accounted]).toEqual([100, 100, 700, true]);
  });

  it('takes its announced pods with it', () => {
    const { steps } = run(
      `ipcache: pods\n${JOINS.replace('at: 1s, join', 'at: 1s, leave')}  - { at: 2s, join: node-3 }\n`,
    );
    expect(steps.filter((step) => step.startsWith('1200 node-1') || step.startsWith('2200 node-1'))).toEqual([
      '1200 node-1 node-deleted: node node-3 is deleted: 2 SAs removed',
      '1200 node-1 ipcache: 10.0.3.10/32 is gone',
      '2200 node-1 node-added: node node-3 is new: 2 SAs added, 0 removed',
      '2200 node-1 ipcache: 10.0.3.10/32 is on node-3',
    ]);
  });

  it('goes on with no conversation of before', () => {
    const { report } = run(`
duration: 6s
nodes: 2
traffic: [{ kind: tcp, from: node-1/pod-1, to: node-2/pod-1, size: 60000 }]
link: { bandwidth: 100 kbit/s }
events:
  - { at: 1s, leave: node-1 }
  - { at: 2s, join: node-1 }
`);
    expect([report.flows[0]!.sent, report.flows[0]!.delivered, report.accounted]).toEqual([1, 0, true]);
    const own = report.nodes.find(({ node }) => node === 'node-1')!;
    expect(own.encrypted).toBe(own.sent);
  });

  it('hears nothing that was on its way to the machine before', () => {
    const { steps } = run(`
duration: 4s
nodes: 2
news: { min: 1s, max: 1s }
events:
  - { at: 500ms, reboot: node-1 }
  - { at: 1s, leave: node-2 }
  - { at: 1200ms, join: node-2 }
`);
    expect(steps.filter((step) => /node-2 node-/.test(step))).toEqual([
      '1200 node-2 node-added: node node-1 is new: 2 SAs added, 0 removed',
    ]);
  });
});

describe('a deleted node', () => {
  it('joins again with a new boot id, and is deleted no more', () => {
    const { report, steps } = run(
      `${JOINS.replace('at: 1s, join', 'at: 1s, deleteNode')}  - { at: 2s, join: node-3 }\n`,
    );
    expect(report.timeline.map(({ text }) => text)).toEqual([
      'CiliumNode node-3 is deleted, while its pods go on',
      'node node-3 joins the cluster again, with a new boot id',
    ]);
    expect(steps.filter((step) => /^\d+ node-1 node-/.test(step))).toEqual([
      '1200 node-1 node-deleted: node node-3 is deleted: 2 SAs removed',
      '2200 node-1 node-added: node node-3 is new: 2 SAs added, 0 removed',
    ]);
    // Unknown from 1.2 to 2.2 s.
    expect(flow(report, 'node-1', 'node-3')).toEqual([300, 300]);
    expect(flow(report, 'node-3', 'node-1')).toEqual([300, 200]);
    expect([report.totals.clear, report.accounted]).toEqual([100, true]);
  });
});

describe('strict mode', () => {
  it.each(['native', 'tunnel'])('drops what would leave in the clear: %s', (mode) => {
    const { report } = run(`mode: ${mode}\nstrict: 10.0.0.0/8\n${JOINS}`);
    expect(dropsOf(report)[0]).toBe('node-1 out node-3: 120 unencrypted');
    expect(report.drops[0]!.counter).toBe('cilium_drop_count_total reason 195');
    const { wire, totals, accounted } = report;
    expect([wire.down, wire.clear, wire.leaks, totals.clear, accounted]).toEqual([0, 0, 0, 0, true]);
    expect(flow(report, 'node-1', 'node-3')).toEqual([300, 180]);
  });

  it('leaves alone what is not between two of its addresses', () => {
    const { report } = run(`strict: 10.0.3.0/24\n${JOINS}`);
    expect([report.totals.clear, dropsOf(report)]).toEqual([120, ['node-1 in node-3: 20 no-node-id']]);
  });
});
