/**
 * Reads captures to their end, with progress on a terminal: one as it is, several merged by time. Ctrl-C ends it early,
 * and so does what is wrong in a file: in both cases what was read up to there is worth having. Of several captures a
 * damaged one ends where it is damaged, and the others are read on.
 * @module
 */
import { grouped } from '../base/count-text.ts';
import { EsplaneError } from '../base/errors.ts';
import type { FrameSink } from '../capture/frame.ts';
import { type CaptureReader, captureReader } from '../capture/reader.ts';
import { readChunks, sizeOf, unpackedCapture } from './files.ts';
import { Progress, say, warn } from './output.ts';
import type { Interrupt } from './signals.ts';

export interface ReadOptions {
  /** The command, for the line that shows progress. */
  readonly command: string;
  readonly captures: readonly string[];
  readonly sink: FrameSink;
  /** Seconds that are added to the times of each capture before frames are sorted. */
  readonly shifts?: readonly number[];
  /** Made before the work began, so that Ctrl-C while it is prepared counts too. */
  readonly interrupt: Interrupt;
  /** Frames so far. */
  readonly frames: () => number;
  /** After each piece of a file. */
  readonly afterChunk?: () => Promise<void>;
  /** Is all there that is wanted? Asked after each piece of a file; the rest is then not read. */
  readonly isEnough?: () => boolean;
  /** At the end of the files. May throw an {@link EsplaneError}, which then is the failure. */
  readonly atEnd: () => void;
}

export interface ReadEnd {
  /** What was wrong first. */
  readonly failure: EsplaneError | undefined;
  readonly isInterrupted: boolean;
}

/** Says what a sink was not told of a capture. */
export function sayLeftOut(capture: string, leftOut: CaptureReader['leftOut']): void {
  if (!leftOut) return;
  const { comments, byte } = leftOut;
  say(
    `warning: ${capture}: ${grouped(comments)} comments left out, the first in the block at byte ${byte}: a block may have 1,000, of 1 MiB together`,
  );
}

/** What captures are called together: `node-2.pcap`, or `3 captures`. */
export function capturesName(captures: readonly string[]): string {
  return captures.length === 1 ? captures[0]! : `${grouped(captures.length)} captures`;
}

/** Reads the captures, and says how that ended. Errors that are no {@link EsplaneError} are thrown. */
export async function readCaptures(options: ReadOptions): Promise<ReadEnd> {
  const { command, captures, frames, interrupt, afterChunk, isEnough = () => false, atEnd } = options;
  const progress = new Progress(command);
  const read = new BytesRead(captures);
  const failures: EsplaneError[] = [];
  const pieces = captures.length === 1 ? one(options, read) : several(options, read, failures);
  try {
    for await (const _ of interrupt.until(pieces)) {
      await afterChunk?.();
      progress.update(() => `${read.share()}${grouped(frames())} frames`);
      if (isEnough()) break;
    }
    if (!interrupt.isAsked && !isEnough()) atEnd();
  } catch (error) {
    if (!(error instanceof EsplaneError)) throw error;
    failures.push(error);
  } finally {
    progress.done();
  }
  const [failure, ...others] = failures;
  for (const { message } of others) warn(message);
  return { failure, isInterrupted: interrupt.isAsked };
}

async function* one({ captures, sink }: ReadOptions, read: BytesRead): AsyncGenerator<void> {
  const capture = captures[0]!;
  const reader = captureReader(capture, sink);
  try {
    for await (const chunk of read.chunks(capture)) {
      reader.feed(chunk);
      yield;
    }
    reader.end();
  } finally {
    sayLeftOut(capture, reader.leftOut);
  }
}

async function* several(
  { captures, sink, shifts = [] }: ReadOptions,
  read: BytesRead,
  failures: EsplaneError[],
): AsyncGenerator<void> {
  const { mergeCaptures } = await import('../capture/merge.ts');
  const files = captures.map((name) => ({ name, chunks: () => read.chunks(name) }));
  yield* mergeCaptures(files, {
    sink,
    shifts,
    onFailure: (error) => failures.push(error),
    onEnd: (file, leftOut) => sayLeftOut(captures[file]!, leftOut),
  });
}

/** Counts what was read, for the line that shows progress. */
export class BytesRead {
  readonly #size: number | undefined;
  #bytes = 0;

  constructor(captures: readonly string[]) {
    const sizes = captures.map(sizeOf);
    this.#size = sizes.reduce<number | undefined>(
      (sum, size) => (sum === undefined || size === undefined ? undefined : sum + size),
      0,
    );
  }

  /** The bytes of a capture, unpacked. */
  chunks(capture: string): AsyncIterable<Uint8Array> {
    const count = (bytes: number) => {
      this.#bytes += bytes;
    };
    return unpackedCapture(readChunks(capture, count), capture);
  }

  /** `12 %, `, where it is known how much there is. */
  share(): string {
    return this.#size ? `${Math.floor((100 * this.#bytes) / this.#size)} %, ` : '';
  }
}
