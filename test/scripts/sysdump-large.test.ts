import { describe, expect, it } from 'vitest';
import { ZipWriter } from '../../scripts/sysdump/archives.ts';
import { type LargeOptions, writeLarge } from '../../scripts/sysdump/large.ts';
import { hashOf } from '../../scripts/sysdump/layout.ts';
import { parseKeys } from '../../src/cilium/keys.ts';
import { planForNode } from '../../src/cilium/node-plan.ts';
import { parseNodes } from '../../src/cilium/nodes.ts';
import { parsePods } from '../../src/cilium/pods.ts';
import { DEFAULT_VERSION } from '../../src/cilium/version.ts';
import { gather, type NodeTexts } from '../../src/inspect/files/gather.ts';
import { memoryFile } from '../../src/inspect/files/walk.ts';
import { readPolicies } from '../../src/sa-text/to-policy.ts';
import { readStates } from '../../src/sa-text/xfrm-sas.ts';

async function large(plants: LargeOptions['plants']) {
  const parts: Uint8Array[] = [];
  const zip = new ZipWriter((bytes) => void parts.push(bytes), { level: 1 });
  const result = writeLarge(zip, { nodes: 5, podsPerNode: 2, plants, seed: 7 });
  zip.end();
  const nodes: NodeTexts[] = [];
  const bytes = new Uint8Array(Buffer.concat(parts));
  const { texts } = await gather([memoryFile('s.zip', bytes)], {
    onNode: (node) => void nodes.push(node),
    onDamage: (error) => {
      throw error;
    },
  });
  /** Hashes by node, and by the SA's ends. */
  const hashes = nodes.map(
    ({ texts: own }) =>
      new Map(
        [...own['xfrm-state']!.text.matchAll(/^src (\S+) dst (\S+)\n[^[]*\[hash:([0-9a-f]{64})\]/gm)].map(
          ([, src, dst, hash]) => [`${src} > ${dst}`, hash!],
        ),
      ),
  );
  return { ...result, nodes, texts, hashes, bytes };
}

/** SAs that two nodes have, and under which they hold different keys: the nodes, by number. */
function differing(hashes: readonly ReadonlyMap<string, string>[]): Set<string> {
  const pairs = new Set<string>();
  hashes.forEach((one, i) => {
    for (const [sa, hash] of one)
      for (const [k, other] of hashes.entries())
        if (k > i && other.has(sa) && other.get(sa) !== hash) pairs.add(`${i + 1} ${k + 1}`);
  });
  return pairs;
}

describe('the sysdump of a large cluster', () => {
  it('is what a cluster says in which all is well', async () => {
    const { nodes, texts, hashes, keys, states } = await large({});
    expect(states).toBe(16);
    const list = parseNodes(texts.get('nodes')![0]!.text, 'nodes');
    const ids = new Map(list.map(({ name }, i) => [name, i + 1]));
    for (const [i, { texts: own }] of nodes.entries()) {
      const { keyless, omitted } = readStates(own['xfrm-state']!.text, 's');
      expect([keyless.length, omitted]).toEqual([16, []]);
      expect(readPolicies(own['xfrm-policy']!.text, 'p').omitted).toEqual([]);
      // The hashes are those of the keys that the Secret yields.
      const plan = planForNode(list[i]!, parseKeys(keys, 'keys', DEFAULT_VERSION), list, ids, {
        version: DEFAULT_VERSION,
        mode: 'tunnel',
      });
      const planned = plan.map((sa) => {
        const key = Buffer.concat([sa.keys.key(), sa.keys.salt()]).toString('hex');
        return [`${sa.src.join('.')} > ${sa.dst.join('.')}`, hashOf(`0x${key}`)];
      });
      expect(new Map([...hashes[i]!].sort())).toEqual(new Map(planned.sort() as [string, string][]));
    }
    const pods = parsePods(texts.get('pods')![0]!.text, 'pods');
    expect(pods.map(({ node }) => node).filter((node) => node === 'node-3')).toHaveLength(3);
  });

  it('has the troubles that were planted', async () => {
    const { planted, hashes } = await large({ 'stale-boot-id': 1, 'old-key': 2 });
    const number = (plant: string) =>
      planted.filter((one) => one.plant === plant).map(({ node }) => Number(node.replace('node-', '')));
    const [stale] = number('stale-boot-id');
    const [one, two] = number('old-key');
    const expected = new Set<string>();
    for (let i = 1; i <= 5; i++)
      for (let k = i + 1; k <= 5; k++) {
        const isOld = [one, two].includes(i) !== [one, two].includes(k);
        if (isOld || i === stale || k === stale) expected.add(`${i} ${k}`);
      }
    expect(differing(hashes)).toEqual(expected);
  });

  it('lacks states, has those of the key before, and is the same each time', async () => {
    const { nodes, planted, bytes } = await large({ missing: 1, behind: 1 });
    expect((await large({ missing: 1, behind: 1 })).bytes).toEqual(bytes);
    const of = (plant: string) => {
      const node = planted.find((one) => one.plant === plant)!.node;
      return nodes.find(({ texts }) => texts.hostname!.text.trim() === node)!.texts['xfrm-state']!.text;
    };
    expect([...of('missing').matchAll(/^src /gm)]).toHaveLength(10);
    expect(new Set([...of('behind').matchAll(/spi (\S+)/g)].map(([, spi]) => spi))).toEqual(
      new Set(['0x00000003(3)']),
    );
  });
});
