/**
 * How many keys a node uses, as Cilium counts them: the different key bytes over all its states (an AEAD key with its
 * salt, or integrity and encryption key together). Two per peer and family, four while a key is replaced.
 * @module
 */
import { equalBytes } from '../base/bytes.ts';
import type { KeyMaterial } from '../crypto/suite.ts';
import type { Sad } from '../ipsec/sad.ts';

export class UniqueKeys {
  readonly #sad: Sad;
  #version = -1;
  #count = 0;

  constructor(sad: Sad) {
    this.#sad = sad;
  }

  /** As of the last count that came to its end. */
  get last(): number {
    return this.#count;
  }

  /** Counts, if the SAs have changed since the last time. */
  get count(): number {
    const steps = this.steps();
    while (!steps.next().done);
    return this.#count;
  }

  /** Does what {@link count} does, an SA in each step. */
  *steps(): Generator<void, void> {
    const { sas, version } = this.#sad;
    if (this.#version === version) return;
    // Compared in buckets: keys never become text, which could not be wiped.
    const buckets = new Map<number, KeyMaterial[]>();
    let count = 0;
    for (let i = 0; i < sas.length; i++) {
      const keys = sas[i]?.config.keys;
      yield;
      if (!keys) continue;
      const hash = hashOf(keys);
      const bucket = buckets.get(hash);
      if (bucket?.some((other) => isSameKey(other, keys))) continue;
      count++;
      if (bucket) bucket.push(keys);
      else buckets.set(hash, [keys]);
    }
    this.#count = count;
    this.#version = version;
  }
}

/** FNV-1a. */
function hashOf(keys: KeyMaterial): number {
  const bytes = keys.all();
  let h = 0x811c_9dc5;
  for (let i = 0; i < bytes.length; i++) h = Math.imul(h ^ bytes[i]!, 0x0100_0193);
  return h;
}

/** The bytes alone: Cilium does not look at the algorithm. */
function isSameKey(a: KeyMaterial, b: KeyMaterial): boolean {
  return equalBytes(a.all(), b.all());
}
