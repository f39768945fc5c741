/**
 * Several captures read as one, in the order of their times: rings of files that `tcpdump -C`, `-W` or `-G` wrote, and
 * captures of several places.
 *
 * The frame that is handed on next is the earliest of those that come next in the files, so frames of one file keep
 * their order even where their times do not go up, as with mergecap. A file is opened when the time of its first frame
 * is reached: of a ring of a thousand files one or two are open. No more than a chunk of each open file is in memory.
 *
 * The frames of pcapng interfaces get interface ids of the whole; there is one section, which the first file begins.
 * @module
 */
import { EsplaneError, InputError } from '../base/errors.ts';
import type { CaptureInterface, CaptureSection, FrameInfo, FrameSink } from './frame.ts';
import { frameId, MOST_FILES } from './frame-id.ts';
import { type CaptureReader, captureReader } from './reader.ts';
import type { LeftOut } from './record.ts';

/** A capture that can be read again from its beginning. */
export interface CaptureFile {
  readonly name: string;
  /** Its bytes. A chunk may be overwritten once the next one is asked for. */
  chunks(): AsyncIterable<Uint8Array>;
}

export interface MergeOptions {
  /**
   * Gets all frames. Their `number` is that of {@link frameId}: the file by its place in the list, and the frame in it.
   * `byte` is the place in that file.
   */
  readonly sink: FrameSink;
  /** Seconds that are added to the times of a file before they are compared. The frames keep the times that they have. */
  readonly shifts?: readonly number[];
  /** A file cannot be read, or not to its end. What came before the damage was handed on, and the other files are. */
  readonly onFailure: (error: EsplaneError, file: number) => void;
  /** A file has been read to its end. */
  readonly onEnd?: (file: number, leftOut: LeftOut | undefined) => void;
}

/**
 * Hands all frames to the sink. Yields after each chunk that it has read, so that the caller can write what has
 * gathered, and end it.
 * @throws {InputError} there are more than {@link MOST_FILES} files
 */
export async function* mergeCaptures(
  files: readonly CaptureFile[],
  options: MergeOptions,
): AsyncGenerator<void, void, undefined> {
  if (files.length > MOST_FILES)
    throw new InputError(
      { source: files[MOST_FILES]!.name },
      `more than ${MOST_FILES} captures`,
      'Join some of them first: mergecap -w all.pcapng A B.',
    );
  yield* new Merge(files, options).run();
}

class Merge {
  readonly #files: readonly CaptureFile[];
  readonly #options: MergeOptions;
  /** Files with frames at hand. */
  readonly #open: Cursor[] = [];
  readonly #interfaces = new Interfaces();

  constructor(files: readonly CaptureFile[], options: MergeOptions) {
    this.#files = files;
    this.#options = options;
  }

  async *run(): AsyncGenerator<void, void, undefined> {
    const later: { file: number; first: Time }[] = [];
    for (let file = 0; file < this.#files.length; file++) {
      const first = await this.#firstTime(file);
      if (first) later.push({ file, first });
      yield;
    }
    later.sort((a, b) => compare(a.first, b.first) || a.file - b.file);
    later.reverse();
    try {
      for (;;) {
        let least = this.#least();
        const next = later.at(-1);
        if (next && (!least || compare(next.first, least) <= 0)) {
          later.pop();
          const cursor = this.#cursor(next.file);
          this.#open.push(cursor);
          await this.#refill(cursor);
          yield;
          continue;
        }
        if (!least) return;
        // Until a frame of another file is earlier.
        const limit = this.#limit(least, next);
        do least.pop(this.#options.sink);
        while (least.hasFrame && (!limit || compare(least, limit.time) < (limit.isFirst ? 0 : 1)));
        if (!least.hasFrame) {
          await this.#refill(least);
          least = undefined;
          yield;
        }
      }
    } finally {
      for (const cursor of this.#open) await cursor.close();
    }
  }

  /** The open file whose next frame is the earliest; of equal ones the first in the list. */
  #least(): Cursor | undefined {
    let least: Cursor | undefined;
    for (const cursor of this.#open) {
      const order = least ? compare(cursor, least) : -1;
      if (order < 0 || (order === 0 && cursor.file < least!.file)) least = cursor;
    }
    return least;
  }

  /** The time that ends a run of frames of `least`, and whether the file that has it comes before it in the list. */
  #limit(least: Cursor, next: { file: number; first: Time } | undefined) {
    let limit: { time: Time; isFirst: boolean } | undefined;
    for (const cursor of this.#open) {
      if (cursor === least) continue;
      const order = limit ? compare(cursor, limit.time) : -1;
      if (order < 0 || (order === 0 && cursor.file < least.file))
        limit = { time: cursor, isFirst: cursor.file < least.file };
    }
    // One that is not open yet is opened as soon as its time is reached.
    if (next && (!limit || compare(next.first, limit.time) <= 0)) limit = { time: next.first, isFirst: true };
    return limit;
  }

