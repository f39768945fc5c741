import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sysdumpOfTrouble, TROUBLES } from '../../scripts/sysdump/from-kernel.ts';
import { type CollectOptions, sysdumpOfScenario } from '../../scripts/sysdump/from-scenario.ts';
import { policyText, stateText, statText } from '../../scripts/sysdump/iproute2.ts';
import {
  bugtoolFiles,
  hashKeys,
  hashOf,
  podOf,
  sysdump,
  sysdumpFiles,
} from '../../scripts/sysdump/layout.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { gather, type NodeTexts } from '../../src/inspect/files/gather.ts';
import { memoryFile } from '../../src/inspect/files/walk.ts';
import { SecurityAssociation } from '../../src/ipsec/sa.ts';
import { readPolicies } from '../../src/sa-text/to-policy.ts';
import { toSa } from '../../src/sa-text/to-sa.ts';
import { parseXfrm } from '../../src/sa-text/xfrm-parse.ts';
import type { XfrmState } from '../../src/sa-text/xfrm-tree.ts';
import { parseScenario, type Scenario } from '../../src/sim/scenario.ts';

const DIAGNOSE = 'pcaps/diagnose';
const read = (file: string) => readFileSync(`${DIAGNOSE}/${file}`, 'utf8');
const textOf = (content: string | Uint8Array) => String(content);

/** An SA that stands where a kernel's stood. */
function standing(state: XfrmState, direction: 'in' | 'out') {
  const result = toSa(state);
  if (result.kind !== 'sa') throw new Error('not read');
  const { seqHi, oseqHi, oseq, window, bitmap } = state.antiReplay!;
  const sa = new SecurityAssociation({ ...result.sa, direction }, new NodeEngine(), {
    random: () => {},
    startAfter: { hi: oseqHi, lo: oseq },
  });
  const seen = bitmap
    .toReversed()
    .flatMap((word, i) =>
      Array.from({ length: 32 }, (_, bit) => bit).flatMap((bit) =>
        (Number.parseInt(word, 16) >>> bit) & 1 ? [32 * i + bit + 1] : [],
      ),
    );
  // The ring begins anew after as many numbers as the window has.
  const top = state.antiReplay!.seq;
  const numbers = seen.map((n) => n + window! * Math.floor((top - n) / window!)).sort((a, b) => a - b);
  for (const number of numbers) sa.window.commit(seqHi, number);
  for (let i = 0; i < Number(state.use!.packets); i++) sa.life.count(i === 0 ? Number(state.use!.bytes) : 0);
  Object.assign(sa.stats, state.stats);
  return sa;
}

const time = (text: string) => Date.parse(`${text.replace(' ', 'T')}Z`);

describe('what a simulation prints', () => {
  it.each(TROUBLES)('is what the kernel printed of the same states: %s', (trouble) => {
    for (const node of ['n1', 'n2']) {
      const text = read(`${trouble}.${node}.xfrm_state.txt`);
      const printed = parseXfrm(text, node).states.map((state) => {
        const { added, used } = state.use!;
        const isOut = state.src === (node === 'n1' ? '10.244.1.1' : '10.244.2.1');
        return stateText(standing(state, isOut ? 'out' : 'in'), {
          added: time(added!),
          used: used === null ? undefined : time(used),
        });
      });
      expect(printed.join('')).toBe(text);
    }
  });

  it('is what the kernel printed of the same policies', () => {
    const text = read('stale-boot-id.n1.xfrm_policy.txt');
    const printed = readPolicies(text, 'n1').policies.map(({ direction: dir, templates, ...rest }) =>
      policyText(
        {
          ...rest,
          dir,
          templates: templates.map(({ src, dst, reqid, optional }) => ({
            src,
            dst,
            reqid,
            mode: 'tunnel',
            level: optional ? 'use' : 'required',
          })),
        },
        false,
      ),
    );
    expect(printed.join('')).toBe(text);
  });

  it('is what the kernel printed of the same counters', () => {
    expect(statText({ XfrmInStateProtoError: 8 })).toBe(read('stale-boot-id.n2.xfrm_stat'));
  });
});

