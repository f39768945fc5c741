/**
 * The row of an SA: its sequence numbers and anti-replay window as 32-bit words, so that they can lie in memory that
 * goes on without the process that uses it. `docs/state-file.md` has the whole file.
 *
 * The thread that carries packets writes plain words, in an order such that a process killed between any two of them
 * leaves a row that {@link recoverRow} reads safely: no number is given out again, none that was accepted is accepted
 * again. Every number is there twice, so that a damaged one is seen.
 *
 * ```text
 *  word   what
 *   0     magic; 0 is free space
 *   1     words of the row, a multiple of 32
 *   2     size of the window, W
 *   3-7   which SA: 20 bytes of a hash (see `row-identity.ts`)
 *   8     checksum of words 0-7
 *   9-14  the reserve, twice: high, low half, checksum. All numbers up to the greater valid one may have been sent
 *  15     when it was last in use, in seconds since 1970
 *  16-22  {@link OUT}: the last number sent
 *  24-30  {@link TOP}: the highest number that was accepted
 *  32-    the ring of the window
 * ```
 * @module
 */
import { toHex } from '../base/bytes.ts';

const MAGIC = 0x5052_4f57;
const SIZE = 1;
const WINDOW = 2;
const IDENTITY = 3;
/** Words of what says which SA it is. */
export const IDENTITY_WORDS = 5;
const SUM = 8;
const RESERVES = [9, 12] as const;
const USED_AT = 15;
/** Where the numbers begin: {@link OUT}, {@link TOP} and {@link RING} count from there. */
export const NUMBERS_AT = 16;
/** Rows begin and end at multiples of this. */
export const ROW_UNIT = 32;

/** Words of the outbound half. Halves are signed. */
export const OUT = {
  HI: 0,
  LO: 1,
  /** `~LO`, written after it. */
  CHECK: 2,
  /** `HI`, written before it: where they differ the low half was about to wrap. */
  NEXT_HI: 3,
  /** The number that must not be passed; another thread raises it, low half first. */
  ALLOWED_HI: 4,
  ALLOWED_LO: 5,
  /** The low half at which the sender looks at them: of the sender alone. */
  END: 6,
  WORDS: 7,
} as const;

/** Words of the inbound half. */
export const TOP = {
  HI: 8,
  LO: 9,
  /** `~LO`, written after it. */
  CHECK: 10,
  /** {@link BUSY} while the top moves by more than one and the ring is being cleared, otherwise 0. */
  BUSY: 11,
  /** Where it moves. */
  NEW_HI: 12,
  NEW_LO: 13,
  /** `HI`, written after it. */
  HI_COPY: 14,
} as const;

/** Where the ring begins. */
export const RING = 16;
const RING_AT = NUMBERS_AT + RING;

/** What no single damaged bit makes of 0. */
export const BUSY = 0x4255_5359;

/** A sequence number in two halves, signed or unsigned. */
export interface Halves {
  readonly hi: number;
  readonly lo: number;
}

const U32 = 2 ** 32;

/** Where the words of an SA that outlive it are. */
export interface SaRow {
  readonly words: Int32Array;
  /** Where its numbers begin. */
  readonly at: number;
}

/** @param at where a row begins that {@link makeRow} has made */
export function rowIn(words: Int32Array, at = 0): SaRow {
  return { words, at: at + NUMBERS_AT };
}

/** Words of the ring of a window: a power of two, at least a word more than the window; 0 where the window is off. */
export function ringWords(window: number): number {
  return window === 0 ? 0 : 2 ** Math.ceil(Math.log2(Math.ceil(window / 32) + 1));
}

/** How many words the row of an SA with such a window has. */
export function rowWords(window: number): number {
  return Math.ceil((RING_AT + ringWords(window)) / ROW_UNIT) * ROW_UNIT;
}

/** Makes free words the row of an SA that has sent and accepted nothing. @param words zeros, {@link rowWords} of them */
export function makeRow(words: Int32Array, identity: Uint8Array, window: number): void {
  words[SIZE] = words.length;
  words[WINDOW] = window;
  new Uint8Array(words.buffer, words.byteOffset + 4 * IDENTITY, 4 * IDENTITY_WORDS).set(identity);
  setOut(words, { hi: 0, lo: 0 });
  setTop(words, { hi: 0, lo: 0 });
  setReserve(words, { hi: 0, lo: 0 });
  words[0] = MAGIC;
  words[SUM] = sumOf(words, 0, SUM);
}

/** How many words the row has that begins at `at`; 0 when none does, or it is damaged. */
export function rowLength(words: Int32Array, at = 0): number {
  const room = words.length - at;
  if (room < RING_AT || words[at] !== MAGIC || words[at + SUM] !== sumOf(words, at, at + SUM)) return 0;
  const size = words[at + SIZE]!;
  const window = words[at + WINDOW]!;
  return window >= 0 && window <= 2 ** 20 && size === rowWords(window) && size <= room ? size : 0;
}

