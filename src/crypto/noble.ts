/**
 * The reference backend: the audited ciphers of `@noble` in plain JavaScript. Runs everywhere, browsers too.
 *
 * It is for reading and for checking the fast backends, not for speed: noble expands an AES key anew for every
 * packet and returns new arrays. Like all table-driven AES it is **not** constant time in key and text; the
 * comparison of ICVs is.
 * @module
 */
import { cbc, gcm } from '@noble/ciphers/aes.js';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha1 } from '@noble/hashes/legacy.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { EncryptThenMac, type KeyedMac, type KeyedMode } from './encrypt-then-mac.ts';
import type { JobTable } from './engine.ts';
import { aadOf, nonceOf, type RowCipher, RowEngine, tagMatches } from './rows.ts';
import type { KeyMaterial, Mac } from './suite.ts';

const TAG_LEN = 16;
const EMPTY = new Uint8Array(0);

/** The backend in plain JavaScript. It has every suite. */
export class NobleEngine extends RowEngine {
  readonly name = 'noble';

  protected prepare(material: KeyMaterial): RowCipher {
    const { suite } = material;
    const key = material.key().slice();
    if (suite.cipher === 'aes-gcm') return new Gcm(key);
    if (suite.cipher === 'aes-gmac') return new Gmac(key);
    if (suite.cipher === 'chacha20-poly1305') return new ChaCha(key);
    const mode = suite.cipher === 'aes-cbc' ? new Cbc(key) : undefined;
    const mac = suite.mac ? new Hmac(suite.mac, material.macKey()) : undefined;
    return new EncryptThenMac(suite, mode, mac);
  }
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

  encrypt(slab: Uint8Array, at: number, len: number): void {
    slab.set(this.#cbc(slab, at).encrypt(slab.subarray(at, at + len)), at);
  }

  decrypt(slab: Uint8Array, at: number, len: number): void {
    slab.set(this.#cbc(slab, at).decrypt(slab.subarray(at, at + len)), at);
  }

  wipe(): void {
    this.#key.fill(0);
  }

  #cbc(slab: Uint8Array, at: number) {
    return cbc(this.#key, slab.subarray(at - 16, at), { disablePadding: true });
  }
}

const HASHES = { 'hmac-sha1': sha1, 'hmac-sha256': sha256, 'hmac-sha384': sha384, 'hmac-sha512': sha512 };

/** RFC 2104. Hashing the key is done once: every packet starts from a clone of that state. */
class Hmac implements KeyedMac {
  readonly #keyed: ReturnType<typeof hmac.create>;

  constructor(name: Mac, key: Uint8Array) {
    this.#keyed = hmac.create(HASHES[name], key);
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
