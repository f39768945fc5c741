import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { systemClock, VirtualClock } from '../../src/base/clock.ts';

describe('VirtualClock', () => {
  it('moves only when told', () => {
    const clock = new VirtualClock(1000);
    expect(clock.now()).toBe(1000);
    clock.run(1500);
    expect(clock.now()).toBe(1500);
  });

  it('runs tasks in the order of their time, each at its own', () => {
    const clock = new VirtualClock();
    const seen: [string, number][] = [];
    clock.after(30, () => seen.push(['c', clock.now()]));
    clock.after(10, () => seen.push(['a', clock.now()]));
    clock.after(20, () => seen.push(['b', clock.now()]));
    clock.run();
    expect(seen).toEqual([
      ['a', 10],
      ['b', 20],
      ['c', 30],
    ]);
    expect(clock.now()).toBe(30);
  });

  it('keeps the order of tasks for the same time', () => {
    const clock = new VirtualClock();
    const seen: number[] = [];
    for (let i = 0; i < 100; i++) clock.after(5, () => seen.push(i));
    clock.run();
    expect(seen).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });

  it('stops at the time it is given, tasks of that very time included', () => {
    const clock = new VirtualClock();
    const seen: number[] = [];
    for (const ms of [10, 20, 21]) clock.after(ms, () => seen.push(ms));
    clock.run(20);
    expect(seen).toEqual([10, 20]);
    clock.run();
    expect(seen).toEqual([10, 20, 21]);
  });

  it('runs tasks that tasks make', () => {
    const clock = new VirtualClock();
    const seen: number[] = [];
    const tick = () => {
      seen.push(clock.now());
      if (seen.length < 4) clock.after(2.5, tick);
    };
    clock.after(0, tick);
    clock.run();
    expect(seen).toEqual([0, 2.5, 5, 7.5]);
  });

  it('does not go back: a negative wait is none', () => {
    const clock = new VirtualClock(100);
    clock.after(-50, () => {});
    clock.run();
    expect(clock.now()).toBe(100);
    clock.run(50);
    expect(clock.now()).toBe(100);
  });

  // Sorting is the obvious version of the heap.
  it('agrees with sorting', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { maxLength: 200 }), (waits) => {
        const clock = new VirtualClock();
        const seen: number[] = [];
        for (const [i, ms] of waits.entries()) clock.after(ms, () => seen.push(i));
        clock.run();
        const order = waits.map((_, i) => i).sort((x, y) => waits[x]! - waits[y]! || x - y);
        expect(seen).toEqual(order);
      }),
    );
  });
});

describe('systemClock', () => {
  it('does not step when somebody sets the clock of the machine', () => {
    const before = systemClock.now();
    const set = vi.spyOn(Date, 'now').mockReturnValue(before - 3_600_000);
    try {
      const after = systemClock.now();
      expect(after).toBeGreaterThanOrEqual(before);
      expect(after - before).toBeLessThan(60_000);
    } finally {
      set.mockRestore();
    }
  });

  it('tells the time and calls back', async () => {
    const before = Date.now();
    await new Promise<void>((done) => systemClock.after(1, done));
    // The machine's clock may have been put right since this process started.
    expect(Math.abs(systemClock.now() - before)).toBeLessThan(60_000);
  });
});
