import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { deriveMaterial } from '../../src/cilium/derive.ts';
import { ClusterPlan, type PlanOptions } from '../../src/cilium/plan.ts';
import { parseVersion } from '../../src/cilium/version.ts';
import { GCM, index, ip, keysFrom, nodeObject, nodesFrom } from '../support/cilium-cluster.ts';

const KEYS = keysFrom(`3+ ${GCM}`);
const TWO = nodesFrom(nodeObject(1), nodeObject(2));

function planned(options: PlanOptions, keys = KEYS, nodes = TWO): string[] {
  return new ClusterPlan(keys, nodes, options).all().map(index).sort();
}

const NATIVE_V4 = ['10.244.1.1->10.244.2.1:3', '10.244.2.1->10.244.1.1:3'];
const NATIVE_V6 = ['fd00:10:244:1::1->fd00:10:244:2::1:3', 'fd00:10:244:2::1->fd00:10:244:1::1:3'];
const NODES_V4 = ['192.168.7.1->192.168.7.2:3', '192.168.7.2->192.168.7.1:3'];
const NODES_V6 = ['fd07::1->fd07::2:3', 'fd07::2->fd07::1:3'];
const NATIVE = [...NATIVE_V4, ...NATIVE_V6].sort();
const BOTH = [...NATIVE, ...NODES_V4, ...NODES_V6].sort();

describe('ClusterPlan', () => {
  it.each([
    ['native', '1.18', NATIVE],
    ['native', '1.16', NATIVE],
    ['tunnel', '1.17', NATIVE], // ESP in VXLAN
    ['tunnel', '1.18', BOTH], // and VXLAN in ESP
    ['eni', '1.18', BOTH],
    ['any', '1.18', BOTH],
    ['any', '1.16', BOTH],
  ] as const)('%s routing in %s', (mode, version, want) => {
    expect(planned({ mode, version: parseVersion(version) })).toEqual(want);
  });

  it('takes every pair when nobody says how the cluster routes', () => {
    expect(planned({})).toEqual(BOTH);
  });

  it('makes what Cilium installs, without direction and marks', () => {
    const [sa] = new ClusterPlan(KEYS, TWO).between(ip('10.244.1.1'), ip('10.244.2.1'));
    expect(sa).toMatchObject({
      spi: 3,
      mode: 'tunnel',
      esn: true,
      replayWindow: 1024,
      reqid: 1,
      flags: [],
      selector: { src: { bits: 0, address: ip('0.0.0.0') }, dst: { bits: 0, address: ip('0.0.0.0') } },
      origin: 'keys:1 node-1 -> node-2',
    });
    for (const absent of ['mark', 'outputMark', 'direction', 'encap', 'lifetime'])
      expect(sa).not.toHaveProperty(absent);
  });

  it('gives a tunnel the selector of its own family', () => {
    const [sa] = new ClusterPlan(KEYS, TWO).between(ip('fd07::1'), ip('fd07::2'));
    expect(sa?.selector).toEqual({
      src: { bits: 0, address: ip('::') },
      dst: { bits: 0, address: ip('::') },
    });
  });

  it('derives a key for every tunnel, from its own addresses and boot ids', () => {
    const all = new ClusterPlan(KEYS, TWO).all();
    expect(new Set(all.map(({ keys }) => toHex(keys.key()))).size).toBe(all.length);
    const [sa] = new ClusterPlan(KEYS, TWO).between(ip('192.168.7.2'), ip('192.168.7.1'));
    const [key] = KEYS;
    const [one, two] = TWO;
    if (!sa || !key || !one || !two) throw new Error('missing');
    const want = deriveMaterial(key.material, ip('192.168.7.2'), ip('192.168.7.1'), two.bootId, one.bootId);
    expect(sa.keys.equals(want)).toBe(true);
  });

  it('plans every key, for a rotation', () => {
    const keys = keysFrom(`15+ ${GCM}\n1+ ${GCM}`);
    const spis = new ClusterPlan(keys, TWO).between(ip('10.244.1.1'), ip('10.244.2.1')).map(({ spi }) => spi);
    expect(spis).toEqual([15, 1]);
  });

  it('uses a global key as it is, without ESN and window', () => {
    const keys = keysFrom(`5 ${GCM}`, '1.16');
    const sas = new ClusterPlan(keys, TWO, { version: parseVersion('1.16') }).all();
    for (const sa of sas) {
      expect(sa).toMatchObject({ esn: false, replayWindow: 0 });
      expect(sa.keys).toBe(keys[0]?.material);
    }
  });

  // Cilium ≤1.16: the sender looks up the key by its own address.
  it('uses the key of the sending node where it has one of its own', () => {
    const cbc = (digit: string) => `hmac(sha256) ${digit.repeat(32)} cbc(aes) ${digit.repeat(32)}`;
    const keys = keysFrom(`3 ${cbc('a')}\n3 ${cbc('b')} 10.244.1.1`, '1.16');
    const plan = new ClusterPlan(keys, TWO, { version: parseVersion('1.16') });
    const used = (src: string, dst: string) =>
      plan.between(ip(src), ip(dst)).map((sa) => toHex(sa.keys.key()).slice(0, 1));
    expect(used('10.244.1.1', '10.244.2.1')).toEqual(['b']);
    expect(used('10.244.2.1', '10.244.1.1')).toEqual(['a']);
  });

  it('finds between two addresses what all() lists, and nothing else', () => {
    const nodes = nodesFrom(...[1, 2, 3, 4].map((i) => nodeObject(i)));
    const plan = new ClusterPlan(KEYS, nodes);
    const all = plan.all();
    expect(all).toHaveLength(4 * 3 * 4); // ordered pairs of nodes, two kinds, two families
    for (const sa of all) {
      const found = plan.between(sa.src, sa.dst);
      expect(found.map(index)).toEqual([index(sa)]);
      expect(found[0]?.keys.equals(sa.keys)).toBe(true);
    }
    const nothing = [
      ['10.244.1.1', '10.244.1.1'], // the node itself
      ['10.244.1.1', '192.168.7.2'], // two kinds
      ['10.244.1.1', 'fd00:10:244:2::1'], // two families
      ['10.244.1.1', '10.244.9.1'], // no node's
      ['192.168.7.1', '10.244.1.1'], // one node, two kinds
    ] as const;
    for (const [src, dst] of nothing) expect(plan.between(ip(src), ip(dst)), `${src} ${dst}`).toEqual([]);
  });

  it('shows no key in print', () => {
    const plan = new ClusterPlan(KEYS, TWO);
    const all = plan.all();
    const key = toHex(all[0]?.keys.key() ?? new Uint8Array());
    expect(key).toHaveLength(32);
    for (const text of [
      JSON.stringify(all),
      inspect(all, { depth: 9 }),
      inspect(plan, { depth: 9, showHidden: true }),
    ]) {
      expect(text).not.toContain(key);
      expect(text).not.toContain('44434241');
    }
  });
});

