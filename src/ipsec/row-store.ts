/**
 * Rows of SAs in memory that outlives the process: which SA has which row, what is reserved, what may be forgotten.
 * Where that memory is, and how it gets to a disk, is for {@link RowMemory} and the caller; `docs/state-file.md` has the
 * whole.
 *
 * One thread owns a store. The thread that carries packets has the words of the rows in use, and nothing else of it.
 *
 * A number is used only after a reserve that covers it is on the disk. So every change of reserves is in two steps: the
 * store writes them and returns what to call once the words written so far are on the disk.
 * @module
 */
import { fromHex, toHex } from '../base/bytes.ts';
import { rowIdentity } from './row-identity.ts';
import type { SaConfig } from './sa-config.ts';
import {
  allow,
  allowedOf,
  compare,
  distance,
  type Halves,
  identityText,
  later,
  makeRow,
  ROW_UNIT,
  recoverRow,
  rowLength,
  rowWords,
  sentNow,
  sentOf,
  setOut,
  setReserve,
  setUsedAt,
  startAt,
  topOf,
  usedAt,
  windowOf,
} from './sa-row.ts';

/** Numbers reserved ahead of the last one sent; more for an SA that uses them up in seconds. */
export const RESERVE = 2 ** 20;
const MOST_RESERVE = 2 ** 24;
/** s in which no SA should need a second reserve. */
const RESERVE_LASTS = 5;
/** Rows of SAs that are gone, kept because the same SA may come back. The ones that went first are forgotten first. */
export const MAX_IDLE = 8192;
/** Words that the memory grows by, at least. */
const SEGMENT = 2 ** 17;

/** Words that stay. */
export interface RowMemory {
  /**
   * Adds words at the end, all 0.
   * @returns at least as many as asked for
   * @throws {Error} when there is no room; nothing has changed then
   */
  grow(words: number): Words;
}

/** Words, and where they begin, counted in words from the begin of the file. */
export interface Words {
  readonly at: number;
  readonly words: Int32Array;
}

interface Row extends Words {
  readonly esn: boolean | undefined;
  isInUse: boolean;
  /** How many numbers the last reserve was ahead, and when it was made, in seconds. */
  ahead: number;
  reservedAt: number;
}

/** Rows for the SAs of a plan. */
export interface Prepared {
  /** Where each SA's row begins, in words from the begin of the file. An SA for which there was no room is absent. */
  readonly rows: ReadonlyMap<SaConfig, number>;
  /** Why some have none. */
  readonly problem: string | undefined;
  /** To be called once the words are on the disk, and before the SAs are used. Absent where nothing was reserved. */
  readonly commit: (() => void) | undefined;
}

/** What the rows of another process's file are worth. */
export interface Recovered {
  /** Whole rows, each a copy. */
  readonly rows: readonly Int32Array[];
  /** Places with something in them that is no sound row. */
  readonly damaged: number;
}

/**
 * Reads the rows that a process left.
 * @param words all behind the header of its file
 * @param isExact do they say what it wrote last? See {@link recoverRow}
 */
export function recoverRows(words: Int32Array, isExact: boolean): Recovered {
  const rows: Int32Array[] = [];
  let damaged = 0;
  for (let at = 0; at < words.length; ) {
    const length = rowLength(words, at);
    if (length > 0) {
      const row = words.slice(at, at + length);
      if (recoverRow(row, isExact)) rows.push(row);
      else damaged++;
    } else if (words.subarray(at, at + ROW_UNIT).some((word) => word !== 0)) damaged++;
    at += length || ROW_UNIT;
  }
  return { rows, damaged };
}

export class RowStore {
  readonly #memory: RowMemory;
  readonly #rows = new Map<string, Row>();
  /** Rows that a live SA still has, while another row has its place. */
  #replaced: Row[] = [];
  readonly #free = new Map<number, Words[]>();
  #rest: Words = { at: 0, words: new Int32Array(0) };
  readonly #identities = new WeakMap<SaConfig, string>();

