/** What the texts of nodes tell of a cluster: each trouble by its code, and nothing of a healthy one. */
import { describe, expect, it } from 'vitest';
import { deriveKey } from '../../../src/cilium/derive.ts';
import { parseKeys } from '../../../src/cilium/keys.ts';
import { DEFAULT_VERSION } from '../../../src/cilium/version.ts';
import {
  bootId,
  ciliumNodes,
  healthy,
  judge,
  nodeName,
  router,
  statesOf,
  type TestCluster,
} from '../../support/judge.ts';
import { address } from '../../support/sa.ts';
import type { TextState } from '../../support/state-texts.ts';

const codes = (cluster: TestCluster) => judge(cluster).findings.map(({ code }) => code);
const notes = (cluster: TestCluster) => judge(cluster).notes.map(({ code }) => code);

/** A cluster of `n` in which node `i` has these states. */
function changed(
  n: number,
  i: number,
  change: (state: TextState, peer: number) => TextState | undefined,
  ids?: readonly number[],
): TestCluster {
  const { nodes, ...rest } = healthy(n, ids);
  return {
    ...rest,
    nodes: nodes.map((one, at) =>
      at + 1 === i ? { ...one, 'xfrm-state': statesOf(i, n, ids, change) } : one,
    ),
  };
}

describe('a healthy cluster', () => {
  it('has no finding, and a sentence that says so with its figures', () => {
    const { findings, notes: said, conclusion, cluster } = judge(healthy(5));
    expect(findings).toEqual([]);
    expect(said).toEqual([]);
    expect(conclusion).toMatchObject({ code: 'clean', basis: 'told' });
    expect(conclusion.summary).toContain(
      'Both ends of 20 of 20 SAs hold the same key, in 20 of 20 directions between 5 nodes.',
    );
    expect(cluster).toMatchObject({
      nodes: 5,
      states: 40,
      pairs: { pairs: 20, fine: 20, rotation: 0, differ: 0, missing: 0, unjudged: 0 },
      rows: [],
    });
  });

  it('is told from one of which a text lacks', () => {
    const { nodes, ...rest } = healthy(3);
    const { conclusion, cluster, findings } = judge({ ...rest, nodes: [nodes[0], nodes[1], undefined] });
    expect(findings).toEqual([]);
    expect(conclusion).toMatchObject({ code: 'partial', basis: 'assumed' });
    expect(conclusion.summary).toContain(
      '4 directions could not be judged: the states of node-3 are not at hand: give `ip -s xfrm state` of it, or a sysdump.',
    );
    expect(cluster.pairs).toMatchObject({ fine: 2, unjudged: 4 });
    expect(cluster.rows).toEqual([
      { node: 'node-3', trouble: 'unjudged', nodes: 2, peers: ['node-1', 'node-2'] },
    ]);
  });

  it('says that it could not be judged where keys are hidden without hashes', () => {
    const hidden = (text: string) => text.replaceAll(/\[hash:[0-9a-f]{64}\]/g, '<<Keys hidden>>');
    const { nodes, ...rest } = healthy(3);
    const { conclusion, findings } = judge({
      ...rest,
      nodes: nodes.map((one) => ({ 'xfrm-state': hidden(one!['xfrm-state']!) })),
    });
    expect(findings).toEqual([]);
    expect(conclusion.code).toBe('unchecked');
    expect(conclusion.summary).toContain('6 directions could not be judged: the texts show neither keys');
  });
});

