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

  /** Counted anew only when the SAs have changed. */
  get count(): number {
    if (this.#version === this.#sad.version) return this.#count;
    // Compared in buckets: keys never become text, which could not be wiped.
    const buckets = new Map<number, KeyMaterial[]>();
    let count = 0;
    for (const sa of this.#sad.sas) {
      if (!sa) continue;
      const { keys } = sa.config;
      const hash = hashOf(keys);
      const bucket = buckets.get(hash);
      if (bucket?.some((other) => isSameKey(other, keys))) continue;
      count++;
      if (bucket) bucket.push(keys);
      else buckets.set(hash, [keys]);
    }
    this.#count = count;
    this.#version = this.#sad.version;
    return count;
  }
}

/** FNV-1a. */
function hashOf(keys: KeyMaterial): number {
  let h = 0x811c_9dc5;
  for (const bytes of [keys.key(), keys.salt(), keys.macKey()])
    for (const byte of bytes) h = Math.imul(h ^ byte, 0x0100_0193);
  return h;
}

/** The bytes alone: Cilium does not look at the algorithm. */
function isSameKey(a: KeyMaterial, b: KeyMaterial): boolean {
  return equalBytes(a.key(), b.key()) && equalBytes(a.salt(), b.salt()) && equalBytes(a.macKey(), b.macKey());
}
