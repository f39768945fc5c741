/**
 * benny's summary as rows of results.
 * @module
 */

/** One row a case: nanoseconds for one operation, and the margin of error in percent. */
export function rowsOf(bench, summary) {
  return summary.results.map(({ name, ops, margin }) => ({
    bench,
    op: name,
    nsPerOp: Number((1e9 / ops).toFixed(1)),
    marginPercent: margin,
  }));
}
