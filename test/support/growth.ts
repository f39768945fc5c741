/**
 * How the time of something grows with its input. Counts the time of the processor, so that a busy machine changes
 * little, and takes the median of several runs, so that the collector of garbage does not.
 * @module
 */

/** ms of a run that is long enough to be measured. */
const ENOUGH = 10;
const RUNS = 3;
const ATTEMPTS = 6;

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
 * The time at 2n over the time at n: 2 where it is linear, 4 where it is quadratic.
 * @param make an input of n parts
 * @param most largest n that is tried
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
    // A step in the cost, such as the first collection of old objects, lies elsewhere at another size.
    const size = n * 2 ** (attempt >> 1);
    const [once, double] = [make(size), make(2 * size)].map((one) =>
      median(Array.from({ length: RUNS }, () => cost(() => run(one)))),
    );
    best = Math.min(best, double! / Math.max(once!, 0.5));
  }
  return best;
}
