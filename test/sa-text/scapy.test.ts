import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { aead, uncheckedCipher } from '../../src/crypto/suite.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { writeScapy } from '../../src/sa-text/scapy.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { anySa, countingKey, EVERY_SUITE, KEY_MARK } from '../support/arbitrary-sa.ts';

const BASE: SaConfig = {
  src: parseAddress('10.0.0.1')!,
  dst: parseAddress('10.0.0.2')!,
  spi: 3,
  mode: 'tunnel',
  keys: aead('rfc4106(gcm(aes))', countingKey(20), 128),
  esn: false,
  replayWindow: 0,
  reqid: 1,
  flags: [],
  origin: 'n2.txt:1',
};

/** The entries of the dictionary. */
function entries(over: Partial<SaConfig> = {}, showKeys = true): string {
  return /sas = \{\n([\s\S]*)\}\n$/.exec(writeScapy([{ ...BASE, ...over }], { showKeys }))![1]!;
}

function suite(name: string): SaConfig['keys'] {
  return EVERY_SUITE.find(([known]) => known === name)![1];
}

describe('writeScapy', () => {
  it('says what scapy cannot have, and what is assumed', () => {
    const pattern = { src: '*', dst: '*', spi: '*', fits: () => true };
    expect(entries({ pattern })).toBe(
      '    # n2.txt:1: it has wildcards, and an entry of this dictionary none\n',
    );
    const keys = uncheckedCipher('cbc(aes)', countingKey(16), 96);
    expect(entries({ keys })).toMatch(/^ {4}# n2\.txt:1: its integrity algorithm is not known/);
    expect(entries({ unstated: { mode: true, encap: true } })).toMatch(
      /^ {4}# n2\.txt:1: says neither mode nor UDP, /,
    );
  });

  it('writes an entry by source, destination and SPI', () => {
    expect(entries()).toBe(`    # n2.txt:1
    ('10.0.0.1', '10.0.0.2', 0x00000003): SecurityAssociation(
        ESP,
        spi=0x00000003,
        crypt_algo='AES-GCM',
        crypt_key=bytes.fromhex('c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3'),
        tunnel_header=IP(src='10.0.0.1', dst='10.0.0.2')),
`);
  });

  it.each<[string, Partial<SaConfig>, string]>([
    [
      'IPv6',
      { src: parseAddress('fd00::1')!, dst: parseAddress('fd00::2')! },
      "tunnel_header=IPv6(src='fd00::1', dst='fd00::2')",
    ],
    [
      'ESN',
      { esn: true, sequence: { seqHi: 0, seq: 0, oseqHi: 2, oseq: 0 } },
      'esn_en=True,\n        esn=2)',
    ],
    ['ESP in UDP', { encap: { sport: 4500, dport: 4501 } }, 'nat_t_header=UDP(sport=4500, dport=4501)'],
    ['a MAC that scapy has', { keys: suite('cbc-128+hmac(sha256)/128') }, "auth_algo='SHA2-256-128'"],
    ['ChaCha20', { keys: suite('chacha20') }, "crypt_algo='CHACHA20-POLY1305'"],
    ['NULL encryption', { keys: suite('null+hmac(sha256) 128') }, "crypt_algo='NULL',\n        auth_algo="],
    [
      'GMAC',
      { keys: suite('gmac-128') },
      '# n2.txt:1: scapy 2.5 has no rfc4543(gcm(aes)) with an ICV of 128 bits\n',
    ],
    [
      'a short ICV',
      { keys: suite('gcm-128/64') },
      '# n2.txt:1: scapy 2.5 has no rfc4106(gcm(aes)) with an ICV of 64 bits\n',
    ],
    [
      'ESN with HMAC',
      { esn: true, keys: suite('cbc-128+hmac(sha256)/96') },
      'scapy 2.5 cannot verify; use decrypt(…, verify=False)',
    ],
    ['an origin of two lines', { origin: 'a\nimport os' }, '    # a import os\n'],
  ])('writes %s', (_, over, text) => {
    expect(entries(over)).toContain(text);
  });

  it('makes truncations that scapy does not have, once each', () => {
    const keys = suite('cbc-128+hmac(sha256)/96');
    const text = writeScapy(
      [
        { ...BASE, keys },
        { ...BASE, spi: 4, keys },
      ],
      { showKeys: true },
    );
    expect(text.match(/^AUTH_ALGOS\[.*$/gm)).toEqual([
      "AUTH_ALGOS['HMAC-SHA256-96'] = AuthAlgo('HMAC-SHA256-96', mac=HMAC, digestmod=hashes.SHA256, icv_size=12)",
    ]);
    expect(text.match(/auth_algo='HMAC-SHA256-96'/g)).toHaveLength(2);
  });

  it('has no tunnel header in transport mode', () => {
    expect(entries({ mode: 'transport' })).not.toContain('tunnel_header');
  });

  it('hides keys unless they are asked for', () => {
    expect(entries({}, false)).toContain("bytes.fromhex('<<hidden: use --show-keys>>')");
    fc.assert(
      fc.property(anySa, (sa) => {
        expect(writeScapy([sa], { showKeys: false })).not.toContain(KEY_MARK);
      }),
      { numRuns: 100 },
    );
  });
});
