/**
 * The files in archives, one by one: zip, tar, gzip, zstd, and any of them in another, as in a sysdump whose bugtool
 * archives stayed packed. Nothing is written anywhere, so that names of entries are but names.
 *
 * A zip is read by its directory, which is at its end: of its entries only those that are wanted are unpacked. Of one that is
 * cut off, `salvage.ts` makes a directory. The
 * others are read as streams, so that a tar of any length takes no more memory than its longest text.
 *
 * Limits keep a small file from becoming much work: {@link LIMITS}.
 * @module
 */

import { unzipRaw } from 'unzipit';
import { ByteStream } from '../../base/byte-stream.ts';
import { toHex } from '../../base/bytes.ts';
import { grouped } from '../../base/count-text.ts';
import { decodeText } from '../../base/decode-text.ts';
import { InputError } from '../../base/errors.ts';
import { decompress } from '../../capture/decompress.ts';
import { containerOf, HEAD } from './recognise.ts';
import { type Salvaged, salvage } from './salvage.ts';
import { tarFiles, wholeText } from './tar.ts';

/** A file that is given, with bytes that can be read anywhere. */
export interface FileBytes {
  /** As the user gave it, for errors. */
  readonly name: string;
  readonly size: number;
  /**
   * Reads so many bytes, or fewer at the end of the file.
   * @throws {InputError} when they cannot be read
   */
  read(at: number, length: number): Promise<Uint8Array>;
}

/** A file, or a file in an archive. */
export interface Entry {
  /** Where it is: the given file, then the names of what it is in, and its own, with `/` between. */
  readonly name: string;
  /** The same in parts; the first is the given file's name. */
  readonly path: readonly string[];
  /** Its first {@link HEAD} bytes, or all when there are fewer. */
  readonly head: Uint8Array;
  /** The given file itself, where it is in no archive. */
  readonly file?: FileBytes;
  /**
   * Its bytes. A chunk is valid until the next one is asked for. To be asked for once, and before the next entry is.
   * @throws {InputError} the archive is damaged, or beyond a limit
   */
  chunks(): AsyncGenerator<Uint8Array>;
  /** All of them, to be kept. @throws {InputError} as {@link chunks}, or when there are more than of any text */
  bytes(): Promise<Uint8Array>;
  /** The text that they are. @throws {InputError} as {@link bytes} */
  text(): Promise<string>;
}

/** What is too much. */
export const LIMITS = {
  /** Bytes that all archives together unpack to: a sysdump of 1,000 nodes has a tenth of it. */
  unpacked: 64 * 2 ** 30,
  /** How many times its own size a given file may unpack to, … */
  ratio: 500,
  /** … once it is more than this. */
  ratioFrom: 256 << 20,
  /** Entries of all archives together. */
  entries: 2_000_000,
  /** Archives within one another; `.tar.gz` is two. */
  depth: 8,
  /** Bytes of a text, or of a zip that is in another archive: both are held in memory. */
  held: 256 << 20,
  /** Bytes of the directory of a zip. */
  directory: 256 << 20,
} as const;

export interface WalkOptions {
  /** Shared by all files that are given together. */
  readonly budget?: Budget;
  /** Is an entry wanted? Others are not unpacked where that can be avoided. By default all are. */
  readonly wants?: (path: readonly string[]) => boolean;
  /** Is told of an archive that is damaged, or beyond a limit of its own. What follows it is read all the same. */
  readonly onDamage: (error: InputError) => void;
  /** Absent, checksums of zips are not compared. */
  readonly crc32?: Crc32;
  /** Unpacks an entry of a zip at once, and the next ones meanwhile. Absent, entries are unpacked as streams, which takes longer. */
  readonly inflate?: Inflate;
  /** Takes back what `inflate` gave, when it is of no more use, so that its memory can be used again. */
  readonly release?: (bytes: Uint8Array) => void;
}

/**
 * Unpacks a raw deflate stream (`zlib.inflateRaw` of Node).
 * @param size bytes that it is to yield
 * @throws when it is damaged, or yields more
 */
export type Inflate = (bytes: Uint8Array, size: number) => Promise<Inflated>;