describe('keys that differ', () => {
  it('of one node from all others are one finding', () => {
    const { findings, cluster } = judge(changed(6, 4, (state) => ({ ...state, key: `${state.key} old` })));
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatchObject({
      code: 'wrong-key',
      severity: 'error',
      basis: 'told',
      node: 'node-4',
      count: 10,
    });
    expect(findings[0]!.summary).toContain(
      'node-4 holds other keys than 5 nodes (node-1, node-2, node-3 and 2 more) for key id 3, in 10 directions.',
    );
    expect(cluster.rows).toEqual([
      {
        node: 'node-4',
        trouble: 'differ',
        nodes: 5,
        peers: ['node-1', 'node-2', 'node-3', 'node-5', 'node-6'],
      },
    ]);
  });

  it('one way between two nodes name that way', () => {
    const { findings } = judge(
      changed(3, 2, (state, peer) => (peer === 1 && !state.sends ? { ...state, key: 'other' } : state)),
    );
    expect(findings).toMatchObject([{ code: 'wrong-key', src: router(1), dst: router(2), spi: 3, count: 1 }]);
    expect(findings[0]!.evidence).toEqual(['node-1/xfrm-state:1', 'node-2/xfrm-state:24']);
    expect(findings[0]!.summary).toContain(`node-1 > node-2: both ends hold different keys`);
  });

  it('of two groups of nodes are one finding', () => {
    const { nodes, ...rest } = healthy(7);
    const isNew = (i: number) => i >= 6;
    const { findings } = judge({
      ...rest,
      nodes: nodes.map((_, at) => ({
        'xfrm-state': statesOf(at + 1, 7, [3], (state) =>
          isNew(at + 1) ? { ...state, key: `${state.key} new` } : state,
        ),
      })),
    });
    expect(findings).toHaveLength(1);
    expect(findings[0]!.summary).toContain('node-6 and node-7 hold other keys than 5 nodes');
  });

  it('are named a stale boot id where the node was booted as another', () => {
    const cluster = changed(3, 2, (state) => ({ ...state, key: `${state.key} old` }));
    const nodes = cluster.nodes.map((one, at) => (at === 1 ? { ...one, 'boot-id': `${bootId(77)}\n` } : one));
    expect(judge({ ...cluster, nodes }).findings).toMatchObject([
      { code: 'stale-boot-id', node: 'node-2', basis: 'told' },
    ]);
  });
});

describe('keys that differ, with the Secret', () => {
  const KEY = new Uint8Array(20).fill(0x5a);
  const keys = parseKeys(`3+ rfc4106(gcm(aes)) ${'5a'.repeat(20)} 128`, 'keys', DEFAULT_VERSION);
  const text = (b: Uint8Array) => `0x${Buffer.from(b).toString('hex')}`;
  const derived = (from: number, to: number, boot: (i: number) => string = bootId) =>
    text(deriveKey(KEY, address(router(from)), address(router(to)), boot(from), boot(to)));
  /** Node `i` holds for each way what `key` says, undefined for the current one. */
  const clusterOf = (
    n: number,
    key: (i: number, from: number, to: number) => string | undefined,
  ): TestCluster => ({
    keys,
    ciliumNodes: ciliumNodes(n),
    oldNodes: ciliumNodes(n, (i) => ({ bootid: bootId(i + 100) })),
    nodes: Array.from({ length: n }, (_, at) => ({
      'xfrm-state': statesOf(at + 1, n, [3], (state, peer) => {
        const [from, to] = state.sends ? [at + 1, peer] : [peer, at + 1];
        return { ...state, key: key(at + 1, from, to) ?? derived(from, to) };
      }),
    })),
  });
  /** As a node was called before it was booted. */
  const unheard = (i: number) => (node: number) => bootId(node === i ? node + 100 : node);

  it('are none where they agree', () => {
    expect(judge(clusterOf(4, () => undefined)).findings).toEqual([]);
  });

  it('each node has its own cause, not that of one which it also differs from', () => {
    const { findings } = judge(
      clusterOf(6, (i, from, to) =>
        i === 1 ? `${from} ${to}` : i === 2 ? derived(from, to, unheard(2)) : undefined,
      ),
    );
    const of = (node: string) => findings.find((finding) => finding.node === node);
    expect(findings).toHaveLength(2);
    expect(of('node-2')).toMatchObject({ code: 'stale-boot-id' });
    expect(of('node-2')!.summary).toMatch(/The key of node-2 is that of key id 3 of keys .*, by its hash/);
    expect(of('node-1')).toMatchObject({ code: 'wrong-key' });
    expect(of('node-1')!.summary).toContain('The key of node-1 is none that follows from the Secret');
  });

  it('where all others have not heard of a boot, the node is named that was booted', () => {
    const { findings } = judge(
      clusterOf(6, (i, from, to) =>
        i !== 4 && [from, to].includes(4) ? derived(from, to, unheard(4)) : undefined,
      ),
    );
    expect(findings).toMatchObject([{ code: 'stale-boot-id', node: 'node-4', count: 10 }]);
    expect(findings[0]!.summary).toMatch(/So it is with node-1, for one: The key of node-1 is that of /);
  });
});

