/**
 * The reference backend: the audited ciphers of `@noble` in plain JavaScript. Runs everywhere, browsers too.
 *
 * It is for reading and for checking the fast backends, not for speed: noble expands an AES key anew for every
 * packet and returns new arrays. Like all table-driven AES it is **not** constant time in key and text; the
 * comparison of ICVs is.
 * @module
 */
import { cbc, ctr, gcm } from '@noble/ciphers/aes.js';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { hmac } from '@noble/hashes/hmac.js';
import { md5, ripemd160, sha1 } from '@noble/hashes/legacy.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { putU32 } from '../base/bytes.ts';
import { EsplaneError } from '../base/errors.ts';
import { AesMac, type ZeroCbc } from './aes-mac.ts';
import { EncryptThenMac, type KeyedMac, type KeyedMode } from './encrypt-then-mac.ts';
import type { JobTable } from './engine.ts';
import { aadOf, firstCounter, nonceOf, type RowCipher, RowEngine, tagMatches } from './rows.ts';
import type { Cipher, KeyMaterial, Mac } from './suite.ts';

const TAG_LEN = 16;
const BLOCK = 16;
const EMPTY = new Uint8Array(0);

/** The backend in plain JavaScript: AES and ChaCha20, with all MACs but HMAC of SM3. */
export class NobleEngine extends RowEngine {
  readonly name = 'noble';

  protected prepare(material: KeyMaterial): RowCipher {
    const { suite } = material;
    const key = material.key().slice();
    if (suite.cipher === 'aes-gcm') return new Gcm(key);
    if (suite.cipher === 'aes-ccm') return new Ccm(key);
    if (suite.cipher === 'aes-gmac') return new Gmac(key);
    if (suite.cipher === 'chacha20-poly1305') return new ChaCha(key);
    return new EncryptThenMac(suite, modeOf(suite.cipher, key), macOf(suite.mac, material.macKey()));
  }
}

function modeOf(cipher: Cipher, key: Uint8Array): KeyedMode | undefined {
  if (cipher === 'aes-cbc') return new Cbc(key);
  if (cipher === 'aes-ctr') return new Ctr(key);
  if (cipher === 'null') return undefined;
  throw missing(cipher);
}

function macOf(mac: Mac | undefined, key: Uint8Array): KeyedMac | undefined {
  if (mac === undefined) return undefined;
  if (mac === 'aes-xcbc' || mac === 'aes-cmac') return new AesMac(mac, key, zeroCbc);
  if (mac === 'hmac-sm3') throw missing(mac);
  return new Hmac(HASHES[mac], key);
}

function missing(what: Cipher | Mac): EsplaneError {
  return new EsplaneError(
    'ERR_SUITE',
    `JavaScript alone has no ${what} here: decrypt it with the command esplane and --crypto node, or the addon`,
  );
}

/** RFC 4106. A shorter ICV is the front of the full tag. */
class Gcm implements RowCipher {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  seal(slab: Uint8Array, jobs: JobTable, row: number): void {
    const at = jobs.textAt[row]!;
    const len = jobs.textLen[row]!;
    const sealed = this.#gcm(jobs, row).encrypt(slab.subarray(at, at + len));
    slab.set(sealed.subarray(0, len + jobs.icvLen[row]!), at);
  }

  open(slab: Uint8Array, jobs: JobTable, row: number): boolean {
    const at = jobs.textAt[row]!;
    const len = jobs.textLen[row]!;
    const icvLen = jobs.icvLen[row]!;
    if (icvLen === TAG_LEN) {
      const text = unlessThrown(() => this.#gcm(jobs, row).decrypt(slab.subarray(at, at + len + TAG_LEN)));
      if (text) slab.set(text, at);
      return text !== undefined;
    }
    // noble checks full tags only. But GCM encrypts by XOR: encrypting the ciphertext yields the text, and
    // sealing the text yields the full tag, whose front must be the ICV.
    const text = this.#gcm(jobs, row)
      .encrypt(slab.subarray(at, at + len))
      .subarray(0, len);
    const tag = this.#gcm(jobs, row).encrypt(text).subarray(len);
    if (!tagMatches(slab, at + len, tag, icvLen)) return false;
    slab.set(text, at);
    return true;
  }

  wipe(): void {
    this.#key.fill(0);
  }

  #gcm(jobs: JobTable, row: number) {
    return gcm(this.#key, nonceOf(jobs, row), aadOf(jobs, row));
  }
}

/** RFC 4543: GCM of an empty text, where everything is AAD: the row's AAD, the IV, the text. */
class Gmac implements RowCipher {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  seal(slab: Uint8Array, jobs: JobTable, row: number): void {
    slab.set(this.#tag(slab, jobs, row), jobs.textAt[row]! + jobs.textLen[row]!);
  }

