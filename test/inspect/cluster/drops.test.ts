/** What Hubble's flows say was dropped for the sake of encryption. */
import { describe, expect, it } from 'vitest';
import { FlowDrops } from '../../../src/inspect/cluster/drops.ts';
import { healthy, judge } from '../../support/judge.ts';

/** A line as `hubble observe -o jsonpb` prints it. */
function flow(given: object = {}, node = 'default/node-1'): string {
  return JSON.stringify({
    flow: {
      time: '2026-11-29T10:11:12.000000001Z',
      verdict: 'DROPPED',
      drop_reason: 197,
      IP: { source: '10.0.1.10', destination: '10.0.2.20', ipVersion: 'IPv4' },
      source: { namespace: 'shop', pod_name: 'web' },
      destination: { identity: 4711 },
      Type: 'L3_L4',
      node_name: node,
      drop_reason_desc: 'NO_NODE_ID',
      ...given,
    },
    node_name: node,
    time: '2026-11-29T10:11:12.000000001Z',
  });
}

function dropsOf(...lines: string[]) {
  const drops = new FlowDrops();
  for (const line of lines) drops.line(line, 'hubble-flows-x.json');
  return drops.all;
}

describe('flows', () => {
  it('are counted by node and reason, with when they came', () => {
    const late = { time: '2026-11-29T10:15:00Z' };
    expect(
      dropsOf(flow(), flow(late), flow({}, 'node-2'), flow({ drop_reason: 195, drop_reason_desc: 195 })),
    ).toEqual([
      {
        ...{ node: 'node-1', reason: 'NO_NODE_ID', count: 2, src: 'shop/web (10.0.1.10)', dst: '10.0.2.20' },
        ...{
          first: '2026-11-29T10:11:12.000Z',
          last: '2026-11-29T10:15:00.000Z',
          source: 'hubble-flows-x.json',
        },
      },
      expect.objectContaining({ node: 'node-2', count: 1 }),
      expect.objectContaining({ node: 'node-1', reason: 'UNENCRYPTED_TRAFFIC', count: 1 }),
    ]);
  });

  it.each([
    ['forwarded', flow({ verdict: 'FORWARDED', note: '"DROPPED"' })],
    ['dropped by a policy', flow({ drop_reason: 133, drop_reason_desc: 'POLICY_DENIED' })],
    ['dropped for what has many causes', flow({ drop_reason: 169, drop_reason_desc: 'FIB_LOOKUP_FAILED' })],
    ['cut off', flow().slice(0, 200)],
    ['of no flow', '{"node_status":"DROPPED"}'],
    ['null', '{"flow":null,"x":"DROPPED"}'],
    ['a list', '["DROPPED"]'],
    ['a text', '"DROPPED"'],
  ])('that are %s count as none', (_, line) => {
    expect(dropsOf(line)).toEqual([]);
  });

  it('of any form name what they have', () => {
    const odd = { IP: null, source: 7, destination: { pod_name: ['x'] }, time: 'soon', node_name: { a: 1 } };
    expect(dropsOf(flow({ ...odd, drop_reason_desc: 'NO_NODE_ID', drop_reason: 'x' }, 7 as never))).toEqual([
      expect.objectContaining({ node: '', src: '', dst: '', first: '', count: 1 }),
    ]);
    expect(dropsOf(flow({}, 'n'.repeat(1000)))).toMatchObject([{ node: '' }]);
  });

  it('are told apart up to a number of nodes', () => {
    const drops = new FlowDrops();
    for (let i = 0; i < 17_000; i++) drops.line(flow({}, `node-${i}`), 'f');
    expect(drops.all).toHaveLength(1 << 14);
  });
});

it('are findings of the cluster, worst first', () => {
  const drops = dropsOf(
    flow(),
    flow({}, 'default/node-2'),
    ...Array.from({ length: 3 }, () =>
      flow({ drop_reason_desc: 'UNENCRYPTED_TRAFFIC', drop_reason: 195 }, 'node-3'),
    ),
  );
  const { findings, conclusion } = judge({ ...healthy(3), drops });
  expect(conclusion.code).toBe('findings');
  expect(findings.map(({ code, node, count, basis }) => [code, node, count, basis])).toEqual([
    ['no-node-id', 'node-1', 1, 'told'],
    ['no-node-id', 'node-2', 1, 'told'],
    ['unencrypted-dropped', 'node-3', 3, 'told'],
  ]);
  expect(findings[0]!.summary).toBe(
    'node-1 dropped 1 packet as it has no id for the node at the other end, so that no mark leads to a state (Hubble: NO_NODE_ID, at 2026-11-29T10:11:12.000Z); one of them shop/web (10.0.1.10) > 10.0.2.20.',
  );
});
