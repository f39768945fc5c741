import { expect, it } from 'vitest';
import { inColumns } from '../../src/base/columns.ts';

it('sets cells in columns, figures to the right, and no blank at the end of a line', () => {
  const rows = [
    ['NAME', 'COUNT', 'WHY'],
    ['a', '1,234,567', ''],
    ['longer', '5', 'x'],
  ];
  expect(inColumns(rows, (i) => i === 1)).toEqual([
    'NAME        COUNT  WHY',
    'a       1,234,567',
    'longer          5  x',
  ]);
  expect(inColumns([], () => false)).toEqual([]);
});
