/**
 * The backends in the addon: a whole batch is sealed or opened in one call, over OpenSSL's EVP or Intel ipsec-mb.
 *
 * Suites that ipsec-mb has no quick way for (CCM, GMAC, all with a MAC) are OpenSSL's in either engine. Serpent and Twofish are
 * libgcrypt's.
 * @module
 */
import { EsplaneError } from '../base/errors.ts';
import { addon, addonProblem } from '../native/addon.ts';
import type { CipherHandle } from '../native/cipher.ts';
import type { Engine, JobTable } from './engine.ts';
import { ADDON_REMEDY, HASHES, openSslCipher } from './openssl-names.ts';
import { type Cipher, isInBlocks, type KeyMaterial, type Mac } from './suite.ts';

export type NativeName = 'openssl' | 'ipsec-mb';

/** As `native/src/keys.h` numbers them: what is not named here is CBC. */
const CIPHERS: Readonly<Partial<Record<Cipher, number>>> = {
  'aes-gcm': 0,
  'aes-gmac': 1,
  'chacha20-poly1305': 2,
  'aes-ccm': 3,
  'aes-ctr': 5,
  null: 6,
};
const CBC = 4;
const NO_MAC = 0;
const HMAC = 1;
const AES_MACS: Readonly<Partial<Record<Mac, number>>> = { 'aes-xcbc': 2, 'aes-cmac': 3 };

/**
 * Why an engine cannot be had here; `undefined` when it can.
 * @returns one sentence with a remedy
 */
export function nativeProblem(name: NativeName): string | undefined {
  const problem = addonProblem();
  if (problem !== undefined || name === 'openssl') return problem;
  if (addon().ipsecMbVersion() === '')
    return 'the addon was built without ipsec-mb: apt-get install libipsec-mb-dev, then npm run build:addon';
  if (addon().cipherOpen(1) === undefined) return 'this CPU has no AES instructions that ipsec-mb could use';
  return undefined;
}

export class NativeEngine implements Engine {
  readonly name: NativeName;
  readonly #native = addon();
  readonly #handle: CipherHandle;

  /** @throws {EsplaneError} `ERR_NO_ADDON`, or `ERR_ENGINE` where the engine cannot be had */
  constructor(name: NativeName) {
    this.name = name;
    const handle = this.#native.cipherOpen(name === 'ipsec-mb' ? 1 : 0);
    if (handle === undefined) throw new EsplaneError('ERR_ENGINE', `${name}: ${nativeProblem(name)}`);
    this.#handle = handle;
  }

  addKey(material: KeyMaterial): number {
    const { suite } = material;
    const { cipher, mac } = suite;
    const { name, key: bytes } = openSslCipher(material);
    const key = this.#native.cipherAddKey(
      this.#handle,
      CIPHERS[cipher] ?? CBC,
      name,
      mac === undefined ? NO_MAC : (AES_MACS[mac] ?? HMAC),
      mac === undefined || mac === 'aes-xcbc' || mac === 'aes-cmac' ? '' : HASHES[mac],
      bytes,
      material.macKey(),
      suite.ivLen,
      suite.icvLen,
      isInBlocks(suite) ? suite.align : 1,
    );
    bytes.fill(0);
    if (key < 0)
      throw new EsplaneError(
        'ERR_SUITE',
        `${suite.name}: the addon has no ${cipher} with a key of ${suite.keyLen} bytes: ${ADDON_REMEDY}`,
      );
    return key;
  }

  removeKey(handle: number): void {
    this.#native.cipherRemoveKey(this.#handle, handle);
  }

  seal(slab: Uint8Array, jobs: JobTable): void {
    this.#native.cipherSeal(this.#handle, slab, jobs.tables, jobs.count);
  }

  open(slab: Uint8Array, jobs: JobTable): void {
    this.#native.cipherOpenRows(this.#handle, slab, jobs.tables, jobs.count);
  }

  /** Wipes all keys now, and not when the garbage collector comes. No row is served any more. */
  close(): void {
    this.#native.cipherClose(this.#handle);
  }

  /** The code path that ipsec-mb chose for this CPU; empty for OpenSSL. */
  get path(): string {
    return this.#native.cipherPath(this.#handle);
  }

  /**
   * The bare cipher in a C loop, with one key after the other: what a benchmark compares with.
   * @param at where the first text starts
   * @param step from one text to the next
   * @returns nanoseconds for `rounds` times `count` texts
   */
  loop(
    op: 'seal' | 'open',
    keys: readonly number[],
    slab: Uint8Array,
    at: number,
    len: number,
    step: number,
    count: number,
    rounds: number,
  ): number {
    const sealing = op === 'seal' ? 1 : 0;
    const handles = new Uint8Array(Int32Array.from(keys).buffer);
    return this.#native.cipherLoop(this.#handle, handles, slab, at, len, step, count, rounds, sealing);
  }
}
