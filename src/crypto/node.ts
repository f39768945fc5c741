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
  getHashes,
  type KeyObject,
} from 'node:crypto';
import { EsplaneError } from '../base/errors.ts';
import { AesMac, type ZeroCbc } from './aes-mac.ts';
import { EncryptThenMac, type KeyedMac, type KeyedMode } from './encrypt-then-mac.ts';
import { type JobTable, NONCE_LEN } from './engine.ts';
import { ADDON_REMEDY, HASHES, openSslCipher } from './openssl-names.ts';
import { aadOf, firstCounter, nonceOf, type RowCipher, RowEngine } from './rows.ts';
import type { KeyMaterial, Suite } from './suite.ts';

const TAG_LEN = 16;
const AES_BLOCK = 16;
/** RFC 4309 §4: salt of three bytes and IV. */
const CCM_NONCE_LEN = 11;

/**
 * The backend over `node:crypto`. Its copies of keys are `KeyObject`s, whose bytes lie outside JavaScript and are
 * cleared when a removed key is collected.
 */
export class NodeEngine extends RowEngine {
  readonly name = 'node';

  protected prepare(material: KeyMaterial): RowCipher {
    const { suite } = material;
    const { name, key: bytes } = openSslCipher(material);
    const key = createSecretKey(bytes);
    bytes.fill(0);
    if (name !== '') checkHas(suite, name, key);
    switch (suite.cipher) {
      case 'aes-gcm':
      case 'chacha20-poly1305':
        return new Aead(name, key, suite.icvLen, NONCE_LEN);
      case 'aes-ccm':
        return new Aead(name, key, suite.icvLen, CCM_NONCE_LEN);
      case 'aes-gmac':
        return new Gmac(name, key);
      case 'aes-ctr':
        return new EncryptThenMac(suite, new Ctr(name, key), macOf(material));
      case 'null':
        return new EncryptThenMac(suite, undefined, macOf(material));
      default:
        return new EncryptThenMac(suite, new Cbc(name, key, suite.ivLen), macOf(material));
    }
  }
}

/** RFC 4106, RFC 4309 and RFC 7634. */
class Aead implements RowCipher {
  readonly #name: CipherGCMTypes;
  readonly #key: KeyObject;
  readonly #options: { readonly authTagLength: number };
  readonly #nonceLen: number;

  constructor(name: string, key: KeyObject, icvLen: number, nonceLen: number) {
    // Node treats ChaCha20-Poly1305 and CCM as it does GCM, but that CCM wants to know the length of the text; only the
    // types tell them apart.
    this.#name = name as CipherGCMTypes;
    this.#key = key;
    this.#options = { authTagLength: icvLen };
    this.#nonceLen = nonceLen;
  }

