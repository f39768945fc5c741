import { describe, expect, it } from 'vitest';
import { planAgent } from '../../src/cilium/agent-plan.ts';
import { parseVersion } from '../../src/cilium/version.ts';
import type { Policy } from '../../src/ipsec/spd.ts';
import { formatAddress, formatPrefix, parsePrefix } from '../../src/wire/address.ts';
import { GCM, keysFrom, nodesFrom } from '../support/cilium-cluster.ts';
import { podNode } from '../support/two-nodes.ts';

const NODES = nodesFrom(podNode(1), podNode(2), podNode(3));
const IDS = new Map([
  ['node-2', 0xcb9],
  ['node-3', 0xffff],
]);

/** A policy as `ip xfrm policy` would say it, in one line. */
function line({ dir, selector, action, priority, mark, templates }: Policy): string {
  const marked = mark ? ` mark ${mark.value.toString(16)}/${mark.mask.toString(16)}` : '';
  const tmpl = templates.map(({ src, dst, spi, reqid, level }) =>
    src && dst
      ? ` tmpl ${formatAddress(src)}>${formatAddress(dst)} spi ${spi} reqid ${reqid} ${level}`
      : ` tmpl any ${level}`,
  );
  return `${dir} ${formatPrefix(selector.src)} ${formatPrefix(selector.dst)} ${action} ${priority}${marked}${tmpl.join('')}`;
}

