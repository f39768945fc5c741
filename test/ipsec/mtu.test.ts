import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { aead, authenc, type Suite } from '../../src/crypto/suite.ts';
import { maxInner, packetLength } from '../../src/ipsec/mtu.ts';
import { needs, SHARED, shared } from '../support/needs.ts';

const gcm = (icvBits: number): Suite => aead('rfc4106(gcm(aes))', new Uint8Array(20), icvBits).suite;
const GCM = gcm(128);
const CBC: Suite = authenc('hmac(sha256)', new Uint8Array(32), 'cbc(aes)', new Uint8Array(16), 128).suite;
const NULL: Suite = authenc(
  'hmac(sha1)',
  new Uint8Array(20),
  'ecb(cipher_null)',
  new Uint8Array(0),
  96,
).suite;

describe('MTU arithmetic', () => {
  it('finds the longest packet that fits, whatever the suite', () => {
    const suites = fc.constantFrom(GCM, gcm(96), gcm(64), CBC, NULL);
    const modes = fc.constantFrom('tunnel' as const, 'transport' as const);
    const families = fc.constantFrom(4 as const, 6 as const);
    fc.assert(
      fc.property(
        suites,
        modes,
        families,
        fc.boolean(),
        fc.integer({ min: 200, max: 65_535 }),
        (suite, mode, family, encap, mtu) => {
          const most = maxInner(suite, mode, family, encap, mtu);
          expect(packetLength(most, suite, mode, family, encap)).toBeLessThanOrEqual(mtu);
          expect(packetLength(most + 1, suite, mode, family, encap)).toBeGreaterThan(mtu);
        },
      ),
    );
  });

  it('says that nothing fits when nothing does', () => {
    expect(maxInner(GCM, 'tunnel', 6, true, 68)).toBeLessThanOrEqual(0);
  });

  it('counts what is in the clear only once in transport mode', () => {
    // 20 IP, 8 ESP, 8 IV, 80 of payload and trailer, 16 ICV
    expect(packetLength(20 + 78, GCM, 'transport', 4, false)).toBe(132);
    expect(packetLength(98, GCM, 'tunnel', 4, false)).toBe(20 + 8 + 8 + 100 + 16);
    expect(packetLength(40 + 78, GCM, 'transport', 6, true)).toBe(40 + 8 + 8 + 8 + 80 + 16);
  });
});

interface Rule {
  readonly topic: string;
  readonly alg?: string;
  readonly outer?: string;
  readonly encap?: string;
  readonly link_mtu?: number;
  readonly inner_len?: number;
  readonly expect_max_inner?: number;
  readonly expect_packet_len?: number;
  readonly expect_esp_len?: number;
}

needs([shared('vectors')], 'lengths that Linux, scapy and strongSwan assert', () => {
  const file = JSON.parse(readFileSync(`${SHARED}vectors/encap-rules.json`, 'utf8')) as { rules: Rule[] };
  const mtu = file.rules.filter((rule) => rule.expect_max_inner !== undefined);

  it.each(mtu)('Linux pmtu.sh: $alg, outer $outer, encap $encap', (rule) => {
    const suite = rule.alg!.includes('96-bit') ? gcm(96) : GCM;
    const family = rule.outer === 'ipv4' ? 4 : 6;
    expect(maxInner(suite, 'tunnel', family, rule.encap === 'udp', rule.link_mtu!)).toBe(
      rule.expect_max_inner,
    );
  });

  it('scapy: 1446 bytes fill 1500 with GCM', () => {
    const [rule] = file.rules.filter((r) => r.expect_packet_len === 1500);
    expect(packetLength(rule!.inner_len!, GCM, 'tunnel', 4, false)).toBe(rule!.expect_packet_len);
  });

  it('scapy: 31 bytes with CTR and no ICV', () => {
    const ctr: Suite = { ...GCM, icvLen: 0 };
    const [rule] = file.rules.filter((r) => r.alg === 'AES-CTR');
    expect(packetLength(rule!.inner_len!, ctr, 'tunnel', 4, false)).toBe(rule!.expect_packet_len);
  });

  it('strongSwan: a ping of 120 bytes', () => {
    const [rule] = file.rules.filter((r) => r.expect_esp_len !== undefined);
    expect(packetLength(rule!.inner_len!, GCM, 'tunnel', 4, false) - 20).toBe(rule!.expect_esp_len);
  });

  it('found them all in the file', () => {
    expect(mtu.length).toBe(3);
  });
});
