import { describe, expect, it } from 'vitest';
import type { StatText } from '../../../src/inspect/diagnose/case.ts';
import type { Finding } from '../../../src/inspect/diagnose/finding.ts';
import type { EvidenceOptions } from '../../../src/inspect/evidence.ts';
import type { SaConfig } from '../../../src/ipsec/sa-config.ts';
import { readPolicies } from '../../../src/sa-text/to-policy.ts';
import type { KeylessSa } from '../../../src/sa-text/to-sa.ts';
import { codesOf, diagnosePackets, sender } from '../../support/diagnose.ts';
import { address, ipv4Packet, SUITES, saConfig } from '../../support/sa.ts';

const diagnose = (
  frames: readonly Uint8Array[],
  evidence: EvidenceOptions,
  stats: readonly StatText[] = [],
) => diagnosePackets(frames, evidence, { stats });

function many<T>(n: number, make: () => T): T[] {
  return Array.from({ length: n }, make);
}

/** A text of the receiver of `config`. */
const receiverText = (sas: readonly SaConfig[], keyless: readonly KeylessSa[] = []) => ({
  file: 'n2.txt',
  sas: sas.map((sa) => ({ ...sa, direction: 'in' as const })),
  keyless: keyless.map((sa) => ({ ...sa, direction: 'in' as const })),
});

const only = (findings: readonly Finding[], code: string) => findings.filter((one) => one.code === code);

const SALT_A = new Uint8Array(8).fill(0x11);
const SALT_B = new Uint8Array(8).fill(0x22);

describe('numbers of a stream', () => {
  const config = saConfig();

  it('begin where the capture does: nothing before is missing, a gap after it is', () => {
    const send = sender(config, 500);
    const sent = many(10, () => send());
    const { streams, findings } = diagnose([sent[0]!, sent[1]!, ...sent.slice(4)], { listed: [config] });
    expect(streams[0]).toMatchObject({ packets: 8, ok: 8, seqFirst: '501', seqLast: '510', missing: 2 });
    expect(codesOf(findings)).toEqual(['missing-numbers']);
  });

  it('late but in the window are reordered, and neither missing nor a finding', () => {
    const send = sender(config);
    const [a, b, c, d] = many(4, () => send());
    const { streams, findings } = diagnose([a!, d!, c!, b!], { listed: [config] });
    expect(streams[0]).toMatchObject({ ok: 4, reordered: 2, missing: 0, late: 0 });
    expect(findings).toEqual([]);
  });

  it.each([
    { esn: true, counter: 'XfrmInStateProtoError' },
    { esn: false, counter: 'XfrmInStateSeqError' },
  ])('beyond the window: named with the window that would do (ESN $esn)', ({ esn, counter }) => {
    const narrow = saConfig({ esn, replayWindow: 32 });
    const send = sender(narrow, 0, { ivSalt: SALT_A });
    const sent = many(60, () => send());
    const frames = [...sent.slice(0, 5), ...sent.slice(6), sent[5]!];
    const { streams, findings, receivers } = diagnose(frames, { listed: [narrow] });
    // Number 6 came when the highest was 60.
    expect(streams[0]).toMatchObject({ ok: 59, late: 1, beyondWindow: 23, missing: 0 });
    expect(receivers[0]!.counters).toEqual({ [counter]: 1 });
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatchObject({ code: 'reordered-beyond-window', frames: [60] });
    expect(findings[0]!.summary).toContain('A window of 64 would have been enough');
    const wider = saConfig({ esn, replayWindow: 64 });
    expect(diagnose(frames, { listed: [wider] }).findings).toEqual([]);
  });

  it('nearly used up without ESN: said with the time that is left', () => {
    const old = saConfig({ esn: false, replayWindow: 0 });
    const send = sender(old, 0xf000_0000);
    const { findings } = diagnose(
      many(5, () => send()),
      { listed: [old] },
    );
    expect(codesOf(findings)).toEqual(['sequence-near-end']);
    expect(findings[0]!.summary).toMatch(/at the rate of this capture that lasts \d+ days more/);
    const fresh = sender(config, 0xf000_0000);
    expect(
      diagnose(
        many(5, () => fresh()),
        { listed: [config] },
      ).findings,
    ).toEqual([]);
  });

  it('a counter that begins again is no reordering', () => {
    const before = sender(config, 5000, { ivSalt: SALT_A });
    const after = sender(config, 0, { ivSalt: SALT_B });
    const { findings, streams } = diagnose([...many(5, () => before()), ...many(5, () => after())], {
      listed: [config],
    });
    expect(codesOf(findings)).toEqual(['counter-reset']);
    expect(findings[0]!.frames).toEqual([6, 7, 8, 9, 10]);
    expect(streams[0]!.late).toBe(5);
  });
});

