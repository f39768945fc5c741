/**
 * Files that a running node reads: others replace them while packets flow, and whatever is put in place of one must
 * neither stop the node nor fill its memory. Regular files only, of a limited size, read without blocking the thread
 * and within a time limit: a mount that hangs is a warning.
 * @module
 */
import { constants, promises, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { decodeText } from '../base/decode-text.ts';
import { InputError } from '../base/errors.ts';
import { readError } from './files.ts';
import { hangs } from './hard-exit.ts';

/** What a file is for: how an error calls it, and the most bytes it may have. */
export interface InputKind {
  readonly what: string;
  readonly mib: number;
}

/** The largest that a node reads. A node list of 10,000 nodes with 2,000 bytes each has 20 MB. */
export const INPUT = {
  config: { what: 'a configuration', mib: 1 },
  ciliumConfig: { what: 'a cilium-config', mib: 1 },
  keys: { what: 'a keys file', mib: 1 },
  nodes: { what: 'a node list', mib: 256 },
  xfrm: { what: 'the text of ip xfrm', mib: 64 },
} as const satisfies Record<string, InputKind>;

/** ms that one call to the file system may take. */
const PATIENCE = 5000;
/** ms that all calls for one file may take. */
const LONGEST_READ = 60_000;
/** Bytes of one read. */
const CHUNK = 1 << 20;

/** The calls that are made, all of them in the thread pool. */
type FileSystem = Pick<typeof promises, 'stat' | 'open' | 'realpath'>;

interface Options {
  /** ms that one call may take. */
  readonly patience?: number;
  readonly fileSystem?: FileSystem;
}

/** One call at a time is made in a folder: each that hangs holds one of the few threads of the pool. */
interface Folder {
  /** Settles when the calls before have been answered or given up. */
  turn: Promise<void>;
  /** Settles when the call that was given up is back; absent unless one is. Nothing else is asked until then. */
  hung: Promise<void> | undefined;
}

export class InputFiles {
  readonly #patience: number;
  readonly #fs: FileSystem;
  readonly #folders = new Map<string, Folder>();

  constructor({ patience = PATIENCE, fileSystem = promises }: Options = {}) {
    this.#patience = patience;
    this.#fs = fileSystem;
  }

  /**
   * Reads a whole text.
   * @throws {InputError} when it is no regular file, too large, not to be read, or not there in time
   */
  async read(file: string, kind: InputKind): Promise<string> {
    return this.#ask(file, (call) => this.#read(file, kind, call));
  }

  /** Is there something of this name? @throws {InputError} when there is no answer in time, or no right to know */
  async exists(file: string): Promise<boolean> {
    return this.#exists(file, dirname(file));
  }

  /** The same for a folder: where it hangs, what is beside it does not. */
  async folderExists(folder: string): Promise<boolean> {
    return this.#exists(folder, folder);
  }

  #exists(name: string, folder: string): Promise<boolean> {
    const ask = (call: Call) =>
      call(() => this.#fs.stat(name)).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code === 'ENOENT') return false;
          throw error;
        },
      );
    return this.#ask(name, ask, folder);
  }

  /**
   * Where a name leads, and what tells one content from the next without reading it; for comparison alone.
   * @returns also something where there is no such file
   */
  async state(file: string): Promise<string> {
    try {
      return await this.#ask(file, async (call) => {
        const path = await call(() => this.#fs.realpath(file));
        const { ino, size, mode, mtimeNs, ctimeNs } = await call(() => this.#fs.stat(path, { bigint: true }));
        return [path, ino, mode, size, mtimeNs, ctimeNs].join(' ');
      });
    } catch (error) {
      return (error as Error).message;
    }
  }

  async #read(file: string, kind: InputKind, call: Call): Promise<string> {
    // To open a device may set something off. A file that takes its place after this look is caught by the next.
    checkKind(file, await call(() => this.#fs.stat(file)));
    // A FIFO without a writer would hold the thread in open().
    const handle = await call(() => this.#fs.open(file, constants.O_RDONLY | constants.O_NONBLOCK));
    try {
      const stat = await call(() => handle.stat());
      checkKind(file, stat);
      const most = kind.mib << 20;
      const pieces: Uint8Array[] = [];
      let length = 0;
      if (stat.size > most) throw tooLarge(file, kind);
      for (;;) {
        // Of a file that grows meanwhile, and of those of /proc, the size says nothing.
        const buffer = new Uint8Array(Math.min(CHUNK, Math.max(stat.size, 4096) + 1));
        const { bytesRead } = await call(() => handle.read(buffer, 0, buffer.length, null));
        if (bytesRead === 0) break;
        length += bytesRead;
        if (length > most) throw tooLarge(file, kind);
        pieces.push(buffer.subarray(0, bytesRead));
      }
      return decode(pieces);
    } finally {
      // Where a call hangs, closing would hang too.
      const hung = this.#folder(dirname(file)).hung ?? Promise.resolve();
      hung.finally(() => handle.close()).catch(() => {});
    }
  }

  /**
   * Runs `work`, whose every call to the file system is given up when it takes too long.
   * @throws {InputError}
   */
  async #ask<T>(file: string, work: (call: Call) => Promise<T>, within = dirname(file)): Promise<T> {
    const folder = this.#folder(within);
    const end = performance.now() + LONGEST_READ;
    const call: Call = async (make) => {
      const before = folder.turn;
      let done = () => {};
      folder.turn = new Promise((resolve) => {
        done = resolve;
      });
      await before;
      try {
        if (folder.hung || performance.now() > end) throw this.#noAnswer(file);
        return await this.#inTime(file, folder, make());
      } finally {
        done();
      }
    };
    try {
      return await work(call);
    } catch (error) {
      throw readError(file, error);
    }
  }

  async #inTime<R>(file: string, folder: Folder, answer: Promise<R>): Promise<R> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const isBack = hangs();
        folder.hung = answer
          // What open() comes back with is of no use any more.
          .then((handle) => (handle as Partial<promises.FileHandle> | undefined)?.close?.())
          .catch(() => {})
          .then(() => {
            folder.hung = undefined;
            isBack();
          });
        reject(this.#noAnswer(file));
      }, this.#patience);
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #folder(name: string): Folder {
    let folder = this.#folders.get(name);
    if (!folder) {
      folder = { turn: Promise.resolve(), hung: undefined };
      this.#folders.set(name, folder);
    }
    return folder;
  }

  #noAnswer(file: string): InputError {
    return new InputError(
      { source: file },
      `its file system did not answer within ${this.#patience / 1000} s`,
      'Check the mount that it is on.',
    );
  }
}

/** Makes one call to the file system, within the time limit. */
type Call = <R>(make: () => Promise<R>) => Promise<R>;

function checkKind(file: string, stat: Stats): void {
  if (stat.isFile()) return;
  const what = stat.isDirectory()
    ? 'a folder'
    : stat.isFIFO()
      ? 'a FIFO'
      : stat.isSocket()
        ? 'a socket'
        : 'a device';
  throw new InputError(
    { source: file },
    `is ${what}, and a node reads regular files only`,
    'Put a regular file in its place.',
  );
}

function tooLarge(file: string, { what, mib }: InputKind): InputError {
  return new InputError(
    { source: file },
    `is larger than the ${mib} MiB that ${what} may have`,
    'Check that it is the right file.',
  );
}

function decode(pieces: readonly Uint8Array[]): string {
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return decodeText(bytes);
}
