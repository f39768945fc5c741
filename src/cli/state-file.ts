/**
 * The state directory of a node: where its SAs' sequence numbers and anti-replay windows outlive it. `docs/state-file.md`
 * says what is in the file and what holds after which kind of end.
 *
 * The file is mapped memory. The thread that carries packets writes words there and nothing else; this module, in
 * another thread, gives SAs their rows and sees to it that reserves are on the disk before they are used.
 * @module
 */
import {
  closeSync,
  constants,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { EsplaneError, InputError } from '../base/errors.ts';
import { type Prepared, type RowMemory, RowStore, recoverRows, type Words } from '../ipsec/row-store.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import { OUT, rowIn, rowLength, type SaRow, sumOf } from '../ipsec/sa-row.ts';
import { lockFile, mapFile } from '../native/state.ts';

const NAME = 'sequence-numbers';
const PAGE = 4096;
/** Longer ones are not ours: 8000 SAs with windows of 1024 have 6 MB. */
const MOST_BYTES = 2 ** 31;

/** Words of the header. Rows begin at the second page. */
const HEADER = { MAGIC: 0, VERSION: 1, BOOT_ID: 2, SUM: 11, CLEAN: 12, WORDS: 13 } as const;
const BOOT_ID_LEN = 36;
const MAGIC = 0x5350_5345;
const VERSION = 1;
const CLEAN = 0x6e61_656c;

/** ms after which windows are written to the disk again. */
const SYNC_EVERY = 1000;

const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';

export interface StateFileOptions {
  /** Gets one line for everything that a person should know. */
  readonly say: (line: string) => void;
  /** ms since 1970. */
  readonly now: () => number;
}

/** Where a node's state is unless its configuration says so. */
export function stateDirOf(name: string): string {
  return join(process.env['ESPLANE_STATE_DIR'] ?? '/var/lib/esplane', encodeURIComponent(name));
}

export class StateFile {
  /** Its path. */
  readonly path: string;
  /** For {@link StateRows}, in any thread of this process. */
  readonly fd: number;
  readonly #store: RowStore;
  readonly #say: (line: string) => void;
  readonly #now: () => number;
  #syncedAt = 0;
  #isSyncing = false;
  #isClosed = false;
  #problem: string | undefined;

  private constructor(path: string, opened: Opened, { say, now }: StateFileOptions) {
    this.path = path;
    this.fd = opened.fd;
    this.#store = opened.store;
    this.#say = say;
    this.#now = now;
  }

  /**
   * Opens a node's state, and goes on where the process before ended. A file that cannot be used is renamed to `….bad`.
   * @param folder that this process has locked: {@link StateLock}
   * @throws {EsplaneError} `ERR_STATE` when no state can be kept there
   */
  static open(folder: string, options: StateFileOptions): StateFile {
    const path = join(folder, NAME);
    return orStateError(folder, () => new StateFile(path, openState(folder, path, options.say), options));
  }

  /** How many SAs have a row, and how many rows are kept for SAs that are gone. */
  get count(): RowStore['count'] {
    return this.#store.count;
  }

  /** Why what was written last is not on the disk; `undefined` while all is well. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /**
   * Gives the SAs of a plan their rows, with reserves that are on the disk when it returns.
   * @returns where each SA's row begins: what {@link StateRows.row} takes
   */
  prepare(configs: readonly SaConfig[]): Prepared['rows'] {
    const { rows, problem, commit } = this.#store.prepare(configs, this.#seconds());
    if (problem !== undefined)
      this.#say(`${this.path}: no room for all SAs: ${problem}. After a restart the others begin at 1.`);
    if (!commit) return rows;
    try {
      fdatasyncSync(this.fd);
      commit();
      this.#succeeded();
    } catch (error) {
      this.#failed(error);
    }
    return rows;
  }

  /** The data plane holds these SAs, and no others. */
  settle(configs: readonly SaConfig[]): void {
    this.#store.settle(configs, this.#seconds());
  }

  /** Call it ten times a second: renews reserves, and writes windows to the disk once a second. Does not wait. */
  tick(): void {
    if (this.#isSyncing || this.#isClosed) return;
    const commit = this.#store.renew(this.#seconds());
    const now = this.#now();
    if (!commit && Math.abs(now - this.#syncedAt) < SYNC_EVERY) return;
    this.#syncedAt = now;
    this.#isSyncing = true;
    fdatasync(this.fd, (error) => {
      this.#isSyncing = false;
      if (this.#isClosed) closeSync(this.fd);
      if (error) this.#failed(error);
      else {
        commit?.();
        this.#succeeded();
      }
    });
  }

  /** Ends the work of this thread; that the file is whole, {@link StateLock.release} says. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (!this.#isSyncing) closeSync(this.fd);
  }

  #failed(error: unknown): void {
    const problem = reasonOf(error);
    if (problem !== this.#problem)
      this.#say(
        `${this.path}: cannot be written to the disk: ${problem}. SAs stop sending when their reserve ends.`,
      );
    this.#problem = problem;
  }

  #succeeded(): void {
    if (this.#problem !== undefined) this.#say(`${this.path}: written to the disk again`);
    this.#problem = undefined;
  }

  #seconds(): number {
    return Math.floor(this.#now() / 1000);
  }
}

/** The rows of a state file for the thread that carries packets: that thread's own mapping of the same memory. */
export class StateRows {
  readonly #fd: number;
  readonly #parts: Words[] = [];
  /** Where rows that were asked for begin. */
  readonly #asked = new Set<number>();
  #end = PAGE;

  /** @param fd {@link StateFile.fd} */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * @param at where the row begins, in words
   * @throws {SystemError} when it cannot be mapped
   */
  row(at: number): SaRow {
    this.#asked.add(at);
    return this.#find(at) ?? this.#map(at);
  }

  /**
   * Lets senders pass their reserves, when the thread that raised them is gone: packets go on. The file still has every
   * number after the process is killed, but no longer after the host loses power.
   */
  release(): void {
    for (const asked of this.#asked) {
      const row = this.#find(asked);
      if (!row) continue;
      Atomics.store(row.words, row.at + OUT.ALLOWED_LO, -1);
      Atomics.store(row.words, row.at + OUT.ALLOWED_HI, -1);
    }
  }

  #find(at: number): SaRow | undefined {
    for (const part of this.#parts)
      if (part.at <= at && rowLength(part.words, at - part.at) > 0) return rowIn(part.words, at - part.at);
    return undefined;
  }

  /** Everything from there on, as far as it was not mapped: later rows are found in it. */
  #map(at: number): SaRow {
    // The other thread may be making the file longer, in steps of its own.
    const size = toPage(fstatSync(this.#fd).size);
    const begin = 4 * at >= this.#end ? this.#end : toPage(4 * at);
    this.#end = size;
    const words = new Int32Array(mapFile(this.#fd, begin, size - begin));
    this.#parts.push({ at: begin / 4, words });
    return rowIn(words, at - begin / 4);
  }
}

function toPage(bytes: number): number {
  return bytes - (bytes % PAGE);
}

/** The state directory of a node, which no other process may use. */
export class StateLock {
  readonly folder: string;
  readonly #fd: number;

  /**
   * Makes the directory if it is not there.
   * @throws {InputError} when another node has it
   * @throws {EsplaneError} `ERR_STATE` when no state can be kept there
   */
  constructor(folder: string) {
    this.folder = folder;
    this.#fd = orStateError(folder, () => lockFolder(folder));
  }

  /**
   * Gives the directory back.
   * @param isOver has every thread that uses a row ended? The file then says so, once all of it is on the disk
   */
  release(isOver: boolean): void {
    try {
      if (isOver) markClean(join(this.folder, NAME));
    } catch {
      // Without the mark the next node takes it for a kill, or a power failure: both are safe.
    }
    closeSync(this.#fd);
  }
}

interface Opened {
  readonly fd: number;
  readonly store: RowStore;
}

function openState(folder: string, path: string, say: (line: string) => void): Opened {
  const bootId = readFileSync(BOOT_ID_FILE, 'latin1').slice(0, BOOT_ID_LEN);
  const kept = readOld(path, bootId, say);
  // The old file stays as it is until the new one is whole, on the disk.
  const fresh = `${path}.new`;
  rmSync(fresh, { force: true });
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const fd = openSync(fresh, flags, 0o600);
  try {
    const memory = new FileMemory(fd);
    writeHeader(memory.grow(PAGE / 4).words, bootId);
    const store = new RowStore(memory, kept);
    fsyncSync(fd);
    renameSync(fresh, path);
    syncFolder(folder);
    return { fd, store };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function markClean(path: string): void {
  const fd = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    fdatasyncSync(fd);
    // Only now are the rows that the mark speaks for on the disk.
    writeSync(fd, new Uint8Array(Int32Array.of(CLEAN).buffer), 0, 4, 4 * HEADER.CLEAN);
    fdatasyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function orStateError<T>(folder: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new EsplaneError('ERR_STATE', `${folder}: ${reasonOf(error)}`, { cause: error });
  }
}

/** @returns the descriptor of the folder, which has the lock */
function lockFolder(folder: string): number {
  makeFolder(folder);
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const { uid, mode } = fstatSync(fd);
    if (uid !== process.geteuid!()) throw new Error('the directory belongs to another user');
    if ((mode & 0o022) !== 0) throw new Error('others may write in the directory (chmod 700)');
    if (!lockFile(fd))
      throw new InputError(
        { source: folder },
        'another node keeps its state there',
        'Stop that node, or give this one another state-dir.',
      );
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Node's own recursive mkdir goes round for ever where a parent refuses with ENOENT, as /proc does. */
function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, 0o700);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || existsSync(dirname(folder))) throw error;
    makeFolder(dirname(folder));
    mkdirSync(folder, 0o700);
  }
}

/** The rows that are still good. */
function readOld(path: string, bootId: string, say: (line: string) => void): readonly Int32Array[] {
  const words = readWords(path);
  if (!words) return [];
  const refuse = (why: string, then: string) => {
    renameSync(path, `${path}.bad`);
    say(`${path}: ${why}. It is now ${NAME}.bad; ${then}`);
  };
  if (typeof words === 'string') {
    refuse(words, 'all SAs begin at sequence number 1');
    return [];
  }
  const header = words.subarray(0, HEADER.WORDS);
  const problem = headerProblem(header);
  if (problem !== undefined) {
    refuse(problem, 'all SAs begin at sequence number 1');
    return [];
  }
  const isExact = header[HEADER.CLEAN] === CLEAN || bootIdOf(header) === bootId;
  const { rows, damaged } = recoverRows(words.subarray(PAGE / 4), isExact);
  if (damaged > 0)
    refuse(
      `${damaged} damaged ${damaged === 1 ? 'place' : 'places'}`,
      `${rows.length} rows are good, SAs without one begin at sequence number 1`,
    );
  return rows;
}

/** The words of a file, why they cannot be had, or `undefined` where there is no file. */
function readWords(path: string): Int32Array | string | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    if (code === 'ELOOP') return 'it is a symbolic link';
    throw error;
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return 'it is no regular file';
    if (stat.size < PAGE || stat.size > MOST_BYTES || stat.size % PAGE !== 0)
      return `it has ${stat.size} bytes, which no state file has`;
    const words = new Int32Array(stat.size / 4);
    const bytes = new Uint8Array(words.buffer);
    for (let at = 0; at < bytes.length; ) {
      const read = readSync(fd, bytes, at, bytes.length - at, at);
      if (read === 0) return 'it became shorter while it was read';
      at += read;
    }
    return words;
  } finally {
    closeSync(fd);
  }
}

function headerProblem(header: Int32Array): string | undefined {
  if (header[HEADER.MAGIC] !== MAGIC) return 'it is no state file of esplane';
  if (header[HEADER.VERSION] !== VERSION)
    return `its format is version ${header[HEADER.VERSION]}, this esplane knows version ${VERSION}`;
  if (header[HEADER.SUM] !== sumOf(header, 0, HEADER.SUM)) return 'its header is damaged';
  return undefined;
}

function writeHeader(header: Int32Array, bootId: string): void {
  header[HEADER.MAGIC] = MAGIC;
  header[HEADER.VERSION] = VERSION;
  new Uint8Array(header.buffer, header.byteOffset + 4 * HEADER.BOOT_ID, BOOT_ID_LEN).set(
    new TextEncoder().encode(bootId),
  );
  header[HEADER.CLEAN] = 0;
  header[HEADER.SUM] = sumOf(header, 0, HEADER.SUM);
}

function bootIdOf(header: Int32Array): string {
  const bytes = new Uint8Array(header.buffer, header.byteOffset + 4 * HEADER.BOOT_ID, BOOT_ID_LEN);
  return new TextDecoder('latin1').decode(bytes);
}

/** A file that grows by mapped pages. */
class FileMemory implements RowMemory {
  readonly #fd: number;
  #size = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  grow(words: number): Words {
    const at = this.#size;
    const length = Math.ceil((4 * words) / PAGE) * PAGE;
    try {
      // Written, not only made longer: a page that the disk has no room for would end the process when it is touched.
      const zeros = new Uint8Array(length);
      for (let done = 0; done < length; ) done += writeSync(this.#fd, zeros, done, length - done, at + done);
      const mapped = mapFile(this.#fd, at, length);
      this.#size = at + length;
      return { at: at / 4, words: new Int32Array(mapped) };
    } catch (error) {
      ftruncateSync(this.#fd, at);
      throw error;
    }
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'no right to write there',
  EPERM: 'no right to write there',
  EROFS: 'its file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is full',
  ENOTDIR: 'it is no directory',
  EEXIST: 'it is no directory',
  ELOOP: 'it is a symbolic link',
};

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return REASONS[code ?? ''] ?? message;
}
