import { describe, expect, it } from 'vitest';
import {
  FAILURES,
  HIGH_HALVES,
  HighHalf,
  NEAR,
  NEAR_TRIALS,
  NEAREST,
  SearchBudget,
  STREAM_TRIALS,
} from '../../src/inspect/high-half.ts';
import { ReplayWindow } from '../../src/ipsec/replay.ts';

/** A packet that authenticates with one high half, and how often it was tried. */
function packet(hi: number) {
  const made = { trials: 0, opens: (tried: number) => made.trials++ >= 0 && tried === hi };
  return made;
}
/** One that authenticates with none. */
const forged = () => packet(-1);

function highHalf(hints: readonly number[] = [], budget = new SearchBudget(), esn = true) {
  return new HighHalf(new ReplayWindow(1024, esn), hints, budget);
}

/** All that is tried on a packet which does not follow. */
function searchAll(high: HighHalf, lo: number, opens: (hi: number) => boolean): boolean {
  if (high.search(lo, opens, false) || high.search(lo, opens, true)) return true;
  high.fail();
  return false;
}

describe('the start of a stream', () => {
  it.each([0, 1, NEAR, 500, HIGH_HALVES - 1])('finds %i without a hint', (hi) => {
    const high = highHalf();
    expect(searchAll(high, 7, packet(hi).opens)).toBe(true);
    expect([high.hi, high.lo, high.isStarted]).toEqual([hi, 7, true]);
  });

  it('does not go beyond the last, unless a text tells it, exactly or one too low', () => {
    expect(searchAll(highHalf(), 7, packet(HIGH_HALVES).opens)).toBe(false);
    for (const hint of [700_000, 699_999]) {
      const one = packet(700_000);
      expect(searchAll(highHalf([hint]), 7, one.opens)).toBe(true);
      expect(one.trials).toBeLessThanOrEqual(2);
    }
  });

  it('moves within one 2^32 too, where an old packet stands so low that the true ones are inferred below zero', () => {
    const high = new HighHalf(new ReplayWindow(32, true), [], new SearchBudget());
    expect(searchAll(high, 5, packet(0).opens)).toBe(true);
    const { opens } = packet(0);
    const lo = 2 ** 32 - 1;
    expect([high.follow(lo, opens), high.isLate(lo, opens), searchAll(high, lo, opens)]).toEqual([
      false,
      false,
      true,
    ]);
    expect([high.hi, high.lo]).toEqual([0, lo]);
  });

  it('is final where the text tells the very number before it: a jump beyond 2^32 is lost, as at the receiver', () => {
    const told = (lo: number) => {
      const high = new HighHalf(new ReplayWindow(64, true), [], new SearchBudget(), { hi: 0, lo });
      expect(searchAll(high, 21, packet(0).opens)).toBe(true);
      return searchAll(high, 120, packet(1).opens);
    };
    expect([told(20), told(19), told(21)]).toEqual([false, true, true]);
  });

  it('is still open after any number of forgeries, where a text tells it or it is near', () => {
    const hinted = highHalf([900]);
    for (let i = 0; i < 100_000; i++) searchAll(hinted, i, forged().opens);
    expect(searchAll(hinted, 5, packet(900).opens)).toBe(true);
    const near = highHalf();
    for (let i = 0; i < NEAR_TRIALS / NEAR; i++) searchAll(near, i, forged().opens);
    expect(searchAll(near, 5, packet(NEAREST - 1).opens)).toBe(true);
  });
});

