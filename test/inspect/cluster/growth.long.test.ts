/** Twice the nodes have four times the states and pairs, and take about four times the time and memory. */
import { expect, it } from 'vitest';
import { ClusterReader } from '../../../src/inspect/cluster/reader.ts';
import { healthy, judge, nodeName, statesOf, type TestCluster } from '../../support/judge.ts';

const N = 40;
/** Of the time: 4, and what a busy machine adds. */
const MOST_RATIO = 5.6;

function cost(cluster: TestCluster): number {
  const times = Array.from({ length: 5 }, () => {
    const before = process.cpuUsage();
    judge(cluster);
    const { user, system } = process.cpuUsage(before);
    return user + system;
  });
  return times.toSorted((a, b) => a - b)[2]!;
}

/** All nodes hold other keys than all others: the most that there is to say. */
function allDiffer(n: number): TestCluster {
  const { nodes, ...rest } = healthy(n);
  return {
    ...rest,
    nodes: nodes.map((_, at) => ({
      'xfrm-state': statesOf(at + 1, n, [3], (state) => ({ ...state, key: `${state.key} of ${at}` })),
    })),
  };
}

it.each([
  ['a healthy cluster', (n: number) => healthy(n, [3, 4])],
  ['a cluster in which all keys differ', allDiffer],
])(
  '%s',
  (_, make) => {
    const [small, large] = [make(N), make(2 * N)];
    judge(small);
    const attempts = Array.from({ length: 4 }, () => cost(large) / cost(small));
    expect(Math.min(...attempts)).toBeLessThan(MOST_RATIO);
    const { findings, cluster } = judge(large);
    expect(findings.length).toBeLessThan(30);
    expect(cluster.rows.length).toBeLessThanOrEqual(100);
  },
  120_000,
);

it('texts are not kept', () => {
  const reader = new ClusterReader();
  for (let i = 1; i <= 2 * N; i++) {
    const text = statesOf(i, 2 * N);
    reader.node({ source: nodeName(i), texts: { 'xfrm-state': { source: nodeName(i), text } } });
  }
  // What is kept holds no text of a state.
  expect(JSON.stringify(reader.nodes)).not.toContain('replay-window');
});
