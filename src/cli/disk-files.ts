/**
 * Names of the command line as files that can be read anywhere: files, folders with all that is in them, and pipes.
 * @module
 */
import { closeSync, type Dirent, openSync, readdirSync, readSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { ByteStream } from '../base/byte-stream.ts';
import { decodeText } from '../base/decode-text.ts';
import { InputError } from '../base/errors.ts';
import { compressionOf } from '../capture/compression.ts';
import { isCapture } from '../capture/format.ts';
import type { Budget, FileBytes } from '../inspect/files/walk.ts';
import { hold, readChunks, readError } from './files.ts';

/** Bytes of what comes through pipes and is kept: of one that is no capture, and of several captures together. */
const MOST_PIPE = 256 << 20;
/** Folders within one another. */
const MOST_FOLDERS = 64;

/** A name of the command line, and what its kind of file tells before it is read. */
export type Source = { readonly name: string } /** What comes through a pipe can be read once. */ & (
  | { readonly kind: 'capture'; readonly isPipe?: true }
  | { readonly kind: 'folder' }
  | { readonly kind: 'file'; readonly file: FileBytes }
);

/**
 * Looks at a name.
 * @param wantsCapture then a capture that comes through a pipe is not read to its end, which may never come
 * @throws {InputError} when it cannot be read
 */
export async function openSource(name: string, wantsCapture: boolean): Promise<Source> {
  const stats = name === '-' ? undefined : statOf(name);
  if (stats?.isDirectory()) return { name, kind: 'folder' };
  // Files of /proc have no size.
  if (stats?.isFile() && stats.size > 0) {
    const file = new DiskFile(name, stats.size);
    const kind = isCapture(await file.read(0, 4)) ? 'capture' : 'file';
    // Thousands may be given. It is opened again when it is read.
    file.close();
    return kind === 'capture' ? { name, kind } : { name, kind, file };
  }
  const stream = new ByteStream(readChunks(name));
  const head = await stream.head(4);
  // What comes through a pipe may have no end.
  if (wantsCapture && (isCapture(head) || compressionOf(head) !== undefined)) {
    hold(name, { chunks: () => stream.all() });
    return { name, kind: 'capture', isPipe: true };
  }
  const bytes = await stream.take(MOST_PIPE + 1);
  if (bytes.length > MOST_PIPE) throw tooMuch(name);
  hold(name, { chunks: () => pieces(bytes), text: decodeText(bytes) });
  return { name, kind: 'file', file: inMemory(name, bytes) };
}

/**
 * Reads what comes through pipes to the end of each, to have it more than once: all at a time, so that nothing that writes
 * into one has to wait.
 * @throws {InputError} when it is too much, or cannot be read
 */
export async function holdPipes(names: readonly string[]): Promise<void> {
  let length = 0;
  const read = async (name: string): Promise<void> => {
    const parts: Uint8Array[] = [];
    for await (const chunk of readChunks(name)) {
      length += chunk.length;
      if (length > MOST_PIPE) throw tooMuch(name, ', with the other captures');
      parts.push(chunk.slice());
    }
    hold(name, { chunks: () => pieces(...parts) });
  };
  await Promise.all(names.map(read));
}

function tooMuch(source: string, what = ''): InputError {
  return new InputError({ source }, `more than 256 MiB through a pipe${what}`, 'Save it as a file first.');
}

async function* pieces(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield part.slice();
}

function inMemory(name: string, bytes: Uint8Array): FileBytes {
  return { name, size: bytes.length, read: async (at, length) => bytes.subarray(at, at + length) };
}

function statOf(name: string): Stats {
  try {
    return statSync(name);
  } catch (error) {
    throw readError(name, error);
  }
}

/** A file on disk, open from when it is read until it is closed. */
export class DiskFile implements FileBytes {
  readonly name: string;
  readonly size: number;
  #fd: number | undefined;

  constructor(name: string, size: number) {
    this.name = name;
    this.size = size;
  }

  async read(at: number, length: number): Promise<Uint8Array> {
    try {
      this.#fd ??= openSync(this.name, 'r');
      const bytes = new Uint8Array(Math.max(0, Math.min(length, this.size - at)));
      let read = 0;
      while (read < bytes.length) {
        const some = readSync(this.#fd, bytes, read, bytes.length - read, at + read);
        if (some === 0) break;
        read += some;
      }
      return bytes.subarray(0, read);
    } catch (error) {
      throw readError(this.name, error);
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

/** All files, those of folders in the order of their names. Links to folders are not followed. */
export async function* filesOf(sources: readonly Source[], budget: Budget): AsyncGenerator<FileBytes> {
  for (const source of sources) {
    if (source.kind === 'folder') yield* filesIn(source.name, budget, 1);
    else if (source.kind === 'file') {
      yield source.file;
      if (source.file instanceof DiskFile) source.file.close();
    }
  }
}

async function* filesIn(folder: string, budget: Budget, depth: number): AsyncGenerator<FileBytes> {
  if (depth > MOST_FOLDERS)
    throw new InputError({ source: folder }, 'a folder within 64 others', 'Give the folder that matters.');
  for (const entry of entriesOf(folder)) {
    const name = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesIn(name, budget, depth + 1);
    else {
      const stats = statOf(name);
      if (!stats.isFile()) continue;
      budget.entry(folder);
      const file = new DiskFile(name, stats.size);
      yield file;
      file.close();
    }
  }
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    throw readError(folder, error);
  }
}
