/**
 * How many keys a node uses, as Cilium counts them: the different key bytes over all its states (an AEAD key with its
 * salt, or integrity and encryption key together), whatever the algorithm. Two per peer and family, four while a key is
 * replaced.
 * @module
 */
import { equalBytes } from '../base/bytes.ts';
import type { KeyMaterial } from '../crypto/suite.ts';

/** Keys, each once. Told by a hash and a comparison: keys never become text, which could not be wiped. */
export class UniqueKeys {
  readonly #byHash = new Map<number, KeyMaterial[]>();
  size = 0;

  add(keys: KeyMaterial): void {
    const bytes = keys.all();
    let hash = 0x811c_9dc5; // FNV-1a
    for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x0100_0193);
    const alike = this.#byHash.get(hash) ?? [];
    if (alike.some((other) => equalBytes(other.all(), bytes))) return;
    alike.push(keys);
    this.#byHash.set(hash, alike);
    this.size++;
  }
}
