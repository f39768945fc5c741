import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/base/errors.ts';
import { type NodePlanOptions, planForNode } from '../../src/cilium/node-plan.ts';
import { parseVersion } from '../../src/cilium/version.ts';
import { GCM, index, keysFrom, nodeObject, nodesFrom } from '../support/cilium-cluster.ts';

const KEYS = keysFrom(`3+ ${GCM}`);
const V4 = [1, 2, 3].map((i) => {
  const object = nodeObject(i);
  return {
    ...object,
    spec: { ...object.spec, addresses: object.spec.addresses.filter(({ ip: text }) => !text.includes(':')) },
  };
});
const NODES = nodesFrom(...V4);
const IDS = new Map([
  ['node-1', 0xaaaa],
  ['node-2', 0xcb9],
  ['node-3', 0xffff],
]);

function plan(options: NodePlanOptions, keys = KEYS, nodes = NODES, ids = IDS) {
  const [local] = nodes;
  if (!local) throw new Error('no node');
  return planForNode(local, keys, nodes, ids, options).map((sa) => ({
    direction: sa.direction,
    index: index(sa),
    mark: `${hex(sa.mark?.value)}/${hex(sa.mark?.mask)}`,
    out: `${hex(sa.outputMark?.value)}/${hex(sa.outputMark?.mask)}`,
  }));
}

function hex(value: number | undefined): string {
  return value === undefined ? '-' : `0x${value.toString(16)}`;
}

