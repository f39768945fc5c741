/**
 * Cells in columns, two blanks apart.
 * @module
 */

/**
 * Sets rows in columns that are as wide as what is in them; nothing follows the last cell of a line.
 * @param isRight columns that are set to the right, as figures are
 */
export function inColumns(
  rows: readonly (readonly string[])[],
  isRight: (column: number) => boolean,
): string[] {
  const widths: number[] = [];
  for (const row of rows)
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return rows.map((row) =>
    row
      .map((cell, i) => (isRight(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
}
