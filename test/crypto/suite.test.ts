import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { EsplaneError } from '../../src/base/errors.ts';
import { aead, authenc, KeyMaterial } from '../../src/crypto/suite.ts';

/** Counting bytes from 0xb0: easy to find where they must not be. */
function counting(len: number): Uint8Array {
  return Uint8Array.from({ length: len }, (_, i) => 0xb0 + (i % 64));
}

const NONE = new Uint8Array(0);

function codeOf(make: () => unknown): string | undefined {
  try {
    make();
  } catch (error) {
    return error instanceof EsplaneError ? error.code : String(error);
  }
  return undefined;
}

describe('aead', () => {
  it.each([
    ['rfc4106(gcm(aes))', 'aes-gcm', [16, 24, 32], [64, 96, 128]],
    ['rfc4543(gcm(aes))', 'aes-gmac', [16, 24, 32], [128]],
    ['rfc7539esp(chacha20,poly1305)', 'chacha20-poly1305', [32], [128]],
  ] as const)('%s: keys and ICVs that Linux has, and no others', (name, cipher, keyLens, icvs) => {
    for (let keyLen = 0; keyLen <= 40; keyLen++) {
      for (let icv = 0; icv <= 160; icv += 8) {
        const make = () => aead(name, counting(keyLen + 4), icv);
        if (!(icvs as readonly number[]).includes(icv)) {
          expect(codeOf(make), `icv ${icv}`).toBe('ERR_SUITE');
        } else if (!(keyLens as readonly number[]).includes(keyLen)) {
          expect(codeOf(make), `key ${keyLen}`).toBe('ERR_KEY');
        } else {
          const want = {
            name,
            cipher,
            mac: undefined,
            keyLen,
            saltLen: 4,
            ivLen: 8,
            icvLen: icv / 8,
            align: 4,
          };
          expect(make().suite).toEqual(want);
        }
      }
    }
  });

  it('takes the salt from the end of the key material (RFC 4106 §8.1)', () => {
    const material = aead('rfc4106(gcm(aes))', counting(20), 128);
    expect(material.key()).toEqual(counting(20).subarray(0, 16));
    expect(material.salt()).toEqual(counting(20).subarray(16));
    expect(material.macKey()).toEqual(NONE);
  });

  it('refuses key material shorter than a salt', () => {
    expect(codeOf(() => aead('rfc4106(gcm(aes))', counting(3), 128))).toBe('ERR_KEY');
  });
});