  #cursor(file: number): Cursor {
    const shift = this.#options.shifts?.[file] ?? 0;
    return new Cursor(file, this.#files[file]!, shift, this.#interfaces);
  }

  /** When the first frame of a file came; `undefined` where the file cannot be read. */
  async #firstTime(file: number): Promise<Time | undefined> {
    const cursor = this.#cursor(file);
    try {
      while (!cursor.hasFrame && (await cursor.fill()));
      return cursor.hasFrame ? { seconds: cursor.seconds, nanoseconds: cursor.nanoseconds } : NEVER;
    } catch (error) {
      if (!(error instanceof EsplaneError)) throw error;
      // Frames before the damage are read later, and the damage is then said.
      if (cursor.hasFrame) return { seconds: cursor.seconds, nanoseconds: cursor.nanoseconds };
      this.#options.onFailure(error, file);
      return undefined;
    } finally {
      await cursor.close();
    }
  }

  /** Reads on until there is a frame, or the file ends, which is then open no more. */
  async #refill(cursor: Cursor): Promise<void> {
    const { sink, onEnd, onFailure } = this.#options;
    const { file } = cursor;
    sink.release?.();
    try {
      while (!cursor.hasFrame) {
        // What a file says after its last frame, it says too.
        if (await cursor.fill()) continue;
        cursor.drain(sink);
        onEnd?.(file, cursor.leftOut);
        this.#close(cursor);
        return;
      }
    } catch (error) {
      if (!(error instanceof EsplaneError)) throw error;
      cursor.failure = error;
      if (cursor.hasFrame) return;
      cursor.drain(sink);
      onFailure(error, file);
      await cursor.close();
      this.#close(cursor);
    }
  }

  #close(cursor: Cursor): void {
    this.#open.splice(this.#open.indexOf(cursor), 1);
  }
}

interface Time {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** Before all frames: of files that have none. */
const NEVER: Time = { seconds: Number.NEGATIVE_INFINITY, nanoseconds: 0 };
const GIGA = 1e9;

function compare(a: Time, b: Time): number {
  return a.seconds === b.seconds ? a.nanoseconds - b.nanoseconds : a.seconds < b.seconds ? -1 : 1;
}

/** What a file says between its frames, with the frame that it stands before. */
interface Said {
  readonly before: number;
  readonly tell: (sink: FrameSink) => void;
}

/** What is known of a frame that waits, beside its bytes. */
interface Waiting extends FrameInfo {
  at: number;
  end: number;
  sortSeconds: number;
  sortNanoseconds: number;
}

/** Interfaces of all files, numbered as they come. */
class Interfaces {
  count = 0;
  hasSection = false;
}

/** One open file: the frames of the chunk that was read last, and where it stands in them. */
class Cursor implements Time {
  readonly file: number;
  /** The time of the next frame, as it is compared. */
  seconds = Number.NEGATIVE_INFINITY;
  nanoseconds = 0;
  /** To be said when the frames at hand are through. */
  failure: EsplaneError | undefined;
  readonly #bytes: AsyncIterator<Uint8Array>;
  readonly #reader: CaptureReader;
  readonly #interfaces: Interfaces;
  readonly #shiftSeconds: number;
  readonly #shiftNanoseconds: number;
  /** Interfaces of the section, by their numbers in all. */
  #ids: number[] = [];
  #arena = new Uint8Array(0);
  #used = 0;
  readonly #waiting: Waiting[] = [];
  #count = 0;
  #next = 0;
  #said: Said[] = [];
  #isAtEnd = false;
  #lastSeconds = Number.NEGATIVE_INFINITY;
  #lastNanoseconds = 0;

