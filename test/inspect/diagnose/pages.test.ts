import { expect, it } from 'vitest';
import { counterPages, pageNames, pagesOf } from '../../../src/inspect/diagnose/pages.ts';
import { FINDINGS } from '../../../src/inspect/diagnose/table.ts';
import { DROPS } from '../../../src/ipsec/drop.ts';

it('every finding, counter and reason has a page', () => {
  const names = [
    ...FINDINGS.map(({ code }) => code),
    ...DROPS.flatMap(({ reason, counter }) => (counter === null ? [reason] : [reason, counter])),
    'IpInHdrErrors',
    'XfrmInPolError',
  ];
  expect(names.filter((name) => pagesOf(name).length === 0)).toEqual([]);
  expect([...new Set(names)].filter((name) => !pageNames().includes(name))).toEqual([]);
});

it('a name that a finding and a reason have gives both pages, and case does not count', () => {
  expect(pagesOf('Dummy').map(({ kind, title }) => [kind, title])).toEqual([
    ['finding', 'dummy'],
    ['drop', 'dummy'],
  ]);
  expect(pagesOf('xfrminstateprotoerror')).toMatchObject([
    { kind: 'counter', title: 'XfrmInStateProtoError' },
  ]);
});

it('a counter lists each reason that raises it', () => {
  const page = counterPages().find(({ title }) => title === 'XfrmInStateSeqError');
  expect(page?.paragraphs.map(({ label }) => label)).toEqual(['replay-zero', 'replay-stale', 'replay-seen']);
});

it.each(['nobody:', 'not', 'cilium_drop_count_total', '', 'constructor'])('%j is no name', (name) => {
  expect(pagesOf(name)).toEqual([]);
});
