/**
 * Which numbers and which nonces have gone by, in tables of a fixed size: when a packet comes whose number was taken,
 * they say in which frame, and whether it is the same packet.
 *
 * Both are direct-mapped: a new entry takes the place of the one that was there, and every entry holds all of what it
 * stands for, so an answer is never wrong; old entries are forgotten.
 * @module
 */

/** Entries in each table: well beyond the widest window that Linux has (4096), for a good number of streams. */
const SIZE = 1 << 16;

/** What is remembered of a packet. */
export interface Remembered {
  frame: number;
  /** Of IV and ICV: equal for a copy, different for another packet. */
  print: number;
  /** Bytes of ESP. */
  length: number;
}

/** Numbers that receivers accepted, by stream. */
export class SeenNumbers {
  readonly #stream = new Int32Array(SIZE).fill(-1);
  readonly #hi = new Uint32Array(SIZE);
  readonly #lo = new Uint32Array(SIZE);
  readonly #frame = new Float64Array(SIZE);
  readonly #print = new Uint32Array(SIZE);
  readonly #length = new Uint32Array(SIZE);
  readonly #found: Remembered = { frame: 0, print: 0, length: 0 };

  put(stream: number, hi: number, lo: number, frame: number, print: number, length: number): void {
    const at = slot(stream, lo);
    this.#stream[at] = stream;
    this.#hi[at] = hi;
    this.#lo[at] = lo;
    this.#frame[at] = frame;
    this.#print[at] = print;
    this.#length[at] = length;
  }

  /** The packet that had this number, or `undefined`. The object is used again. */
  get(stream: number, hi: number, lo: number): Remembered | undefined {
    const at = slot(stream, lo);
    if (this.#stream[at] !== stream || this.#lo[at] !== lo || this.#hi[at] !== hi) return undefined;
    this.#found.frame = this.#frame[at]!;
    this.#found.print = this.#print[at]!;
    this.#found.length = this.#length[at]!;
    return this.#found;
  }
}

/** IVs that were used under a key. */
export class SeenIvs {
  readonly #key = new Int32Array(SIZE).fill(-1);
  readonly #hi = new Uint32Array(SIZE);
  readonly #lo = new Uint32Array(SIZE);
  readonly #frame = new Float64Array(SIZE);
  readonly #print = new Uint32Array(SIZE);

  /**
   * Records an IV of 8 bytes.
   * @returns the frame of another packet that had the same IV under the same key, or 0
   */
  put(key: number, hi: number, lo: number, frame: number, print: number): number {
    const at = slot(key ^ hi, lo);
    const isSame = this.#key[at] === key && this.#hi[at] === hi && this.#lo[at] === lo;
    const before = isSame && this.#print[at] !== print ? this.#frame[at]! : 0;
    this.#key[at] = key;
    this.#hi[at] = hi;
    this.#lo[at] = lo;
    this.#frame[at] = frame;
    this.#print[at] = print;
    return before;
  }
}

/**
 * MurmurHash3 (32 bits, by Austin Appleby) over the 32-bit words of `b[at..end)`, going on from `h`. Bytes that make no
 * word are left out. Packets of a flow differ in a number and in the checksum that follows from it: a weaker hash takes
 * some of them for each other.
 */
export function fingerprint(b: Uint8Array, at: number, end: number, h = 0x811c_9dc5 | 0): number {
  for (let i = at; i + 4 <= end; i += 4) {
    let word = b[i]! | (b[i + 1]! << 8) | (b[i + 2]! << 16) | (b[i + 3]! << 24);
    word = Math.imul(word, 0xcc9e_2d51);
    word = Math.imul((word << 15) | (word >>> 17), 0x1b87_3593);
    h ^= word;
    h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe654_6b64) | 0;
  }
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Numbers that follow each other get slots that do, too: a stream alone uses the whole table. */
function slot(stream: number, lo: number): number {
  return (Math.imul(stream, 0x9e37_79b1) + lo) & (SIZE - 1);
}
