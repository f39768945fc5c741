/**
 * The backends in the addon: a whole batch is sealed or opened in one call, over OpenSSL's EVP or Intel ipsec-mb.
 *
 * Suites that ipsec-mb has no quick way for (CBC with HMAC, GMAC, null) are OpenSSL's in either engine.
 * @module
 */
import { EsplaneError } from '../base/errors.ts';
import { addon, addonProblem } from '../native/addon.ts';
import type { CipherHandle } from '../native/cipher.ts';
import type { Engine, JobTable } from './engine.ts';
import type { Cipher, KeyMaterial, Mac } from './suite.ts';

export type NativeName = 'openssl' | 'ipsec-mb';

/** As `native/src/keys.h` numbers them. */
const CIPHERS: Readonly<Record<Cipher, number>> = {
  'aes-gcm': 0,
  'aes-gmac': 1,
  'chacha20-poly1305': 2,
  'aes-cbc': 3,
  null: 4,
};
const MACS: Readonly<Record<Mac, number>> = {
  'hmac-sha1': 1,
  'hmac-sha256': 2,
  'hmac-sha384': 3,
  'hmac-sha512': 4,
};
const NO_MAC = 0;

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
    const key = this.#native.cipherAddKey(
      this.#handle,
      CIPHERS[suite.cipher],
      suite.mac === undefined ? NO_MAC : MACS[suite.mac],
      material.key(),
      material.macKey(),
      suite.ivLen,
      suite.icvLen,
    );
    if (key < 0)
      throw new EsplaneError('ERR_SUITE', `${suite.name}: the engine ${this.name} does not have it`);
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
