/**
 * Opens one ESP packet by itself, on a copy, without asking a window or moving it: to find out whether a key and a
 * high half are the right ones, and what lies inside.
 * @module
 */
import { netWord, u32 } from '../base/bytes.ts';
import { type Engine, JOB_OK, JobTable } from '../crypto/engine.ts';
import type { Suite } from '../crypto/suite.ts';
import { isPlausible } from '../ipsec/plausible.ts';
import type { SecurityAssociation } from '../ipsec/sa.ts';
import { FLAG } from '../ipsec/sa-words.ts';
import { HEADER_LEN, TRAILER_LEN } from '../wire/esp.ts';

/** Longest IP packet there is. */
const MAX_PACKET = 0xffff;

/**
 * How long the encrypted text of an ESP packet of `espLen` bytes is, IV and ICV taken off.
 * @returns -1 where it is too short for a trailer, or no whole number of cipher blocks
 */
export function textLength(suite: Suite, espLen: number): number {
  const len = espLen - HEADER_LEN - suite.ivLen - suite.icvLen;
  return len < TRAILER_LEN || (suite.align > 4 && len % suite.align !== 0) ? -1 : len;
}

/** Use one again and again: it allocates nothing. The engine must be the one that the SAs have their keys in. */
export class Trial {
  readonly #engine: Engine;
  readonly #job = new JobTable(1);
  readonly #copy = new Uint8Array(MAX_PACKET);
  #textAt = 0;
  #textLen = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /**
   * Does the ESP packet `b[espAt..espEnd)` authenticate under this SA with this high half? Of one that is not checked:
   * is what comes out plausible?
   * False also where {@link textLength} says -1.
   */
  opens(sa: SecurityAssociation, b: Uint8Array, espAt: number, espEnd: number, hi: number): boolean {
    const { suite } = sa;
    const textLen = textLength(suite, espEnd - espAt);
    if (textLen < 0) return false;
    const copy = this.#copy;
    const job = this.#job;
    copy.set(b.subarray(espAt, espEnd));
    this.#textAt = HEADER_LEN + suite.ivLen;
    this.#textLen = textLen;
    job.count = 0;
    // SPI and number as they are in the packet, whatever the SA is known by.
    const [netSpi, lo] = [netWord(u32(copy, 0)), netWord(u32(copy, 4))];
    const { key, esn, icvLen, netSalt } = sa;
    const row = job.addRow({ key, netSpi, esn, icvLen, netSalt }, 0, this.#textAt, textLen, netWord(hi), lo);
    if (sa.has(FLAG.NONCE)) {
      const ivAt = HEADER_LEN;
      job.setNonce(row, netSalt, netWord(u32(copy, ivAt)), netWord(u32(copy, ivAt + 4)));
    }
    this.#engine.open(copy, job);
    if (job.verdict[0] !== JOB_OK) return false;
    const isTunnel = sa.isTunnel && !sa.has(FLAG.MODE_OPEN);
    return !sa.suite.unchecked || isPlausible(copy, this.#textAt, textLen, isTunnel);
  }

  /** The clear text of the packet that {@link opens} has just said yes to, trailer included; a copy. */
  text(): Uint8Array {
    return this.#copy.slice(this.#textAt, this.#textAt + this.#textLen);
  }
}
