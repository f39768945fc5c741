/** What is said, and how it is known: seen, told, assumed. */
import { describe, expect, it } from 'vitest';
import type { SaConfig } from '../../../src/ipsec/sa-config.ts';
import { codesOf, diagnoseFile, diagnosePackets, sender } from '../../support/diagnose.ts';
import { CASES, CASES_NEED, needs } from '../../support/needs.ts';
import { address, ipv4Packet, SUITES, saConfig } from '../../support/sa.ts';

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

describe('of the whole', () => {
  const frames = packets(3, config);
  const hidden = {
    states: [{ file: 'n2.txt', sas: [], keyless: [{ ...config, direction: 'in' as const }] }],
  };

  it('nothing is wrong where every packet was judged, and the receiver told its SAs', () => {
    const { conclusion } = diagnosePackets(frames, told(config));
    expect(conclusion).toMatchObject({ code: 'clean', basis: 'told', packets: 3, judged: 3 });
    expect(conclusion.summary).toBe('Nothing is wrong in this capture. Inbound policies were not judged.');
  });

  it('else as far as the sources tell, and whose state was not given', () => {
    const { conclusion } = diagnosePackets(frames, { listed: [{ ...config, origin: 'esp_sa:1' }] });
    expect(conclusion).toMatchObject({ code: 'clean', basis: 'assumed', packets: 3, judged: 3 });
    expect(conclusion.summary).toBe(
      "As far as esp_sa tells, nothing is wrong in this capture. 192.0.2.2's own state was not given: if its counter rises, give `ip -s xfrm state` of 192.0.2.2.",
    );
  });

  it('some could not be judged', () => {
    const stranger = packets(2, saConfig({ src: address('203.0.113.1'), dst: address('203.0.113.2') }));
    const { conclusion } = diagnosePackets([...frames, ...stranger], told(config));
    expect(conclusion).toMatchObject({ code: 'partial', basis: 'assumed', packets: 5, judged: 3 });
    expect(conclusion.summary).toBe(
      'Nothing is wrong with 3 of 5 ESP packets. 2 ESP packets could not be checked. No source has an SA for packets to 203.0.113.2: give `ip -s xfrm state` of that node, or its keys and nodes.',
    );
  });

  it.each([
    ['hidden keys', hidden, /^Nothing could be checked\. The text of 192\.0\.2\.2 shows no keys/],
    ['a key that opens nothing', { listed: [bad] }, /^Nothing could be checked\. No key at hand opens/],
    ['no SA at all', {}, /^Nothing could be checked\. No security associations are given/],
  ])('nothing was judged: %s', (_, evidence, summary) => {
    const { conclusion } = diagnosePackets(frames, evidence);
    expect(conclusion).toMatchObject({ packets: 3, judged: 0 });
    expect(conclusion.summary).toMatch(summary);
  });

  it('no ESP is no all-clear', () => {
    expect(diagnosePackets([ipv4Packet(80)], told(config)).conclusion).toEqual({
      code: 'no-esp',
      basis: 'assumed',
      packets: 0,
      judged: 0,
      summary: 'No ESP packet was found in this capture.',
    });
  });
});

needs([CASES_NEED], 'people', () => {
  const texts = (name: string) => `${CASES}texts/${name}`;
  const captures = (name: string) => `${CASES}captures/${name}`;
  const some = { xfrmState: [captures('some-sa.xfrm.txt')] };

  it('case texts 05: hidden keys are no all-clear, and no 0 for the kernel', async () => {
    const folder = texts('05-false-all-clear');
    const given = { xfrmState: [`${folder}/reordered.nokeys.txt`] };
    const { conclusion, receivers } = await diagnoseFile(`${folder}/reordered.pcap`, given);
    expect(conclusion).toMatchObject({ code: 'unchecked', judged: 0 });
    expect(receivers.every(({ judged, packets }) => judged === 0 && packets > 0)).toBe(true);
    const none = await diagnoseFile(`${folder}/08-sunrise-sunset-esp2.pcap`, {});
    expect(none.conclusion).toMatchObject({ code: 'unchecked', packets: 8, judged: 0 });
  });

  it.each(['esp-in-geneve.pcap', 'pppoe.pcap', 'ah-esp.pcap'])(
    'case texts 05: %s, whose ESP is carried, is no capture without ESP',
    async (name) => {
      const folder = texts('05-false-all-clear');
      const { conclusion } = await diagnoseFile(`${folder}/${name}`, { xfrmState: [`${folder}/lt.txt`] });
      expect(conclusion).toMatchObject({ basis: 'assumed', packets: 3 });
      expect(conclusion.code).toBe(name === 'ah-esp.pcap' ? 'unchecked' : 'clean');
    },
  );

  it('case captures 05: without SAs the whole is read', async () => {
    const { conclusion } = await diagnoseFile(captures('05-diagnose-stops-at-129/in.pcap'), {});
    expect(conclusion).toMatchObject({ code: 'unchecked', packets: 200, judged: 0 });
  });

  it('case captures 11: an SA of other nodes judges nothing', async () => {
    const { conclusion } = await diagnoseFile(captures('11-nothing-is-wrong/in.pcap'), some);
    expect(conclusion).toMatchObject({ code: 'unchecked', packets: 3, judged: 0 });
  });

  it('case captures 11: ESP in PPP without an SA, likewise', async () => {
    const { conclusion } = await diagnoseFile(captures('25-link-types/ppp-9.pcap'), {});
    expect(conclusion).toMatchObject({ code: 'unchecked', packets: 3, judged: 0 });
  });

  it('case captures 15: what is missing of a stream that nobody opens', async () => {
    const { streams } = await diagnoseFile(captures('15-missing-shown-as-0/in.pcap'), some);
    expect(streams).toMatchObject([
      { judged: false, missing: 1, duplicates: 0, late: null, reordered: null },
    ]);
  });

  it('case captures 08: what no ICV vouches for is opened, and not judged', async () => {
    const folder = captures('08-integrity-not-named');
    const given = { espSa: [`${folder}/esp_sa`] };
    const { conclusion, streams, receivers, encryption } = await diagnoseFile(`${folder}/in.pcap`, given);
    expect(conclusion).toMatchObject({ code: 'unchecked', packets: 8, judged: 0 });
    expect(encryption).toBeNull();
    expect(conclusion.summary).toContain('8 packets were opened unauthenticated');
    expect(streams).toMatchObject([{ packets: 8, ok: 0, unauthenticated: 8, judged: false, late: null }]);
    expect(receivers).toMatchObject([{ judged: 0, counters: {} }]);
  });

  it('case captures 03, 13: ESP in ESP without an SA is not said to be fine', async () => {
    const folder = captures('03-esp-sa-any-destination');
    const given = { espSa: [`${folder}/esp_sa`] };
    const { conclusion } = await diagnoseFile(`${folder}/in.pcap`, given);
    expect(conclusion).toMatchObject({ code: 'partial', basis: 'assumed', packets: 6, judged: 3 });
    expect(conclusion.summary).toContain('3 packets of ESP lie in ESP');
  });
});
