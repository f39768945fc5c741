/**
 * A cipher engine that can be looked into: it hands everything to another one, and shows what lay in the slab before
 * and after. So the lab shows the bytes that the core really sealed and opened, and computes none itself.
 * @module
 */
import { type Engine, JOB_OK, type JobTable } from '../../crypto/engine.ts';
import { aadOf, nonceOf } from '../../crypto/rows.ts';
import type { KeyMaterial } from '../../crypto/suite.ts';

/** One packet at the cipher. Everything is a copy. */
export interface CipherCall {
  readonly direction: 'seal' | 'open';
  /** Handle of its key. */
  readonly key: number;
  /** Index of the packet in its batch. */
  readonly index: number;
  /** The whole slab, before and after. */
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  /** Where the text lies in both, and how long the ICV behind it is. */
  readonly textAt: number;
  readonly textLen: number;
  readonly icvLen: number;
  readonly nonce: Uint8Array;
  readonly aad: Uint8Array;
  /** Sealed, or opened with a good ICV. */
  readonly ok: boolean;
}

/** Wraps an engine. Without {@link onCall} nothing is copied. */
export class ObservingEngine implements Engine {
  readonly name: string;
  /** Gets every packet, after the cipher is through with its batch. */
  onCall: ((call: CipherCall) => void) | undefined;
  readonly #inner: Engine;

  constructor(inner: Engine) {
    this.name = inner.name;
    this.#inner = inner;
  }

  addKey(material: KeyMaterial): number {
    return this.#inner.addKey(material);
  }

  removeKey(handle: number): void {
    this.#inner.removeKey(handle);
  }

  seal(slab: Uint8Array, jobs: JobTable): void {
    this.#watch('seal', slab, jobs);
  }

  open(slab: Uint8Array, jobs: JobTable): void {
    this.#watch('open', slab, jobs);
  }

  #watch(direction: CipherCall['direction'], slab: Uint8Array, jobs: JobTable): void {
    const { onCall } = this;
    const before = onCall && slab.slice();
    this.#inner[direction](slab, jobs);
    if (!onCall || !before) return;
    const after = slab.slice();
    for (let row = 0; row < jobs.count; row++) {
      onCall({
        direction,
        key: jobs.key[row]!,
        index: jobs.tag[row]!,
        before,
        after,
        textAt: jobs.textAt[row]!,
        textLen: jobs.textLen[row]!,
        icvLen: jobs.icvLen[row]!,
        nonce: nonceOf(jobs, row).slice(),
        aad: aadOf(jobs, row).slice(),
        ok: jobs.verdict[row] === JOB_OK,
      });
    }
  }
}
