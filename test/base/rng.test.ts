import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { mixSeed, secureBytes, seededBytes, xorshift32 } from '../../src/base/rng.ts';

describe('xorshift32', () => {
  it('gives the numbers of Marsaglia (2003), shifts 13, 17, 5, from 2463534242', () => {
    expect(xorshift32(2463534242)()).toBe(723471715);
  });

  it('repeats itself for a seed, and differs between seeds', () => {
    const draw = (seed: number) => {
      const next = xorshift32(seed);
      return Array.from({ length: 8 }, next);
    };
    expect(draw(42)).toEqual(draw(42));
    expect(draw(42)).not.toEqual(draw(43));
  });

  it('yields unsigned 32-bit numbers and does not get stuck, from 0 too', () => {
    for (const seed of [0, 1, -1, 0xffff_ffff, 2 ** 32]) {
      const next = xorshift32(seed);
      const seen = new Set<number>();
      for (let i = 0; i < 1000; i++) {
        const v = next();
        expect(Number.isInteger(v) && v > 0 && v <= 0xffff_ffff).toBe(true);
        seen.add(v);
      }
      expect(seen.size).toBe(1000);
    }
  });
});

describe('seededBytes', () => {
  it('fills, repeatably, and goes on from call to call', () => {
    const fill = seededBytes(7);
    const [a, b] = [new Uint8Array(16), new Uint8Array(16)];
    fill(a);
    fill(b);
    const both = new Uint8Array(32);
    seededBytes(7)(both);
    expect(toHex(a) + toHex(b)).toBe(toHex(both));
    expect(toHex(a)).not.toBe(toHex(b));
  });

  it('uses every byte value about as often', () => {
    const b = new Uint8Array(65536);
    seededBytes(1)(b);
    const counts = new Array<number>(256).fill(0);
    for (const v of b) counts[v]!++;
    expect(Math.min(...counts)).toBeGreaterThan(150);
    expect(Math.max(...counts)).toBeLessThan(370);
  });
});

describe('secureBytes', () => {
  it('fills with something else each time', () => {
    const [a, b] = [new Uint8Array(32), new Uint8Array(32)];
    secureBytes(a);
    secureBytes(b);
    expect(toHex(a)).not.toBe(toHex(b));
  });

  it('hands out nothing twice, in whatever lengths it is asked', () => {
    const seen = new Set<string>();
    const lengths = [8, 16, 64, 65, 8, 12];
    for (let i = 0; i < 3000; i++) {
      const bytes = new Uint8Array(lengths[i % lengths.length]!);
      secureBytes(bytes);
      seen.add(toHex(bytes.subarray(0, 8)));
    }
    expect(seen.size).toBe(3000);
  });
});

describe('mixSeed', () => {
  it('gives neighbours, and the streams of one seed, nothing in common', () => {
    const seeds = [0, 1, 2, 3].flatMap((seed) => [0, 1, 2].map((stream) => mixSeed(seed, stream)));
    expect(new Set(seeds).size).toBe(seeds.length);
    for (const a of seeds) {
      expect(a).toBe(a >>> 0);
      for (const b of seeds) {
        if (a === b) continue;
        const different = (a ^ b).toString(2).replace(/[^1]/g, '').length;
        expect(different, `${a} and ${b}`).toBeGreaterThan(3);
      }
    }
  });

  it('makes the first number of a generator anything', () => {
    const firsts = Array.from({ length: 1000 }, (_, seed) => xorshift32(mixSeed(seed))() / 2 ** 32);
    const mean = firsts.reduce((sum, x) => sum + x, 0) / firsts.length;
    expect(mean).toBeCloseTo(0.5, 1);
    expect(firsts.filter((x) => x < 0.1).length).toBeGreaterThan(60);
    expect(firsts.filter((x) => x > 0.9).length).toBeGreaterThan(60);
  });
});
