import { expect, it } from 'vitest';
import { SecondChance } from '../../src/inspect/second-chance.ts';

const member = (name: number) => ({ name, used: false });

it('lets the oldest go that were not used, several at once, when it is full', () => {
  const set = new SecondChance<{ name: number; used: boolean }>(32);
  const all = Array.from({ length: 32 }, (_, i) => member(i));
  for (const [i, one] of all.entries()) {
    expect(set.makeRoom()).toEqual([]);
    one.used = i < 3;
    set.add(one);
  }
  expect(set.makeRoom().map(({ name }) => name)).toEqual([3, 4]);
  expect(set.size).toBe(30);
  expect(all.slice(0, 3).some(({ used }) => used)).toBe(false);
});

it('makes room when all were used, and never holds more than its capacity', () => {
  const set = new SecondChance<{ name: number; used: boolean }>(16);
  for (let i = 0; i < 1000; i++) {
    set.makeRoom();
    set.add({ name: i, used: true });
    expect(set.size).toBeLessThanOrEqual(16);
  }
});
