/** What the texts alone tell: hashes in the place of keys, counters, texts that are of something else. */
import { describe, expect, it } from 'vitest';
import { InputError } from '../../../src/base/errors.ts';
import type { StatText } from '../../../src/inspect/diagnose/case.ts';
import { codesOf, diagnoseFile, diagnosePackets, sender } from '../../support/diagnose.ts';
import { CASES, CASES_NEED, needs } from '../../support/needs.ts';
import { saConfig } from '../../support/sa.ts';

const config = saConfig();
const { keys: _, ...keyless } = config;

describe('hashes in the place of keys', () => {
  const held = (file: string, direction: 'in' | 'out', keyHash: string) => ({
    file,
    sas: [],
    keyless: [{ ...keyless, direction, keyHash, origin: `${file}:1` }],
  });

  it('that are equal say that both ends hold the same key', () => {
    const states = [held('n2.txt', 'in', 'aa'), held('n1.txt', 'out', 'aa')];
    const { findings, notes } = diagnosePackets([sender(config)()], { states });
    expect(findings).toEqual([]);
    expect(notes.find(({ code }) => code === 'same-key')).toMatchObject({
      basis: 'told',
      spi: 3,
      counter: null,
      evidence: ['n2.txt:1', 'n1.txt:1'],
    });
  });

  it('that differ say that the keys do', () => {
    const states = [held('n2.txt', 'in', 'aa'), held('n1.txt', 'out', 'bb')];
    const { findings } = diagnosePackets([sender(config)()], { states });
    expect(findings).toMatchObject([
      { code: 'wrong-key', severity: 'error', basis: 'told', evidence: ['n2.txt:1', 'n1.txt:1'] },
    ]);
    expect(findings[0]!.summary).toContain('hold different keys');
  });
});

describe('counters', () => {
  const stat = (node: string | undefined, rows: object): StatText => ({
    node,
    file: 'stat.txt',
    after: new Map(Object.entries(rows)),
  });

  it('of a node that nothing names are compared with nothing, and that is said', () => {
    const given = { stats: [stat('node-9', { XfrmInNoStates: 7 })] };
    const { findings } = diagnosePackets([sender(config)()], { listed: [config] }, given);
    expect(findings).toMatchObject([{ code: 'unknown-node', node: 'node-9', evidence: ['stat.txt'] }]);
  });

  it('of inbound policies are said to be not judged', () => {
    const given = { stats: [stat(undefined, { XfrmInTmplMismatch: 31 })] };
    const { findings } = diagnosePackets([sender(config)()], { listed: [config] }, given);
    expect(findings).toMatchObject([{ code: 'counters-differ', counter: 'XfrmInTmplMismatch', count: 31 }]);
    expect(findings[0]!.summary).toContain('an inbound policy refused packets, which is not judged here');
  });

  it('without a capture say what they mean', () => {
    const given = { stats: [stat(undefined, { XfrmInNoStates: 7, XfrmOutPolBlock: 2, XfrmInError: 0 })] };
    const { findings, conclusion } = diagnosePackets([], { listed: [config] }, given);
    expect(findings).toMatchObject([
      { code: 'kernel-drops', basis: 'told', counter: 'XfrmInNoStates', count: 7 },
      { code: 'sender-drops', basis: 'told', counter: 'XfrmOutPolBlock', count: 2 },
    ]);
    expect(conclusion).toMatchObject({ code: 'findings', packets: 0 });
  });
});

needs([CASES_NEED], 'people', () => {
  const of = (name: string) => (file: string) => `${CASES}texts/${name}/${file}`;

  it('case texts 10: hashes of cilium-bugtool are a text without keys', async () => {
    const here = of('10-bugtool-hash');
    const given = { xfrmState: [here('n2.txt')] };
    const { conclusion, notes, streams } = await diagnoseFile(here('reordered.pcap'), given);
    expect(conclusion).toMatchObject({ code: 'unchecked', judged: 0 });
    expect(codesOf(notes)).toEqual(['keys-hidden']);
    expect(streams).toMatchObject([{ packets: 99 }, { packets: 96 }]);
    const cut = await diagnoseFile(here('reordered.pcap'), { xfrmState: [here('12447.txt')] });
    expect(cut.conclusion).toMatchObject({ code: 'findings' });
  });

  it('case texts 10: a state whose key and selector are cut out is taken with what it tells', async () => {
    const here = of('10-bugtool-hash');
    const { conclusion } = await diagnoseFile(here('reordered.pcap'), { xfrmState: [here('snip.txt')] });
    expect(conclusion).toMatchObject({ code: 'unchecked' });
    expect(conclusion.summary).not.toContain('No security associations are given');
    expect(conclusion.summary).toContain('No source has an SA for packets to 10.244.2.1 and 10.244.1.1');
  });

  it('a text whose states are all left out was given all the same', async () => {
    const here = of('16-algorithms');
    const { conclusion } = await diagnoseFile(here('02-sunrise-sunset-esp.pcap'), {
      xfrmState: [here('s-beet.txt')],
    });
    expect(conclusion.summary).toContain('No security association in the given texts can be used');
  });

  it('a text of states for one of policies is refused', async () => {
    const here = of('02-policy-ports-diagnose');
    const given = { xfrmPolicy: [here('state.txt')] };
    const done = diagnoseFile(here('oneway.pcap'), given);
    await expect(done).rejects.toThrow(InputError);
    await expect(done).rejects.toThrow('this is the text of `ip xfrm state`');
  });
});
