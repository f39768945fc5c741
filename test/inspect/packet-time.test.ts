import { describe, expect, it } from 'vitest';
import {
  type Moment,
  PacketTimes,
  readTime,
  type TimeForm,
  timeText,
} from '../../src/inspect/packet-time.ts';

const at = (seconds: number, nanoseconds = 0): Moment => ({ seconds, nanoseconds });
const texts = (form: TimeForm, moments: readonly Moment[], start?: Moment) => {
  const times = new PacketTimes(form, () => start);
  return moments.map((moment) => times.text(moment));
};

describe('times', () => {
  it('are as fine as the capture has them', () => {
    expect(timeText(at(1_795_394_867, 120_034_000))).toBe('1795394867.120034');
    expect(timeText(at(1_795_394_867, 120_034_005))).toBe('1795394867.120034005');
    expect(timeText(at(0))).toBe('0.000000');
  });

  it('are read as they are written', () => {
    for (const moment of [at(1_795_394_867, 120_034_000), at(0, 5), at(-3, 250_000_000)])
      expect(readTime(timeText(moment))).toEqual(moment);
    expect(readTime('7')).toEqual(at(7));
    for (const text of ['', '.5', '1.', '1.0000000001', '1e3', 'x', '12345678901234'])
      expect(readTime(text), text).toBeUndefined();
  });

  it('are in UTC, and say so', () => {
    expect(
      texts('iso', [
        at(1_795_394_867, 120_034_000),
        at(1_795_394_867, 120_034_005),
        at(-1, 500_000_000),
        at(0),
      ]),
    ).toEqual([
      '2026-11-23T00:47:47.120034Z',
      '2026-11-23T00:47:47.120034005Z',
      '1969-12-31T23:59:59.500000Z',
      '1970-01-01T00:00:00.000000Z',
    ]);
    // Beyond what a date can be.
    expect(texts('iso', [at(9e12)])).toEqual(['9000000000000.000000']);
  });

  it('count from the first frame of the capture, also those before it', () => {
    expect(
      texts('relative', [at(12, 5000), at(11, 999_999_000), at(9, 1000), at(10, 2000)], at(10, 2000)),
    ).toEqual(['2.000003', '1.999997', '-1.000001', '0.000000']);
  });

  it('count from the line before', () => {
    expect(texts('delta', [at(10, 2000), at(10, 3000), at(12), at(11, 1)])).toEqual([
      '0.000000',
      '0.000001',
      '1.999997',
      '-0.999999999',
    ]);
  });
});
