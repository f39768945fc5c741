/**
 * What the backends in JavaScript share: key handles, and the walk over a job table one row at a time.
 *
 * A backend only says how one key seals and opens one row ({@link RowCipher}). Rows that a key cannot serve are
 * refused here, so that no backend meets them.
 * @module
 */
import * as esp from '../wire/esp.ts';
import { AAD_LEN, type Engine, JOB_BAD_ICV, JOB_OK, type JobTable, NONCE_LEN } from './engine.ts';
import { isInBlocks, type KeyMaterial, type Suite } from './suite.ts';

/** One key, ready for use. */
export interface RowCipher {
  /** Encrypts the text of row `row` in place and writes the ICV after it. */
  seal(slab: Uint8Array, jobs: JobTable, row: number): void;
  /** Verifies row `row` and decrypts its text in place. Returns false when the ICV is wrong; never throws. */
  open(slab: Uint8Array, jobs: JobTable, row: number): boolean;
  /** Overwrites the key, where this backend holds it in bytes of its own. */
  wipe?(): void;
}

interface Slot {
  readonly suite: Suite;
  readonly cipher: RowCipher;
}

/** An engine that walks the table in a loop. */
export abstract class RowEngine implements Engine {
  abstract readonly name: string;
  readonly #slots: (Slot | undefined)[] = [];

  /**
   * Makes a key ready. It copies what it needs: the material stays the caller's, who may wipe it.
   * @throws {EsplaneError} `ERR_SUITE` when this backend does not have the suite
   */
  protected abstract prepare(material: KeyMaterial): RowCipher;

  addKey(material: KeyMaterial): number {
    const slot = { suite: material.suite, cipher: this.prepare(material) };
    const free = this.#slots.indexOf(undefined);
    const handle = free < 0 ? this.#slots.length : free;
    this.#slots[handle] = slot;
    return handle;
  }

  removeKey(handle: number): void {
    const slot = this.#slots[handle];
    if (!slot) return;
    slot.cipher.wipe?.();
    this.#slots[handle] = undefined;
  }

  seal(slab: Uint8Array, jobs: JobTable): void {
    for (let row = 0; row < jobs.count; row++) {
      const slot = this.#slots[jobs.key[row]!];
      const can = slot !== undefined && fits(slot.suite, slab, jobs, row);
      if (can) slot.cipher.seal(slab, jobs, row);
      jobs.verdict[row] = can ? JOB_OK : JOB_BAD_ICV;
    }
  }

  open(slab: Uint8Array, jobs: JobTable): void {
    for (let row = 0; row < jobs.count; row++) {
      const slot = this.#slots[jobs.key[row]!];
      const good =
        slot !== undefined && fits(slot.suite, slab, jobs, row) && slot.cipher.open(slab, jobs, row);
      jobs.verdict[row] = good ? JOB_OK : JOB_BAD_ICV;
    }
  }
}

/** The nonce of a row, as a view. */
export function nonceOf(jobs: JobTable, row: number): Uint8Array {
  return jobs.nonce.subarray(row * NONCE_LEN, (row + 1) * NONCE_LEN);
}

/** The first counter block of a row under AES-CTR: nonce ‖ IV ‖ 1 (RFC 3686 §4). */
export function firstCounter(jobs: JobTable, row: number): Uint8Array {
  const block = new Uint8Array(16);
  block.set(nonceOf(jobs, row));
  block[15] = 1;
  return block;
}

/** The AAD of a row, as a view. */
export function aadOf(jobs: JobTable, row: number): Uint8Array {
  return jobs.aad.subarray(row * AAD_LEN, row * AAD_LEN + jobs.aadLen[row]!);
}

/**
 * Does the slab hold, at `at`, the first `len` bytes of `tag`? Constant time: how long it takes does not tell
 * how many bytes of a guess were right.
 */
export function tagMatches(slab: Uint8Array, at: number, tag: Uint8Array, len: number): boolean {
  let diff = 0;
  for (let i = 0; i < len; i++) diff |= slab[at + i]! ^ tag[i]!;
  return diff === 0;
}

/** Can a key of this suite serve the row? The ICV length is the suite's: a shorter one would weaken the check. */
function fits(suite: Suite, slab: Uint8Array, jobs: JobTable, row: number): boolean {
  const at = jobs.textAt[row]!;
  const len = jobs.textLen[row]!;
  if (jobs.icvLen[row] !== suite.icvLen || jobs.aadLen[row]! > AAD_LEN) return false;
  if (at < esp.HEADER_LEN + suite.ivLen || at + len + suite.icvLen > slab.length) return false;
  return !isInBlocks(suite) || (len > 0 && len % suite.align === 0);
}