describe('planAgent', () => {
  // docs/cilium.md, "States" and "Policies": native routing.
  it('sets up the policies of Cilium for native routing', () => {
    const { policies } = planAgent(NODES[0]!, keysFrom(`3+ ${GCM}`), NODES, IDS);
    expect(policies.map(line).sort()).toEqual(
      [
        'out 0.0.0.0/0 10.244.2.0/24 allow 0 mark cb93e00/ffffff00 tmpl 10.244.1.1>10.244.2.1 spi 3 reqid 1 required',
        'out 0.0.0.0/0 10.244.3.0/24 allow 0 mark ffff3e00/ffffff00 tmpl 10.244.1.1>10.244.3.1 spi 3 reqid 1 required',
        'out ::/0 fd00:10:244:2::/64 allow 0 mark cb93e00/ffffff00 tmpl fd00:10:244:1::1>fd00:10:244:2::1 spi 3 reqid 1 required',
        'out ::/0 fd00:10:244:3::/64 allow 0 mark ffff3e00/ffffff00 tmpl fd00:10:244:1::1>fd00:10:244:3::1 spi 3 reqid 1 required',
        'out 0.0.0.0/0 0.0.0.0/0 block 100 mark e00/f00',
        'out ::/0 ::/0 block 100 mark e00/f00',
        'in 0.0.0.0/0 0.0.0.0/0 allow 0 tmpl any use',
        'in ::/0 ::/0 allow 0 tmpl any use',
        'fwd 0.0.0.0/0 0.0.0.0/0 allow 2975 tmpl any use',
        'fwd ::/0 ::/0 allow 2975 tmpl any use',
      ].sort(),
    );
  });

  it('blocks before anything can leave', () => {
    const { policies } = planAgent(NODES[0]!, keysFrom(`3+ ${GCM}`), NODES, IDS);
    const outbound = policies.filter(({ dir }) => dir === 'out');
    expect(outbound.slice(0, 2).map(({ action }) => action)).toEqual(['block', 'block']);
  });

  it('has one policy for each of several pod ranges and keys', () => {
    const nodes = nodesFrom(
      podNode(1),
      podNode(2, { ipam: { podCIDRs: ['10.244.2.0/24', '10.250.0.0/16'] } }),
    );
    const { policies } = planAgent(
      nodes[0]!,
      keysFrom(`3+ ${GCM}\n4+ ${GCM.replace('4443', '5554')}`),
      nodes,
      IDS,
    );
    expect(policies.map(line).filter((text) => text.includes('tmpl 10.'))).toHaveLength(4);
  });

  // A.10: Cilium has policies of a family only where it is on.
  it('has no policies of a family that is not on', () => {
    const only = (prefix: string) =>
      nodesFrom(
        ...[1, 2].map((i) =>
          podNode(i, {
            addresses: [
              { type: 'InternalIP', ip: `192.168.7.${i}` },
              { type: 'InternalIP', ip: `fd07::${i}` },
              { type: 'CiliumInternalIP', ip: prefix === '10.' ? `10.244.${i}.1` : `fd00:10:244:${i}::1` },
            ],
          }),
        ),
      );
    for (const [prefix, foreign] of [
      ['10.', /::/],
      ['fd', /0\.0\.0\.0|10\./],
    ] as const) {
      const nodes = only(prefix);
      const { policies } = planAgent(nodes[0]!, keysFrom(`3+ ${GCM}`), nodes, IDS, { mode: 'tunnel' });
      const lines = policies.map(line);
      expect(lines.filter((text) => foreign.test(text))).toEqual([]);
      expect(lines.map((text) => text.split(' ')[0]).sort()).toEqual(['fwd', 'in', 'out', 'out', 'out']);
    }
  });

  // #39442, #40460: multi-pool IPAM.
  it.each([
    ['1.17', 'native', false],
    ['1.18', 'native', false],
    ['1.19', 'native', true],
    ['1.20', 'native', true],
    ['1.17', 'tunnel', false],
    ['1.18', 'tunnel', true],
  ] as const)('%s, %s: has policies for a second pool: %s', (version, mode, has) => {
    const pools = (i: number) => ({
      allocated: [
        { pool: 'default', cidrs: [`10.0.${i}.0/28`, `fd00:1:${i}::/96`] },
        { pool: 'mars', cidrs: [`10.9.${i}.0/28`] },
      ],
    });
    const nodes = nodesFrom(...[1, 2].map((i) => podNode(i, { ipam: { pools: pools(i) } })));
    const options = { version: parseVersion(version), mode };
    const lines = planAgent(nodes[0]!, keysFrom(`3+ ${GCM}`), nodes, IDS, options).policies.map(line);
    expect(lines.some((text) => text.includes(' 10.0.2.0/28'))).toBe(true);
    expect(lines.some((text) => text.includes(' fd00:1:2::/96'))).toBe(true);
    expect(lines.some((text) => text.includes(' 10.9.2.0/28'))).toBe(has);
  });

  it('has no SA and no policy for a peer without a node id', () => {
    const { sas, policies } = planAgent(NODES[0]!, keysFrom(`3+ ${GCM}`), NODES, new Map([['node-2', 1]]));
    expect(sas.some(({ dst }) => formatAddress(dst) === '10.244.3.1')).toBe(false);
    expect(policies.map(line).join()).not.toContain('10.244.3');
    expect(policies.map(line).join()).toContain('10.244.2');
  });

  it.each([
    ['1.18', 0, 3, true, 0],
    ['1.17', 0, 3, false, 0],
    ['1.18', 3, 0, false, 0],
    ['1.18', 4, 3, true, 3],
  ] as const)(
    '%s: own key %i, peer key %i: encrypts %s with key %i',
    (version, own, theirs, encrypts, keyId) => {
      const nodes = nodesFrom(
        podNode(1, { encryption: { key: own } }),
        podNode(2, { encryption: { key: theirs } }),
      );
      const { routes } = planAgent(nodes[0]!, keysFrom(`3+ ${GCM}`), nodes, IDS, {
        version: parseVersion(version),
      });
      const remote = routes.find(({ route }) => route.kind === 'remote')?.route;
      expect(remote?.kind === 'remote' ? remote.peer : undefined).toMatchObject({ encrypts, keyId });
    },
  );
});

