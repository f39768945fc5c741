import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { InputError } from '../../src/base/errors.ts';
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
      ['10.244.1.1', '10.244.9.1'], // nobody's
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

describe('ClusterPlan: nodes that cannot be used', () => {
  const keep = (i: number, keepIt: (address: { type: string; ip: string }) => boolean) => {
    const object = nodeObject(i);
    return { ...object, spec: { ...object.spec, addresses: object.spec.addresses.filter(keepIt) } };
  };
  const failure = (nodes: readonly object[], options: PlanOptions = {}, keys = KEYS) => {
    try {
      new ClusterPlan(keys, nodesFrom(...nodes), options);
    } catch (error) {
      if (error instanceof InputError) return error.message;
      throw error;
    }
    return 'accepted';
  };

  it('a boot id is missing or short, and keys are per tunnel', () => {
    const without = [nodeObject(1), nodeObject(2, { bootid: undefined })];
    expect(failure(without)).toMatch(
      /^nodes\.json: node node-2 has no boot id \(spec\.bootid\).*\. Fetch the list again/,
    );
    expect(failure([nodeObject(1, { bootid: '' }), nodeObject(2)])).toMatch(/node node-1 has no boot id/);
    expect(failure([nodeObject(1, { bootid: 'short' }), nodeObject(2)])).toMatch(
      /node-1 has a boot id of less than 36/,
    );
    expect(failure(without, {}, keysFrom(`3 ${GCM}`, '1.16'))).toBe('accepted');
  });

  it('a CiliumInternalIP is missing', () => {
    expect(failure([nodeObject(1), keep(2, ({ type }) => type !== 'CiliumInternalIP')])).toMatch(
      /^nodes\.json: node node-2 has no IPv4 CiliumInternalIP/,
    );
    expect(failure([keep(1, ({ ip: text }) => text !== 'fd00:10:244:1::1'), nodeObject(2)])).toMatch(
      /node node-1 has no IPv6 CiliumInternalIP/,
    );
    expect(failure([1, 2].map((i) => keep(i, ({ type }) => type === 'InternalIP')))).toMatch(
      /node node-1 has no CiliumInternalIP/,
    );
  });

  it('a node address is missing, where the mode needs one', () => {
    const nodes = [nodeObject(1), keep(2, ({ type }) => type === 'CiliumInternalIP')];
    expect(failure(nodes)).toMatch(/node node-2 has no IPv4 InternalIP/);
    expect(failure(nodes, { mode: 'native' })).toBe('accepted');
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
