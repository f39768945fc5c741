/**
 * Encryption and integrity by two algorithms, the older way of ESP: encrypt, then a MAC over the result.
 * Linux calls it `authenc`, and `authencesn` with extended sequence numbers.
 *
 * ```text
 *  | SPI seq(lo) | IV | text (encrypted) | ICV |     [ seq(hi) ]
 *  |<------------- MAC ----------------->|            under ESN, after the text
 * ```
 *
 * The high half of the sequence number is not sent. It is appended to what the MAC covers (RFC 4303 §2.2.1),
 * unlike in AEAD suites, where it stands between SPI and low half.
 * @module
 */
import * as esp from '../wire/esp.ts';
import type { JobTable } from './engine.ts';
import { AAD_LEN } from './engine.ts';
import { type RowCipher, tagMatches } from './rows.ts';
import type { Suite } from './suite.ts';

/** A block cipher mode with its key. The IV lies in the slab right before the text, that of CTR also in the row's nonce. */
export interface KeyedMode {
  /** Encrypts the text of a row in place; in blocks, it is a whole number of them, at least one. */
  encrypt(slab: Uint8Array, jobs: JobTable, row: number): void;
  /** Decrypts the text of a row in place. */
  decrypt(slab: Uint8Array, jobs: JobTable, row: number): void;
  wipe?(): void;
}

/** A MAC with its key. */
export interface KeyedMac {
  /** The full tag over `covered`, then `high` where there is one. */
  tag(covered: Uint8Array, high: Uint8Array | undefined): Uint8Array;
  wipe?(): void;
}

/** Row cipher of every suite that is not an AEAD. Both parts may be absent: `cipher_null`, `digest_null`. */
export class EncryptThenMac implements RowCipher {
  readonly #suite: Suite;
  readonly #mode: KeyedMode | undefined;
  readonly #mac: KeyedMac | undefined;

  constructor(suite: Suite, mode: KeyedMode | undefined, mac: KeyedMac | undefined) {
    this.#suite = suite;
    this.#mode = mode;
    this.#mac = mac;
  }

  seal(slab: Uint8Array, jobs: JobTable, row: number): void {
    const at = jobs.textAt[row]!;
    const len = jobs.textLen[row]!;
    this.#mode?.encrypt(slab, jobs, row);
    const tag = this.#tag(slab, jobs, row);
    if (tag) for (let i = 0; i < this.#suite.icvLen; i++) slab[at + len + i] = tag[i]!;
  }

  open(slab: Uint8Array, jobs: JobTable, row: number): boolean {
    const at = jobs.textAt[row]!;
    const len = jobs.textLen[row]!;
    // RFC 4303 §3.4.4.1: integrity first, so that no forged byte is ever decrypted.
    const tag = this.#tag(slab, jobs, row);
    if (tag && !tagMatches(slab, at + len, tag, this.#suite.icvLen)) return false;
    this.#mode?.decrypt(slab, jobs, row);
    return true;
  }

  wipe(): void {
    this.#mode?.wipe?.();
    this.#mac?.wipe?.();
  }

  #tag(slab: Uint8Array, jobs: JobTable, row: number): Uint8Array | undefined {
    if (!this.#mac) return undefined;
    const at = jobs.textAt[row]!;
    const covered = slab.subarray(at - this.#suite.ivLen - esp.HEADER_LEN, at + jobs.textLen[row]!);
    const aadAt = row * AAD_LEN;
    const esn = jobs.aadLen[row] === AAD_LEN;
    return this.#mac.tag(covered, esn ? jobs.aad.subarray(aadAt + 4, aadAt + 8) : undefined);
  }
}