describe('states that are missing', () => {
  it('at the receiver', () => {
    const { findings, cluster } = judge(
      changed(3, 2, (state, peer) => (peer === 1 && !state.sends ? undefined : state)),
    );
    expect(findings).toMatchObject([
      { code: 'sa-gone', node: 'node-2', src: router(1), dst: router(2), spi: 3, counter: 'XfrmInNoStates' },
    ]);
    expect(cluster.pairs).toMatchObject({ missing: 1, fine: 5 });
  });

  it('at the sender', () => {
    const { findings } = judge(
      changed(3, 2, (state, peer) => (peer === 1 && state.sends ? undefined : state)),
    );
    expect(findings).toMatchObject([{ code: 'sa-gone', node: 'node-2', src: router(2), dst: router(1) }]);
  });

  it('of a node that has none are one finding', () => {
    const { nodes, ...rest } = healthy(5);
    const { findings } = judge({
      ...rest,
      nodes: nodes.map((one, at) => (at === 2 ? { 'xfrm-state': '' } : one)),
    });
    expect(findings).toMatchObject([{ code: 'sa-gone', node: 'node-3', count: 8 }]);
    expect(findings[0]!.summary).toContain('node-3 has no states at all');
  });

  it('between two nodes that know nothing of each other', () => {
    const { nodes, ...rest } = healthy(4);
    const { findings } = judge({
      ...rest,
      nodes: nodes.map((_, at) => ({
        'xfrm-state': statesOf(at + 1, 4, [3], (state, peer) => (at + 1 + peer === 3 ? undefined : state)),
      })),
    });
    expect(findings).toMatchObject([{ code: 'sa-gone', count: 2 }]);
    expect(findings[0]!.summary).toContain('neither');
  });

  it('because a node has no boot id are that finding', () => {
    const { nodes } = healthy(3);
    const without = nodes.map((_, at) => ({
      'xfrm-state':
        at === 2 ? '' : statesOf(at + 1, 3, [3], (state, peer) => (peer === 3 ? undefined : state)),
    }));
    const listed = ciliumNodes(3, (i) => (i === 3 ? { bootid: undefined } : {}));
    expect(codes({ nodes: without, ciliumNodes: listed })).toEqual(['no-boot-id']);
  });
});