describe('the policies of other modes', () => {
  const out = (options: Parameters<typeof planAgent>[4], nodes = NODES) =>
    planAgent(nodes[0]!, keysFrom(`3+ ${GCM}`), nodes, IDS, options)
      .policies.map(line)
      .filter((text) => text.includes('mark cb93e00'));

  // docs/cilium.md, "States" and "Policies": the native rows, and VXLAN between node addresses beside them.
  it('tunnel from 1.18: also between the node addresses, and nothing else between them', () => {
    expect(out({ mode: 'tunnel' }).sort()).toEqual(
      [
        'out 0.0.0.0/0 10.244.2.0/24 allow 0 mark cb93e00/ffffff00 tmpl 10.244.1.1>10.244.2.1 spi 3 reqid 1 required',
        'out 192.168.7.1/32 192.168.7.2/32 allow 0 mark cb93e00/ffffff00 tmpl 192.168.7.1>192.168.7.2 spi 3 reqid 1 required',
        'out ::/0 fd00:10:244:2::/64 allow 0 mark cb93e00/ffffff00 tmpl fd00:10:244:1::1>fd00:10:244:2::1 spi 3 reqid 1 required',
        'out fd07::1/128 fd07::2/128 allow 0 mark cb93e00/ffffff00 tmpl fd07::1>fd07::2 spi 3 reqid 1 required',
      ].sort(),
    );
  });

  it('tunnel to 1.17: as in native routing', () => {
    const version = parseVersion('1.17');
    expect(out({ mode: 'tunnel', version })).toEqual(out({ mode: 'native', version }));
  });

  it('ENI: one for each pod subnet, between node addresses; CiliumInternalIPs when told so', () => {
    const podSubnets = ['10.0.0.0/16', '10.1.0.0/16'].map((text) => parsePrefix(text)!);
    expect(out({ mode: 'eni', podSubnets }).filter((text) => text.includes('.'))).toEqual([
      'out 0.0.0.0/0 10.0.0.0/16 allow 0 mark cb93e00/ffffff00 tmpl 192.168.7.1>192.168.7.2 spi 3 reqid 1 required',
      'out 0.0.0.0/0 10.1.0.0/16 allow 0 mark cb93e00/ffffff00 tmpl 192.168.7.1>192.168.7.2 spi 3 reqid 1 required',
    ]);
    expect(out({ mode: 'eni', usesCiliumAddresses: true })[0]).toContain('tmpl 10.244.1.1>10.244.2.1');
  });

  // docs/cilium.md, "By release".
  it('to 1.16: two policies in for the own pod ranges; to 1.14: these are the source of policies out', () => {
    const policies = (version: string) =>
      planAgent(NODES[0]!, keysFrom(`3+ ${GCM}`, version), NODES, IDS, { version: parseVersion(version) })
        .policies.map(line)
        .filter((text) => text.includes('10.244') && !text.includes('mark ffff'));
    expect(policies('1.16').filter((text) => text.startsWith('in'))).toEqual([
      'in 0.0.0.0/0 10.244.1.0/24 allow 0 mark d00/f00 tmpl any required',
      'in 0.0.0.0/0 10.244.1.0/24 allow 0 mark 200/f00 tmpl any use',
    ]);
    expect(policies('1.14').find((text) => text.startsWith('out'))).toBe(
      'out 10.244.1.0/24 10.244.2.0/24 allow 0 mark cb93e00/ffffff00 tmpl 10.244.1.1>10.244.2.1 spi 3 reqid 1 required',
    );
  });

  it('ENI with endpoint routes leaves no mark on what was decrypted', () => {
    const { sas } = planAgent(NODES[0]!, keysFrom(`3+ ${GCM}`), NODES, IDS, {
      mode: 'eni',
      endpointRoutes: true,
    });
    const marks = sas.filter(({ direction }) => direction === 'in').map(({ outputMark }) => outputMark);
    expect(new Set(marks.map((mark) => JSON.stringify(mark)))).toEqual(
      new Set([JSON.stringify({ value: 0, mask: 0xffffff00 })]),
    );
  });
});
