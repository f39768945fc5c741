/**
 * Files as the command line names them: `-` is standard input, and what goes wrong is one clear line.
 * @module
 */
import {
  closeSync,
  createReadStream,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { EsplaneError, InputError } from '../base/errors.ts';

/**
 * Bytes of a file that are read at once. What the kernel has copied is then still in the cache nearest to the CPU:
 * 256 KiB take five times as long a byte.
 */
const CHUNK = 128 << 10;
/** After so many chunks whoever else has something to do gets a turn: Ctrl-C, and what is to be written. */
const CHUNKS_A_TURN = 16;
/** A text with keys, nodes or states is never this long: somebody named the wrong file. */
const MAX_TEXT = 256 << 20;

/**
 * Reads a whole text.
 * @throws {InputError} when it cannot be read
 */
export function readText(file: string): string {
  try {
    const fd = file === '-' ? 0 : openSync(file, 'r');
    try {
      if (fstatSync(fd).size > MAX_TEXT) {
        throw new InputError({ source: file }, 'more than 256 MiB', 'Name a text file.');
      }
      return readFileSync(fd, 'utf8');
    } finally {
      if (fd !== 0) closeSync(fd);
    }
  } catch (error) {
    throw readError(file, error);
  }
}

/**
 * Streams a file's bytes. A chunk is the caller's, to be read and overwritten, until the next one is asked for: its
 * memory is then used again.
 * @throws {InputError} when it cannot be read
 */
export async function* readChunks(file: string): AsyncGenerator<Uint8Array> {
  try {
    if (file === '-') yield* process.stdin as AsyncIterable<Uint8Array>;
    else if (statSync(file).isFile()) yield* readWhole(file);
    else yield* createReadStream(file) as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw readError(file, error);
  }
}

/**
 * Reads a file on this thread. (To hand each read to another thread costs more than the copy that it saves, and the
 * bytes then come from the cache of the other core.)
 */
async function* readWhole(file: string): AsyncGenerator<Uint8Array> {
  const fd = openSync(file, 'r');
  try {
    const buffer = new Uint8Array(CHUNK);
    for (let chunks = 1; ; chunks++) {
      const len = readSync(fd, buffer, 0, CHUNK, null);
      if (len === 0) return;
      yield len === CHUNK ? buffer : buffer.subarray(0, len);
      if (chunks % CHUNKS_A_TURN === 0) await setImmediate();
    }
  } finally {
    closeSync(fd);
  }
}

/** A file's size in bytes, where it has one that says how much there is to read. */
export function sizeOf(file: string): number | undefined {
  if (file === '-') return undefined;
  try {
    const fd = openSync(file, 'r');
    const { size } = fstatSync(fd);
    closeSync(fd);
    return size > 0 ? size : undefined;
  } catch {
    return undefined; // the reader will say why
  }
}

/**
 * An output file that bears its name only when it is whole: until {@link OutputFile.finish} it is called
 * `NAME.partial`, and stays so when the work stops early.
 */
export class OutputFile {
  readonly name: string;
  readonly partialName: string;
  readonly #fd: number;

  /** @throws {EsplaneError} `ERR_OUTPUT` when the file cannot be made */
  constructor(name: string) {
    this.name = name;
    this.partialName = `${name}.partial`;
    try {
      // Clear packets and secrets are nobody else's business.
      this.#fd = openSync(this.partialName, 'w', 0o600);
    } catch (error) {
      throw outputError(this.partialName, error);
    }
  }

  write(bytes: Uint8Array): void {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
    } catch (error) {
      throw outputError(this.partialName, error);
    }
  }

  /** Removes the file: nothing in it is worth keeping. */
  discard(): void {
    closeSync(this.#fd);
    rmSync(this.partialName, { force: true });
  }

  /** Gives the file its name. */
  finish(): void {
    closeSync(this.#fd);
    try {
      renameSync(this.partialName, this.name);
    } catch (error) {
      throw outputError(this.name, error);
    }
  }
}

function readError(file: string, error: unknown): Error {
  if (error instanceof EsplaneError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT')
    return new InputError({ source: file }, 'no such file', 'Check the name.', { cause: error });
  if (code === 'EACCES') {
    return new InputError({ source: file }, 'not allowed to read it', 'Check its permissions.', {
      cause: error,
    });
  }
  if (code === 'EISDIR')
    return new InputError({ source: file }, 'is a folder', 'Name a file.', { cause: error });
  return new InputError({ source: file }, `cannot be read (${code ?? String(error)})`, 'Check the file.', {
    cause: error,
  });
}

/** What to say when a file cannot be written. */
export function outputError(file: string, error: unknown): EsplaneError {
  const code = (error as NodeJS.ErrnoException).code ?? String(error);
  const why = code === 'ENOENT' ? 'its folder does not exist' : code === 'ENOSPC' ? 'the disk is full' : code;
  return new EsplaneError('ERR_OUTPUT', `${file}: cannot be written: ${why}`, { cause: error });
}
