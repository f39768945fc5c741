/**
 * The window as rows of numbers, for a picture and for a table. A row begins at a multiple of its length, as the words of
 * the bitmap do (RFC 6479), so the numbers stay where they are and the window moves.
 * @module
 */
import type { Cell, WindowRun } from './window.ts';

export interface GridRow {
  /** Its first number. */
  readonly first: number;
  readonly cells: readonly Cell[];
}

/** Numbers in a row that are alike. */
export interface CellRange {
  readonly cell: Cell;
  readonly from: number;
  readonly to: number;
}

/** Rows below the window and above it, so that it is seen to end. */
const MARGIN = 1;
/** Rows to show where there is no window. */
const BARE_ROWS = 4;
/** Rows that are added at either end, so that a number at hand is seen. */
const MOST_MORE = 4;

/**
 * The rows around the window, lowest first.
 * @param also a number that is shown too, if it is near
 */
export function rowsOf(run: WindowRun, length: number, also = run.top): GridRow[] {
  const { top, settings } = run;
  const lowest = settings.size === 0 ? top - BARE_ROWS * length : top - settings.size + 1;
  const near = Math.floor(also / length);
  let from = Math.max(0, Math.floor(Math.max(lowest, 0) / length) - MARGIN);
  let to = Math.floor(top / length) + MARGIN;
  if (near < from && near >= from - MOST_MORE) from = Math.max(0, near);
  if (near > to && near <= to + MOST_MORE) to = near;
  return Array.from({ length: to - from + 1 }, (_, i) => {
    const first = (from + i) * length;
    return { first, cells: Array.from({ length }, (_, k) => run.cell(first + k)) };
  });
}

/** The window in ranges, highest first; none where there is no window. */
export function rangesOf(run: WindowRun): CellRange[] {
  const ranges: CellRange[] = [];
  const bottom = Math.max(1, run.top - run.settings.size + 1);
  for (let n = run.top; n >= bottom; n--) {
    const cell = run.cell(n);
    const last = ranges.at(-1);
    if (last?.cell === cell) ranges[ranges.length - 1] = { ...last, from: n };
    else ranges.push({ cell, from: n, to: n });
  }
  return ranges;
}
