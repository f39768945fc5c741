import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LITTLE } from '../../src/capture/byte-order.ts';
import type { FrameMeta } from '../../src/capture/frame.ts';
import { putNanoseconds, TimeUnit } from '../../src/capture/time-unit.ts';

const GIGA = 1_000_000_000n;

function timeOf(tsresol: number, offset: number, ticks: bigint): FrameMeta {
  const meta = { seconds: -1, nanoseconds: -1, interfaceId: 0, originalLength: 0 };
  new TimeUnit(tsresol, offset).put(meta, Number(ticks >> 32n), Number(ticks & 0xffffffffn));
  return meta;
}

/** The obvious way. */
function slow(tsresol: number, ticks: bigint): { seconds: bigint; nanoseconds: bigint } {
  const perSecond = tsresol & 0x80 ? 2n ** BigInt(tsresol & 0x7f) : 10n ** BigInt(tsresol);
  return { seconds: ticks / perSecond, nanoseconds: ((ticks % perSecond) * GIGA) / perSecond };
}

describe('TimeUnit', () => {
  it.each([
    [6, 1_795_394_867_120_034n, 1_795_394_867, 120_034_000, 'microseconds'],
    [9, 1_795_394_867_999_999_999n, 1_795_394_867, 999_999_999, 'nanoseconds'],
    [3, 1_795_394_867_120n, 1_795_394_867, 120_000_000, 'milliseconds'],
    [0, 1_795_394_867n, 1_795_394_867, 0, 'whole seconds'],
    [12, 1_795_394_867_000_000_999n, 1_795_394, 867_000_000, 'picoseconds are cut off'],
    [127, 2n ** 64n - 1n, 0, 0, 'the finest decimal'],
    [0x80, 1_795_394_867n, 1_795_394_867, 0, '2^0'],
    [0x80 + 1, 3n, 1, 500_000_000, '2^-1'],
    [0x80 + 10, 1_795_394_867n * 1024n + 512n, 1_795_394_867, 500_000_000, '2^-10'],
    [0x80 + 31, 2n ** 31n * 7n + 1n, 7, 0, '2^-31: less than a nanosecond'],
    [0x80 + 32, 2n ** 32n * 7n + 2n ** 32n - 1n, 7, 999_999_999, '2^-32'],
    [0x80 + 33, 2n ** 33n * 7n + 2n ** 32n, 7, 500_000_000, '2^-33'],
    [0x80 + 64, 2n ** 63n, 0, 500_000_000, '2^-64: all of it is fraction'],
    [0x80 + 65, 2n ** 63n, 0, 250_000_000, '2^-65'],
    [0x80 + 127, 2n ** 64n - 1n, 0, 0, 'the finest binary'],
  ] as const)('if_tsresol %i: %d ticks are %i.%i (%s)', (tsresol, ticks, seconds, nanoseconds, _what) => {
    expect(timeOf(tsresol, 0, ticks)).toMatchObject({ seconds, nanoseconds });
  });

  it('adds if_tsoffset, which may be negative', () => {
    expect(timeOf(6, 3600, 1_500_000n)).toMatchObject({ seconds: 3601, nanoseconds: 500_000_000 });
    expect(timeOf(0x80 + 4, -3600, 24n)).toMatchObject({ seconds: -3599, nanoseconds: 500_000_000 });
  });

  it('agrees with bigint for each of the 256 resolutions', () => {
    const ticks = fc.oneof(
      fc.bigInt(0n, 2n ** 64n - 1n),
      fc.tuple(fc.bigInt(0n, 63n), fc.bigInt(-2n, 2n)).map(([n, d]) => BigInt.asUintN(64, 2n ** n + d)),
      fc.tuple(fc.bigInt(0n, 19n), fc.bigInt(-2n, 2n)).map(([n, d]) => BigInt.asUintN(64, 10n ** n + d)),
    );
    fc.assert(
      fc.property(fc.nat(255), ticks, (tsresol, t) => {
        const want = slow(tsresol, t);
        fc.pre(want.seconds < 2n ** 53n);
        const seconds = Number(want.seconds);
        expect(timeOf(tsresol, 0, t)).toMatchObject({ seconds, nanoseconds: Number(want.nanoseconds) });
      }),
      { numRuns: 5000 },
    );
  });
});

describe('putNanoseconds', () => {
  function written(seconds: number, nanoseconds: number): bigint {
    const b = new Uint8Array(10).fill(0xa5);
    putNanoseconds(b, 1, seconds, nanoseconds);
    expect([b[0], b[9]]).toEqual([0xa5, 0xa5]);
    return (BigInt(LITTLE.u32(b, 1)) << 32n) | BigInt(LITTLE.u32(b, 5));
  }

  it('agrees with bigint up to the year 2554', () => {
    fc.assert(
      fc.property(fc.nat(18_446_744_072), fc.nat(999_999_999), (s, ns) => {
        expect(written(s, ns)).toBe(BigInt(s) * GIGA + BigInt(ns));
      }),
      {
        examples: [
          [18_446_744_072, 999_999_999],
          [0, 0],
          [65_535, 999_999_999],
          [65_536, 0],
        ],
      },
    );
  });

  it('writes the nearest time that fits', () => {
    expect(written(-5, 7)).toBe(7n);
    expect(written(1e15, 0)).toBe(18_446_744_072n * GIGA);
  });
});