describe('a rotation', () => {
  it('under way is a note', () => {
    expect(codes(healthy(4, [3, 4]))).toEqual([]);
    expect(notes(healthy(4, [3, 4]))).toEqual(['rotation-under-way']);
    expect(judge(healthy(4, [3, 4])).cluster.pairs).toMatchObject({ rotation: 12, fine: 0 });
  });

  it('that one node has not heard of yet is a note, too', () => {
    const { nodes, ...rest } = healthy(3, [3, 4]);
    const late = { ...rest, nodes: [{ 'xfrm-state': statesOf(1, 3, [3]) }, ...nodes.slice(1)] };
    expect(codes(late)).toEqual([]);
    expect(notes(late)).toEqual(['rotation-under-way']);
  });

  it('whose new key is in use where one end lacks it is out of step', () => {
    const { nodes } = healthy(3, [3, 4]);
    const listed = ciliumNodes(3, () => ({ encryption: { key: 4 } }));
    const { findings } = judge({
      nodes: [{ 'xfrm-state': statesOf(1, 3, [3]) }, ...nodes.slice(1)],
      ciliumNodes: listed,
    });
    expect(findings).toMatchObject([{ code: 'rotation-out-of-step', counter: 'XfrmInNoStates', count: 2 }]);
  });

  it('that left the ends without a common key is out of step', () => {
    const { findings } = judge({
      nodes: [{ 'xfrm-state': statesOf(1, 2, [3]) }, { 'xfrm-state': statesOf(2, 2, [4]) }],
      ciliumNodes: ciliumNodes(2, (i) => ({ encryption: { key: i + 2 } })),
    });
    expect(findings).toMatchObject([{ code: 'rotation-out-of-step', node: 'node-1', count: 2 }]);
  });

  it('that should have been over for long is stuck', () => {
    const { nodes, ...rest } = healthy(3, [3, 4]);
    const used = nodes.map((one) => ({
      'xfrm-state': one!['xfrm-state']!.replaceAll(/use 2026-11-25 19:31:55/g, 'use 2026-11-25 21:31:55'),
    }));
    expect(codes({ ...rest, nodes: used })).toEqual(['rotation-stuck']);
  });
});

describe('numbers', () => {
  it('of a sender behind those of its receiver, which refuses packets, are a counter that began anew', () => {
    const { findings } = judge(
      changed(2, 2, (state) => (state.sends ? state : { ...state, number: 5006, failed: 8 })),
    );
    expect(findings).toMatchObject([
      { code: 'counter-reset', node: 'node-1', src: router(1), dst: router(2), count: 8 },
    ]);
  });

  it('near their end, without ESN', () => {
    const { findings } = judge(
      changed(2, 1, (state) =>
        state.sends ? { ...state, esn: false, number: 0xffff_bd4f } : { ...state, esn: false },
      ),
    );
    expect(findings.map(({ code }) => code)).toContain('sequence-near-end');
  });

  it('that were refused under a right key', () => {
    const { findings } = judge(
      changed(2, 2, (state) => (state.sends ? state : { ...state, failed: 3, replayed: 12 })),
    );
    expect(findings).toMatchObject([
      { code: 'packets-refused', node: 'node-2', count: 15, severity: 'warning' },
    ]);
  });

  it('that were refused, where the other end is not at hand, may be of another key', () => {
    const { nodes, ...rest } = changed(2, 2, (state) => ({ ...state, failed: 3 }));
    const { findings } = judge({ ...rest, nodes: [undefined, nodes[1]] });
    expect(findings).toMatchObject([{ code: 'packets-refused' }]);
    expect(findings[0]!.summary).toContain('What the other end holds is not told');
    expect(findings[0]!.summary).not.toContain('the same key');
  });

  it('in a narrower window than that of others', () => {
    const { findings } = judge(changed(4, 2, (state) => (state.sends ? state : { ...state, window: 32 })));
    expect(findings).toMatchObject([{ code: 'window-differs', node: 'node-2', count: 3 }]);
  });
});