describe('authenc', () => {
  it.each([
    ['hmac(sha1)', 'hmac-sha1', 96, 160],
    ['hmac(sha256)', 'hmac-sha256', 96, 256],
    ['hmac(sha384)', 'hmac-sha384', 192, 384],
    ['hmac(sha512)', 'hmac-sha512', 256, 512],
  ] as const)('%s: the default truncation of the kernel is %s', (name, mac, bits, full) => {
    const make = (trunc?: number) => authenc(name, counting(20), 'cbc(aes)', counting(16), trunc);
    expect(make().suite.icvLen).toBe(bits / 8);
    expect(make().suite).toMatchObject({ mac, cipher: 'aes-cbc', ivLen: 16, saltLen: 0, align: 16 });
    for (const trunc of [32, 96, 128, full]) expect(make(trunc).suite.icvLen).toBe(trunc / 8);
    for (const trunc of [-8, 0, 24, 97, 100.5, full + 8, Number.NaN]) {
      expect(
        codeOf(() => make(trunc)),
        `${trunc} bits`,
      ).toBe('ERR_SUITE');
    }
  });

  it('knows short names of the kernel, and calls the suite the long way', () => {
    expect(authenc('sha1', counting(20), 'aes', counting(16)).suite.name).toBe(
      'authenc(hmac(sha1),cbc(aes))',
    );
    expect(authenc('sha256', counting(20), 'cipher_null', NONE).suite.name).toBe(
      'authenc(hmac(sha256),ecb(cipher_null))',
    );
  });

  it('has AES keys of three lengths, and none for the null cipher', () => {
    for (const keyLen of [0, 1, 15, 16, 17, 24, 32, 33]) {
      const fits = [16, 24, 32].includes(keyLen);
      expect(codeOf(() => authenc('sha1', counting(20), 'cbc(aes)', counting(keyLen)))).toBe(
        fits ? undefined : 'ERR_KEY',
      );
      expect(codeOf(() => authenc('sha1', counting(20), 'cipher_null', counting(keyLen)))).toBe(
        keyLen === 0 ? undefined : 'ERR_KEY',
      );
    }
  });

  it('takes digest_null, which has no ICV', () => {
    expect(authenc('digest_null', NONE, 'cbc(aes)', counting(16)).suite).toMatchObject({
      mac: undefined,
      icvLen: 0,
    });
    expect(authenc('digest_null', NONE, 'ecb(cipher_null)', NONE, 0).suite).toMatchObject({
      mac: undefined,
      icvLen: 0,
      ivLen: 0,
      align: 4,
    });
    for (const bits of [-8, 96]) {
      expect(codeOf(() => authenc('digest_null', NONE, 'ecb(cipher_null)', NONE, bits))).toBe('ERR_SUITE');
    }
  });

  it('takes the lengths of keys that Linux 6.1 takes, and no others', () => {
    const anyKey = Array.from({ length: 70 }, (_, i) => i);
    const taken = (make: (key: Uint8Array) => KeyMaterial) =>
      anyKey.filter((len) => codeOf(() => make(counting(len))) === undefined);
    const mac = (name: string) => taken((key) => authenc(name, key, 'aes', counting(16)));
    const cipher = (name: string) => taken((key) => authenc('sha1', counting(20), name, key));
    const from = (first: number, last: number) => anyKey.slice(first, last + 1);
    // As User-mode Linux answered `ip xfrm state add` for each length.
    for (const name of ['digest_null', 'md5', 'hmac(sha384)', 'rmd160', 'sm3'])
      expect(mac(name)).toEqual(anyKey);
    for (const name of ['xcbc(aes)', 'cmac(aes)']) expect(mac(name)).toEqual([16, 24, 32]);
    for (const name of ['aes', 'camellia', 'twofish']) expect(cipher(name)).toEqual([16, 24, 32]);
    expect(cipher('cipher_null')).toEqual([0]);
    expect(cipher('des')).toEqual([8]);
    expect(cipher('des3_ede')).toEqual([24]);
    expect(cipher('cast5')).toEqual(from(5, 16));
    expect(cipher('blowfish')).toEqual(from(4, 56));
    expect(cipher('serpent')).toEqual(from(0, 32));
    expect(cipher('rfc3686(ctr(aes))')).toEqual([20, 28, 36]);
    expect(cipher('sm4')).toEqual([16]);
    expect(taken((key) => aead('rfc4309(ccm(aes))', key, 64))).toEqual([19, 27, 35]);
  });

  it.each(['sha384', 'sha512', 'xcbc', 'cmac', 'ctr(aes)', 'rfc4309', 'gcm(aes)'])(
    'has no short name %s, as Linux has none',
    (name) => {
      expect(codeOf(() => authenc(name, counting(16), 'aes', counting(16)))).toBe('ERR_SUITE');
      expect(codeOf(() => authenc('sha1', counting(16), name, counting(16)))).toBe('ERR_SUITE');
    },
  );

  it('splits the nonce off a key of AES-CTR (RFC 3686 §5.1)', () => {
    const material = authenc('sha1', counting(20), 'rfc3686(ctr(aes))', counting(20));
    expect(material.key()).toEqual(counting(16));
    expect(material.salt()).toEqual(counting(20).subarray(16));
    expect(material.suite).toMatchObject({ keyLen: 16, saltLen: 4, ivLen: 8, align: 4 });
  });

  it('puts a salt of three bytes behind a zero', () => {
    expect(aead('rfc4309(ccm(aes))', counting(19), 128).saltWord()).toBe(0x00c0_c1c2);
    expect(aead('rfc4106(gcm(aes))', counting(20), 128).saltWord()).toBe(0xc0c1_c2c3);
    expect(authenc('sha1', counting(20), 'aes', counting(16)).saltWord()).toBe(0);
  });
});