describe('hashes of keys', () => {
  // bugtool/utils/ipsec_test.go
  const HASH = '[hash:21d466b493f5c133edc008ee375e849fe5babb55d31550c25b993d151038c8a8]';
  it.each([
    ['<garbage> auth foo bar 0x123456af baz', `<garbage> auth foo bar ${HASH} baz`],
    ['<garbage> enc foo bar 0x123456af baz', `<garbage> enc foo bar ${HASH} baz`],
    ['<garbage> auth foo bar ###23456af baz', '[redacted]'],
    ['<garbage> xxxx foo bar 0x123456af baz', '<garbage> xxxx foo bar 0x123456af baz'],
  ])('%s', (line, hashed) => {
    expect(hashKeys(`a\n${line}\n`)).toBe(`a\n${hashed}\n`);
  });
});

async function nodesOf(bytes: Uint8Array, name = 's.zip') {
  const nodes: NodeTexts[] = [];
  const onDamage = (error: Error) => {
    throw error;
  };
  const all = await gather([memoryFile(name, bytes)], { onNode: (node) => void nodes.push(node), onDamage });
  return { ...all, nodes };
}

const hashesOf = (text: string) =>
  new Map(
    [...text.matchAll(/^src (\S+) dst (\S+)\n[\s\S]*?\[hash:([0-9a-f]{64})\]/gm)].map(
      ([, src, dst, hash]) => [`${src} > ${dst}`, hash],
    ),
  );