describe('what nodes say of themselves', () => {
  const stat = (rows: object) =>
    Object.entries(rows)
      .map(([row, n]) => `${row.padEnd(24)}\t${n}\n`)
      .join('');
  const withTexts = (texts: object): TestCluster => {
    const { nodes, ...rest } = healthy(3);
    return { ...rest, nodes: nodes.map((one, at) => (at === 1 ? { ...one, ...texts } : one)) };
  };

  it('counters that rose between two readings', () => {
    const { findings, notes: said } = judge(
      withTexts({
        'xfrm-stat': stat({ XfrmInNoStates: 7, XfrmOutPolBlock: 1, XfrmInError: 3 }),
        'xfrm-stat-later': stat({ XfrmInNoStates: 17, XfrmOutPolBlock: 3, XfrmInError: 3 }),
      }),
    );
    expect(findings).toMatchObject([
      { code: 'kernel-drops', node: 'node-2', counter: 'XfrmInNoStates', count: 10 },
      { code: 'sender-drops', node: 'node-2', counter: 'XfrmOutPolBlock', count: 2 },
    ]);
    expect(said).toMatchObject([{ code: 'counted-before', counter: 'XfrmInError', count: 3 }]);
  });

  it('a boot id that is not the one in its CiliumNode', () => {
    expect(judge(withTexts({ 'boot-id': bootId(9) })).findings).toMatchObject([
      { code: 'stale-boot-id', node: 'node-2' },
    ]);
    expect(codes(withTexts({ 'boot-id': bootId(2) }))).toEqual([]);
  });

  it('node ids that are not those of its marks', () => {
    const map = (ids: readonly [number, number][]) =>
      `NODE ID   IP ADDRESSES   SPI\n${ids.map(([id, i]) => `0x${id.toString(16)}      ${router(i)}     3\n`).join('')}`;
    expect(
      codes(
        withTexts({
          'node-ids': map([
            [101, 1],
            [103, 3],
          ]),
        }),
      ),
    ).toEqual([]);
    expect(
      judge(
        withTexts({
          'node-ids': map([
            [101, 1],
            [104, 3],
          ]),
        }),
      ).findings,
    ).toMatchObject([{ code: 'node-id-differs', node: 'node-2', count: 2 }]);
  });

  it('nodes that its agent does not know', () => {
    const list =
      'Name          IPv4 Address   Endpoint CIDR\nkind/node-1   172.18.0.1\nkind/node-2   172.18.0.2\n';
    expect(judge(withTexts({ 'node-list': list })).findings).toMatchObject([
      { code: 'node-unheard', node: 'node-2', count: 1 },
    ]);
  });

  it('policies that select no pods of a node', () => {
    const policy = (i: number) =>
      `src 0.0.0.0/0 dst 10.200.${i}.0/24 \n\tdir out priority 0 \n\tmark 0x3e00/0xff00 \n\ttmpl src ${router(2)} dst ${router(i)}\n\t\tproto esp spi 0x00000003 reqid 1 mode tunnel\n`;
    expect(codes(withTexts({ 'xfrm-policy': policy(1) + policy(3) }))).toEqual([]);
    const { findings } = judge(withTexts({ 'xfrm-policy': policy(1) }));
    expect(findings).toMatchObject([{ code: 'policy-missing', node: 'node-2', count: 1 }]);
    expect(findings[0]!.summary).toContain('no outbound policy selects 10.200.3.0/24 of node-3');
  });

  it('ipcache entries without a key, and with another one', () => {
    const entry = (i: number, key: number) =>
      `10.200.${i}.7/32     identity=4711 encryptkey=${key} tunnelendpoint=172.18.0.${i}   flags=<none>\n`;
    const text = (...entries: string[]) => `IP PREFIX/ADDRESS   IDENTITY\n${entries.join('')}`;
    expect(codes(withTexts({ ipcache: text(entry(1, 3), entry(3, 3)) }))).toEqual([]);
    expect(judge(withTexts({ ipcache: text(entry(1, 0), entry(3, 2)) })).findings).toMatchObject([
      { code: 'ipcache-no-key', node: 'node-2', count: 1 },
      { code: 'ipcache-other-key', node: 'node-2', spi: 2 },
    ]);
  });

  it('that encryption is off', () => {
    expect(codes(withTexts({ 'encrypt-status': 'Encryption: Disabled\n' }))).toEqual(['encryption-off']);
    expect(codes(withTexts({ 'encrypt-status': 'Encryption: IPsec\nKeys in use: 4\n' }))).toEqual([]);
  });

  it('another release of Cilium', () => {
    const versions = new Map([1, 2, 3].map((i) => [nodeName(i), i === 2 ? 'v1.18.2' : 'v1.17.9']));
    expect(codes({ ...healthy(3), versions })).toEqual(['versions-differ']);
  });
});
