/**
 * Warnings of weak algorithms: once each, by name and reason.
 * @module
 */
import { type KeyMaterial, weaknesses } from '../crypto/suite.ts';

/** Tells what is weak about suites, each reason once. */
export class WeakSuites {
  readonly #say: (line: string) => void;
  readonly #said = new Set<string>();
  /** Suites that were looked at, by name: a plan has thousands of SAs and one suite. */
  readonly #seen = new Set<string>();

  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  look(all: Iterable<{ readonly keys: KeyMaterial }>): void {
    for (const { keys } of all) {
      const suite = `${keys.suite.name} ${keys.macKey().length === 0}`;
      if (this.#seen.has(suite)) continue;
      this.#seen.add(suite);
      for (const reason of weaknesses(keys)) {
        if (this.#said.has(reason)) continue;
        this.#said.add(reason);
        this.#say(`weak: ${reason}`);
      }
    }
  }
}