  open(slab: Uint8Array, jobs: JobTable, row: number): boolean {
    return tagMatches(slab, jobs.textAt[row]! + jobs.textLen[row]!, this.#tag(slab, jobs, row), TAG_LEN);
  }

  wipe(): void {
    this.#key.fill(0);
  }

  #tag(slab: Uint8Array, jobs: JobTable, row: number): Uint8Array {
    const at = jobs.textAt[row]!;
    const aad = aadOf(jobs, row);
    const ivAndText = slab.subarray(at - 8, at + jobs.textLen[row]!);
    const all = new Uint8Array(aad.length + ivAndText.length);
    all.set(aad);
    all.set(ivAndText, aad.length);
    return gcm(this.#key, nonceOf(jobs, row), all).encrypt(EMPTY);
  }
}

/** RFC 4309: CBC-MAC of everything, then counter mode over it and the text (RFC 3610). */
class Ccm implements RowCipher {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  seal(slab: Uint8Array, jobs: JobTable, row: number): void {
    const at = jobs.textAt[row]!;
    const text = slab.subarray(at, at + jobs.textLen[row]!);
    const sealed = this.#counted(jobs, row, this.#mac(jobs, row, text), text);
    slab.set(sealed.subarray(BLOCK), at);
    slab.set(sealed.subarray(0, jobs.icvLen[row]!), at + text.length);
  }

