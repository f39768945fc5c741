import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { InputError } from '../../src/base/errors.ts';
import { parseNodes } from '../../src/cilium/nodes.ts';
import { formatAddress, formatPrefix } from '../../src/wire/address.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 200);

function node(i: number, spec: Record<string, unknown> = {}) {
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNode',
    metadata: { name: `node-${i}`, labels: { 'kubernetes.io/os': 'linux' } },
    spec: {
      'alibaba-cloud': {},
      addresses: [
        { ip: `192.168.7.${i}`, type: 'InternalIP' },
        { ip: `fd07::${i}`, type: 'InternalIP' },
        { ip: `10.244.${i}.1`, type: 'CiliumInternalIP' },
        { ip: `fd00:10:244:${i}::1`, type: 'CiliumInternalIP' },
      ],
      azure: {},
      bootid: `3f2a6c1e-8d4b-4e57-9a30-5b7c9d1e2f4${i}`,
      encryption: { key: 3 },
      eni: {},
      health: { ipv4: `10.244.${i}.9` },
      ingress: {},
      ipam: { podCIDRs: [`10.244.${i}.0/24`, `fd00:10:244:${i}::/64`], pools: {} },
      ...spec,
    },
    status: { 'alibaba-cloud': {}, ipam: { 'operator-status': {} } },
  };
}

const LIST = { apiVersion: 'v1', kind: 'List', items: [node(1), node(2)], metadata: { resourceVersion: '' } };

function names(text: string) {
  return parseNodes(text, 'nodes').map(({ name }) => name);
}