describe('a sysdump of a kernel', () => {
  it.each(TROUBLES)('is recognised, and holds no key: %s', async (trouble) => {
    const cluster = sysdumpOfTrouble(DIAGNOSE, trouble);
    const { nodes, texts } = await nodesOf(sysdump(cluster));
    expect(nodes.map(({ texts: own }) => Object.keys(own).sort())).toEqual(
      Array(2).fill([
        'boot-id',
        'encrypt-status',
        'hostname',
        'node-list',
        'xfrm-policy',
        'xfrm-stat',
        'xfrm-stat-later',
        'xfrm-state',
      ]),
    );
    expect([...texts.keys()].sort()).toEqual(['cilium-config', 'daemonset', 'endpoints', 'nodes', 'pods']);
    const states = ['n1', 'n2'].map((node) => read(`${trouble}.${node}.xfrm_state.txt`)).join('');
    const keys = [...states.matchAll(/0x([0-9a-f]{40})/g)].map(([, key]) => key!);
    expect(keys.length).toBeGreaterThan(2);
    const all = sysdumpFiles(cluster)
      .map(([, content]) => textOf(content))
      .join('');
    for (const key of keys) {
      expect(all).not.toContain(key);
      expect(all).toContain(`[hash:${hashOf(`0x${key}`)}]`);
    }
  });

  it('has a pod of its own for each of many nodes', () => {
    const pods = Array.from({ length: 5000 }, (_, i) => podOf({ name: `node-${i + 1}` }));
    expect(new Set(pods).size).toBe(pods.length);
    for (const pod of pods) expect(pod).toMatch(/^cilium-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  });

  it('is the one in pcaps/diagnose', async () => {
    const kept = await nodesOf(new Uint8Array(readFileSync(`${DIAGNOSE}/stale-boot-id.sysdump.zip`)));
    expect(kept).toEqual(await nodesOf(sysdump(sysdumpOfTrouble(DIAGNOSE, 'stale-boot-id'))));
  });

  it('differs in the hashes that the trouble is about', async () => {
    const { nodes } = await nodesOf(sysdump(sysdumpOfTrouble(DIAGNOSE, 'stale-boot-id')));
    const [one, two] = nodes.map(({ texts }) => hashesOf(texts['xfrm-state']!.text));
    expect(one!.get('10.244.1.1 > 10.244.2.1')).not.toBe(two!.get('10.244.1.1 > 10.244.2.1'));
    expect(one!.get('10.244.2.1 > 10.244.1.1')).toBe(two!.get('10.244.2.1 > 10.244.1.1'));
  });
});

/** node-2 has a new boot id from 500 ms on, and node-1 never hears of it. */
const STALE = parseScenario(
  `
duration: 1s
nodes: 3
traffic:
  - { kind: udp, from: node-1/pod-1, to: node-2/pod-1, every: 100ms }
events:
  - { at: 500ms, staleBootId: node-2, peers: [node-1] }
`,
  'stale',
);
const OFF = parseScenario(
  `
duration: 2s
nodes: 2
traffic: [{ kind: udp, from: node-1/pod-1, to: node-2/pod-1, every: 100ms }]
events:
  - { at: 200ms, changeKey: node-1 }
  - { at: 1s, reboot: node-2, for: 500ms }
`,
  'off',
);
const collect = (scenario: Scenario, options?: CollectOptions) =>
  sysdumpOfScenario(scenario, new NodeEngine(), options);
const errors = (text: string) => Number(/XfrmInStateProtoError\s+(\d+)/.exec(text)?.[1]);

describe('a sysdump of a scenario', () => {
  it('tells of every node what it holds, and the same each time', async () => {
    const bytes = sysdump(collect(STALE));
    expect(sysdump(collect(STALE))).toEqual(bytes);
    const { nodes } = await nodesOf(bytes);
    const [one, two, three] = nodes.map(({ texts }) => hashesOf(texts['xfrm-state']!.text));
    const differ = (a: typeof one, b: typeof one, sa: string) => a!.get(sa) !== b!.get(sa);
    expect([
      differ(one, two, '10.0.1.1 > 10.0.2.1'),
      differ(one, two, '10.0.2.1 > 10.0.1.1'),
      differ(one, three, '10.0.1.1 > 10.0.3.1'),
      differ(two, three, '10.0.3.1 > 10.0.2.1'),
    ]).toEqual([true, true, false, false]);
    const [before, after] = (['xfrm-stat', 'xfrm-stat-later'] as const).map((kind) =>
      errors(nodes[1]!.texts[kind]!.text),
    );
    expect([before, after]).toEqual([0, 5]);
    const { texts } = nodes[0]!;
    expect(texts['node-ids']!.text).toMatch(/^NODE ID {3}IP ADDRESSES {3}SPI\n0x[0-9a-f]+ +10\.0\.2\.1 +3\n/);
    expect(texts.ipcache!.text).toMatch(
      /\n10\.0\.2\.0\/24 +identity=\d+ encryptkey=3 tunnelendpoint=192\.168\.0\.2 /,
    );
    // The SA for the new boot id is half a second old; first used at once.
    expect(texts['xfrm-state']!.text).toContain('  add 2025-12-31 23:59:30 use 2026-01-01 00:00:00');
  });

  it('is taken when it is asked for', () => {
    const later = (at: number) =>
      collect(STALE, { at, took: 100 }).nodes.map(({ commands }) => [
        errors(commands['cat /proc/net/xfrm_stat']!),
        errors(commands['cat -u /proc/net/xfrm_stat']!),
      ])[1];
    expect(later(400)).toEqual([0, 0]);
    expect(later(900)).toEqual([3, 4]);
  });

  it('has no archive of a machine that is off, and new counters of one that was', () => {
    const at = (ms: number) => collect(OFF, { at: ms }).nodes.map(({ name }) => name);
    expect(at(900)).toEqual(['node-1', 'node-2']);
    expect(at(1200)).toEqual(['node-1']);
    const [, last] = collect(OFF, { at: 900 }).nodes;
    expect(errors(last!.commands['cat -u /proc/net/xfrm_stat']!)).toBeGreaterThan(0);
    const [, again] = collect(OFF, { at: 1600 }).nodes;
    expect(errors(again!.commands['cat -u /proc/net/xfrm_stat']!)).toBeLessThan(2);
  });
});

describe('layouts', () => {
  const names = (minor: number) => {
    const [node] = collect(STALE, { at: 0, minor }).nodes;
    return bugtoolFiles(node!).map(([name]) => name.replace('cmd/', ''));
  };

  it('are those of the releases', () => {
    const old = names(10);
    for (const name of ['ip-xfrm-policy', 'cilium-encrypt-status']) expect(old).toContain(`${name}.md`);
    expect(old.filter((name) => /boot_id|nodeid|cat--u/.test(name))).toEqual([]);
    expect(names(14)).toContain('ip--s-xfrm-policy.md');
    const now = names(18);
    for (const name of [
      'cat--proc-sys-kernel-random-boot_id',
      'cilium-dbg-bpf-nodeid-list',
      'cat--u--proc-net-xfrm_stat',
    ])
      expect(now).toContain(`${name}.md`);
  });

  it('may leave bugtool archives packed', async () => {
    const cluster = sysdumpOfTrouble(DIAGNOSE, 'sa-gone');
    const { nodes } = await nodesOf(sysdump(cluster, { packed: true, time: '20260101-000000' }));
    expect(nodes).toHaveLength(2);
    expect(sysdumpFiles(cluster, { packed: true, time: '20260101-000000' })[0]![0]).toMatch(
      /^cilium-sysdump-20260101-000000\/cilium-bugtool-cilium-\w{5}-20260101-000000\.tar\.gz$/,
    );
  });
});