  open(slab: Uint8Array, jobs: JobTable, row: number): boolean {
    const at = jobs.textAt[row]!;
    const end = at + jobs.textLen[row]!;
    const icvLen = jobs.icvLen[row]!;
    const icv = slab.subarray(end, end + icvLen);
    const opened = this.#counted(jobs, row, icv, slab.subarray(at, end));
    const text = opened.subarray(BLOCK);
    if (!tagMatches(opened, 0, this.#mac(jobs, row, text), icvLen)) return false;
    slab.set(text, at);
    return true;
  }

  wipe(): void {
    this.#key.fill(0);
  }

  /** Tag and text in counter mode: counter 0 is for the tag (RFC 3610 §2.3). */
  #counted(jobs: JobTable, row: number, tag: Uint8Array, text: Uint8Array): Uint8Array {
    const both = new Uint8Array(BLOCK + text.length);
    both.set(tag);
    both.set(text, BLOCK);
    return ctr(this.#key, ccmBlock(COUNTER_FLAGS, jobs, row, 0)).encrypt(both);
  }

  /** RFC 3610 §2.2: CBC-MAC of a first block with all lengths, the AAD, and the text, each filled up with zeros. */
  #mac(jobs: JobTable, row: number, text: Uint8Array): Uint8Array {
    const aad = aadOf(jobs, row);
    const flags = (aad.length > 0 ? 0x40 : 0) | (((jobs.icvLen[row]! - 2) / 2) << 3) | COUNTER_FLAGS;
    const textAt = aad.length > 0 ? 2 * BLOCK : BLOCK;
    const all = new Uint8Array(textAt + Math.ceil(text.length / BLOCK) * BLOCK);
    all.set(ccmBlock(flags, jobs, row, text.length));
    if (aad.length > 0) {
      all[BLOCK + 1] = aad.length;
      all.set(aad, BLOCK + 2);
    }
    all.set(text, textAt);
    return zeroCbc(this.#key)(all).subarray(-BLOCK);
  }
}

/** RFC 3610 §2.3: length and counter have four bytes. */
const COUNTER_FLAGS = 4 - 1;

/** Flags, nonce, and a number of four bytes. */
function ccmBlock(flags: number, jobs: JobTable, row: number, last: number): Uint8Array {
  const block = new Uint8Array(BLOCK);
  block.set(nonceOf(jobs, row));
  block[0] = flags;
  putU32(block, BLOCK - 4, last);
  return block;
}

/** RFC 7634. */
class ChaCha implements RowCipher {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  seal(slab: Uint8Array, jobs: JobTable, row: number): void {
    const at = jobs.textAt[row]!;
    const end = at + jobs.textLen[row]!;
    this.#chacha(jobs, row).encrypt(slab.subarray(at, end), slab.subarray(at, end + TAG_LEN));
  }

  open(slab: Uint8Array, jobs: JobTable, row: number): boolean {
    const at = jobs.textAt[row]!;
    const end = at + jobs.textLen[row]!;
    const text = unlessThrown(() =>
      this.#chacha(jobs, row).decrypt(slab.subarray(at, end + TAG_LEN), slab.subarray(at, end)),
    );
    return text !== undefined;
  }

  wipe(): void {
    this.#key.fill(0);
  }

  #chacha(jobs: JobTable, row: number) {
    return chacha20poly1305(this.#key, nonceOf(jobs, row), aadOf(jobs, row));
  }
}

/** RFC 3602, without the padding of PKCS#7: ESP has its own. */
class Cbc implements KeyedMode {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  encrypt(slab: Uint8Array, jobs: JobTable, row: number): void {
    const at = jobs.textAt[row]!;
    slab.set(this.#cbc(slab, at).encrypt(slab.subarray(at, at + jobs.textLen[row]!)), at);
  }

  decrypt(slab: Uint8Array, jobs: JobTable, row: number): void {
    const at = jobs.textAt[row]!;
    slab.set(this.#cbc(slab, at).decrypt(slab.subarray(at, at + jobs.textLen[row]!)), at);
  }

  wipe(): void {
    this.#key.fill(0);
  }

  #cbc(slab: Uint8Array, at: number) {
    return cbc(this.#key, slab.subarray(at - BLOCK, at), { disablePadding: true });
  }
}

/** RFC 3686 §4: the counter block is nonce, IV, and a counter from 1. */
class Ctr implements KeyedMode {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  encrypt(slab: Uint8Array, jobs: JobTable, row: number): void {
    const at = jobs.textAt[row]!;
    slab.set(ctr(this.#key, firstCounter(jobs, row)).encrypt(slab.subarray(at, at + jobs.textLen[row]!)), at);
  }

  decrypt(slab: Uint8Array, jobs: JobTable, row: number): void {
    this.encrypt(slab, jobs, row);
  }

  wipe(): void {
    this.#key.fill(0);
  }
}

function zeroCbc(key: Uint8Array): ZeroCbc {
  const copy = key.slice();
  return (text) => cbc(copy, new Uint8Array(BLOCK), { disablePadding: true }).encrypt(text);
}

const HASHES = {
  'hmac-md5': md5,
  'hmac-sha1': sha1,
  'hmac-sha256': sha256,
  'hmac-sha384': sha384,
  'hmac-sha512': sha512,
  'hmac-rmd160': ripemd160,
};

/** RFC 2104. Hashing the key is done once: every packet starts from a clone of that state. */
class Hmac implements KeyedMac {
  readonly #keyed: ReturnType<typeof hmac.create>;

  constructor(hash: (typeof HASHES)[keyof typeof HASHES], key: Uint8Array) {
    this.#keyed = hmac.create(hash, key);
  }

  tag(covered: Uint8Array, high: Uint8Array | undefined): Uint8Array {
    const mac = this.#keyed.clone().update(covered);
    if (high) mac.update(high);
    return mac.digest();
  }

  wipe(): void {
    this.#keyed.destroy();
  }
}

/** noble throws on a wrong tag, and on nothing else that a checked row can hold. */
function unlessThrown(decrypt: () => Uint8Array): Uint8Array | undefined {
  try {
    return decrypt();
  } catch {
    return undefined;
  }
}