  /**
   * @param kept rows of {@link recoverRows}; the ones that were in use last are kept if there are too many
   * @throws {Error} when the memory has no room for them
   */
  constructor(memory: RowMemory, kept: readonly Int32Array[] = []) {
    this.#memory = memory;
    const latest = [...kept].sort((a, b) => usedAt(b) - usedAt(a)).slice(0, MAX_IDLE);
    for (const words of latest) {
      const row = this.#take(words.length);
      row.words.set(words);
      const key = identityText(words);
      if (!this.#rows.has(key)) this.#rows.set(key, rowAt(row));
    }
  }

  /** How many SAs have a row, and how many rows are kept for SAs that are gone. */
  get count(): { readonly inUse: number; readonly idle: number } {
    let inUse = 0;
    for (const row of this.#rows.values()) if (row.isInUse) inUse++;
    return { inUse, idle: this.#rows.size - inUse };
  }

  /**
   * Gives the SAs of a plan their rows. Rows of SAs that are not in it stay as they are until {@link settle}.
   * @param seconds since 1970
   */
  prepare(configs: readonly SaConfig[], seconds: number): Prepared {
    const rows = new Map<SaConfig, number>();
    const reserved: [Row, Halves][] = [];
    let problem: string | undefined;
    for (const [key, config] of this.#keyed(configs)) {
      let row = this.#rows.get(key);
      if (!row?.isInUse || windowOf(row.words) !== config.replayWindow) {
        try {
          row = this.#claim(key, config, row);
        } catch (error) {
          problem = (error as Error).message;
          continue;
        }
        setUsedAt(row.words, seconds);
        row.isInUse = true;
        reserved.push([row, this.#reserve(row, config.esn, RESERVE, seconds)]);
      }
      rows.set(config, row.at);
    }
    return { rows, problem, commit: commitOf(reserved) };
  }

  /** The SAs in use are those of this plan: rows of all others are kept only as long as there is room for them. */
  settle(configs: readonly SaConfig[], seconds: number): void {
    const inUse = new Set(this.#keyed(configs).map(([key]) => key));
    const idle: [string, Row][] = [];
    for (const [key, row] of this.#rows) {
      if (inUse.has(key)) {
        row.isInUse = true;
        continue;
      }
      if (row.isInUse) {
        row.isInUse = false;
        setUsedAt(row.words, seconds);
      }
      idle.push([key, row]);
    }
    for (const row of this.#replaced.splice(0)) this.#release(row);
    if (idle.length <= MAX_IDLE) return;
    idle.sort(([, a], [, b]) => usedAt(a.words) - usedAt(b.words));
    for (const [key, row] of idle.slice(0, idle.length - MAX_IDLE)) {
      this.#rows.delete(key);
      this.#release(row);
    }
  }

  /**
   * Reserves more for SAs that have used half of what they have.
   * @returns what to call once the words are on the disk; `undefined` when there is nothing to reserve
   */
  renew(seconds: number): (() => void) | undefined {
    const reserved: [Row, Halves][] = [];
    for (const row of this.#rows.values()) {
      const sent = sentNow(row.words);
      if (!sent || distance(sent, allowedOf(row.words)) >= row.ahead / 2) continue;
      const isHasty = seconds - row.reservedAt < RESERVE_LASTS;
      const ahead = isHasty ? Math.min(2 * row.ahead, MOST_RESERVE) : RESERVE;
      // Where the last number is allowed already, there is nothing to gain.
      if (compare(later(sent, ahead, row.esn ?? true), allowedOf(row.words)) <= 0) continue;
      reserved.push([row, this.#reserve(row, row.esn ?? true, ahead, seconds)]);
    }
    return commitOf(reserved);
  }

  #claim(key: string, config: SaConfig, old: Row | undefined): Row {
    if (old && windowOf(old.words) === config.replayWindow) {
      raise(old.words, config);
      const row = { ...old, esn: config.esn };
      this.#rows.set(key, row);
      return row;
    }
    const row = rowAt(this.#take(rowWords(config.replayWindow)), config.esn);
    makeRow(row.words, fromHex(key)!, config.replayWindow);
    if (old) {
      // A live SA may go on sending up to what it is allowed, and never beyond: nothing renews a row that has no key.
      setOut(row.words, old.isInUse ? allowedOf(old.words) : (sentOf(old.words) ?? allowedOf(old.words)));
      startAt(row.words, topOf(old.words));
      if (old.isInUse) this.#replaced.push(old);
      else this.#release(old);
    }
    raise(row.words, config);
    this.#rows.set(key, row);
    return row;
  }

  #reserve(row: Row, esn: boolean, ahead: number, seconds: number): Halves {
    const to = later(sentNow(row.words) ?? allowedOf(row.words), ahead, esn);
    setReserve(row.words, to);
    row.ahead = ahead;
    row.reservedAt = seconds;
    return to;
  }

  #take(size: number): Words {
    const free = this.#free.get(size)?.pop();
    if (free) return free;
    if (this.#rest.words.length < size) this.#rest = this.#memory.grow(Math.max(size, SEGMENT));
    const { at, words } = this.#rest;
    this.#rest = { at: at + size, words: words.subarray(size) };
    return { at, words: words.subarray(0, size) };
  }

  /** Free words are 0: a file is read by looking for rows among them. */
  #release({ at, words }: Words): void {
    words.fill(0);
    const free = this.#free.get(words.length) ?? [];
    free.push({ at, words });
    this.#free.set(words.length, free);
  }

  /** Each SA with the key of its row: of those that are alike but for their marks, the second has another than the first. */
  #keyed(configs: readonly SaConfig[]): [string, SaConfig][] {
    const twins = new Map<string, number>();
    return configs.map((config) => {
      let key = this.#identities.get(config);
      if (key === undefined) {
        key = toHex(rowIdentity(config));
        this.#identities.set(config, key);
      }
      const twin = twins.get(key) ?? 0;
      twins.set(key, twin + 1);
      return [twin === 0 ? key : toHex(rowIdentity(config, twin)), config];
    });
  }
}

function rowAt({ at, words }: Words, esn?: boolean): Row {
  return { at, words, esn, isInUse: false, ahead: 0, reservedAt: Number.NEGATIVE_INFINITY };
}

function commitOf(reserved: readonly [Row, Halves][]): (() => void) | undefined {
  if (reserved.length === 0) return undefined;
  return () => {
    for (const [{ words }, to] of reserved) allow(words, to);
  };
}

/** The counters that `ip xfrm state` printed: an SA that is made from its text does not begin below them. */
function raise(words: Int32Array, { sequence }: SaConfig): void {
  if (!sequence) return;
  const out = { hi: sequence.oseqHi | 0, lo: sequence.oseq | 0 };
  const top = { hi: sequence.seqHi | 0, lo: sequence.seq | 0 };
  if (compare(out, sentOf(words) ?? allowedOf(words)) > 0) setOut(words, out);
  if (compare(top, topOf(words)) > 0) startAt(words, top);
}