  constructor(file: number, { name, chunks }: CaptureFile, shift: number, interfaces: Interfaces) {
    this.file = file;
    this.#bytes = chunks()[Symbol.asyncIterator]();
    this.#interfaces = interfaces;
    this.#shiftSeconds = Math.floor(shift);
    this.#shiftNanoseconds = Math.round((shift - this.#shiftSeconds) * GIGA);
    this.#reader = captureReader(name, {
      frame: (b, at, end, info) => this.#keep(b, at, end, info),
      comment: (text) => this.#say((sink) => sink.comment?.(text)),
      section: (section) => this.#say((sink) => this.#section(section, sink)),
      interface: (description) => this.#say((sink) => this.#interface(description, sink)),
      secrets: (type, data) => this.#say((sink) => sink.secrets?.(type, data, this.file)),
    });
  }

  get hasFrame(): boolean {
    return this.#next < this.#count;
  }

  get leftOut(): LeftOut | undefined {
    return this.#reader.leftOut;
  }

  /**
   * Reads the next chunk, whose frames take the place of those that are through. @returns false at the end of the file
   * @throws {EsplaneError} it cannot be read; frames before the damage are there
   */
  async fill(): Promise<boolean> {
    if (this.failure) throw this.failure;
    if (this.#isAtEnd) return false;
    const { value: chunk, done } = await this.#bytes.next();
    this.#used = 0;
    this.#count = 0;
    this.#next = 0;
    for (const said of this.#said) (said as { before: number }).before = 0;
    try {
      if (done) {
        this.#isAtEnd = true;
        this.#reader.end();
        return false;
      }
      // A chunk has no more bytes of frames than it has bytes, but for the one that began in earlier chunks.
      if (this.#arena.length < chunk.length) this.#arena = new Uint8Array(chunk.length);
      this.#reader.feed(chunk);
      return true;
    } finally {
      this.#look();
    }
  }

  /** Hands on the next frame, and what the file says before it. */
  pop(sink: FrameSink): void {
    const info = this.#waiting[this.#next]!;
    this.#tell(sink, this.#next);
    info.interfaceId = this.#ids[info.interfaceId] ?? info.interfaceId;
    this.#next++;
    sink.frame(this.#arena, info.at, info.end, info);
    this.#look();
  }

  /** Hands on what the file says after its last frame. */
  drain(sink: FrameSink): void {
    this.#tell(sink, Number.POSITIVE_INFINITY);
  }

  async close(): Promise<void> {
    await this.#bytes.return?.();
  }

  #look(): void {
    if (!this.hasFrame) return;
    const { sortSeconds, sortNanoseconds } = this.#waiting[this.#next]!;
    this.seconds = sortSeconds;
    this.nanoseconds = sortNanoseconds;
  }

  #tell(sink: FrameSink, before: number): void {
    if (this.#said.length === 0) return;
    let told = 0;
    while (told < this.#said.length && this.#said[told]!.before <= before) this.#said[told++]!.tell(sink);
    this.#said.splice(0, told);
  }

  #say(tell: (sink: FrameSink) => void): void {
    this.#said.push({ before: this.#count, tell });
  }

  #section(section: CaptureSection, sink: FrameSink): void {
    this.#ids = [];
    if (this.#interfaces.hasSection) return;
    this.#interfaces.hasSection = true;
    sink.section?.(section);
  }

  #interface(description: CaptureInterface, sink: FrameSink): void {
    this.#ids.push(this.#interfaces.count++);
    sink.interface?.(description);
  }

  #keep(b: Uint8Array, at: number, end: number, info: FrameInfo): void {
    const to = this.#used;
    const len = end - at;
    if (to + len > this.#arena.length) {
      const grown = new Uint8Array(2 * (to + len));
      grown.set(this.#arena.subarray(0, to));
      this.#arena = grown;
    }
    this.#arena.set(b.subarray(at, end), to);
    this.#used = to + len;
    let waiting = this.#waiting[this.#count];
    if (!waiting) {
      waiting = { ...info, at: 0, end: 0, sortSeconds: 0, sortNanoseconds: 0 };
      this.#waiting.push(waiting);
    }
    this.#count++;
    waiting.seconds = info.seconds;
    waiting.nanoseconds = info.nanoseconds;
    waiting.hasTime = info.hasTime;
    waiting.interfaceId = info.interfaceId;
    waiting.linkType = info.linkType;
    waiting.originalLength = info.originalLength;
    waiting.byte = info.byte;
    waiting.number = frameId(this.file, info.number);
    waiting.at = to;
    waiting.end = to + len;
    // One without a time comes right after the one before it.
    if (info.hasTime) {
      const nanoseconds = info.nanoseconds + this.#shiftNanoseconds;
      const carried = nanoseconds >= GIGA ? 1 : 0;
      this.#lastSeconds = info.seconds + this.#shiftSeconds + carried;
      this.#lastNanoseconds = nanoseconds - carried * GIGA;
    }
    waiting.sortSeconds = this.#lastSeconds;
    waiting.sortNanoseconds = this.#lastNanoseconds;
  }
}