describe('parseNodes', () => {
  it.each([
    ['a List as JSON', JSON.stringify(LIST)],
    ['a List as YAML', stringify(LIST)],
    ['a List as YAML with a document mark', `---\n${stringify(LIST)}`],
    ['a JSON array', JSON.stringify(LIST.items)],
    ['several YAML documents', LIST.items.map((object) => stringify(object)).join('---\n')],
    [
      'a CiliumNodeList, whose items have no kind',
      JSON.stringify({
        kind: 'CiliumNodeList',
        items: LIST.items.map(({ metadata, spec }) => ({ metadata, spec })),
      }),
    ],
  ])('reads %s', (_, text) => {
    expect(names(text)).toEqual(['node-1', 'node-2']);
  });

  const ranges = (ipam: object, addresses?: object[]) =>
    parseNodes(JSON.stringify(node(1, { ipam, ...(addresses && { addresses }) })), 'nodes')[0]!.podCidrs.map(
      formatPrefix,
    );

  it('takes the addresses of a pool for those of pods, but not the router address that is one of them', () => {
    const pool = { '10.0.7.12': { resource: 'eni-0a' }, '10.0.7.1': { resource: 'eni-0a' }, '10.0.9.3': {} };
    const addresses = [
      { ip: '10.0.7.200', type: 'InternalIP' },
      { ip: '10.0.7.1', type: 'CiliumInternalIP' },
    ];
    expect(ranges({ pool }, addresses)).toEqual(['10.0.7.12/32', '10.0.9.3/32']);
    expect(() => ranges({ pool: { 'eni-0a': {} } })).toThrow(
      /node node-1 has something that is no address in its pool \(spec\.ipam\.pool\)/,
    );
  });

  it('takes the ranges of several pools', () => {
    const allocated = [
      { pool: 'default', cidrs: ['10.1.0.0/27', 'fd00:1::/96'] },
      { pool: 'other', cidrs: ['10.2.0.0/28'] },
      { pool: 'empty' },
    ];
    expect(ranges({ podCIDRs: ['10.9.0.0/24'], pools: { allocated } })).toEqual([
      '10.9.0.0/24',
      '10.1.0.0/27',
      'fd00:1::/96',
      '10.2.0.0/28',
    ]);
  });

  it('reads one object', () => {
    expect(names(JSON.stringify(node(1)))).toEqual(['node-1']);
  });

  it('takes what IPsec needs', () => {
    const [read] = parseNodes(JSON.stringify(LIST), 'nodes');
    expect(read).toMatchObject({
      name: 'node-1',
      bootId: '3f2a6c1e-8d4b-4e57-9a30-5b7c9d1e2f41',
      keyId: 3,
      source: 'nodes',
    });
    expect(read?.ciliumAddresses.map((b) => formatAddress(b))).toEqual(['10.244.1.1', 'fd00:10:244:1::1']);
    expect(read?.nodeAddresses.map((b) => formatAddress(b))).toEqual(['192.168.7.1', 'fd07::1']);
    expect(read?.podCidrs.map(formatPrefix)).toEqual(['10.244.1.0/24', 'fd00:10:244:1::/64']);
    expect(read?.cloud).toBeUndefined();
  });

  it('takes the first address of a kind, and an external one only without an internal one', () => {
    const pick = (...addresses: [type: string, ip: string][]) =>
      parseNodes(
        JSON.stringify(node(1, { addresses: addresses.map(([type, ip]) => ({ type, ip })) })),
        'f',
      )[0]?.nodeAddresses.map((b) => formatAddress(b));
    expect(pick(['ExternalIP', '1.1.1.1'], ['InternalIP', '10.0.0.1'], ['InternalIP', '10.0.0.2'])).toEqual([
      '10.0.0.1',
    ]);
    expect(pick(['ExternalIP', '1.1.1.1'], ['ExternalIP', '1.1.1.2'], ['Hostname', 'x'])).toEqual([
      '1.1.1.2',
    ]);
    expect(pick(['InternalIP', '::ffff:10.0.0.1'])).toEqual(['10.0.0.1']);
  });

  it('knows a cloud by what is filled in', () => {
    const cloud = (spec: object) =>
      parseNodes(JSON.stringify(node(1, spec as Record<string, unknown>)), 'f')[0]?.cloud;
    expect(cloud({ eni: { 'vpc-id': 'vpc-1' } })).toBe('eni');
    expect(cloud({ azure: { 'interface-name': 'eth0' } })).toBe('azure');
  });

  it('reads a node without key, boot id and pod ranges: the plan says if it needs them', () => {
    const [bare] = parseNodes(JSON.stringify(node(1, { bootid: undefined, encryption: {}, ipam: {} })), 'f');
    expect(bare).toMatchObject({ bootId: '', keyId: 0, podCidrs: [] });
  });

  it.each([
    ['an empty file', '', /^f: no CiliumNode in it/],
    ['an empty List', '{"kind":"List","items":[]}', /no CiliumNode in it/],
    ['text', 'hello', /no CiliumNode, but an object without kind and name/],
    [
      'kubectl get nodes',
      '{"kind":"List","items":[{"kind":"Node","metadata":{"name":"n"},"spec":{}}]}',
      /no CiliumNode, but Node n\. Use the output of kubectl get ciliumnodes/,
    ],
    [
      'no name',
      JSON.stringify({ kind: 'CiliumNode', metadata: {}, spec: {} }),
      /CiliumNode: metadata\.name is missing/,
    ],
    [
      'a name that would break the line',
      JSON.stringify({ ...node(1), metadata: { name: 'a\nb' } }),
      /CiliumNode: metadata\.name/,
    ],
    [
      'no spec',
      JSON.stringify({ kind: 'CiliumNode', metadata: { name: 'n' } }),
      /CiliumNode n: spec is missing/,
    ],
    [
      'no addresses',
      JSON.stringify(node(2, { addresses: undefined })),
      /^f: node node-2 has neither a CiliumInternalIP nor an InternalIP/,
    ],
    [
      'an address that is none',
      JSON.stringify(node(2, { addresses: [{ type: 'InternalIP', ip: '10.0.0.256' }] })),
      /node node-2 has an address of type InternalIP that is no IP address/,
    ],
    [
      'addresses that are text',
      JSON.stringify(node(2, { addresses: '10.0.0.1' })),
      /CiliumNode node-2: spec\.addresses is missing or not what/,
    ],
    [
      'a pod range that is none',
      JSON.stringify(node(2, { ipam: { podCIDRs: ['10.0.0.0/33'] } })),
      /node node-2 has a pod range that is no prefix/,
    ],
    ['a boot id that is a number', JSON.stringify(node(2, { bootid: 7 })), /CiliumNode node-2: spec\.bootid/],
    [
      'a key id that is text',
      JSON.stringify(node(2, { encryption: { key: 'three' } })),
      /node-2: spec\.encryption\.key/,
    ],
    ['the same node twice', JSON.stringify([node(1), node(1)]), /two nodes have the name node-1/],
    [
      'an address twice',
      JSON.stringify([node(1), node(2, { addresses: [{ type: 'InternalIP', ip: '192.168.7.1' }] })]),
      /nodes node-1 and node-2 both have the address 192\.168\.7\.1/,
    ],
    ['damaged JSON', '{"kind":', /^f:1: no JSON or YAML/],
    ['damaged YAML', 'kind: List\nitems:\n - a: 1\n  b: [', /^f:\d+: no JSON or YAML/],
  ])('refuses %s', (_, text, want) => {
    expect(() => parseNodes(text, 'f')).toThrow(InputError);
    expect(() => parseNodes(text, 'f')).toThrow(want);
  });
});