export function windowOf(words: Int32Array, at = 0): number {
  return words[at + WINDOW]!;
}

/** Which SA's it is, as text. */
export function identityText(words: Int32Array): string {
  return toHex(new Uint8Array(words.buffer, words.byteOffset + 4 * IDENTITY, 4 * IDENTITY_WORDS));
}

export function usedAt(words: Int32Array): number {
  return words[USED_AT]! >>> 0;
}

export function setUsedAt(words: Int32Array, seconds: number): void {
  words[USED_AT] = seconds;
}

/**
 * Makes a row that another process has left fit for use.
 * @param isExact do the words say what that process wrote last? After a power failure they are older, so the SA goes on
 *   behind its reserve, and everything below the top counts as seen
 * @returns false when the row cannot be used: what was sent is not known
 */
export function recoverRow(words: Int32Array, isExact: boolean): boolean {
  const reserve = reserveOf(words);
  const sent = sentOf(words);
  const out = isExact ? (sent ?? reserve) : reserve && sent ? greater(reserve, sent) : reserve;
  if (!out) return false;
  setOut(words, out);
  recoverTop(words, isExact);
  return true;
}

/** The last number sent; `undefined` where the words do not say it for sure. */
export function sentOf(words: Int32Array): Halves | undefined {
  const hi = words[NUMBERS_AT + OUT.HI]!;
  const next = words[NUMBERS_AT + OUT.NEXT_HI]!;
  const lo = words[NUMBERS_AT + OUT.LO]!;
  const check = words[NUMBERS_AT + OUT.CHECK]!;
  // Killed between the two: the low half is one ahead of its copy.
  if (check !== ~lo && check !== ~(lo - 1)) return undefined;
  if (hi === next) return { hi, lo };
  // Killed at a wrap. Before the low half is 0 this could be a damaged high half as well: the reserve is sure.
  return next === ((hi + 1) | 0) && lo === 0 ? { hi: next, lo } : undefined;
}

/** The last number sent, of a row that another thread may be sending with; `undefined` while it passes 2^32. */
export function sentNow(words: Int32Array): Halves | undefined {
  const load = (word: number) => Atomics.load(words, NUMBERS_AT + word);
  const [hi, next, lo] = [load(OUT.HI), load(OUT.NEXT_HI), load(OUT.LO)];
  return hi === next && load(OUT.HI) === hi && load(OUT.NEXT_HI) === hi ? { hi, lo } : undefined;
}

/** Number and copies. Not for a row that another thread sends with. */
export function setOut(words: Int32Array, { hi, lo }: Halves): void {
  words[NUMBERS_AT + OUT.HI] = hi;
  words[NUMBERS_AT + OUT.NEXT_HI] = hi;
  words[NUMBERS_AT + OUT.LO] = lo;
  words[NUMBERS_AT + OUT.CHECK] = ~lo;
  words[NUMBERS_AT + OUT.ALLOWED_HI] = hi;
  words[NUMBERS_AT + OUT.ALLOWED_LO] = lo;
}

/** The greatest number that may have been sent; `undefined` where both copies are damaged. */
export function reserveOf(words: Int32Array): Halves | undefined {
  const valid = RESERVES.filter((at) => words[at + 2] === sumOf(words, at, at + 2)).map((at) => ({
    hi: words[at]!,
    lo: words[at + 1]!,
  }));
  return valid.length === 2 ? greater(valid[0]!, valid[1]!) : valid[0];
}

/** Writes the reserve over the smaller of its copies. It counts once it is on the disk. */
export function setReserve(words: Int32Array, { hi, lo }: Halves): void {
  const [a, b] = RESERVES.map((at) =>
    words[at + 2] === sumOf(words, at, at + 2) ? toNumber({ hi: words[at]!, lo: words[at + 1]! }) : -1,
  );
  const at = RESERVES[a! <= b! ? 0 : 1];
  words[at] = hi;
  words[at + 1] = lo;
  words[at + 2] = sumOf(words, at, at + 2);
}

/** Lets the sender go up to a number. From any thread; the order of the halves is what the sender counts on. */
export function allow(words: Int32Array, { hi, lo }: Halves): void {
  Atomics.store(words, NUMBERS_AT + OUT.ALLOWED_LO, lo | 0);
  Atomics.store(words, NUMBERS_AT + OUT.ALLOWED_HI, hi | 0);
}

export function allowedOf(words: Int32Array): Halves {
  return { hi: words[NUMBERS_AT + OUT.ALLOWED_HI]!, lo: words[NUMBERS_AT + OUT.ALLOWED_LO]! };
}