describe('one SA, several senders', () => {
  const config = saConfig();

  it('two counters side by side', () => {
    const [a, b] = [sender(config, 0, { ivSalt: SALT_A }), sender(config, 0, { ivSalt: SALT_B })];
    const { findings } = diagnose(many(4, () => [a(ipv4Packet(100)), b(ipv4Packet(120))]).flat(), {
      listed: [config],
    });
    expect(codesOf(findings)).toEqual(['two-senders']);
    expect(findings[0]!.frames).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('a nonce that comes twice under one key, in whichever streams', () => {
    // One key for all nodes, as up to Cilium 1.16 without +.
    const [to, back] = [saConfig(), saConfig({ src: saConfig().dst, dst: saConfig().src })];
    const [a, b] = [sender(to, 0, { ivSalt: SALT_A }), sender(back, 0, { ivSalt: SALT_A })];
    const { findings } = diagnose([a(), b(ipv4Packet(120))], { listed: [to, back] });
    expect(codesOf(findings)).toEqual(['iv-reused']);
    expect(findings[0]).toMatchObject({ severity: 'error', frames: [1, 2] });
  });

  it('the same key with other nonces is no finding', () => {
    const [to, back] = [saConfig(), saConfig({ src: saConfig().dst, dst: saConfig().src })];
    const [a, b] = [sender(to, 0, { ivSalt: SALT_A }), sender(back, 0, { ivSalt: SALT_B })];
    expect(diagnose([a(), b(), a(), b()], { listed: [to, back] }).findings).toEqual([]);
  });
});

describe('sources that do not agree', () => {
  const good = saConfig();
  const bad = saConfig({ keys: SUITES[2]!, origin: 'bad.txt:1' });
  const send = sender(good);
  const frames = many(4, () => send());

  it('two tables: the packets decide, and the finding says for whom', () => {
    const { findings, streams } = diagnose(frames, { listed: [bad, { ...good, origin: 'good.txt:1' }] });
    expect(streams[0]!.ok).toBe(4);
    expect(codesOf(findings)).toEqual(['contradicting-keys']);
    expect(findings[0]!.summary).toContain('The packets open with that of good.txt:1');
  });

  it("what the receiver's kernel holds counts, whatever others say", () => {
    const { findings, receivers } = diagnose(frames, { states: [receiverText([bad])], listed: [good] });
    expect(receivers[0]!.counters).toEqual({ XfrmInStateProtoError: 4 });
    expect(codesOf(findings)).toEqual(['wrong-key']);
    expect(findings[0]!.frames).toEqual([1, 2, 3, 4]);
  });

  it('ESN on one side only', () => {
    const { findings } = diagnose(frames, { listed: [saConfig({ esn: false, replayWindow: 32 })] });
    expect(codesOf(findings)).toEqual(['esn-differs']);
  });

  it('no key at hand: said with how many were tried', () => {
    const { findings } = diagnose(frames, { listed: [bad] });
    expect(codesOf(findings)).toEqual(['unknown-key']);
    expect(findings[0]!.summary).toContain('3 other keys');
  });
});

describe('texts without keys', () => {
  const config = saConfig();
  const { keys: _, ...keyless } = config;

  it('numbers and gaps are told, and that the rest cannot be', () => {
    const send = sender(config, 10);
    const sent = many(6, () => send());
    sent.splice(2, 1);
    const { streams, findings, notes, receivers } = diagnose(sent, { states: [receiverText([], [keyless])] });
    expect(streams[0]).toMatchObject({ packets: 5, ok: 0, seqFirst: '11', seqLast: '16', missing: 1 });
    expect(receivers[0]!.counters).toEqual({});
    expect(codesOf(findings)).toEqual(['missing-numbers']);
    expect(codesOf(notes)).toEqual(['keys-hidden']);
  });

  it('an SPI that the text does not have is dropped all the same', () => {
    const send = sender(saConfig({ spi: 9 }));
    const { findings, receivers } = diagnose([send(), send()], { states: [receiverText([], [keyless])] });
    expect(receivers[0]!.counters).toEqual({ XfrmInNoStates: 2 });
    expect(codesOf(findings)).toEqual(['rotation-out-of-step']);
    expect(findings[0]!.summary).toContain('sends with key id 9');
    expect(findings[0]!.summary).toContain('has only key id 3');
  });
});

describe('what nobody knows', () => {
  it('ESP between strangers is a note, and no receiver is blamed', () => {
    const send = sender(saConfig({ src: address('203.0.113.1'), dst: address('203.0.113.2') }));
    const { findings, notes, receivers } = diagnose([send()], { listed: [saConfig()] });
    expect(findings).toEqual([]);
    expect(codesOf(notes)).toEqual(['no-evidence']);
    expect(receivers.map(({ counters }) => counters)).toEqual([{}]);
  });
});

describe('in the clear', () => {
  const to = saConfig();
  const pods = { src: address('10.0.1.10'), dst: address('10.0.2.20'), ttl: 63 };
  const policies = readPolicies(
    `src 10.0.1.0/24 dst 10.0.2.0/24
	dir out priority 0
	tmpl src 10.244.1.1 dst 10.244.2.1
		proto esp reqid 1 mode tunnel
`,
    'n1-policy.txt',
  ).policies;

  it('what a policy wants encrypted', () => {
    const { findings } = diagnose([ipv4Packet(80, pods)], { policies, listed: [to] });
    expect(codesOf(findings)).toEqual(['clear-traffic']);
    expect(findings[0]!.summary).toContain('n1-policy.txt:1');
  });

  it('not what other hosts say to each other', () => {
    const others = { src: address('198.51.100.1'), dst: address('198.51.100.2') };
    expect(diagnose([ipv4Packet(80, others)], { policies, listed: [to] }).findings).toEqual([]);
  });

  it('nor the copy of what ESP carries, before or after it', () => {
    const send = sender(to);
    const [a, b] = [ipv4Packet(90, { ...pods, id: 1 }), ipv4Packet(95, { ...pods, id: 2 })];
    const { findings, notes } = diagnose([a, send(a), send(b), b], { policies, listed: [to] });
    expect(findings).toEqual([]);
    expect(only(notes, 'seen-twice')[0]!.frames).toEqual([1, 2, 3, 4]);
  });

  it('one direction only', () => {
    const send = sender(to);
    const there = ipv4Packet(90, pods);
    const back = ipv4Packet(90, { ...pods, src: pods.dst, dst: pods.src });
    const { findings } = diagnose([send(there), back], { listed: [to] });
    expect(codesOf(findings)).toEqual(['one-way-encryption']);
  });
});

describe("the kernel's own counters", () => {
  const config = saConfig();
  const send = sender(config);
  const [good, bad] = [send(), send()];
  bad[70]! ^= 1;
  const frames = [good, bad, send()];
  const stat = (after: object, before?: object): StatText => ({
    node: undefined,
    file: 'after.txt',
    after: new Map(Object.entries(after)),
    ...(before && { before: new Map(Object.entries(before)) }),
  });

  it('agree, or are a finding in either direction', () => {
    const codes = (stats: StatText) => codesOf(diagnose(frames, { listed: [config] }, [stats]).findings);
    expect(codes(stat({ XfrmInStateProtoError: 1 }))).toEqual(['altered']);
    expect(codes(stat({ XfrmInStateProtoError: 8 }, { XfrmInStateProtoError: 7 }))).toEqual(['altered']);
    expect(codes(stat({ XfrmInStateProtoError: 8 }, { XfrmInStateProtoError: 6 }))).toEqual([
      'altered',
      'counters-differ',
    ]);
    expect(codes(stat({ XfrmInStateProtoError: 0 }))).toEqual(['altered', 'counters-differ']);
    expect(codes(stat({ XfrmInStateProtoError: 1, XfrmOutPolBlock: 5 }))).toEqual([
      'altered',
      'sender-drops',
    ]);
  });
});