describe('unknown names', () => {
  it.each(['', 'gcm(aes)', 'RFC4106(GCM(AES))', 'hmac(md4)', 'constructor', '__proto__', 'toString'])(
    '%j is ERR_SUITE, and the message lists what there is',
    (name) => {
      const calls: [() => unknown, string][] = [
        [() => aead(name, counting(20), 128), 'rfc4106(gcm(aes))'],
        [() => authenc(name, counting(20), 'cbc(aes)', counting(16)), 'hmac(sha256)'],
        [() => authenc('hmac(sha256)', counting(20), name, counting(16)), 'cbc(aes)'],
      ];
      for (const [call, known] of calls) {
        expect(codeOf(call)).toBe('ERR_SUITE');
        expect(call).toThrow(known);
        expect(call).toThrow(`"${name}"`);
      }
    },
  );
});

describe('KeyMaterial', () => {
  const all = [
    aead('rfc4106(gcm(aes))', counting(36), 128),
    authenc('hmac(sha256)', counting(32), 'cbc(aes)', counting(16)),
  ];

  it('refuses lengths that are not the suite’s, and says lengths only', () => {
    const { suite } = all[0]!;
    for (const [key, salt] of [
      [31, 4],
      [32, 3],
      [36, 0],
    ] as const) {
      const make = () => new KeyMaterial(suite, counting(key), counting(salt), NONE);
      expect(codeOf(make)).toBe('ERR_KEY');
      expect(make).toThrow(`got ${key} and ${salt}`);
    }
  });

  it.each(all.map((material) => [material.suite.name, material] as const))(
    '%s never shows its bytes',
    (_, m) => {
      const shown = [
        JSON.stringify(m),
        JSON.stringify({ nested: [m] }),
        String(m),
        `${m}`,
        inspect(m, { showHidden: true, depth: null }),
        inspect(m, { showHidden: true, depth: null, customInspect: false }),
        inspect({ nested: [m] }, { showHidden: true, depth: null }),
        JSON.stringify(structuredClone({ ...m })),
        inspect(Object.getOwnPropertyDescriptors(m), { showHidden: true, depth: null }),
      ];
      for (const text of shown) {
        expect(text).not.toMatch(/b0[\s,]*b1|176[\s,]*177|\bb0\b/);
        expect(text).toContain(m.suite.name);
      }
    },
  );

  it('says no key byte in an error', () => {
    for (const make of [
      () => aead('rfc4106(gcm(aes))', counting(21), 128),
      () => authenc('sha1', counting(20), 'cbc(aes)', counting(17)),
    ]) {
      expect(make).toThrow(EsplaneError);
      expect(make).not.toThrow(/b0b1|176/);
    }
  });

  it('copies what it is given, and wipes its own copies', () => {
    const keymat = counting(20);
    const material = aead('rfc4106(gcm(aes))', keymat, 128);
    keymat.fill(0);
    expect(toHex(material.key())).toBe(toHex(counting(16)));
    const both = authenc('sha1', counting(20), 'cbc(aes)', counting(16));
    material.wipe();
    both.wipe();
    for (const bytes of [material.key(), material.salt(), both.key(), both.macKey()]) {
      expect(bytes.every((v) => v === 0)).toBe(true);
    }
  });

  it('compares suite, ICV length and all three keys', () => {
    const base = () => authenc('sha1', counting(20), 'cbc(aes)', counting(16));
    expect(base().equals(base())).toBe(true);
    const changed = counting(20).fill(0, 19);
    const others = [
      authenc('sha256', counting(20), 'cbc(aes)', counting(16)),
      authenc('sha1', counting(20), 'cbc(aes)', counting(16), 160),
      authenc('sha1', changed, 'cbc(aes)', counting(16)),
      authenc('sha1', counting(21), 'cbc(aes)', counting(16)),
      authenc('sha1', counting(20), 'cbc(aes)', changed.subarray(4)),
    ];
    for (const other of others) expect(base().equals(other)).toBe(false);
    const withSalt = (keymat: Uint8Array) => aead('rfc4106(gcm(aes))', keymat, 128);
    expect(withSalt(counting(20)).equals(withSalt(counting(20)))).toBe(true);
    expect(withSalt(counting(20)).equals(withSalt(changed)), 'salt').toBe(false);
  });
});
