/**
 * What the quick half of a test takes of what its long half takes whole: see `long-half.ts`.
 * @module
 */

/** Does the long half run? */
export const IS_LONG = process.env['ESPLANE_LONG'] === '1';

/** All in the long half, else one of so many, and the first of them. */
export function sample<T>(all: readonly T[], oneOf: number): T[] {
  return all.filter((_, i) => IS_LONG || i % oneOf === 0);
}

/** How many cases a property runs: `quick`, and in the long half as many as `ESPLANE_FUZZ_RUNS` says, or 1000. */
export function runs(quick: number): number {
  return IS_LONG ? Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 1000) : quick;
}