describe('ClusterPlan: nodes that lack something', () => {
  const keep = (i: number, keepIt: (address: { type: string; ip: string }) => boolean) => {
    const object = nodeObject(i);
    return { ...object, spec: { ...object.spec, addresses: object.spec.addresses.filter(keepIt) } };
  };
  /** The plan of two whole nodes and others. */
  const withOthers = (others: readonly object[], options: PlanOptions = {}, keys = KEYS) => {
    const plan = new ClusterPlan(keys, nodesFrom(nodeObject(1), nodeObject(2), ...others), options);
    return {
      sas: plan.all().map(index).sort(),
      why: plan.lacks.map(({ why }) => why),
      isEmpty: plan.isEmpty,
    };
  };

  it.each([
    ['no boot id', nodeObject(3, { bootid: undefined }), 'no boot id'],
    ['an empty boot id', nodeObject(3, { bootid: '' }), 'no boot id'],
    ['a short boot id', nodeObject(3, { bootid: 'short' }), 'a boot id of less than 36 characters'],
  ])('leave out one with %s, and keep the others', (_, node, what) => {
    expect(withOthers([node])).toEqual({
      sas: BOTH,
      why: [
        `node node-3 has ${what} (spec.bootid), which per-tunnel keys are made from: no SA is made with it`,
      ],
      isEmpty: false,
    });
    const global = withOthers([node], {}, keysFrom(`3 ${GCM}`, '1.16'));
    expect([global.sas.length, global.why]).toEqual([24, []]);
  });

  it('leave out the family that one lacks', () => {
    const { sas, why } = withOthers([keep(3, ({ ip: text }) => !text.includes(':'))]);
    expect(sas).toHaveLength(16);
    expect(sas.filter((sa) => /\.3\.1|\.7\.3|::3/.test(sa)).every((sa) => !sa.includes('::'))).toBe(true);
    expect(why).toEqual([
      'node node-3 has no IPv6 CiliumInternalIP and no IPv6 InternalIP (spec.addresses): fewer SAs are made with it',
    ]);
  });

  it('leave out the kind of address that one lacks, where the mode needs it', () => {
    const node = keep(3, ({ type }) => type === 'CiliumInternalIP');
    expect(withOthers([node]).why).toEqual([
      'node node-3 has no IPv4 InternalIP and no IPv6 InternalIP (spec.addresses): fewer SAs are made with it',
    ]);
    expect(withOthers([node], { mode: 'native' }).why).toEqual([]);
  });

  it('make an empty plan where nothing is left, and say why', () => {
    const empty = (...nodes: object[]) => {
      const plan = new ClusterPlan(KEYS, nodesFrom(...nodes));
      return [plan.isEmpty, plan.all().length, plan.lacks.map(({ node, isWhole }) => [node.name, isWhole])];
    };
    expect(empty(nodeObject(1), nodeObject(2, { bootid: undefined }))).toEqual([true, 0, [['node-2', true]]]);
    expect(empty(...[1, 2].map((i) => keep(i, ({ type }) => type === 'InternalIP')))).toEqual([
      true,
      0,
      [
        ['node-1', true],
        ['node-2', true],
      ],
    ]);
    expect(empty(nodeObject(1))).toEqual([true, 0, []]);
    expect(empty(nodeObject(1), nodeObject(2))).toEqual([false, 8, []]);
  });

  it('an address belongs to two nodes of different files', () => {
    const twice = [...nodesFrom(nodeObject(1)), ...nodesFrom(nodeObject(1))];
    expect(() => new ClusterPlan(KEYS, twice)).toThrow(/both have the address 10\.244\.1\.1/);
  });

  it('but accepts nodes that reach each other by IPv4 alone, with IPv6 for pods', () => {
    const nodes = [1, 2].map((i) => keep(i, ({ ip: text }) => !text.startsWith('fd07')));
    expect(planned({}, KEYS, nodesFrom(...nodes))).toEqual([...NATIVE, ...NODES_V4].sort());
  });

  it('but accepts IPv6 addresses of nodes where Cilium runs IPv4 alone, even on some', () => {
    const v4 = keep(1, ({ ip: text }) => !text.startsWith('fd00'));
    const v4Only = keep(2, ({ ip: text }) => !text.includes('::'));
    expect(planned({}, KEYS, nodesFrom(v4, v4Only))).toEqual([...NATIVE_V4, ...NODES_V4].sort());
  });
});
