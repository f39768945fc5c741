/** What is said, and how it is known: seen, told, assumed. */
import { describe, expect, it } from 'vitest';
import type { SaConfig } from '../../../src/ipsec/sa-config.ts';
import { codesOf, diagnosePackets, sender } from '../../support/diagnose.ts';
import { SUITES, saConfig } from '../../support/sa.ts';

const config = saConfig();
const bad = saConfig({ keys: SUITES[2]!, origin: 'bad.txt:1' });
const packets = (n: number, sa: SaConfig) => {
  const send = sender(sa);
  return Array.from({ length: n }, () => send());
};
const told = (...sas: SaConfig[]) => ({
  states: [{ file: 'n2.txt', sas: sas.map((sa) => ({ ...sa, direction: 'in' as const })), keyless: [] }],
});

describe('not opened is not dropped', () => {
  it('a key that opens nothing of a stream raises no counter where the receiver did not tell it', () => {
    const { receivers, findings } = diagnosePackets(packets(4, config), { listed: [bad] });
    expect(receivers).toMatchObject([{ basis: 'assumed', packets: 4, judged: 0, counters: {} }]);
    expect(findings).toMatchObject([
      { code: 'unknown-key', severity: 'warning', basis: 'assumed', counter: null, count: 4 },
    ]);
    expect(findings[0]!.summary).toContain('4 packets not opened');
  });

  it('and does where it told it', () => {
    const { receivers, findings } = diagnosePackets(packets(4, config), told(bad));
    const counter = 'XfrmInStateProtoError';
    expect(receivers).toMatchObject([{ basis: 'told', packets: 4, judged: 4, counters: { [counter]: 4 } }]);
    expect(findings).toMatchObject([
      { code: 'unknown-key', severity: 'error', basis: 'told', counter, count: 4, first: 1, last: 4 },
    ]);
    expect(findings[0]!.evidence).toEqual(['the capture', 'bad.txt:1']);
  });

  it('one packet that opens says that the key is right: then the others are dropped, as far as is known', () => {
    const [a, b] = packets(2, config) as [Uint8Array, Uint8Array];
    b[70]! ^= 1;
    const { receivers, findings } = diagnosePackets([a, b], { listed: [config] });
    const counter = 'XfrmInStateProtoError';
    expect(receivers).toMatchObject([{ basis: 'assumed', judged: 2, counters: { [counter]: 1 } }]);
    expect(findings).toMatchObject([
      { code: 'altered', basis: 'seen', counter, count: 1, first: 2, last: 2 },
    ]);
    expect(findings[0]!.summary).toContain(`(would count as ${counter})`);
  });

  it('that there is no SA counts where the sources are right about the receiver, or it says so itself', () => {
    const stranger = packets(3, saConfig({ spi: 9 }));
    const alone = diagnosePackets(stranger, { listed: [config] });
    expect(alone.receivers).toMatchObject([{ basis: 'assumed', judged: 0, counters: {} }]);
    expect(codesOf(alone.findings)).toEqual([]);
    expect(alone.notes).toMatchObject([{ code: 'no-evidence', counter: null, count: 3 }]);

    const counters = { XfrmInNoStates: 3 };
    const beside = diagnosePackets([...packets(1, config), ...stranger], { listed: [config] });
    expect(beside.receivers).toMatchObject([{ basis: 'assumed', judged: 4, counters }]);
    expect(beside.findings).toMatchObject([
      { code: 'unknown-spi', basis: 'assumed', counter: 'XfrmInNoStates', count: 3 },
    ]);
    const said = diagnosePackets(stranger, told(config));
    expect(said.receivers).toMatchObject([{ basis: 'told', judged: 3, counters }]);
    expect(said.findings).toMatchObject([{ basis: 'told', counter: 'XfrmInNoStates', node: '192.0.2.2' }]);
  });
});
