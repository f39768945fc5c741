/**
 * What packets that no key opens can cost in one capture, in trials. The first packets of each stream are paid for from a
 * part of its own, which later ones never touch: forged frames of some streams take nothing from the other streams.
 * @module
 */
export class TrialBudget {
  #first: number;
  #later: number;

  /** @param first for the first packets of streams; where it is spent they are paid for like all others */
  constructor(first: number, later: number) {
    this.#first = first;
    this.#later = later;
  }

  /** Is there anything left? */
  has(isFirst: boolean): boolean {
    return this.#later > 0 || (isFirst && this.#first > 0);
  }

  spend(isFirst: boolean, trials: number): void {
    if (isFirst && this.#first > 0) this.#first -= trials;
    else this.#later -= trials;
  }
}

/** Is it `least` times a power of two? So often a stream is tried again whose part is spent. */
export function isPowerFrom(least: number, n: number): boolean {
  return n >= least && (n & (n - 1)) === 0;
}
