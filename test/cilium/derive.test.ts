import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hex, toHex } from '../../src/base/bytes.ts';
import { EsplaneError } from '../../src/base/errors.ts';
import { deriveKey, deriveMaterial } from '../../src/cilium/derive.ts';
import { aead, authenc } from '../../src/crypto/suite.ts';
import { type Address, parseAddress } from '../../src/wire/address.ts';

const LOCAL_BOOT = '5f616d5f-b237-aed6-4ac7-123456789abc';
const REMOTE_BOOT = '5f616d5f-aed6-4ac7-b237-987654321abc';

function ip(text: string): Address {
  const address = parseAddress(text);
  if (!address) throw new Error(text);
  return address;
}

const K16 = '0123456789abcdef0123456789abcdef';
const K20 = '44434241343332312423222114131211f4f3f2f1';
const K36 = '44434241343332312423222114131211f4f3f2f144434241343332312423222114131211';
const V4 = [ip('1.1.0.0'), ip('1.2.0.0')] as const;
const V6 = [ip('2001:0:0:1134::'), ip('2001:0:0:1234::')] as const;

describe('deriveKey', () => {
  // docs/cilium.md, "Per-tunnel keys": inputs of Cilium's own unit test, values computed by another program.
  it.each([
    ['16 bytes, IPv4', K16, V4, 'ae76e18a59cdf7c9538b89244966410e', 'df83664b1caab2d7b500982be80ceef8'],
    ['16 bytes, IPv6', K16, V6, 'f6bf0767608389b52d4b8e59a07514da', '942ab0a5ca4d72cb39bdf78634092703'],
    [
      '20 bytes, IPv4',
      K20,
      V4,
      '2772ac2a25e413cda118a89b32053971c5fc47a2',
      'fe0129d852dbae8f337489116db1d486b82c88f2',
    ],
    [
      '20 bytes, IPv6',
      K20,
      V6,
      '9174e1764b4a6a2fa87125aa5cd96404983cf6ee',
      '11611f62a8f5dd10801c53e5b4562b62f72efd95',
    ],
    [
      '36 bytes (SHA-512), IPv4',
      K36,
      V4,
      'e649d1452b1387ccf586aaf3f216921019bc9b8d4901cc04390c9da1b739d22b8ac80d1c',
      '90671ee3c764b32949751c7711687bcad4f477bcac3fca920377d8664626bc7d6f7e7373',
    ],
    [
      '36 bytes (SHA-512), IPv6',
      K36,
      V6,
      'e24b9a69e2c37c15514a9c1f978eda23bb94c3a8ea9a1aef8034fdb3d930eff0ccbebe9f',
      'ff276a00fff5efbde354e436ac07ef8bd14ff10d877e3343a223dfb7075eaac94c87f9a1',
    ],
  ] as const)('%s: both directions', (_, key, [local, remote], out, inn) => {
    expect(toHex(deriveKey(hex(key), local, remote, LOCAL_BOOT, REMOTE_BOOT))).toBe(out);
    expect(toHex(deriveKey(hex(key), remote, local, REMOTE_BOOT, LOCAL_BOOT))).toBe(inn);
  });

  it('takes an IPv4 address in its IPv6 form for the same address', () => {
    const mapped = deriveKey(hex(K20), ip('::ffff:1.1.0.0'), ip('::ffff:1.2.0.0'), LOCAL_BOOT, REMOTE_BOOT);
    expect(toHex(mapped)).toBe('2772ac2a25e413cda118a89b32053971c5fc47a2');
  });

  it('uses 36 characters of a boot id and no more, in the case they have', () => {
    const derive = (bootId: string) => toHex(deriveKey(hex(K20), ...V4, bootId, REMOTE_BOOT));
    expect(derive(`${LOCAL_BOOT}\n`)).toBe(derive(LOCAL_BOOT));
    expect(derive(`${LOCAL_BOOT}ffff`)).toBe(derive(LOCAL_BOOT));
    expect(derive(LOCAL_BOOT.toUpperCase())).not.toBe(derive(LOCAL_BOOT));
  });

  it('changes hash between 32 and 33 bytes, as the formula written out does', () => {
    const formula = (key: Uint8Array) =>
      createHash(key.length <= 32 ? 'sha256' : 'sha512')
        .update(key)
        .update(V4[0])
        .update(V4[1])
        .update(LOCAL_BOOT)
        .update(REMOTE_BOOT)
        .digest('hex')
        .slice(0, 2 * key.length);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (key) => {
        expect(toHex(deriveKey(key, ...V4, LOCAL_BOOT, REMOTE_BOOT))).toBe(formula(key));
      }),
      { examples: [[new Uint8Array(32)], [new Uint8Array(33)], [new Uint8Array(64)], [new Uint8Array(0)]] },
    );
  });

  it('leaves its inputs alone', () => {
    const key = hex(K20);
    deriveKey(key, ...V4, LOCAL_BOOT, REMOTE_BOOT).fill(0);
    expect(toHex(key)).toBe(K20);
    expect(toHex(V4[0])).toBe('01010000');
  });

  it.each([
    ['a boot id of 35 characters', 20, V4, LOCAL_BOOT.slice(1), 'ERR_BOOT_ID'],
    ['no boot id', 20, V4, '', 'ERR_BOOT_ID'],
    ['ends of two families', 20, [V4[0], V6[1]], LOCAL_BOOT, 'ERR_ADDRESS'],
    ['a key longer than SHA-512', 65, V4, LOCAL_BOOT, 'ERR_KEY'],
  ] as const)('refuses %s', (_, len, [src, dst], bootId, code) => {
    const derive = () => deriveKey(new Uint8Array(len).fill(0xa5), src, dst, bootId, REMOTE_BOOT);
    expect(derive).toThrow(EsplaneError);
    expect(derive).toThrow(expect.objectContaining({ code, message: expect.not.stringContaining('a5a5') }));
  });
});

describe('deriveMaterial', () => {
  it('derives an AEAD key with its salt as one', () => {
    const derived = deriveMaterial(aead('rfc4106(gcm(aes))', hex(K20), 128), ...V4, LOCAL_BOOT, REMOTE_BOOT);
    expect(toHex(derived.key()) + toHex(derived.salt())).toBe('2772ac2a25e413cda118a89b32053971c5fc47a2');
    expect(derived.suite.icvLen).toBe(16);
  });

  it('derives integrity and cipher key each on its own: equal keys stay equal', () => {
    const derived = deriveMaterial(
      authenc('hmac(sha256)', hex(K16), 'cbc(aes)', hex(K16)),
      ...V4,
      LOCAL_BOOT,
      REMOTE_BOOT,
    );
    expect(toHex(derived.macKey())).toBe('ae76e18a59cdf7c9538b89244966410e');
    expect(toHex(derived.key())).toBe('ae76e18a59cdf7c9538b89244966410e');
  });

  it('derives nothing from the empty keys of the null algorithms', () => {
    const none = new Uint8Array(0);
    const derived = deriveMaterial(
      authenc('digest_null', none, 'cipher_null', none),
      ...V4,
      LOCAL_BOOT,
      REMOTE_BOOT,
    );
    expect([derived.key().length, derived.macKey().length]).toEqual([0, 0]);
  });
});
