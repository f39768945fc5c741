/** What the texts alone tell: hashes in the place of keys, counters, texts that are of something else. */
import { describe, expect, it } from 'vitest';
import { InputError } from '../../../src/base/errors.ts';
import type { StatText } from '../../../src/inspect/diagnose/case.ts';
import type { SaConfig } from '../../../src/ipsec/sa-config.ts';
import { readPolicies } from '../../../src/sa-text/to-policy.ts';
import { readStates } from '../../../src/sa-text/xfrm-sas.ts';
import { codesOf, diagnoseFile, diagnosePackets, sender } from '../../support/diagnose.ts';
import { CASES, CASES_NEED, needs } from '../../support/needs.ts';
import { START } from '../../support/pcap.ts';
import { ipv4Packet, saConfig } from '../../support/sa.ts';

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
    expect(findings[0]!.summary).toContain(
      'an inbound policy refused packets, and the policies of this node are not at hand',
    );
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

describe('inbound policies', () => {
  const seq = { seqHi: 0, oseqHi: 0, oseq: 0 };
  const held = (given: Partial<SaConfig> = {}) =>
    saConfig({ sequence: { ...seq, seq: 1 }, origin: 'n2.txt:1', ...given });
  const out = `src 10.0.0.0/8 dst 10.0.0.0/8
\tdir out priority 0
\ttmpl src 192.0.2.2 dst 192.0.2.1
\t\tproto esp reqid 1 mode tunnel
`;
  const policy = (dir: string, reqid: number, more = '') => `src 0.0.0.0/0 dst 0.0.0.0/0
\tdir ${dir} priority 0
${more}\ttmpl src 192.0.2.1 dst 192.0.2.2
\t\tproto esp reqid ${reqid} mode tunnel
`;
  const block = (dir: string) => `src 0.0.0.0/0 dst 0.0.0.0/0
\tdir ${dir} action block priority 0
`;
  const diagnose = (text: string, state = held(), packet = ipv4Packet(100)) => {
    const states = [{ file: 'n2.txt', sas: [state], keyless: [] }];
    const { policies } = readPolicies(text, 'policy.txt');
    const { sequence: _, ...sending } = state;
    return diagnosePackets([sender(sending)(packet)], {
      states,
      policies,
    });
  };
  /** Counter and how it is known; and what the conclusion says of policies. */
  const ruled = (...given: Parameters<typeof diagnose>) => {
    const { receivers, findings, conclusion } = diagnose(...given);
    const counters = Object.keys(receivers[0]!.counters);
    const said = /Inbound policies.*/.exec(conclusion.summary)?.[0];
    return [...counters.map((counter) => `${counter} ${findings[0]?.basis}`), ...(said ? [said] : [])];
  };
  const LET = 'Inbound policies let all packets pass.';
  const NOT = 'Inbound policies were not judged.';

  it.each([
    ['let pass', [policy('in', 1), policy('fwd', 1)], [LET]],
    ['ask for another SA', [policy('in', 7), policy('fwd', 7)], ['XfrmInTmplMismatch told']],
    [
      'ask so of what is behind the node',
      [policy('in', 1), policy('fwd', 7)],
      ['XfrmInTmplMismatch assumed'],
    ],
    ['are missing for it', [policy('in', 1)], ['XfrmInNoPols assumed']],
    ['block', [block('in'), block('fwd')], ['XfrmInPolBlock told']],
    [
      'of one priority: the older one, which comes later',
      [block('fwd'), block('in'), policy('fwd', 1), policy('in', 1)],
      [LET],
    ],
    [
      'are for an xfrm interface',
      [policy('in', 1), policy('fwd', 1)].map((one) => `${one}\tif_id 0x2a\n`),
      ['XfrmInNoPols told'],
    ],
    [
      'depend on a mark',
      [
        policy('in', 1),
        policy('fwd', 1),
        policy('in', 7, '\tmark 0x1/0x1\n'),
        policy('fwd', 7, '\tmark 0x1/0x1\n'),
      ],
      [NOT],
    ],
  ])('that %s', (_, texts, want) => {
    expect(ruled(out + texts.join(''))).toEqual(want);
  });

  it('take if_id and mark from the SA', () => {
    const both = [policy('in', 1), policy('fwd', 1)];
    const through = out + both.map((one) => `${one}\tif_id 0x2a\n`).join('');
    expect(ruled(through, held({ ifId: 0x2a }))).toEqual([LET]);
    expect(ruled(through, held({ ifId: 0x2b }))).toEqual(['XfrmInNoPols told']);
    expect(ruled(out + both.join(''), held({ ifId: 0x2b }))).toEqual([NOT]);
    const marked =
      out + [policy('in', 1, '\tmark 0xd00/0xf00\n'), policy('fwd', 1, '\tmark 0xd00/0xf00\n')].join('');
    expect(ruled(marked, held({ outputMark: { value: 0xd00, mask: 0xf00 } }))).toEqual([LET]);
    expect(ruled(marked, held({ outputMark: { value: 0xc00, mask: 0xf00 } }))).toEqual(['XfrmInNoPols told']);
    expect(ruled(marked)).toEqual([NOT]);
  });

  it('know what is for the node itself', () => {
    const own = out + policy('in', 7) + policy('fwd', 1);
    const packet = ipv4Packet(100, { src: config.src, dst: config.dst });
    expect(ruled(own, held(), packet)).toEqual(['XfrmInTmplMismatch told']);
    expect(ruled(own, held({ mode: 'transport' }), packet)).toEqual(['XfrmInTmplMismatch told']);
  });

  it('of another node, of several, or cut out of a text, are not asked', () => {
    const back = out.replace('src 192.0.2.2 dst 192.0.2.1', 'src 192.0.2.1 dst 192.0.2.2');
    for (const text of [back, out, policy('in', 7), out + back + policy('in', 7)])
      expect(ruled(text)).toEqual([NOT]);
  });

  it('refuse with what to compare', () => {
    const { findings, conclusion } = diagnose(out + policy('in', 1) + policy('fwd', 7));
    const [found] = findings;
    expect(conclusion).toMatchObject({ code: 'findings', basis: 'assumed', summary: '' });
    expect(found).toMatchObject({
      ...{ code: 'policy-refuses', severity: 'error', counter: 'XfrmInTmplMismatch', count: 1, frames: [1] },
      evidence: ['the capture', 'n2.txt:1', 'policy.txt'],
    });
    expect(found!.summary).toContain('if their destination is behind the node');
  });

  it.each([
    ['ask for ESP', policy('in', 1) + policy('fwd', 1), 'XfrmInTmplMismatch'],
    ['block', block('fwd') + policy('in', 1), 'XfrmInPolBlock'],
    [
      'ask for it with level use',
      (policy('in', 1) + policy('fwd', 1)).replaceAll('tunnel', 'tunnel\n\t\tlevel use'),
      '',
    ],
    [
      'cover UDP alone',
      policy('in', 1) + policy('fwd', 1).replace('0/0\n', '0/0 proto udp\n'),
      'XfrmInTmplMismatch',
    ],
    ['cover TCP alone', policy('in', 1) + policy('fwd', 1).replace('0/0\n', '0/0 proto tcp\n'), ''],
    ['are not whole', policy('in', 1), ''],
  ])('that %s, of packets in the clear', (_, texts, counter) => {
    const states = [{ file: 'n2.txt', sas: [held()], keyless: [] }];
    const { policies } = readPolicies(texts.includes('fwd') ? out + texts : texts, 'policy.txt');
    const { sequence: _seq, ...sending } = held();
    const clear = ipv4Packet(100, { ttl: 63 });
    const stat = (rose: number) => [
      { node: '192.0.2.2', file: 'stat', before: new Map(), after: new Map([[counter, rose]]) },
    ];
    // The ESP packet tells behind which node the pods are; what it carries is another packet.
    const steps = [sender(sending)(ipv4Packet(90)), clear, clear];
    const of = (rose: number) =>
      diagnosePackets(steps, { states, policies }, { seconds: 10, stats: counter === '' ? [] : stat(rose) })
        .findings.filter(({ summary, counter }) => counter !== null || summary.includes('refuse'))
        .map(({ code, basis, counter, count, dst }) => [code, basis, counter, count, dst]);
    const refused = counter === '' ? [] : [['policy-refuses', 'assumed', counter, 2, '10.0.2.20']];
    const mine = (found: ReturnType<typeof of>) => found.filter(([, , , , dst]) => dst === '10.0.2.20');
    expect(mine(of(2))).toEqual(refused);
    if (counter !== '') {
      // A policy that blocks refuses the decrypted packet, too.
      const own = counter === 'XfrmInPolBlock' ? 1 : 0;
      const codes = (rose: number) => of(rose).map(([code]) => code);
      expect(
        [codes(own + 2), codes(own), codes(own + 3)].map((all) => all.includes('counters-differ')),
      ).toEqual([false, false, true]);
    }
  });
});

