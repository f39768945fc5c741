/**
 * Chance that can be repeated: a small seeded generator for simulations and tests. Not for keys or IVs.
 * @module
 */

/**
 * Marsaglia's xorshift with 32 bits of state.
 * @param seed any number; 0 is replaced, because the generator would stay there
 * @returns a function that yields the next number, 1..2^32-1
 */
export function xorshift32(seed: number): () => number {
  let x = seed >>> 0 || 0x9e37_79b9;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    x >>>= 0;
    return x;
  };
}

/**
 * Makes a seed that shares nothing with its neighbours (the finalizer of MurmurHash3). The first numbers of
 * {@link xorshift32} follow its seed closely: small seeds begin with small numbers.
 * @param stream which of several generators that one seed feeds
 */
export function mixSeed(seed: number, stream = 0): number {
  let h = seed ^ Math.imul(stream + 1, 0x9e37_79b9);
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Fills `out` with bytes. The data plane takes one of these for IVs: `crypto.getRandomValues` in real use. */
export type RandomBytes = (out: Uint8Array) => void;

/** A {@link RandomBytes} that can be repeated, for simulations and tests. */
export function seededBytes(seed: number): RandomBytes {
  const next = xorshift32(seed);
  return (out) => {
    for (let i = 0; i < out.length; i++) out[i] = next() >>> 11;
  };
}

/** Random bytes at hand, and how many of them are used. */
const pool = new Uint8Array(4096);
let used = pool.length;
/** A longer request goes past the pool. */
const MOST_POOLED = 64;

/**
 * The machine's own random bytes, for keys and IVs. At most 65,536 bytes a call, as Web Crypto allows. A few at a time come
 * out of a pool, because a call of Web Crypto takes some 25 us; what was handed out is wiped there.
 */
export const secureBytes: RandomBytes = (out) => {
  if (out.length > MOST_POOLED) {
    globalThis.crypto.getRandomValues(out);
    return;
  }
  if (used + out.length > pool.length) {
    globalThis.crypto.getRandomValues(pool);
    used = 0;
  }
  for (let i = 0; i < out.length; i++, used++) {
    out[i] = pool[used]!;
    pool[used] = 0;
  }
};
