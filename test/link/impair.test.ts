import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/base/clock.ts';
import { type Impairments, impair } from '../../src/link/impair.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { batchOf, numbered, numberOf, received } from '../support/frames.ts';

/** Sends numbered frames one ms apart. Returns what arrived, when, and the statistics. */
function run(seed: number, impairments: Impairments, count = 2000, perSend = 1) {
  const clock = new VirtualClock();
  const { a, b } = memoryPair(clock, { queue: 1 << 20 });
  const link = impair(a, clock, seed, impairments);
  const frames: Uint8Array[] = [];
  const times: number[] = [];
  b.receive((batch) => {
    for (let i = 0; i < batch.count; i++) {
      frames.push(batch.copy(i));
      times.push(clock.now());
    }
  });
  for (let n = 0; n < count; n += perSend) {
    link.send(batchOf(Array.from({ length: perSend }, (_, k) => numbered(n + k))));
    clock.run(n + 1);
  }
  clock.run();
  return { frames, times, stats: link.stats };
}

const numbers = (frames: readonly Uint8Array[]) => frames.map(numberOf);
/** The numbers that are missing. */
const lostOf = (frames: readonly Uint8Array[], count = 2000) => {
  const there = new Set(numbers(frames));
  return Array.from({ length: count }, (_, n) => n).filter((n) => !there.has(n));
};
/** The numbers that are there more than once. */
const doubledOf = (frames: readonly Uint8Array[]) => {
  const all = numbers(frames);
  return [...new Set(all.filter((n, i) => all.indexOf(n) !== i))].sort((x, y) => x - y);
};

describe('impair', () => {
  it('does the same for the same seed, and something else for another', () => {
    const knobs = { loss: 0.1, duplicate: 0.1, corrupt: 0.1, delay: 1, jitter: 20 };
    const first = run(7, knobs);
    expect(run(7, knobs)).toEqual(first);
    expect(run(8, knobs).frames).not.toEqual(first.frames);
  });

  it('loses, doubles and damages about as much as it is told', () => {
    const { frames, stats } = run(3, { loss: 0.2, duplicate: 0.1, corrupt: 0.05 }, 20_000);
    expect(stats.lost / 20_000).toBeCloseTo(0.2, 2);
    expect(stats.duplicated / (20_000 - stats.lost)).toBeCloseTo(0.1, 2);
    expect(stats.corrupted / (20_000 - stats.lost)).toBeCloseTo(0.05, 2);
    expect(Math.min(stats.lost, stats.duplicated, stats.corrupted)).toBeGreaterThan(500);
    expect(frames).toHaveLength(20_000 - stats.lost + stats.duplicated);
  });

  it('is as fair to the first frame as to others, whatever the seed', () => {
    for (const knob of ['loss', 'duplicate', 'corrupt'] as const) {
      let hits = 0;
      for (let seed = 0; seed < 1000; seed++) {
        const { stats } = run(seed, { [knob]: 0.2 }, 1);
        hits += stats.lost + stats.duplicated + stats.corrupted;
      }
      expect(hits).toBeGreaterThan(160);
      expect(hits).toBeLessThan(240);
    }
  });

  it('leaves the other faults in place when one knob is turned', () => {
    const knobs = { loss: 0.1, duplicate: 0.1 };
    const before = run(5, knobs);
    const doubled = doubledOf(before.frames);
    const lost = lostOf(before.frames);
    expect(lost.length).toBeGreaterThan(100);
    expect(lostOf(run(5, { ...knobs, duplicate: 0.9 }).frames)).toEqual(lost);
    expect(lostOf(run(5, { ...knobs, jitter: 50, delay: 3 }).frames)).toEqual(lost);
    expect(doubledOf(run(5, { ...knobs, jitter: 50 }).frames)).toEqual(doubled);
    // With more loss the same frames are lost, and more of them.
    const more = lostOf(run(5, { ...knobs, loss: 0.2 }).frames);
    expect(more).toEqual(expect.arrayContaining(lost));
    expect(doubledOf(run(5, { ...knobs, loss: 0 }).frames)).toEqual(expect.arrayContaining(doubled));
  });

  it('flips one bit, anywhere, in both twins', () => {
    const { frames, stats } = run(11, { corrupt: 1, duplicate: 1 }, 500);
    expect(stats.corrupted).toBe(500);
    expect(frames).toHaveLength(1000);
    const places = new Set<number>();
    for (let n = 0; n < 500; n++) {
      const sent = numbered(n);
      expect(frames[2 * n]).toEqual(frames[2 * n + 1]);
      const flipped = [...frames[2 * n]!].flatMap((v, i) =>
        [0, 1, 2, 3, 4, 5, 6, 7]
          .filter((bit) => ((v ^ sent[i]!) & (0x80 >>> bit)) !== 0)
          .map((bit) => i * 8 + bit),
      );
      expect(flipped).toHaveLength(1);
      places.add(flipped[0]!);
    }
    // 480 bits, hit 500 times: about 310 of them, from the first byte to the last.
    expect(places.size).toBeGreaterThan(250);
    expect(Math.min(...places)).toBeLessThan(16);
    expect(Math.max(...places)).toBeGreaterThan(463);
  });

  it('delays every frame alike, and keeps the order', () => {
    const { frames, times } = run(1, { delay: 7.5 }, 100);
    expect(numbers(frames)).toEqual(Array.from({ length: 100 }, (_, n) => n));
    expect(times).toEqual(Array.from({ length: 100 }, (_, n) => n + 7.5));
  });

  it('reorders when the jitter is more than the gap between frames, and not when it is less', () => {
    const wild = run(2, { jitter: 10 });
    expect(numbers(wild.frames)).not.toEqual(numbers(wild.frames).sort((x, y) => x - y));
    expect(lostOf(wild.frames)).toEqual([]);
    for (const [i, frame] of wild.frames.entries()) {
      expect(wild.times[i]! - numberOf(frame)).toBeGreaterThanOrEqual(0);
      expect(wild.times[i]! - numberOf(frame)).toBeLessThan(10);
    }
    const tame = run(2, { jitter: 0.99 });
    expect(numbers(tame.frames)).toEqual(Array.from({ length: 2000 }, (_, n) => n));
  });

  it('does the same to frames that come in one batch', () => {
    const knobs = { loss: 0.1, duplicate: 0.2, corrupt: 0.1 };
    const single = run(9, knobs, 1000);
    const batched = run(9, knobs, 1000, 50);
    expect(batched.frames).toEqual(single.frames);
    expect(batched.stats).toEqual(single.stats);
  });

  it('counts what the link beneath did not take, and what is too long for it', () => {
    const clock = new VirtualClock();
    const { a, b } = memoryPair(clock, { queue: 2, mtu: 100 });
    const atB = received(b);
    const link = impair(a, clock, 1, { duplicate: 1 });
    expect(link.send(batchOf([numbered(1), numbered(2), numbered(3, 101)]))).toBe(3);
    clock.run();
    expect(numbers(atB)).toEqual([1, 1]);
    expect(link.stats).toMatchObject({ refused: 2, duplicated: 2, tooBig: 1 });
  });

  it.each([
    { loss: 1.1 },
    { duplicate: -0.1 },
    { corrupt: Number.NaN },
    { delay: -1 },
    { jitter: Number.POSITIVE_INFINITY },
  ])('refuses %j', (knob) => {
    const clock = new VirtualClock();
    expect(() => impair(memoryPair(clock).a, clock, 1, knob)).toThrow(RangeError);
  });
});