describe('the dates of a state with a limit in seconds', () => {
  /** Of ten packets a second apart: what the receiver counts, and how that is known. */
  const counted = (given: Partial<SaConfig>) => {
    const state = saConfig({ direction: 'in', origin: 'n2.txt:1', ...given });
    const send = sender(saConfig());
    const packets = Array.from({ length: 10 }, () => send());
    const states = [{ file: 'n2.txt', sas: [state], keyless: [] }];
    const { receivers, findings } = diagnosePackets(packets, { states });
    return [receivers[0]!.counters, findings.map(({ code, basis, count }) => `${code} ${basis} ${count}`)];
  };
  const sequence = { seqHi: 0, oseqHi: 0, oseq: 0, seq: 0 };
  const dates = (added: number, over: number) => ({ added: START + added, over: START + over });

  it('end it', () => {
    const want = [{ XfrmInNoStates: 4 }, ['expired assumed 4']];
    expect(counted({ dates: dates(0, 6) })).toEqual(want);
    expect(counted({ dates: dates(0, 6), sequence })).toEqual(want);
  });

  it.each([
    ['no packet came before the end', { dates: dates(-99, 0) }],
    ['a packet came before it was added', { dates: dates(3, 6) }],
    ['the window had a later packet', { dates: dates(0, 6), sequence: { ...sequence, seq: 8 } }],
  ])('are of another clock, or say nothing, where %s', (_, given) => {
    expect(counted(given)).toEqual([{}, []]);
  });

  it('are read as UTC', () => {
    const text = `src 192.0.2.1 dst 192.0.2.2
\tproto esp spi 0x3 reqid 1 mode tunnel
\treplay-window 0
\taead rfc4106(gcm(aes)) 0x4142434445464748494a4b4c4d4e4f5001020304 128
\tlifetime config:
\t  expire add: soft 0(sec), hard 60(sec)
\t  expire use: soft 0(sec), hard 20(sec)
\tlifetime current:
\t  0(bytes), 0(packets)
\t  add 1970-01-01 00:01:40 use `;
    const datesOf = (used: string) => readStates(`${text}${used}\n`, 'n2.txt').sas[0]!.dates;
    expect(datesOf('-')).toEqual({ added: 100, over: 161 });
    expect(datesOf('1970-01-01 00:01:50')).toEqual({ added: 100, over: 131 });
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
