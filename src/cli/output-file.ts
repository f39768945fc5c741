/**
 * Files that commands write. `-` is standard output, and what goes wrong is one clear line.
 * @module
 */
import { closeSync, openSync, realpathSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { EsplaneError } from '../base/errors.ts';

/** Opened anew it waits for its reader, which the descriptor that Node has made non-blocking does not. */
const STDOUT = '/dev/stdout';

/**
 * An output file that bears its name only when it is whole: until {@link OutputFile.finish} it is called
 * `NAME.partial`, and stays so when the work stops early. What is no ordinary file (standard output, a FIFO, a device) is
 * written to as it is.
 */
export class OutputFile {
  readonly name: string;
  /** Under which name there is something if the work stops early; its own, where there is nothing to rename. */
  readonly partialName: string;
  /** What the whole file is called: a link stays one, and what it leads to is replaced. */
  readonly #path: string;
  readonly #isStream: boolean;
  #fd: number | undefined;

  /** @throws {EsplaneError} `ERR_OUTPUT` when the file cannot be made */
  constructor(name: string) {
    this.name = name;
    try {
      const { path, isStream } = targetOf(name);
      this.#path = path;
      this.#isStream = isStream;
      this.partialName = isStream ? name : `${path}.partial`;
      if (!isStream) rmSync(this.partialName, { force: true });
      // Clear packets and secrets are nobody else's business.
      this.#fd = isStream ? openSync(path, 'a') : openSync(this.partialName, 'wx', 0o600);
    } catch (error) {
      throw outputError(name, error);
    }
  }

  /** @throws {EsplaneError} `ERR_OUTPUT` when it takes no more */
  write(bytes: Uint8Array): void {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd!, bytes, at);
    } catch (error) {
      // Who reads has enough.
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

  /** Gives the file its name. @throws {EsplaneError} `ERR_OUTPUT` when it cannot have it */
  finish(): void {
    try {
      this.#close();
      if (!this.#isStream) renameSync(this.partialName, this.#path);
    } catch (error) {
      throw outputError(this.name, error);
    }
  }

  #close(): void {
    const fd = this.#fd!;
    this.#fd = undefined;
    closeSync(fd);
  }
}

/** Where the bytes go, and whether that is no file that can be put in another's place. */
function targetOf(name: string): { readonly path: string; readonly isStream: boolean } {
  if (name === '-') return { path: STDOUT, isStream: true };
  if (name === '') throw Object.assign(new Error(), { code: 'EINVAL' });
  const stat = statSync(name, { throwIfNoEntry: false });
  if (!stat) return { path: name, isStream: false };
  if (stat.isDirectory()) throw Object.assign(new Error(), { code: 'EISDIR' });
  return stat.isFile() ? { path: realpathSync(name), isStream: false } : { path: name, isStream: true };
}

/** What is wrong, and what to do. */
const PROBLEMS: Readonly<Record<string, readonly [problem: string, remedy: string]>> = {
  ENOENT: ['its folder does not exist', 'Make it, or name another place.'],
  ENOTDIR: ['what should be its folder is none', 'Name another place.'],
  EINVAL: ['no file can be called that', 'Give another name.'],
  EEXIST: ['a file has that name', 'Give another name.'],
  EISDIR: ['it is a folder', 'Name a file.'],
  EACCES: ['no right to', 'Name another place, or look at the permissions of its folder.'],
  EPERM: ['no right to', 'Name another place, or look at the permissions of its folder.'],
  EROFS: ['its file system is read-only', 'Name another place.'],
  ENOSPC: ['the disk is full', 'Make room, or name another place.'],
  EPIPE: ['nobody reads it any more', 'Start its reader again.'],
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
