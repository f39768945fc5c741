/**
 * How the time of something grows with its input. Counts the time of the processor, so that a busy machine changes
 * little, and takes the median of several runs, so that the collector of garbage does not.
 * @module
 */

/** ms of a run that is long enough to be measured. */
const ENOUGH = 10;
const RUNS = 3;
const ATTEMPTS = 4;

/** CPU ms of one run. */
function cost(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/**
 * How the time grows when the input doubles: 2 where it is linear, 4 where it is quadratic. First from n to 2n. Where that
 * is above the limit, over three doublings: memory that no longer fits a cache is one step, and adds little to their mean.
 * @param make an input of n parts
 * @param most largest n that is tried first
 * @param limit where a measurement is above it, it is taken again
 */
export function growth<T>(
  make: (n: number) => T,
  run: (input: T) => void,
  most: number,
  limit: number,
): number {
  let n = 256;
  let input = make(n);
  run(input);
  while (n < most && cost(() => run(input)) < ENOUGH) {
    n *= 2;
    input = make(n);
  }
  let best = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < ATTEMPTS && best > limit; attempt++) {
    const doublings = attempt === 0 ? 1 : 3;
    const [once, more] = [make(n), make(n * 2 ** doublings)].map((one) =>
      median(Array.from({ length: RUNS }, () => cost(() => run(one)))),
    );
    best = Math.min(best, (more! / Math.max(once!, 0.5)) ** (1 / doublings));
  }
  return best;
}
