/**
 * Files that commands read, as the command line names them: `-` is standard input, and what goes wrong is one clear line.
 * @module
 */
import { closeSync, constants, createReadStream, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { decodeText } from '../base/decode-text.ts';
import { EsplaneError, InputError } from '../base/errors.ts';
import { unpacked } from '../capture/compression.ts';

/**
 * Bytes of a file that are read at once. What the kernel has copied is then still in the cache nearest to the CPU:
 * 256 KiB take five times as long a byte.
 */
const CHUNK = 128 << 10;
/** After so many chunks other work gets a turn: Ctrl-C, and what is to be written. */
const CHUNKS_A_TURN = 16;
/** A text with keys, nodes or states is never this long: the wrong file was named. */
const MAX_TEXT = 256 << 20;
/** ms until standard input is asked again. */
const WAIT = 10;

/** Is standard input read already? It can be only once. */
let isStdinTaken = false;

/** What stands for a file: a part of an archive, or what was read of a pipe already. */
export interface Held {
  readonly text?: string;
  readonly chunks?: () => AsyncIterable<Uint8Array>;
}

const held = new Map<string, Held>();

/** From now on {@link readText} and {@link readChunks} have this under a name, whatever file has it. */
export function hold(name: string, what: Held): void {
  held.set(name, { ...held.get(name), ...what });
}

/**
 * Reads a whole text.
 * @throws {InputError} when it cannot be read
 */
export function readText(file: string): string {
  const known = held.get(file);
  if (known?.text !== undefined) return known.text;
  try {
    if (file === '-') takeStdin();
    const fd = file === '-' ? 0 : openSync(file, 'r');
    try {
      return decodeText(readAll(fd, file));
    } finally {
      if (fd !== 0) closeSync(fd);
    }
  } catch (error) {
    throw readError(file, error);
  }
}

/** How much will come of devices and pipes is not known, so that is looked at on the way. */
function readAll(fd: number, source: string): Uint8Array {
  const { size } = fstatSync(fd);
  let bytes = new Uint8Array(Math.min(size, MAX_TEXT) + CHUNK);
  let length = 0;
  for (;;) {
    if (Math.max(size, length) > MAX_TEXT)
      throw new InputError({ source }, 'more than 256 MiB', 'Name a text file.');
    const read = readSome(fd, bytes, length);
    if (read === 0) return bytes.subarray(0, length);
    length += read;
    if (length < bytes.length) continue;
    const larger = new Uint8Array(2 * length);
    larger.set(bytes);
    bytes = larger;
  }
}

/** @returns how many bytes came, 0 at the end */
function readSome(fd: number, bytes: Uint8Array, at: number): number {
  for (;;) {
    try {
      return readSync(fd, bytes, at, bytes.length - at, null);
    } catch (error) {
      // A terminal or pipe that another program has made non-blocking, and nothing is there yet.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT);
    }
  }
}

function takeStdin(): void {
  if (isStdinTaken) throw stdinTwice();
  isStdinTaken = true;
}

/** What to say when standard input is to be read for two things. */
export function stdinTwice(): InputError {
  return new InputError({ source: '-' }, 'standard input is named twice', 'Give files for all but one.');
}

/**
 * Opens a FIFO as a pipe of the event loop, which waits for a writer and for its bytes. A file stream would have a thread
 * wait in the kernel, and a process does not end before its threads do, Ctrl-C or not.
 */
function openFifo(file: string): Socket {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  return new Socket({ fd, readable: true, writable: false });
}

/**
 * Streams a file's bytes. A chunk is the caller's, to be read and overwritten, until the next one is asked for: its
 * memory is then used again.
 * @param onRead told how many bytes each chunk of a file has, before it is handed out
 * @throws {InputError} when it cannot be read
 */
export async function* readChunks(
  file: string,
  onRead?: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  const known = held.get(file);
  if (known?.chunks) return yield* known.chunks();
  try {
    if (file === '-') {
      takeStdin();
      yield* process.stdin as AsyncIterable<Uint8Array>;
      return;
    }
    const kind = statSync(file);
    if (kind.isFile()) yield* readWhole(file, onRead);
    else yield* (kind.isFIFO() ? openFifo(file) : createReadStream(file)) as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw readError(file, error);
  }
}

/** A capture's bytes, unpacked where they are packed; only then is loaded what does that. */
export function unpackedCapture(
  bytes: AsyncIterable<Uint8Array>,
  source: string,
): AsyncGenerator<Uint8Array> {
  return unpacked(bytes, source, async () => (await import('../capture/decompress.ts')).decompress);
}

/**
 * Reads a file on this thread. (To hand each read to another thread costs more than the copy that it saves, and the
 * bytes then come from the cache of the other core.)
 */
async function* readWhole(file: string, onRead?: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  const fd = openSync(file, 'r');
  try {
    const buffer = new Uint8Array(CHUNK);
    for (let chunks = 1; ; chunks++) {
      const len = readSync(fd, buffer, 0, CHUNK, null);
      if (len === 0) return;
      onRead?.(len);
      yield len === CHUNK ? buffer : buffer.subarray(0, len);
      if (chunks % CHUNKS_A_TURN === 0) await setImmediate();
    }
  } finally {
    closeSync(fd);
  }
}

/** A file's size in bytes, where it has one that says how much there is to read. */
export function sizeOf(file: string): number | undefined {
  if (file === '-' || held.has(file)) return undefined;
  try {
    // Not by opening it: a FIFO's writer would then take its reader for gone.
    const { size } = statSync(file);
    return size > 0 ? size : undefined;
  } catch {
    return undefined; // the reader will say why
  }
}

/** What to say when a file cannot be read. */
export function readError(file: string, error: unknown): Error {
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
