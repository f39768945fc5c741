import { describe, expect, it } from 'vitest';
import { effectiveKeyId } from '../../src/cilium/effective-key.ts';

describe('the key for a peer', () => {
  // docs/cilium.md, "Effective key": the older one; 15 comes before 1.
  it.each([
    [3, 3, 3],
    [3, 4, 3],
    [4, 3, 3],
    [15, 1, 15],
    [1, 15, 15],
    [15, 15, 15],
    [14, 15, 14],
    [15, 14, 14],
    [0, 3, 0],
    [3, 0, 0],
    [0, 15, 0],
    [15, 0, 0],
  ])('own %i, theirs %i: %i', (local, peer, want) => {
    expect(effectiveKeyId(local, peer)).toBe(want);
  });
});