/** The highest number that was accepted, of a row that is whole. */
export function topOf(words: Int32Array): Halves {
  return { hi: words[NUMBERS_AT + TOP.HI]!, lo: words[NUMBERS_AT + TOP.LO]! };
}

/** Makes a number the highest that was accepted, and all below it seen. Not for a row that another thread receives with. */
export function startAt(words: Int32Array, top: Halves): void {
  setTop(words, top);
  words.fill(0, RING_AT, RING_AT + ringWords(windowOf(words)));
  if (top.hi === 0 && top.lo === 0) return;
  const ring = new Uint32Array(words.buffer, words.byteOffset + 4 * RING_AT, ringWords(windowOf(words)));
  ring.fill(0xffff_ffff);
  clearAhead(ring, top.lo);
}

function recoverTop(words: Int32Array, isExact: boolean): void {
  const at = (word: number) => words[NUMBERS_AT + word]!;
  const [hi, lo, check] = [at(TOP.HI), at(TOP.LO), at(TOP.CHECK)];
  const isWhole = at(TOP.BUSY) === 0 && at(TOP.HI_COPY) === hi && (check === ~lo || check === ~(lo - 1));
  if (isWhole && isExact) {
    setTop(words, { hi, lo });
    const ring = new Uint32Array(words.buffer, words.byteOffset + 4 * RING_AT, ringWords(windowOf(words)));
    if (ring.length === 0 || (hi === 0 && lo === 0)) return;
    ring[(lo >>> 5) & (ring.length - 1)]! |= 1 << (lo & 31);
    clearAhead(ring, lo);
    return;
  }
  if (at(TOP.BUSY) === BUSY) startAt(words, { hi: at(TOP.NEW_HI), lo: at(TOP.NEW_LO) });
  else if (isWhole) startAt(words, { hi, lo });
  else {
    // One of two copies is damaged, and the greater one lets nothing in again.
    const copy = at(TOP.HI_COPY);
    startAt(words, { hi: copy >>> 0 > hi >>> 0 ? copy : hi, lo: ~check >>> 0 > lo >>> 0 ? ~check : lo });
  }
}

/** Of the word that the top is in, nothing above the top has come. */
function clearAhead(ring: Uint32Array, lo: number): void {
  if (ring.length === 0) return;
  const bits = lo & 31;
  if (bits < 31) ring[(lo >>> 5) & (ring.length - 1)]! &= (1 << (bits + 1)) - 1;
}

function setTop(words: Int32Array, { hi, lo }: Halves): void {
  words[NUMBERS_AT + TOP.HI] = hi;
  words[NUMBERS_AT + TOP.LO] = lo;
  words[NUMBERS_AT + TOP.CHECK] = ~lo;
  words[NUMBERS_AT + TOP.BUSY] = 0;
  words[NUMBERS_AT + TOP.HI_COPY] = hi;
}

export function greater(a: Halves, b: Halves): Halves {
  return compare(a, b) >= 0 ? a : b;
}

/** Below 0, 0 or above 0, as `a` is less than, equal to or greater than `b`. */
export function compare(a: Halves, b: Halves): number {
  return (a.hi >>> 0) - (b.hi >>> 0) || (a.lo >>> 0) - (b.lo >>> 0);
}

/** Rounded beyond 2^53: for distances and order, not for numbers themselves. */
function toNumber({ hi, lo }: Halves): number {
  return (hi >>> 0) * U32 + (lo >>> 0);
}

/** How many numbers lie from `a` up to `b`. */
export function distance(a: Halves, b: Halves): number {
  return ((b.hi >>> 0) - (a.hi >>> 0)) * U32 + ((b.lo >>> 0) - (a.lo >>> 0));
}

/** A number that many later, or the last one there is. */
export function later({ hi, lo }: Halves, by: number, esn: boolean): Halves {
  const low = (lo >>> 0) + by;
  const epoch = (hi >>> 0) + Math.floor(low / U32);
  if (!esn && epoch > 0) return { hi: 0, lo: -1 };
  return epoch >= U32 ? { hi: -1, lo: -1 } : { hi: epoch | 0, lo: low | 0 };
}

/** FNV-1a over the words from `from` to before `to`, mixed at the end. Never the 0 of words that were never written. */
export function sumOf(words: Int32Array, from: number, to: number): number {
  let h = 0x811c_9dc5;
  for (let i = from; i < to; i++) {
    for (let shift = 0; shift < 32; shift += 8)
      h = Math.imul(h ^ ((words[i]! >>> shift) & 0xff), 0x0100_0193);
  }
  h ^= h >>> 16;
  h = Math.imul(h, 0x7feb_352d);
  return h ^ (h >>> 15) || 1;
}