/** An entry, unpacked. */
export interface Inflated {
  readonly bytes: Uint8Array;
  /** Of these bytes. */
  readonly crc32: number;
}

/**
 * CRC-32 as zip has it (`zlib.crc32` of Node).
 * @param before what it gave for the bytes before these; 0 for the first
 */
export type Crc32 = (bytes: Uint8Array, before: number) => number;

/** What is left of {@link LIMITS} for everything that is given together. */
export class Budget {
  readonly #limits: Readonly<Record<keyof typeof LIMITS, number>>;
  #unpacked = 0;
  #entries = 0;

  /** @param limits smaller ones, for tests */
  constructor(limits: Partial<Readonly<Record<keyof typeof LIMITS, number>>> = {}) {
    this.#limits = { ...LIMITS, ...limits };
  }

  get limits(): Readonly<Record<keyof typeof LIMITS, number>> {
    return this.#limits;
  }

  /** Counts an entry. @throws {Exhausted} */
  entry(source: string): void {
    if (++this.#entries > this.#limits.entries)
      throw new Exhausted(source, `the archives hold more than ${grouped(this.#limits.entries)} files`);
  }

  /** Counts unpacked bytes. @throws {Exhausted} */
  unpack(source: string, bytes: number): void {
    this.#unpacked += bytes;
    if (this.#unpacked > this.#limits.unpacked)
      throw new Exhausted(source, `the archives unpack to more than ${sizeText(this.#limits.unpacked)}`);
  }
}

/** A limit on everything is reached: nothing more is read. */
export class Exhausted extends InputError {
  constructor(source: string, problem: string) {
    super({ source }, problem, 'Unpack them yourself, and give the files that matter.');
  }
}

/**
 * Goes through a file: what is in it when it is an archive, or else itself.
 * @throws {Exhausted} more than all limits together allow
 * @throws {InputError} the file cannot be read
 */
export async function* walk(file: FileBytes, options: WalkOptions): AsyncGenerator<Entry> {
  yield* new Walk(file, options).entries();
}

class Walk {
  readonly #file: FileBytes;
  readonly #budget: Budget;
  readonly #wants: (path: readonly string[]) => boolean;
  readonly #onDamage: (error: InputError) => void;
  readonly #crc32: Crc32 | undefined;
  readonly #inflate: Inflate | undefined;
  readonly #release: WalkOptions['release'];
  /** What was unpacked, and is kept by the reader of its entry. */
  readonly #kept = new WeakSet<Uint8Array>();
  /** Errors that were thrown to the reader of an entry, who knows of them. */
  readonly #told = new WeakSet<object>();
  #unpacked = 0;
  /** Files that have passed, of the archive that is read. */
  #read = 0;

  constructor(
    file: FileBytes,
    { budget = new Budget(), wants = () => true, onDamage, crc32, inflate, release }: WalkOptions,
  ) {
    this.#file = file;
    this.#budget = budget;
    this.#wants = wants;
    this.#onDamage = onDamage;
    this.#crc32 = crc32;
    this.#inflate = inflate;
    this.#release = release;
  }

  async *entries(): AsyncGenerator<Entry> {
    const { name } = this.#file;
    const head = await this.#file.read(0, HEAD);
    const container = containerOf(head);
    if (container === 'zip') yield* this.#zip(this.#file, [name], 1);
    else if (container === undefined) {
      const stream = new ByteStream(fileChunks(this.#file));
      yield this.#entry([name], head, stream, this.#file);
      await stream.close();
    } else yield* this.#open(new ByteStream(fileChunks(this.#file)), [name], 0);
  }

  /** What a stream holds. */
  async *#open(
    stream: ByteStream,
    path: readonly string[],
    depth: number,
    whole?: Whole,
  ): AsyncGenerator<Entry> {
    const name = path.join('/');
    try {
      const head = await stream.head(HEAD);
      const container = containerOf(head);
      if (container === undefined) {
        yield this.#entry(path, head, stream, undefined, whole);
        return;
      }
      if (depth >= this.#budget.limits.depth) {
        throw new InputError(
          { source: name },
          `an archive within ${this.#budget.limits.depth} others`,
          'Unpack it yourself, and give the files that matter.',
        );
      }
      if (container === 'tar') yield* this.#tar(stream, path, depth + 1);
      else if (container === 'zip') yield* this.#zip(await this.#held(stream, name), path, depth + 1);
      else {
        const before = this.#read;
        const damaged = (error: unknown) => withFiles(error, this.#read - before);
        const unpacked = this.#counted(mapped(decompress(stream.all(), container, name), damaged), name);
        yield* this.#open(new ByteStream(unpacked), path, depth + 1);
      }
    } catch (error) {
      this.#damage(error);
    } finally {
      await stream.close();
    }
  }

  /** Tells of a damage once. @throws errors of other kinds, and exhausted limits */
  #damage(error: unknown): void {
    if (error instanceof Exhausted || !(error instanceof InputError)) throw error;
    if (!this.#told.has(error)) this.#onDamage(error);
    this.#told.add(error);
  }

  async *#tar(stream: ByteStream, path: readonly string[], depth: number): AsyncGenerator<Entry> {
    const source = path.join('/');
    const before = this.#read;
    let files = 0;
    for await (const { name, bytes } of tarFiles(stream, source)) {
      // The one before is through: where it is not whole, that is found when the next one is looked for.
      this.#read = before + files++;
      this.#budget.entry(source);
      const inner = [...path, ...partsOf(name)];
      if (this.#wants(inner)) yield* this.#open(new ByteStream(bytes), inner, depth);
    }
  }

  async *#zip(given: FileBytes, path: readonly string[], depth: number): AsyncGenerator<Entry> {
    let file = given;
    const source = path.join('/');
    const { directory: most } = this.#budget.limits;
    let failure: unknown;
    const read = async (at: number, length: number): Promise<Uint8Array> => {
      try {
        if (length > most) {
          throw new InputError({ source }, `the directory of the zip is longer than ${sizeText(most)}`, COPY);
        }
        const bytes = await file.read(at, length);
        if (bytes.length < length) throw new InputError({ source }, 'the zip is cut off or damaged', COPY);
        return bytes;
      } catch (error) {
        failure ??= error;
        throw error;
      }
    };
    const damaged = (error: unknown): unknown => {
      if (failure !== undefined) return failure;
      if (error instanceof InputError) return error;
      return new InputError({ source }, problemOf(error), COPY, { cause: error });
    };
    const opened = async (): Promise<readonly ZipEntry[]> => {
      const zip = { getLength: async () => file.size, read };
      return (await unzipRaw(zip as never)).entries;
    };
    try {
      let cut: InputError | undefined;
      const entries = await opened().catch(async (error) => {
        const whole = failure === undefined ? await salvage(file, most) : undefined;
        if (!whole) throw damaged(error);
        file = whole.file;
        cut = new InputError({ source }, `${problemOf(error)}${salvagedText(whole)}`, COPY, {
          cause: error,
        });
        // What is whole need not be what can be unpacked.
        return opened().catch((again) => {
          throw damaged(again);
        });
      });
      /** Entries that are wanted, and are being unpacked while those before them are read. */
      const ahead: { readonly entry: ZipEntry; readonly inner: readonly string[]; readonly whole: Whole }[] =
        [];
      let bytesAhead = 0;
      for (const entry of entries) {
        this.#budget.entry(source);
        const inner = [...path, ...partsOf(entry.name)];
        if (entry.isDirectory || !this.#wants(inner)) continue;
        const whole = this.#whole(entry, file);
        ahead.push({ entry, inner, whole });
        bytesAhead += entry.size;
        // One that is read as a stream is read at once: nothing else may read the file meanwhile.
        for (const most = whole ? 1 : 0; ahead.length > most && (!whole || bytesAhead > AHEAD); ) {
          const next = ahead.shift()!;
          bytesAhead -= next.entry.size;
          yield* this.#zipEntry(next.entry, next.inner, depth, damaged, next.whole);
          failure = undefined;
        }
      }
      for (const next of ahead) yield* this.#zipEntry(next.entry, next.inner, depth, damaged, next.whole);
      if (cut) this.#damage(cut);
    } catch (error) {
      this.#damage(error);
    }
  }

  /** Begins to unpack an entry, unless it is so long that it had better come piece by piece. */
  #whole(entry: ZipEntry, file: FileBytes): Whole {
    const inflate = this.#inflate;
    const most = Math.min(MOST_WHOLE, this.#budget.limits.held);
    const isUsual = entry.compressionMethod === DEFLATED && !entry.encrypted;
    if (!inflate || !isUsual || entry.size > most || entry.compressedSize > most) return undefined;
    const unpacked = packedOf(entry, file).then(async (packed) => {
      const inflated = await inflate(packed, entry.size);
      if (inflated.bytes.length !== entry.size)
        throw new Error('an entry has another size than the directory says');
      return inflated;
    });
    // A caller that still waits for it is told.
    unpacked.catch(() => {});
    return unpacked;
  }

  async *#zipEntry(
    entry: ZipEntry,
    path: readonly string[],
    depth: number,
    damaged: (error: unknown) => unknown,
    whole: Whole,
  ): AsyncGenerator<Entry> {
    const name = path.join('/');
    const crc32 = this.#crc32;
    async function* unpacked(): AsyncGenerator<Uint8Array> {
      if (entry.encrypted)
        throw new InputError({ source: name }, 'is encrypted', 'Unpack it yourself, with its password.');
      let sum: number | undefined;
      if (whole) {
        const inflated = await whole;
        sum = inflated.crc32;
        yield inflated.bytes;
      } else {
        for await (const chunk of chunksOf(await entry.stream())) {
          if (crc32) sum = crc32(chunk, sum ?? 0);
          yield chunk;
        }
      }
      if (sum !== undefined && sum !== crcOf(entry))
        throw new InputError({ source: name }, 'is damaged: its checksum is another', COPY);
    }
    const chunks = this.#counted(mapped(unpacked(), damaged), name);
    yield* this.#open(new ByteStream(chunks), path, depth, whole);
    const inflated = this.#release && (await whole?.catch(() => undefined));
    if (inflated && !this.#kept.has(inflated.bytes)) this.#release(inflated.bytes);
  }

  /** Counts what is unpacked. */
  async *#counted(chunks: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Uint8Array> {
    const { ratio, ratioFrom } = this.#budget.limits;
    for await (const chunk of chunks) {
      this.#unpacked += chunk.length;
      this.#budget.unpack(this.#file.name, chunk.length);
      if (this.#unpacked > ratioFrom && this.#unpacked > ratio * this.#file.size) {
        throw new Exhausted(name, `unpacks to more than ${ratio} times the size of ${this.#file.name}`);
      }
      yield chunk;
    }
  }

  /** A zip in another archive, in memory. */
  async #held(stream: ByteStream, name: string): Promise<FileBytes> {
    return memoryFile(name, await this.#all(stream.all(), name, 'a zip in another archive'));
  }

  async #all(chunks: AsyncIterable<Uint8Array>, name: string, what: string): Promise<Uint8Array> {
    const { held } = this.#budget.limits;
    let bytes = new Uint8Array(0);
    let length = 0;
    for await (const chunk of chunks) {
      if (length + chunk.length > held) {
        throw new InputError(
          { source: name },
          `longer than ${sizeText(held)}, which is too long for ${what}`,
          'Check that it is the right file.',
        );
      }
      if (length + chunk.length > bytes.length) {
        // Most come in one.
        const longer = new Uint8Array(length === 0 ? chunk.length : 2 * (length + chunk.length));
        longer.set(bytes.subarray(0, length));
        bytes = longer;
      }
      bytes.set(chunk, length);
      length += chunk.length;
    }
    return bytes.subarray(0, length);
  }

  #entry(
    path: readonly string[],
    head: Uint8Array,
    stream: ByteStream,
    file?: FileBytes,
    whole?: Whole,
  ): Entry {
    const name = path.join('/');
    const told = this.#told;
    async function* chunks(): AsyncGenerator<Uint8Array> {
      try {
        yield* stream.all();
      } catch (error) {
        if (typeof error === 'object' && error !== null) told.add(error);
        throw error;
      }
    }
    const bytes = async () => {
      if (!whole) return this.#all(chunks(), name, 'a text');
      // They are counted, and their checksum compared, as they pass.
      for await (const _ of chunks());
      const inflated = await whole;
      this.#kept.add(inflated.bytes);
      return inflated.bytes;
    };
    return {
      name,
      path,
      head,
      ...(file && { file }),
      chunks,
      bytes,
      text: async () => decodeText(await bytes()),
    };
  }
}

/** What is wrong with a zip, by the library's error. */
function problemOf(error: unknown): string {
  const why = error instanceof Error ? error.message : String(error);
  return /end of central directory/.test(why)
    ? 'the zip is cut off: its directory, which is at its end, is missing'
    : `the zip is damaged (${why})`;
}

/** Says what of a packed archive is used all the same. @param files of it that have passed */
function withFiles(error: unknown, files: number): unknown {
  if (files === 0 || error instanceof Exhausted || !(error instanceof InputError)) return error;
  return new InputError(error.place, `${error.problem}${wholeText(files)}`, error.remedy, { cause: error });
}

/** What of it is used all the same. */
function salvagedText({ entries, next }: Salvaged): string {
  const rest = next === undefined ? '' : `; ${next} is not whole, and what came after it is not there`;
  return `${wholeText(entries)}${rest}`;
}

/** What an entry unpacks to, where it is unpacked at once. */
type Whole = Promise<Inflated> | undefined;

/** Bytes of an entry that is unpacked at once: one node's states have less. */
const MOST_WHOLE = 32 << 20;
/** Bytes that are unpacked before they are asked for: those of a node or two. */
const AHEAD = 8 << 20;

type ZipEntry = Awaited<ReturnType<typeof unzipRaw>>['entries'][number];

/** What the library reads of an entry, and does not hand out. */
function rawOf(entry: ZipEntry): { readonly crc32: number; readonly relativeOffsetOfLocalHeader: number } {
  return (entry as unknown as { readonly _rawEntry: ReturnType<typeof rawOf> })._rawEntry;
}

function crcOf(entry: ZipEntry): number {
  return rawOf(entry).crc32;
}

/** How zip calls deflate. */
const DEFLATED = 8;
/** Bytes of the header before an entry, without its name and what follows that. */
const LOCAL_HEADER = 30;
const LOCAL_SIGNATURE = '504b0304';

/** The bytes of an entry as they are in the zip. */
async function packedOf(entry: ZipEntry, file: FileBytes): Promise<Uint8Array> {
  const at = rawOf(entry).relativeOffsetOfLocalHeader;
  const header = await file.read(at, LOCAL_HEADER);
  if (toHex(header, 0, Math.min(4, header.length)) !== LOCAL_SIGNATURE || header.length < LOCAL_HEADER)
    throw new Error('an entry is not where the directory says');
  const skipped = LOCAL_HEADER + header[26]! + 256 * header[27]! + header[28]! + 256 * header[29]!;
  const packed = await file.read(at + skipped, entry.compressedSize);
  if (packed.length < entry.compressedSize) throw new Error('an entry is cut off');
  return packed;
}

const COPY = 'Copy the file again.';
/** Bytes that are read of a file at once. */
const CHUNK = 256 << 10;

/** A file that is in memory. */
export function memoryFile(name: string, bytes: Uint8Array): FileBytes {
  return { name, size: bytes.length, read: async (at, length) => bytes.subarray(at, at + length) };
}

async function* fileChunks(file: FileBytes): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < file.size; ) {
    const chunk = await file.read(at, CHUNK);
    if (chunk.length === 0) return;
    at += chunk.length;
    yield chunk;
  }
}

/** Turns an error into another one. */
async function* mapped(
  chunks: AsyncIterable<Uint8Array>,
  map: (error: unknown) => unknown,
): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
  } catch (error) {
    throw map(error);
  }
}

/** The chunks of a stream of the platform, which not every browser iterates over. */
async function* chunksOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Names of folders and file, without those that lead nowhere. */
function partsOf(name: string): string[] {
  return name.split(/[/\\]/).filter((part) => part !== '' && part !== '.');
}

function sizeText(bytes: number): string {
  return bytes >= 2 ** 30
    ? `${bytes / 2 ** 30} GiB`
    : bytes >= 2 ** 20
      ? `${bytes / 2 ** 20} MiB`
      : `${bytes} bytes`;
}
