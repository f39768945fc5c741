/**
 * SAs of every kind for property tests. Their keys are made of counting bytes, so a key that shows where it must
 * not is found by looking for {@link KEY_MARK}.
 * @module
 */
import * as fc from 'fast-check';
import { aead, authenc, type KeyMaterial } from '../../src/crypto/suite.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';

/** Hexadecimal digits that every key longer than four bytes begins with. */
export const KEY_MARK = 'c0c1c2c3';

/** `len` counting bytes from 0xc0. */
export function countingKey(len: number): Uint8Array {
  return Uint8Array.from({ length: len }, (_, i) => 0xc0 + i);
}

const INTEGRITY = [
  ['hmac(sha1)', 96],
  ['hmac(sha1)', 160],
  ['hmac(sha256)', 96],
  ['hmac(sha256)', 128],
  ['hmac(sha256)', 256],
  ['hmac(sha384)', 192],
  ['hmac(sha512)', 256],
  ['hmac(sha512)', 512],
] as const;

/** Keys for every suite and length that esplane has, by a name for test titles. */
export const EVERY_SUITE: readonly (readonly [name: string, keys: KeyMaterial])[] = [
  ...[16, 24, 32].flatMap((len) =>
    [64, 96, 128].map((icv) =>
      named(`gcm-${len * 8}/${icv}`, aead('rfc4106(gcm(aes))', countingKey(len + 4), icv)),
    ),
  ),
  named('gmac-128', aead('rfc4543(gcm(aes))', countingKey(20), 128)),
  named('chacha20', aead('rfc7539esp(chacha20,poly1305)', countingKey(36), 128)),
  ...INTEGRITY.flatMap(([mac, bits]) =>
    [16, 32].map((len) =>
      named(
        `cbc-${len * 8}+${mac}/${bits}`,
        authenc(mac, countingKey(20), 'cbc(aes)', countingKey(len), bits),
      ),
    ),
  ),
  named(
    'null+hmac(sha256) 128',
    authenc('hmac(sha256)', countingKey(32), 'ecb(cipher_null)', new Uint8Array(0), 128),
  ),
  named('cbc without integrity', authenc('digest_null', new Uint8Array(0), 'cbc(aes)', countingKey(16))),
  named(
    'null without integrity',
    authenc('digest_null', new Uint8Array(0), 'ecb(cipher_null)', new Uint8Array(0)),
  ),
];

function named(name: string, keys: KeyMaterial): readonly [string, KeyMaterial] {
  return [name, keys];
}

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const mark = fc.record({ value: u32, mask: u32 });

function address(length: number): fc.Arbitrary<Uint8Array> {
  const any = fc.constant(new Uint8Array(length));
  return fc.oneof(
    { weight: 1, arbitrary: any },
    { weight: 6, arbitrary: fc.uint8Array({ minLength: length, maxLength: length }) },
  );
}

function prefix(length: number) {
  return fc.integer({ min: 0, max: length * 8 }).map((bits) => ({ address: new Uint8Array(length), bits }));
}

const selector = fc
  .constantFrom(4, 16)
  .chain((length) => fc.record({ src: prefix(length), dst: prefix(length) }));

/** Any SA. */
export const anySa: fc.Arbitrary<SaConfig> = fc.constantFrom(4, 16).chain((length) =>
  fc.record(
    {
      src: address(length),
      dst: address(length),
      spi: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 0xffff_ffff })),
      mode: fc.constantFrom('tunnel' as const, 'transport' as const),
      keys: fc.constantFrom(...EVERY_SUITE).map(([, keys]) => keys),
      esn: fc.boolean(),
      replayWindow: fc.constantFrom(0, 32, 64, 1024),
      reqid: u32,
      selector,
      mark,
      outputMark: mark,
      encap: fc.record({ sport: fc.nat(0xffff), dport: fc.nat(0xffff) }),
      flags: fc.subarray(['noecn', 'decap-dscp', 'nopmtudisc', 'icmp', 'af-unspec', 'dont-encap-dscp']),
      lifetime: fc.record({ softPackets: u32, hardBytes: u32 }, { requiredKeys: [] }),
      sequence: fc.record({ seqHi: u32, seq: u32, oseqHi: u32, oseq: u32 }),
      direction: fc.constantFrom('in' as const, 'out' as const),
      origin: fc.string({ unit: 'grapheme', maxLength: 12 }),
    },
    {
      requiredKeys: ['src', 'dst', 'spi', 'mode', 'keys', 'esn', 'replayWindow', 'reqid', 'flags', 'origin'],
    },
  ),
) as fc.Arbitrary<SaConfig>;
