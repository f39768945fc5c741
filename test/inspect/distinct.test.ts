import { expect, it } from 'vitest';
import { DistinctCount, MOST_DISTINCT } from '../../src/inspect/distinct.ts';

it('counts as a set does', () => {
  const count = new DistinctCount();
  const set = new Set<string>();
  for (let i = 0; i < 50_000; i++) {
    const name = `10.0.${i % 7}.1 10.0.0.2 ${(i * i) % 30_011}`;
    count.add(name);
    set.add(name);
  }
  expect(count.count).toBe(set.size);
  expect(count.isFull).toBe(false);
});

it('stops at its bound', () => {
  const count = new DistinctCount();
  for (let i = 0; i < MOST_DISTINCT + 1000; i++) count.add(String(i));
  expect([count.count, count.isFull]).toEqual([MOST_DISTINCT, true]);
});
