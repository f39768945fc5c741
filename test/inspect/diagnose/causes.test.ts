/** Causes that are easily taken for others: another ICV length, packets that are not encrypted yet, damaged copies. */
import { describe, expect, it } from 'vitest';
import { KeyMaterial } from '../../../src/crypto/suite.ts';
import { isInTheClear } from '../../../src/inspect/diagnose/plain.ts';
import type { SaConfig } from '../../../src/ipsec/sa-config.ts';
import { codesOf, diagnoseFile, diagnosePackets, sender } from '../../support/diagnose.ts';
import { CASES, CASES_NEED, needs } from '../../support/needs.ts';
import { ipv4Packet, saConfig } from '../../support/sa.ts';

const config = saConfig();
const told = (sa: SaConfig) => ({
  states: [{ file: 'n2.txt', sas: [{ ...sa, direction: 'in' as const }], keyless: [] }],
});
const packets = (n: number, sa: SaConfig, salt = 0x11) => {
  const send = sender(sa, 0, { ivSalt: new Uint8Array(8).fill(salt) });
  return Array.from({ length: n }, () => send());
};

describe('another length of the ICV', () => {
  const { keys } = config;
  const short = saConfig({
    keys: new KeyMaterial({ ...keys.suite, icvLen: 12 }, keys.key(), keys.salt(), keys.macKey()),
  });

  it('is told from another key', () => {
    const { findings, receivers } = diagnosePackets(packets(3, short), told(config));
    expect(findings).toMatchObject([
      {
        code: 'icv-length-differs',
        severity: 'error',
        basis: 'told',
        counter: 'XfrmInStateProtoError',
        count: 3,
      },
    ]);
    expect(findings[0]!.summary).toContain('the same key and an ICV of 96 bits in place of 128');
    expect(receivers[0]!.counters).toEqual({ XfrmInStateProtoError: 3 });
  });

  it("also where the sender's text is at hand", () => {
    const states = [
      ...told(config).states,
      { file: 'n1.txt', sas: [{ ...short, direction: 'out' as const }], keyless: [] },
    ];
    expect(codesOf(diagnosePackets(packets(3, short), { states }).findings)).toEqual(['icv-length-differs']);
  });
});

describe('packets in the clear behind their IV', () => {
  /** An ESP packet as Linux leaves it to a NIC: nothing encrypted, no ICV. */
  const early = (id: number, inner = ipv4Packet(84, { id })) => {
    const esp = new Uint8Array(8 + 8 + inner.length + 4 + 16);
    esp.set([0, 0, 0, config.spi, 0, 0, 0, id]);
    esp.set(inner, 16);
    esp.set([1, 2, 2, 4], 16 + inner.length);
    const packet = ipv4Packet(20 + esp.length, { src: config.src, dst: config.dst, protocol: 50 });
    packet.set(esp, 20);
    return packet;
  };

  it('are no wrong key, and nothing is said of the receiver, even if it told its SA', () => {
    const { findings, receivers, conclusion } = diagnosePackets([early(1), early(2)], told(config));
    expect(findings).toMatchObject([{ code: 'not-encrypted-yet', basis: 'seen', counter: null, count: 2 }]);
    expect(receivers).toMatchObject([{ packets: 2, judged: 0, counters: {} }]);
    expect(conclusion.summary).toContain('were taken before they were encrypted');
  });

  it('are told from what is encrypted, altered or cut', () => {
    const is = (b: Uint8Array) => isInTheClear(b, 20, b.length, config.keys.suite);
    expect(is(early(1))).toBe(true);
    for (const packet of packets(50, config)) expect(is(packet)).toBe(false);
    for (const at of [36, 38, 46, 52, 120, 122, 123]) {
      const packet = early(1);
      packet[at]! ^= 0x10;
      expect(is(packet), `byte ${at}`).toBe(false);
    }
    for (let length = 20; length < 124; length++) expect(is(early(1).subarray(0, length))).toBe(false);
  });
});

it('of altered packets no more have another number than there are', () => {
  const sent = packets(6, config);
  // Two copies with another number, one of them cut off as well.
  const [a, b] = [sent[3]!.slice(), sent[4]!.slice(0, -8)];
  for (const one of [a, b]) one[27]! += 100;
  b[3]! -= 8;
  const { findings } = diagnosePackets([...sent, a, b], { listed: [config] });
  expect(codesOf(findings)).toEqual(['altered', 'truncated']);
  expect(findings.find(({ code }) => code === 'altered')!.summary).toContain(
    '1 of them have the IV of a good packet and another number',
  );
});

it('packets of a length that does not fit the algorithms are not called cut off where none opens', () => {
  const odd = packets(3, config).map((packet) => {
    const cut = packet.slice(0, 20 + 20);
    cut[3] = cut.length;
    return cut;
  });
  const { findings } = diagnosePackets(odd, told(config));
  expect(codesOf(findings)).toEqual(['unknown-key']);
  expect(findings[0]!.summary).toContain(
    'The sender has another algorithm or ICV length, or they were cut off',
  );
});

needs([CASES_NEED], 'people', () => {
  const of = (name: string) => (file: string) => `${CASES}texts/${name}/${file}`;

  it('case texts 06: the ICV has another length', async () => {
    const here = of('06-icv-length');
    for (const [file, given, what] of [
      ['sha256-96.pcap', { xfrmState: [here('receiver-128.txt')] }, '96 bits in place of 128'],
      [
        'sha256-96.pcap',
        { xfrmState: [here('receiver-128.txt'), here('sender-96.txt')] },
        'give the same key and ICVs of 128 and 96 bits. The packets have 96',
      ],
      ['icv16.pcap', { espSa: [here('icv12.esp_sa')] }, '128 bits in place of 96'],
    ] as const) {
      const { findings } = await diagnoseFile(here(file), given);
      expect(codesOf(findings)).toEqual(['icv-length-differs']);
      expect(findings[0]!.summary).toContain(what);
    }
  });

  it('case texts 08: a capture on a sender whose NIC encrypts', async () => {
    const here = of('08-crypto-offload-capture');
    const { findings, conclusion } = await diagnoseFile(here('offload.pcap'), {
      xfrmState: [here('state.txt')],
    });
    expect(findings).toMatchObject([{ code: 'not-encrypted-yet', count: 8, counter: null }]);
    expect(findings[0]!.summary).toMatch(/The state says so, too: eth7 encrypts them \(.*state\.txt:1\)\./);
    expect(conclusion).toMatchObject({ judged: 0 });
  });
});