  seal(slab: Uint8Array, jobs: JobTable, row: number): void {
    const at = jobs.textAt[row]!;
    const plaintextLength = jobs.textLen[row]!;
    const end = at + plaintextLength;
    const cipher = createCipheriv(this.#name, this.#key, this.#nonce(jobs, row), this.#options);
    cipher.setAAD(aadOf(jobs, row), { plaintextLength });
    slab.set(cipher.update(slab.subarray(at, end)), at);
    cipher.final();
    slab.set(cipher.getAuthTag(), end);
  }

  open(slab: Uint8Array, jobs: JobTable, row: number): boolean {
    const at = jobs.textAt[row]!;
    const plaintextLength = jobs.textLen[row]!;
    const end = at + plaintextLength;
    const decipher = createDecipheriv(this.#name, this.#key, this.#nonce(jobs, row), this.#options);
    decipher.setAuthTag(slab.subarray(end, end + this.#options.authTagLength));
    decipher.setAAD(aadOf(jobs, row), { plaintextLength });
    const text = decipher.update(slab.subarray(at, end));
    if (!verified(decipher)) return false;
    slab.set(text, at);
    return true;
  }

  #nonce(jobs: JobTable, row: number): Uint8Array {
    return nonceOf(jobs, row).subarray(NONCE_LEN - this.#nonceLen);
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

/** RFC 3602 and others, without the padding of PKCS#7: ESP has its own. */
class Cbc implements KeyedMode {
  readonly #name: string;
  readonly #key: KeyObject;
  readonly #ivLen: number;
  readonly #decipher: Decipher;

  constructor(name: string, key: KeyObject, ivLen: number) {
    this.#name = name;
    this.#key = key;
    this.#ivLen = ivLen;
    this.#decipher = createDecipheriv(name, key, new Uint8Array(ivLen)).setAutoPadding(false);
  }

  encrypt(slab: Uint8Array, jobs: JobTable, row: number): void {
    const at = jobs.textAt[row]!;
    const iv = slab.subarray(at - this.#ivLen, at);
    const cipher = createCipheriv(this.#name, this.#key, iv).setAutoPadding(false);
    slab.set(cipher.update(slab.subarray(at, at + jobs.textLen[row]!)), at);
  }

  /**
   * One decipher serves all packets: a block is decrypted with only the block before it, so a decipher that is
   * fed IV and text as one stream needs no IV of its own. What it makes of the IV is thrown away.
   */
  decrypt(slab: Uint8Array, jobs: JobTable, row: number): void {
    const at = jobs.textAt[row]!;
    const ivAndText = slab.subarray(at - this.#ivLen, at + jobs.textLen[row]!);
    slab.set(this.#decipher.update(ivAndText).subarray(this.#ivLen), at);
  }
}

/** RFC 3686. */
class Ctr implements KeyedMode {
  readonly #name: string;
  readonly #key: KeyObject;

  constructor(name: string, key: KeyObject) {
    this.#name = name;
    this.#key = key;
  }

  encrypt(slab: Uint8Array, jobs: JobTable, row: number): void {
    const at = jobs.textAt[row]!;
    const cipher = createCipheriv(this.#name, this.#key, firstCounter(jobs, row));
    slab.set(cipher.update(slab.subarray(at, at + jobs.textLen[row]!)), at);
  }

  decrypt(slab: Uint8Array, jobs: JobTable, row: number): void {
    this.encrypt(slab, jobs, row);
  }
}

/** RFC 2104. */
class Hmac implements KeyedMac {
  readonly #hash: string;
  readonly #key: KeyObject;

  constructor(hash: string, key: Uint8Array) {
    this.#hash = hash;
    this.#key = createSecretKey(key);
  }

  tag(covered: Uint8Array, high: Uint8Array | undefined): Uint8Array {
    const mac = createHmac(this.#hash, this.#key).update(covered);
    if (high) mac.update(high);
    return mac.digest();
  }
}

function macOf(material: KeyMaterial): KeyedMac | undefined {
  const { name, mac } = material.suite;
  if (mac === undefined) return undefined;
  if (mac === 'aes-xcbc' || mac === 'aes-cmac') return new AesMac(mac, material.macKey(), zeroCbc);
  if (getHashes().includes(HASHES[mac])) return new Hmac(HASHES[mac], material.macKey());
  throw new EsplaneError('ERR_SUITE', `${name}: the OpenSSL of this Node has no ${HASHES[mac]}`);
}

function zeroCbc(bytes: Uint8Array): ZeroCbc {
  const name = `aes-${bytes.length * 8}-cbc`;
  const key = createSecretKey(bytes);
  const iv = new Uint8Array(AES_BLOCK);
  return (text) => createCipheriv(name, key, iv).setAutoPadding(false).update(text);
}

/**
 * Has OpenSSL a cipher? A FIPS build has no ChaCha20-Poly1305, and CAST5 and Blowfish are in a provider that Node does not
 * load by itself.
 * @throws {EsplaneError} `ERR_SUITE` when it has not
 */
function checkHas({ name: suite, cipher }: Suite, name: string, key: KeyObject): void {
  const info = getCipherInfo(name, { keyLength: key.symmetricKeySize! });
  try {
    if (info) {
      createCipheriv(name as CipherGCMTypes, key, new Uint8Array(info.ivLength ?? 0), {
        authTagLength: TAG_LEN,
      });
      return;
    }
  } catch {
    // Below.
  }
  throw new EsplaneError(
    'ERR_SUITE',
    `${suite}: the OpenSSL of this Node has no ${cipher}; the addon may: ${ADDON_REMEDY}`,
  );
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
