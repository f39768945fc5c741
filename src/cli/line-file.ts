/**
 * A file of lines that grows while the program runs: whatever happens, its last line is whole. It may be rotated by size
 * here, or by another program that renames it and then asks for {@link LineFile.reopen}, or that copies and truncates it.
 * @module
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  openSync,
  renameSync,
  rmSync,
  type Stats,
  writeSync,
} from 'node:fs';
import { outputError, PRIVATE } from './output-file.ts';

/** What a file of lines may grow to. */
export interface LineFileOptions {
  /** Keeps what is there; else it is overwritten. */
  readonly append: boolean;
  /** Permission bits, also of a file that is there already; 0600 unless said otherwise. */
  readonly mode?: number;
  /** Bytes after which the file is renamed to `NAME.1` (and that to `NAME.2`…) and begun anew; left out, it has no limit. */
  readonly maxSize?: number;
  /** How many renamed files stay. */
  readonly maxBackups?: number;
}

export class LineFile {
  readonly name: string;
  readonly #options: LineFileOptions;
  #fd: number;
  #isRegular: boolean;

  /** @throws {EsplaneError} `ERR_OUTPUT` when the file cannot be made, or is of another user */
  constructor(name: string, options: LineFileOptions) {
    this.name = name;
    this.#options = options;
    try {
      // A FIFO is waited for until it has a reader.
      this.#fd = openSync(name, options.append ? APPEND : APPEND | constants.O_TRUNC, this.#mode);
      this.#isRegular = this.#guard(this.#fd).isFile();
    } catch (error) {
      throw outputError(name, error);
    }
  }

  get #mode(): number {
    return this.#options.mode ?? PRIVATE;
  }

  /** Gives an ordinary file its permissions: the flows of a cluster are not for every user of the host. */
  #guard(fd: number): Stats {
    const stat = fstatSync(fd);
    if (stat.isFile() && (stat.mode & 0o777) !== this.#mode) fchmodSync(fd, this.#mode);
    return stat;
  }

  /**
   * Writes whole lines: all of them, or none.
   * @throws {EsplaneError} `ERR_OUTPUT` when they cannot be written; the file then ends with the line before
   */
  write(text: string): void {
    const bytes = new TextEncoder().encode(text);
    let at = 0;
    try {
      this.#rotate(bytes.length);
      while (at < bytes.length) at += writeSync(this.#fd, bytes, at);
    } catch (error) {
      // Asked now: another program may have truncated the file since.
      if (this.#isRegular && at > 0) ftruncateSync(this.#fd, Math.max(0, fstatSync(this.#fd).size - at));
      throw outputError(this.name, error);
    }
  }

  /**
   * Opens the file of that name again, after another program has renamed it. What is no ordinary file stays open.
   * @throws {EsplaneError} `ERR_OUTPUT` when it cannot be opened; lines then go where they went
   */
  reopen(): void {
    if (!this.#isRegular) return;
    try {
      this.#begin(constants.O_NONBLOCK);
    } catch (error) {
      throw outputError(this.name, error);
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Starts a new file when the lines at hand would make this one too long. */
  #rotate(more: number): void {
    const { maxSize, maxBackups = 0 } = this.#options;
    if (maxSize === undefined || !this.#isRegular) return;
    const { size } = fstatSync(this.#fd);
    if (size === 0 || size + more <= maxSize) return;
    const backup = (n: number) => (n === 0 ? this.name : `${this.name}.${n}`);
    if (maxBackups === 0) rmSync(this.name, { force: true });
    for (let n = maxBackups - 1; n >= 0; n--) {
      try {
        renameSync(backup(n), backup(n + 1));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    this.#begin(0);
  }

  /** Opens the name anew, and lets the old file go once that has worked. */
  #begin(flags: number): void {
    const fd = openSync(this.name, APPEND | flags, this.#mode);
    try {
      this.#isRegular = this.#guard(fd).isFile();
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    closeSync(this.#fd);
    this.#fd = fd;
  }
}

/** Every write goes to the end, wherever another program has put it. */
const APPEND = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND;
