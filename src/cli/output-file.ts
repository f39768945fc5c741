/**
 * Files that esplane writes whole: captures, the node's own CiliumNode, keys of a run. One helper, so that each is made in
 * the same safe way. `-` is standard output, and what goes wrong is one clear line.
 * @module
 */
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  lstatSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { toHex } from '../base/bytes.ts';
import { EsplaneError } from '../base/errors.ts';
import { secureBytes } from '../base/rng.ts';

/** Opened anew it waits for its reader, which the descriptor that Node has made non-blocking does not. */
const STDOUT = '/dev/stdout';
/** Clear packets, keys and who talks to whom are for the owner alone. */
export const PRIVATE = 0o600;

/** Files that are not whole yet. A program that ends at once, as at the second Ctrl-C, leaves no random names. */
const unfinished = new Set<OutputFile>();
let isExitWatched = false;

function watchExit(): void {
  if (isExitWatched) return;
  isExitWatched = true;
  process.once('exit', () => {
    for (const file of unfinished) {
      try {
        file.keepPart();
      } catch {
        // It stays under its random name.
      }
    }
  });
}

export interface OutputFileOptions {
  /** Permission bits of the file; 0600 unless said otherwise. */
  readonly mode?: number;
  /**
   * A symbolic link at the name is followed, and only what it leads to is replaced; a FIFO or a device is written to
   * (default). Otherwise the link itself is replaced and the others are refused: right for a file that a daemon writes, in
   * a folder that other users may write to.
   */
  readonly follows?: boolean;
}

/**
 * An output file that has its name only when it is whole. Until {@link OutputFile.finish} it is a new file of a random
 * name beside it (`O_EXCL`, so no link that another user planted is followed), which is flushed to the disk before it is
 * renamed. Anything but an ordinary file (standard output, a FIFO, a device) is written to as it is.
 */
export class OutputFile {
  readonly name: string;
  /** Where the bytes are until the file is whole; {@link name} itself, where there is nothing to rename. */
  readonly partialName: string;
  /** What the whole file is called. */
  readonly #path: string;
  readonly #isStream: boolean;
  #fd: number | undefined;

  /** @throws {EsplaneError} `ERR_OUTPUT` when the file cannot be made */
  constructor(name: string, { mode = PRIVATE, follows = true }: OutputFileOptions = {}) {
    this.name = name;
    try {
      const { path, isStream } = targetOf(name, follows);
      this.#path = path;
      this.#isStream = isStream;
      this.partialName = isStream ? name : `${path}.${randomName()}.partial`;
      this.#fd = isStream ? openSync(path, 'a') : openSync(this.partialName, 'wx', mode);
      // The umask has taken bits away that were asked for.
      if (!isStream && mode !== PRIVATE) fchmodSync(this.#fd, mode);
      unfinished.add(this);
      watchExit();
    } catch (error) {
      throw outputError(name, error);
    }
  }

  /** @throws {EsplaneError} `ERR_OUTPUT` when it takes no more */
  write(bytes: Uint8Array): void {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd!, bytes, at);
    } catch (error) {
      // The reader has enough.
      if (this.name === '-' && (error as NodeJS.ErrnoException).code === 'EPIPE') process.exit(0);
      throw outputError(this.name, error);
    }
  }

  /** Removes the file: nothing in it is worth keeping. A whole one stays. */
  discard(): void {
    if (this.#fd === undefined) return;
    this.#close();
    if (!this.#isStream) rmSync(this.partialName, { force: true });
  }

  /**
   * Ends the file where the work ended, as `NAME.partial`.
   * @returns what it is called; `undefined` where there was nothing to rename
   * @throws {EsplaneError} `ERR_OUTPUT` when it cannot be called that; it then keeps its random name
   */
  keepPart(): string | undefined {
    this.#close();
    if (this.#isStream) return undefined;
    const kept = `${this.#path}.partial`;
    try {
      renameSync(this.partialName, kept);
    } catch (error) {
      throw outputError(kept, error);
    }
    return kept;
  }

  /** Gives the file its name. @throws {EsplaneError} `ERR_OUTPUT` when it cannot have it; nothing of it is left then */
  finish(): void {
    try {
      if (!this.#isStream) fsyncSync(this.#fd!);
      this.#close();
      if (!this.#isStream) renameSync(this.partialName, this.#path);
    } catch (error) {
      if (!this.#isStream) rmSync(this.partialName, { force: true });
      throw outputError(this.name, error);
    }
  }

  #close(): void {
    unfinished.delete(this);
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd !== undefined) closeSync(fd);
  }
}

/**
 * Writes a file so that its readers see the old text or the new one, never a part.
 * @throws {EsplaneError} `ERR_OUTPUT`; the old file stays then
 */
export function writeWhole(name: string, text: string, options?: OutputFileOptions): void {
  const file = new OutputFile(name, options);
  try {
    file.write(new TextEncoder().encode(text));
  } catch (error) {
    file.discard();
    throw error;
  }
  file.finish();
}

/** Where the bytes go, and whether that cannot be replaced by another file. */
function targetOf(name: string, follows: boolean): { readonly path: string; readonly isStream: boolean } {
  if (name === '-') return { path: STDOUT, isStream: true };
  if (name === '') throw Object.assign(new Error(), { code: 'EINVAL' });
  const stat = (follows ? statSync : lstatSync)(name, { throwIfNoEntry: false });
  if (!stat || stat.isSymbolicLink()) return { path: name, isStream: false };
  if (stat.isDirectory()) throw Object.assign(new Error(), { code: 'EISDIR' });
  if (!stat.isFile()) {
    if (!follows) throw Object.assign(new Error(), { code: 'not an ordinary file' });
    return { path: name, isStream: true };
  }
  return { path: follows ? realpathSync(name) : name, isStream: false };
}

/** What is wrong, and what to do. */
const PROBLEMS: Readonly<Record<string, readonly [problem: string, remedy: string]>> = {
  ENOENT: ['its folder does not exist', 'Make it, or name another place.'],
  ENOTDIR: ['its folder is not a folder', 'Name another place.'],
  EINVAL: ['no file can be called that', 'Give another name.'],
  EEXIST: ['a file has that name', 'Give another name.'],
  EISDIR: ['it is a folder', 'Name a file.'],
  EACCES: ['no right to', 'Name another place, or look at the permissions of its folder.'],
  EPERM: ['no right to', 'Name another place, or look at the permissions of its folder.'],
  EROFS: ['its file system is read-only', 'Name another place.'],
  ENOSPC: ['the disk is full', 'Make room, or name another place.'],
  'not an ordinary file': ['it is a FIFO, a socket or a device', 'Remove it, or name another place.'],
  EPIPE: ['its reader has gone', 'Start the reader again.'],
};

/** What to say when a file cannot be written. */
export function outputError(file: string, error: unknown): EsplaneError {
  const code = (error as NodeJS.ErrnoException).code ?? String(error);
  const [problem, remedy] = PROBLEMS[code] ?? [code, 'Name another place.'];
  return new EsplaneError(
    'ERR_OUTPUT',
    `${file === '' ? "''" : file}: cannot be written: ${problem}. ${remedy}`,
    {
      cause: error,
    },
  );
}

function randomName(): string {
  const bytes = new Uint8Array(6);
  secureBytes(bytes);
  return toHex(bytes);
}