describe('parseNodes, told to leave out', () => {
  it('leaves a bad node out and says why, unless nothing is left', () => {
    const left: string[] = [];
    const bad = node(2, { addresses: undefined });
    const read = (...objects: object[]) =>
      parseNodes(JSON.stringify(objects), 'f', ({ message }) => left.push(message)).map(({ name }) => name);
    expect(read(node(1), bad, node(3))).toEqual(['node-1', 'node-3']);
    expect(left).toEqual([
      expect.stringMatching(/^f: node node-2 has neither a CiliumInternalIP nor an InternalIP/),
    ]);
    expect(() => read(bad)).toThrow(/node node-2 has neither/);
    expect(() => read(node(1), bad, node(1))).toThrow(/two nodes have the name node-1/);
  });
});

describe('addresses of nodes', () => {
  it('lets a node have one address of two kinds', () => {
    const addresses = ['InternalIP', 'CiliumInternalIP'].map((type) => ({ type, ip: '10.0.0.1' }));
    expect(names(JSON.stringify(node(1, { addresses })))).toEqual(['node-1']);
  });
});

describe('any text', () => {
  const base = fc.constantFrom(
    JSON.stringify(LIST),
    stringify(LIST),
    JSON.stringify(LIST.items),
    `---\n${stringify(node(1))}`,
  );
  const junk = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    '"',
    ':',
    '\n',
    '- ',
    '*k',
    '&k ',
    '!x ',
    '? ',
    '---\n',
    'null',
    '0',
    '/',
    ', ',
  );
  const broken = fc
    .tuple(base, fc.array(fc.tuple(fc.nat(900), fc.nat(12), junk), { maxLength: 4 }))
    .map(([text, cuts]) =>
      cuts.reduce((t, [at, len, put]) => t.slice(0, at) + put + t.slice(at + len), text),
    );
  const objects = fc
    .record(
      {
        kind: fc.option(fc.constantFrom('CiliumNode', 'Node', 7)),
        metadata: fc.anything(),
        spec: fc.anything(),
        items: fc.anything(),
      },
      { requiredKeys: [] },
    )
    .map((object) => JSON.stringify([object], (_, value) => (typeof value === 'bigint' ? 7 : value)));

  it('gives nodes or an InputError of one line', () => {
    let errors = 0;
    fc.assert(
      fc.property(fc.oneof(broken, objects, fc.json(), fc.string({ unit: 'binary' })), (text) => {
        try {
          expect(parseNodes(text, 'f').length).toBeGreaterThan(0);
        } catch (error) {
          if (!(error instanceof InputError)) throw error;
          expect(error.message).not.toContain('\n');
          errors++;
        }
      }),
      { numRuns: RUNS },
    );
    expect(errors).toBeGreaterThan(0);
  });
});
