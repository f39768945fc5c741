import { expect, it } from 'vitest';
import { HashChains } from '../../src/base/hash-chains.ts';
import { xorshift32 } from '../../src/base/rng.ts';

/** All indices of the chain of a hash. */
function walk(chains: HashChains, hash: number): number[] {
  const found: number[] = [];
  for (let i = chains.first(hash); i >= 0; i = chains.next(i)) found.push(i);
  return found;
}

it('leads to every index of a hash, and to none that was removed, as a map of sets does', () => {
  const next = xorshift32(3);
  const chains = new HashChains();
  const hashes = new Map<number, number>();
  for (let step = 0; step < 20_000; step++) {
    // More come than go, so that the table doubles several times; holes stay.
    const index = next() % (10 + (step >>> 3));
    const known = hashes.get(index);
    if (known === undefined) {
      // Few hashes: long chains. Some negative, as a hash of 32 bits is.
      const hash = ((next() % 300) - 150) * 0x0100_0193;
      chains.add(index, hash | 0);
      hashes.set(index, hash | 0);
    } else if (next() % 3 === 0) {
      chains.remove(index);
      hashes.delete(index);
    }
    if (step % 997 === 0) {
      for (const hash of new Set(hashes.values())) {
        const want = [...hashes].filter(([, other]) => other === hash).map(([i]) => i);
        const found = walk(chains, hash);
        expect(new Set(found).size).toBe(found.length);
        expect(found).toEqual(expect.arrayContaining(want));
      }
    }
  }
  expect(hashes.size).toBeGreaterThan(1000);
  for (const index of hashes.keys()) chains.remove(index);
  for (const hash of new Set(hashes.values())) expect(walk(chains, hash)).toEqual([]);
});
