/**
 * What OpenSSL calls ciphers and hashes, for both backends over it: `node:crypto` and the addon.
 * @module
 */
import type { KeyMaterial, Mac } from './suite.ts';

/** What brings the ciphers that `node:crypto` does not have. */
export const ADDON_REMEDY = 'apt-get install g++ make python3 libgcrypt20-dev, then npm run build:addon';

/** Names of hashes of HMACs. */
export const HASHES: Readonly<Record<Exclude<Mac, 'aes-xcbc' | 'aes-cmac'>, string>> = {
  'hmac-md5': 'md5',
  'hmac-sha1': 'sha1',
  'hmac-sha256': 'sha256',
  'hmac-sha384': 'sha384',
  'hmac-sha512': 'sha512',
  'hmac-rmd160': 'ripemd160',
  'hmac-sm3': 'sm3',
};

/** A cipher's name, empty for none, and the key for it: a copy. */
export interface OpenSslCipher {
  readonly name: string;
  readonly key: Uint8Array;
}

/** The cipher of a suite. Serpent and Twofish, which OpenSSL does not have, go by the names of libgcrypt. */
export function openSslCipher(material: KeyMaterial): OpenSslCipher {
  const { cipher, keyLen } = material.suite;
  const key = material.key().slice();
  const bits = keyLen * 8;
  switch (cipher) {
    case 'aes-gmac':
      return { name: `aes-${bits}-gcm`, key };
    case 'aes-gcm':
    case 'aes-ccm':
    case 'aes-ctr':
    case 'aes-cbc':
    case 'camellia-cbc':
      return { name: cipher.replace('-', `-${bits}-`), key };
    case 'des3-cbc':
      return { name: 'des-ede3-cbc', key };
    case 'des-cbc': {
      // With one key three times 3DES is DES; OpenSSL 3 has DES itself in its legacy provider only.
      const thrice = Uint8Array.from([...key, ...key, ...key]);
      key.fill(0);
      return { name: 'des-ede3-cbc', key: thrice };
    }
    case 'blowfish-cbc':
      return { name: 'bf-cbc', key };
    case 'serpent-cbc': {
      const padded = paddedSerpent(key);
      key.fill(0);
      return { name: 'serpent256', key: padded };
    }
    case 'twofish-cbc':
      return { name: bits === 128 ? 'twofish128' : 'twofish', key };
    case 'null':
      return { name: '', key };
    case 'chacha20-poly1305':
    case 'cast5-cbc':
    case 'sm4-cbc':
      return { name: cipher, key };
  }
}

/** Serpent's own rule: a short key is a longer one that goes on with a bit 1 and zeros. */
function paddedSerpent(key: Uint8Array): Uint8Array {
  const padded = new Uint8Array(32);
  padded.set(key);
  if (key.length < padded.length) padded[key.length] = 1;
  return padded;
}