describe('planForNode', () => {
  it('native: one SA out and one in for every peer, told apart by marks', () => {
    const out = '0xe00/0xffffff00';
    const inn = '0xd00/0xffffff00';
    expect(plan({})).toEqual([
      { direction: 'out', index: '10.244.1.1->10.244.2.1:3', mark: '0xcb93e00/0xffffff00', out },
      { direction: 'in', index: '10.244.2.1->10.244.1.1:3', mark: '0xcb90d00/0xffff0f00', out: inn },
      { direction: 'out', index: '10.244.1.1->10.244.3.1:3', mark: '0xffff3e00/0xffffff00', out },
      { direction: 'in', index: '10.244.3.1->10.244.1.1:3', mark: '0xffff0d00/0xffff0f00', out: inn },
    ]);
  });

  // docs/cilium.md, "States": SAs for each peer and family.
  it.each([
    ['native', '1.18', 1, 1],
    ['tunnel', '1.18', 2, 2],
    ['tunnel', '1.17', 1, 1],
    ['eni', '1.18', 1, 2],
  ] as const)('%s in %s: %i out and %i in for a peer and family', (mode, version, out, inn) => {
    const both = nodesFrom(nodeObject(1), nodeObject(2));
    const all = plan({ mode, version: parseVersion(version) }, KEYS, both);
    expect(all.filter(({ direction }) => direction === 'out')).toHaveLength(2 * out);
    expect(all.filter(({ direction }) => direction === 'in')).toHaveLength(2 * inn);
  });

  it('sends between node addresses where pod addresses come from the cloud, without being told', () => {
    const cloud = nodesFrom(
      ...V4.map((object) => ({ ...object, spec: { ...object.spec, eni: { 'vpc-id': 'v' } } })),
    );
    const out = plan({}, KEYS, cloud).filter(({ direction }) => direction === 'out');
    expect(out.map((sa) => sa.index)).toEqual(['192.168.7.1->192.168.7.2:3', '192.168.7.1->192.168.7.3:3']);
  });

  it('gives both ends of a tunnel the same key', () => {
    const [one, two] = NODES;
    if (!one || !two) throw new Error('no nodes');
    for (const mode of ['native', 'tunnel'] as const) {
      const there = planForNode(two, KEYS, NODES, IDS, { mode }).filter(
        ({ direction }) => direction === 'in',
      );
      const outs = planForNode(one, KEYS, NODES, IDS, { mode }).filter(
        (sa) => sa.direction === 'out' && there.some((other) => index(other) === index(sa)),
      );
      expect(outs).toHaveLength(mode === 'native' ? 1 : 2);
      for (const out of outs) {
        expect(there.find((other) => index(other) === index(out))?.keys.equals(out.keys)).toBe(true);
      }
    }
  });

  it('keeps old and new key side by side in a rotation', () => {
    const marks = plan({}, keysFrom(`15+ ${GCM}\n1+ ${GCM}`), NODES, new Map([['node-2', 1]])).map(
      ({ mark }) => mark,
    );
    expect(marks).toEqual([
      '0x1fe00/0xffffff00',
      '0x10d00/0xffff0f00',
      '0x11e00/0xffffff00',
      '0x10d00/0xffff0f00',
    ]);
  });

  it('skips peers without an id', () => {
    expect(plan({}, KEYS, NODES, new Map([['node-3', 7]])).map((sa) => sa.index)).toEqual([
      '10.244.1.1->10.244.3.1:3',
      '10.244.3.1->10.244.1.1:3',
    ]);
    expect(plan({}, KEYS, NODES, new Map())).toEqual([]);
  });

  it('1.14.3: one inbound SA for all peers, and output marks that leave the ids', () => {
    const version = parseVersion('1.14.3');
    const all = plan({ version }, keysFrom(`3 ${GCM}`, '1.14.3'));
    expect(all).toEqual([
      {
        direction: 'out',
        index: '10.244.1.1->10.244.2.1:3',
        mark: '0xcb93e00/0xffffff00',
        out: '0xe00/0xf00',
      },
      {
        direction: 'out',
        index: '10.244.1.1->10.244.3.1:3',
        mark: '0xffff3e00/0xffffff00',
        out: '0xe00/0xf00',
      },
      { direction: 'in', index: '0.0.0.0->10.244.1.1:3', mark: '0xd00/0xf00', out: '0xd00/0xf00' },
    ]);
  });

  it('1.14 in its last patch release: one inbound SA a peer', () => {
    const all = plan({ version: parseVersion('1.14') }, keysFrom(`3+ ${GCM}`, '1.14'));
    expect(all.filter(({ direction }) => direction === 'in').map(({ mark }) => mark)).toEqual([
      '0xcb90d00/0xffff0f00',
      '0xffff0d00/0xffff0f00',
    ]);
  });

  // Cilium ≤1.16: each end looks up the key by its own address.
  it('uses the key made for this node in both directions', () => {
    const cbc = (digit: string) => `hmac(sha256) ${digit.repeat(32)} cbc(aes) ${digit.repeat(32)}`;
    const keys = keysFrom(`3 ${cbc('a')}\n3 ${cbc('b')} 10.244.1.1`, '1.16');
    const [local] = NODES;
    if (!local) throw new Error('no node');
    const used = planForNode(local, keys, NODES, IDS, { version: parseVersion('1.16') });
    expect(used).toHaveLength(4);
    for (const sa of used) expect(sa.keys.key()[0]).toBe(0xbb);
  });

  it.each([0, 65536, 1.5, Number.NaN])('refuses node id %d', (id) => {
    expect(() => plan({}, KEYS, NODES, new Map([['node-2', id]]))).toThrow(
      expect.objectContaining({ code: 'ERR_NODE_ID' }),
    );
  });

  it('refuses a node that is not of the cluster, or has no boot id itself; a peer without one gets no SA', () => {
    const [stranger] = nodesFrom(nodeObject(9));
    if (!stranger) throw new Error('no node');
    expect(() => planForNode(stranger, KEYS, NODES, IDS)).toThrow(
      expect.objectContaining({ code: 'ERR_NODE' }),
    );
    expect(() => plan({}, KEYS, nodesFrom(nodeObject(1, { bootid: '' }), nodeObject(2)))).toThrow(InputError);
    expect(plan({}, KEYS, nodesFrom(nodeObject(1), nodeObject(2, { bootid: '' })))).toEqual([]);
  });
});
