/**
 * The backend over `node:crypto`, that is OpenSSL: fast ciphers behind a few microseconds of JavaScript objects
 * for every packet, because a cipher object cannot be given a new nonce.
 * @module
 */
import {
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type Decipher,
  getCipherInfo,
  type KeyObject,
} from 'node:crypto';
import { EsplaneError } from '../base/errors.ts';
import { EncryptThenMac, type KeyedMac, type KeyedMode } from './encrypt-then-mac.ts';
import type { JobTable } from './engine.ts';
import { aadOf, nonceOf, type RowCipher, RowEngine } from './rows.ts';
import type { KeyMaterial, Mac, Suite } from './suite.ts';

const TAG_LEN = 16;
const BLOCK_LEN = 16;

/**
 * The backend over `node:crypto`. Its copies of keys are `KeyObject`s, whose bytes lie outside JavaScript and are
 * cleared when a removed key is collected.
 */
export class NodeEngine extends RowEngine {
  readonly name = 'node';

  protected prepare(material: KeyMaterial): RowCipher {
    const { suite } = material;
    const key = createSecretKey(material.key());
    const bits = suite.keyLen * 8;
    switch (suite.cipher) {
      case 'aes-gcm':
        return new Aead(known(suite, `aes-${bits}-gcm`), key, suite.icvLen);
      case 'chacha20-poly1305':
        return new Aead(known(suite, suite.cipher), key, suite.icvLen);
      case 'aes-gmac':
        return new Gmac(known(suite, `aes-${bits}-gcm`), key);
      case 'aes-cbc':
        return new EncryptThenMac(suite, new Cbc(known(suite, `aes-${bits}-cbc`), key), macOf(material));
      case 'null':
        return new EncryptThenMac(suite, undefined, macOf(material));
    }
  }
}

/** RFC 4106 and RFC 7634. */
class Aead implements RowCipher {
  readonly #name: CipherGCMTypes;
  readonly #key: KeyObject;
  readonly #options: { readonly authTagLength: number };

  constructor(name: string, key: KeyObject, icvLen: number) {
    // Node treats ChaCha20-Poly1305 as it does GCM; only the types tell them apart.
    this.#name = name as CipherGCMTypes;
    this.#key = key;
    this.#options = { authTagLength: icvLen };
  }

  seal(slab: Uint8Array, jobs: JobTable, row: number): void {
    const at = jobs.textAt[row]!;
    const end = at + jobs.textLen[row]!;
    const cipher = createCipheriv(this.#name, this.#key, nonceOf(jobs, row), this.#options);
    cipher.setAAD(aadOf(jobs, row));
    slab.set(cipher.update(slab.subarray(at, end)), at);
    cipher.final();
    slab.set(cipher.getAuthTag(), end);
  }

  open(slab: Uint8Array, jobs: JobTable, row: number): boolean {
    const at = jobs.textAt[row]!;
    const end = at + jobs.textLen[row]!;
    const decipher = createDecipheriv(this.#name, this.#key, nonceOf(jobs, row), this.#options);
    decipher.setAAD(aadOf(jobs, row));
    decipher.setAuthTag(slab.subarray(end, end + this.#options.authTagLength));
    const text = decipher.update(slab.subarray(at, end));
    if (!verified(decipher)) return false;
    slab.set(text, at);
    return true;
  }
}

/** RFC 4543: GCM of an empty text, where everything is AAD: the row's AAD, then IV and text from the slab. */
class Gmac implements RowCipher {
  readonly #name: CipherGCMTypes;
  readonly #key: KeyObject;

  constructor(name: string, key: KeyObject) {
    this.#name = name as CipherGCMTypes;
    this.#key = key;
  }

  seal(slab: Uint8Array, jobs: JobTable, row: number): void {
    const at = jobs.textAt[row]!;
    const end = at + jobs.textLen[row]!;
    const cipher = createCipheriv(this.#name, this.#key, nonceOf(jobs, row));
    cipher.setAAD(aadOf(jobs, row));
    cipher.setAAD(slab.subarray(at - 8, end));
    cipher.final();
    slab.set(cipher.getAuthTag(), end);
  }

  open(slab: Uint8Array, jobs: JobTable, row: number): boolean {
    const at = jobs.textAt[row]!;
    const end = at + jobs.textLen[row]!;
    const decipher = createDecipheriv(this.#name, this.#key, nonceOf(jobs, row));
    decipher.setAAD(aadOf(jobs, row));
    decipher.setAAD(slab.subarray(at - 8, end));
    decipher.setAuthTag(slab.subarray(end, end + TAG_LEN));
    return verified(decipher);
  }
}

/** RFC 3602, without the padding of PKCS#7: ESP has its own. */
class Cbc implements KeyedMode {
  readonly #name: string;
  readonly #key: KeyObject;
  readonly #decipher: Decipher;

  constructor(name: string, key: KeyObject) {
    this.#name = name;
    this.#key = key;
    this.#decipher = createDecipheriv(name, key, new Uint8Array(BLOCK_LEN)).setAutoPadding(false);
  }

  encrypt(slab: Uint8Array, at: number, len: number): void {
    const cipher = createCipheriv(this.#name, this.#key, slab.subarray(at - BLOCK_LEN, at)).setAutoPadding(
      false,
    );
    slab.set(cipher.update(slab.subarray(at, at + len)), at);
  }

  /**
   * One decipher serves all packets: a block is decrypted with only the block before it, so a decipher that is
   * fed IV and text as one stream needs no IV of its own. What it makes of the IV is thrown away.
   */
  decrypt(slab: Uint8Array, at: number, len: number): void {
    slab.set(this.#decipher.update(slab.subarray(at - BLOCK_LEN, at + len)).subarray(BLOCK_LEN), at);
  }
}

const HASHES = {
  'hmac-sha1': 'sha1',
  'hmac-sha256': 'sha256',
  'hmac-sha384': 'sha384',
  'hmac-sha512': 'sha512',
};

/** RFC 2104. */
class Hmac implements KeyedMac {
  readonly #hash: string;
  readonly #key: KeyObject;

  constructor(name: Mac, key: Uint8Array) {
    this.#hash = HASHES[name];
    this.#key = createSecretKey(key);
  }

  tag(covered: Uint8Array, high: Uint8Array | undefined): Uint8Array {
    const mac = createHmac(this.#hash, this.#key).update(covered);
    if (high) mac.update(high);
    return mac.digest();
  }
}

function macOf(material: KeyMaterial): KeyedMac | undefined {
  return material.suite.mac && new Hmac(material.suite.mac, material.macKey());
}

/** The name of a cipher, when OpenSSL has it: a FIPS build has no ChaCha20-Poly1305. */
function known(suite: Suite, name: string): string {
  if (getCipherInfo(name)) return name;
  throw new EsplaneError('ERR_SUITE', `${suite.name}: the OpenSSL of this Node has no ${name}`);
}

/** Node throws on a wrong tag; OpenSSL has compared it in constant time. */
function verified(decipher: Decipher): boolean {
  try {
    decipher.final();
    return true;
  } catch {
    return false;
  }
}