describe('a stream that has started', () => {
  it('follows as a window does, across 2^32', () => {
    const high = highHalf();
    high.moveTo(4, 0xffff_fff0);
    expect(high.follow(5, packet(5).opens)).toBe(true);
    expect([high.hi, high.lo]).toEqual([5, 5]);
    // Late, of the 2^32 before, and no new top.
    expect(high.follow(0xffff_fff8, packet(4).opens)).toBe(true);
    expect([high.hi, high.lo]).toEqual([5, 5]);
  });

  it('goes up to a higher epoch and never down', () => {
    const high = highHalf();
    high.moveTo(0, 77);
    expect(high.follow(1000, packet(3).opens)).toBe(false);
    expect(searchAll(high, 1000, packet(3).opens)).toBe(true);
    expect(high.hi).toBe(3);
    expect(high.follow(78, packet(0).opens)).toBe(false);
    expect(searchAll(high, 78, packet(0).opens)).toBe(false);
    expect([high.hi, high.lo]).toEqual([3, 1000]);
  });

  it('knows what is left of the window without a search', () => {
    const high = highHalf();
    high.moveTo(3, 5000);
    expect(high.follow(10, packet(3).opens)).toBe(false);
    expect(high.isLate(10, packet(3).opens)).toBe(true);
    expect(high.isLate(6000, packet(2).opens)).toBe(true);
    expect(high.isLate(6000, packet(1).opens)).toBe(false);
  });
});

it('without ESN there is one high half to try, and a forgery moves nothing', () => {
  const high = highHalf([], new SearchBudget(), false);
  const bad = forged();
  expect(searchAll(high, 9, bad.opens)).toBe(false);
  expect(bad.trials).toBe(2);
  expect(high.isStarted).toBe(false);
  expect(searchAll(high, 9, packet(0).opens)).toBe(true);
});

describe('what forgeries cost', () => {
  const trialsOf = (high: HighHalf, frames: number) => {
    const bad = forged();
    for (let i = 0; i < frames; i++) searchAll(high, i, bad.opens);
    return bad.trials;
  };

  it('is bounded for a stream, but for searches that become rare', () => {
    const few = trialsOf(highHalf(), NEAR_TRIALS / NEAR);
    expect(few).toBeGreaterThan(NEAR_TRIALS);
    expect(few).toBeLessThan(NEAR_TRIALS + STREAM_TRIALS + 12 * HIGH_HALVES);
    // With more of them, only the nearest and the searches after 2^n failures come on top.
    const more = trialsOf(highHalf(), 1_000_000);
    expect(more - NEAREST * 1_000_000).toBeLessThan(NEAR_TRIALS + STREAM_TRIALS + 20 * HIGH_HALVES);
  });

  it('is a constant for each frame where a text gives hints', () => {
    const plain = trialsOf(highHalf(), 100_000);
    const hinted = trialsOf(highHalf([900, 5000]), 100_000);
    expect(hinted - plain).toBe(4 * 100_000);
  });

  it('is bounded for a capture, and leaves each stream the nearest', () => {
    const budget = new SearchBudget(1 << 18, 1 << 17);
    let trials = 0;
    for (let i = 0; i < 400; i++) trials += trialsOf(highHalf([], budget), 10);
    expect(trials).toBeLessThan((1 << 18) + (1 << 17) + 400 * 10 * NEAR + 2 * HIGH_HALVES);
    const late = highHalf([], budget);
    expect(searchAll(late, 1, packet(NEAR - 1).opens)).toBe(true);
    expect(searchAll(late, 1, packet(500).opens)).toBe(false);
  });

  it('takes nothing from other streams, each of which has its first searches', () => {
    const budget = new SearchBudget();
    for (let i = 0; i < 100; i++) trialsOf(highHalf([], budget), 20);
    expect(budget.has(false)).toBe(false);
    const late = highHalf([], budget);
    expect(searchAll(late, 1, forged().opens)).toBe(false);
    expect(searchAll(late, 1, packet(500).opens)).toBe(true);
  });

  it('comes again after a run of failures', () => {
    const high = highHalf([], new SearchBudget(0, 0));
    for (let i = 1; i < FAILURES; i++) expect(searchAll(high, i, packet(500).opens)).toBe(false);
    expect(searchAll(high, FAILURES, packet(500).opens)).toBe(true);
  });
});
