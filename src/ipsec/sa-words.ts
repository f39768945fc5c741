/**
 * What a packet asks of an SA, as words of memory that many SAs share: a packet of one SA among thousands then costs a few
 * cache lines, and an SA a few objects.
 *
 * ```text
 *  word    what
 *   0-15   what every packet asks and counts
 *  16-31   the window, of one that receives
 *  32-47   the numbers: `OUT` of one that sends, `TOP` of one that receives (`sa-row.ts`)
 *  48-     the ring of the window
 * ```
 *
 * Where an SA has a row that outlives it (`sa-row.ts`), numbers and ring are there instead.
 *
 * Memory is taken in blocks, and a block goes when the last SA in it is gone. SAs that a plan makes together go together,
 * so nothing has to be given back.
 * @module
 */
import { NUMBERS_AT, RING, ringWords, type SaRow, windowOf } from './sa-row.ts';

/** Where each word is, from the begin of an SA's words. What is called `NET` is in network order (`netWord`). */
export const WORD = {
  /** Of {@link FLAG}. */
  FLAGS: 0,
  /** Handle of the key. */
  KEY: 1,
  NET_SPI: 2,
  NET_SALT: 3,
  /** What is XORed with a number to give its IV. */
  NET_IV_HI: 4,
  NET_IV_LO: 5,
  /** Bytes that go before the packet; above them those that go behind its padding; above them the path MTU. */
  LENGTHS: 6,
  /** An outer header of IPv4, where it is {@link FLAG.PLAIN_HEADER}: see `writePlainHeader` in `outer-header.ts`. */
  SRC: 7,
  DST: 8,
  PORTS: 9,
  /** TTL, protocol, and above them the sum of all that does not change. */
  HEADER: 10,
  TOS: 11,
  /** Packets and bytes that the SA carried, as doubles. */
  PACKETS: 12,
  BYTES: 14,
  /** Numbers in the window, and one less than the words of its ring. */
  WINDOW: 16,
  RING_MASK: 17,
  /** How many numbers at the bottom of the window were never expected; not 0 where there is no window. */
  UNEXPECTED: 18,
  /** Numbers that were lost, and that came late, as doubles. */
  LOST: 20,
  LATE: 22,
  /** When the SA was added, and first carried a packet: ms and 1, as doubles; 0 where nothing asks, or it has not. */
  ADDED: 24,
  USED: 26,
} as const;

/** Bits of {@link WORD.FLAGS}. */
export const FLAG = {
  GONE: 1 << 0,
  INVALID: 1 << 1,
  /** Has limits; some of them hard ones. */
  WATCHED: 1 << 2,
  LIMITED: 1 << 3,
  ESN: 1 << 4,
  TUNNEL: 1 << 5,
  ENCAP: 1 << 6,
  /** Is the nonce salt ‖ IV? CBC has none. */
  NONCE: 1 << 7,
  /** May it send every IPv4 (IPv6) packet, and bring any, whatever the addresses? */
  SENDS_V4: 1 << 8,
  SENDS_V6: 1 << 9,
  TAKES_ALL: 1 << 10,
  DECAP_DSCP: 1 << 11,
  /** Each packet tells its mode, and whether it comes in UDP: the source says neither. */
  MODE_OPEN: 1 << 12,
  ENCAP_OPEN: 1 << 13,
  /** Tunnel mode, a nonce that is salt ‖ IV, no limits, and nothing left open: its packets may be done in runs. */
  USUAL: 1 << 15,
  /** The outer header is IPv4 with a TTL of its own, and with DF or a copy of it; in the second case always with DF. */
  PLAIN_HEADER: 1 << 16,
  SETS_DF: 1 << 17,
  /** There is a number that must not be passed: `OUT.ALLOWED_HI`. */
  RESERVED: 1 << 18,
  /** Has limits in seconds. */
  TIMED: 1 << 19,
  /** Is for sending alone: what comes for it is refused. */
  SENDS_ONLY: 1 << 20,
  /** Its packets hold many packets, or pieces of one: tunnel mode with IP-TFS. */
  IPTFS: 1 << 21,
} as const;

const NUMBERS = 32;
/** Words begin at multiples of a cache line. */
const UNIT = 16;
const BLOCK = 2 ** 15;
/** glibc puts a large block 16 bytes behind a page: from here on words lie on cache lines. */
const FIRST = 12;

class Block {
  readonly words: Int32Array;
  /** The same memory. */
  readonly floats: Float64Array;
  end = FIRST;

  constructor(words: number) {
    this.words = new Int32Array(words);
    this.floats = new Float64Array(this.words.buffer);
  }
}

let block: Block | undefined;

/** Where the words of one SA are. */
export class SaPlace {
  /** Of {@link WORD}, and the same memory as doubles. */
  readonly words: Int32Array;
  readonly floats: Float64Array;
  /** Where they begin in {@link words}: an even number. */
  readonly at: number;
  /** Where the numbers are: `OUT`, `TOP` and `RING` count from there. */
  readonly numbers: Int32Array;
  readonly numbersAt: number;

  /**
   * Takes words, all 0.
   * @param window numbers in the window
   * @param row where numbers and ring are kept; otherwise they are here
   * @throws {RangeError} for a row of another window
   */
  constructor(window: number, row?: SaRow) {
    const kept = row && windowOf(row.words, row.at - NUMBERS_AT);
    if (kept !== undefined && kept !== window)
      throw new RangeError(`replay window: the row is for ${kept} numbers, the SA for ${window}`);
    const size = NUMBERS + (row ? 0 : RING + Math.ceil(ringWords(window) / UNIT) * UNIT);
    if (!block || block.end + size > block.words.length) block = new Block(Math.max(BLOCK, FIRST + size));
    this.words = block.words;
    this.floats = block.floats;
    this.at = block.end;
    this.numbers = row?.words ?? block.words;
    this.numbersAt = row?.at ?? this.at + NUMBERS;
    block.end += size;
  }
}
