import { describe, expect, it } from 'vitest';
import { xorshift32 } from '../../src/base/rng.ts';
import { parseVersion } from '../../src/cilium/version.ts';
import type { Policy } from '../../src/ipsec/spd.ts';
import { keyIdFor, planAgent, randomNodeIds } from '../../src/node/agent-plan.ts';
import { formatAddress, formatPrefix } from '../../src/wire/address.ts';
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
  // cilium-ipsec.md §5.1, native routing.
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
      const { routes } = planAgent(nodes[0]!, keysFrom(`3+ ${GCM}`), nodes, IDS, parseVersion(version));
      const remote = routes.find(({ route }) => route.kind === 'remote')?.route;
      expect(remote?.kind === 'remote' ? remote.peer : undefined).toMatchObject({ encrypts, keyId });
    },
  );
});

describe('the key for a peer', () => {
  // cilium-ipsec.md §3.2: the older one; 15 comes before 1.
  it.each([
    [3, 3, 3],
    [3, 4, 3],
    [4, 3, 3],
    [15, 1, 15],
    [1, 15, 15],
    [15, 15, 15],
    [14, 15, 14],
    [15, 14, 14],
    [0, 3, 0],
    [3, 0, 0],
    [0, 15, 0],
    [15, 0, 0],
  ])('own %i, theirs %i: %i', (local, peer, want) => {
    expect(keyIdFor(local, peer)).toBe(want);
  });
});

describe('randomNodeIds', () => {
  it('numbers every peer differently, 1 to 65535, and not the node itself', () => {
    const nodes = nodesFrom(...Array.from({ length: 200 }, (_, i) => podNode(i + 1)));
    // Chance that repeats itself all the time.
    let n = 0;
    const ids = randomNodeIds(nodes[0]!, nodes, () => [0, 65_534, 65_535, 7][n++ % 4]!);
    expect(ids.size).toBe(199);
    expect(new Set(ids.values()).size).toBe(199);
    expect(Math.min(...ids.values())).toBeGreaterThanOrEqual(1);
    expect(Math.max(...ids.values())).toBeLessThanOrEqual(65_535);
    expect(ids.has('node-1')).toBe(false);
  });

  it('is the same for the same seed', () => {
    const ids = () => [...randomNodeIds(NODES[0]!, NODES, xorshift32(5))];
    expect(ids()).toEqual(ids());
  });
});
