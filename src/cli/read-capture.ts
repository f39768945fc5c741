/**
 * Reads a capture file to its end, with progress on a terminal. Ctrl-C ends it early, and so does what is wrong in the
 * file: in both cases what was read up to there is worth having.
 * @module
 */
import { EsplaneError } from '../base/errors.ts';
import { unpacked } from '../capture/decompress.ts';
import type { FrameSink } from '../capture/frame.ts';
import { type CaptureReader, captureReader } from '../capture/reader.ts';
import { counted, readChunks, sizeOf } from './files.ts';
import { grouped, Progress, say } from './output.ts';
import type { Interrupt } from './signals.ts';

export interface ReadOptions {
  /** The command, for the line that shows progress. */
  readonly command: string;
  readonly capture: string;
  readonly sink: FrameSink;
  /** Made before the work began, so that Ctrl-C while it is prepared counts too. */
  readonly interrupt: Interrupt;
  /** Frames so far. */
  readonly frames: () => number;
  /** After each piece of the file. */
  readonly afterChunk?: () => Promise<void>;
  /** At the end of the file. May throw an {@link EsplaneError}, which then is the failure. */
  readonly atEnd: () => void;
}

export interface ReadEnd {
  /** What was wrong. */
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

/** Reads a file, and says how that ended. Errors that are no {@link EsplaneError} are thrown. */
export async function readCapture(options: ReadOptions): Promise<ReadEnd> {
  const { command, capture, sink, frames, interrupt, afterChunk, atEnd } = options;
  const reader = captureReader(capture, sink);
  const size = sizeOf(capture);
  const progress = new Progress(command);
  try {
    const file = counted(readChunks(capture));
    for await (const chunk of interrupt.until(unpacked(file.chunks, capture))) {
      reader.feed(chunk);
      await afterChunk?.();
      const share = size ? `${Math.floor((100 * file.bytes()) / size)} %, ` : '';
      progress.update(`${share}${grouped(frames())} frames`);
    }
    if (!interrupt.isAsked) {
      reader.end();
      atEnd();
    }
    sayLeftOut(capture, reader.leftOut);
    return { failure: undefined, isInterrupted: interrupt.isAsked };
  } catch (error) {
    if (!(error instanceof EsplaneError)) throw error;
    return { failure: error, isInterrupted: interrupt.isAsked };
  } finally {
    progress.done();
  }
}
