/** Keys and nodes of several texts: what counts, and what is said of the rest. */
import { expect, it } from 'vitest';
import { parseKeys } from '../../src/cilium/keys.ts';
import { parseVersion } from '../../src/cilium/version.ts';
import { byOwnBootIds, historyOfTexts, supersededBy } from '../../src/inspect/cluster-texts.ts';
import { nodeObject, nodesFrom } from '../support/cilium-cluster.ts';

const secret = (digit: string) => `3+ rfc4106(gcm(aes)) ${digit.repeat(40)} 128\n`;
const keys = (digit: string, source: string) => parseKeys(secret(digit), source, parseVersion('1.18'));
const node = (bootid: string) => nodesFrom(nodeObject(1, { bootid }));
const BOOT = ['3f2a6c1e-8d4b-4e57-9a30-000000000001', '3f2a6c1e-8d4b-4e57-9a30-000000000002'] as const;

it('of keys and nodes that contradict each other the last one counts, and that is said', () => {
  const texts = {
    keys: [keys('a', 'old'), keys('b', 'new')],
    nodes: [node(BOOT[0]), node(BOOT[1])],
  };
  const { now, old } = historyOfTexts(texts);
  expect(now.keys.map(({ source }) => source)).toEqual(['new']);
  expect(now.nodes.map(({ bootId }) => bootId)).toEqual([BOOT[1]]);
  const said = supersededBy(now, old);
  expect(said).toHaveLength(2);
  expect(said[0]).toBe('key id 3 is another key in old:1 and in new:1: the last one counts');
  expect(said[1]).toMatch(/^node node-1 has another boot id in .* the last one counts$/);
  expect(said.join('')).not.toMatch(/aaaa|bbbb/);
});

it('of those that agree nothing is said', () => {
  const { now, old } = historyOfTexts({
    keys: [keys('a', 'one'), keys('a', 'two')],
    nodes: [node(BOOT[0]), node(BOOT[0])],
  });
  expect(supersededBy(now, old)).toEqual([]);
});

it('of several lists that counts for a node which has the boot id that it says itself', () => {
  const history = historyOfTexts({ keys: [], nodes: [node(BOOT[0]), node(BOOT[1])] });
  const own = (bootId: string) => () => ({ bootId, source: 'its own text' });
  const ids = ({ now, old }: typeof history) =>
    [now, old].map(({ nodes }) => nodes.map(({ bootId }) => bootId));
  expect(ids(byOwnBootIds(history, () => undefined))).toEqual([[BOOT[1]], [BOOT[0]]]);
  expect(ids(byOwnBootIds(history, own(BOOT[1])))).toEqual([[BOOT[1]], [BOOT[0]]]);
  expect(ids(byOwnBootIds(history, own(BOOT[0])))).toEqual([[BOOT[0]], [BOOT[1]]]);
  // In no list: one more to try.
  const more = byOwnBootIds(history, own('3f2a6c1e-8d4b-4e57-9a30-000000000003'));
  expect(ids(more)).toEqual([[BOOT[1]], [BOOT[0], '3f2a6c1e-8d4b-4e57-9a30-000000000003']]);
  expect(more.old.nodes[1]!.source).toBe('its own text');
});
