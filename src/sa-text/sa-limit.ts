/**
 * How many entries a text may hold, so that what a file claims is bounded in memory, too.
 * @module
 */
import { InputError } from '../base/errors.ts';

/** SAs, states or policies that are kept of one text, or of all secrets of a capture. One takes about 2 KB. */
export const MAX_ENTRIES = 100_000;

/**
 * Checks how many there are.
 * @throws {InputError} more than {@link MAX_ENTRIES}
 */
export function checkEntries(count: number, source: string, line?: number): void {
  if (count <= MAX_ENTRIES) return;
  throw new InputError(
    { source, ...(line !== undefined && { line }) },
    'more than 100,000 SAs, policies or nodes',
    'Give what fewer nodes say.',
  );
}
