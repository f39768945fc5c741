/**
 * What the pcap and the pcapng reader share: one record at a time, and how they complain.
 * @module
 */
import { InputError } from '../base/errors.ts';

/**
 * Longest record or block that is believed, in bytes. A length above it is taken for damage, so that garbage
 * cannot make a reader collect a file in memory.
 */
export const MAX_RECORD = 64 * 1024 * 1024;

/** What was not handed on, because a file may not decide how much memory its reader takes. */
export interface LeftOut {
  /** Comments beyond the limits of a block. */
  readonly comments: number;
  /** Where the first block that has them starts in the file. */
  readonly byte: number;
}

/** Reads a capture record by record. */
export interface RecordReader {
  /** Absent as long as all was handed on. */
  readonly leftOut?: LeftOut | undefined;
  /**
   * Reads the record at `b[at]`, if all of it lies before `end`.
   *
   * The first call is for the file header, which counts as a record.
   * @param byte where `at` is in the file
   * @returns the record's length, as far as it is known. Where that is more than `end - at`, nothing has been
   * done, and the caller comes again with at least so many bytes
   * @throws {InputError} the record is damaged
   */
  record(b: Uint8Array, at: number, end: number, byte: number): number;
}

/** The error for a capture that cannot be read on: where, why, and how much of it has been read. */
export function damage(source: string, byte: number, frames: number, problem: string): InputError {
  return new InputError(
    { source, byte },
    `${problem} (frames read before it: ${frames})`,
    'Copy or capture the file again; what lies before this byte is good.',
  );
}
