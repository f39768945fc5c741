/**
 * States of a whole cluster are millions, in gigabytes of text: of each only a row of numbers is wanted, and no tree. What
 * iproute2 prints of a Cilium state has one form, which is read byte by byte here; every entry that departs from it by a
 * single byte, and whatever stands between entries, is read by `xfrm-parse.ts`, so that a row is always what that reader
 * and `to-sa.ts` make of the state (a property test holds it).
 * @module
 */
import type { KeyMaterial } from '../crypto/suite.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import { type AddressIds, NO_ADDRESS } from './address-ids.ts';
import {
  ADD,
  BLANK,
  CURRENT,
  DIGITS,
  DIR,
  DST,
  EntryBytes,
  HEAD,
  IN,
  LIMITS,
  LIMITS_LINES,
  MARK,
  MODE_TUNNEL,
  NEWLINE,
  OF_BYTES,
  OF_PACKETS,
  OUT,
  phrase,
  REQID,
  SLASH_HEX,
  secondsOfDate,
  UID,
  USE,
} from './entry-bytes.ts';
import { hashOfKey, printedKeys } from './key-hash.ts';
import { few, type Omission, unreadParts } from './omission.ts';
import { toSa } from './to-sa.ts';
import { parseXfrm } from './xfrm-parse.ts';
import type { XfrmAlgorithm, XfrmState } from './xfrm-tree.ts';

/** What is kept of one state. The object is used again for the next one. */
export interface StateRow {
  /** Numbers of {@link AddressIds}. */
  src: number;
  dst: number;
  spi: number;
  /** The mark by which the kernel finds it; both 0 where there is none. */
  mark: number;
  markMask: number;
  /** 0 where there is none. */
  outputMark: number;
  /** By its line `dir`. */
  direction: 'in' | 'out' | undefined;
  mode: SaConfig['mode'];
  esn: boolean;
  /** Packets. */
  window: number;
  /** Halves of the last numbers received and sent. */
  seqHi: number;
  seq: number;
  oseqHi: number;
  oseq: number;
  /** What it refused: beyond the window, taken before, ICV wrong. */
  late: number;
  replayed: number;
  failed: number;
  /** Bits of its ICV, where printed; else 0. */
  icvBits: number;
  /** Does the text tell the key, or its hash? */
  hasHash: boolean;
  /** The first 128 bits of the hash of its keys' texts `0x…`, see {@link addKeyHash}; zero where it has none. */
  readonly hash: Uint32Array;
  /** When it was made, in seconds since 1970 as if the host's clock were UTC; 0 where that is not printed. */
  added: number;
  /** When it was last used, likewise. */
  used: number;
  /** The largest share of a hard limit in bytes or packets that is used up, 0 to 1. */
  spent: number;
  /** Line of its `src`, 1-based. */
  line: number;
}

export interface StateRowsSink {
  /** Takes a row, which is valid during the call. */
  row(row: StateRow): void;
}

/** What became of a text. */
export interface ReadRows {
  readonly states: number;
  /** States that are left out, and parts that are not understood. */
  readonly omitted: readonly Omission[];
  /** Are there entries of `ip xfrm policy` in it, or anything else that it is recognised by? */
  readonly isOther: boolean;
}

/** An empty row. */
export function stateRow(): StateRow {
  return {
    src: NO_ADDRESS,
    dst: NO_ADDRESS,
    spi: 0,
    mark: 0,
    markMask: 0,
    outputMark: 0,
    direction: undefined,
    mode: 'tunnel',
    esn: false,
    window: 0,
    seqHi: 0,
    seq: 0,
    oseqHi: 0,
    oseq: 0,
    late: 0,
    replayed: 0,
    failed: 0,
    icvBits: 0,
    hasHash: false,
    hash: new Uint32Array(4),
    added: 0,
    used: 0,
    spent: 0,
    line: 0,
  };
}

/**
 * Reads the states of a text.
 * @param bytes the text; UTF-8, or with a byte order mark
 * @param source file name, for errors and origins
 * @throws {InputError} when it is too long, or holds too many states
 */
export function readStateRows(
  bytes: Uint8Array,
  source: string,
  addresses: AddressIds,
  sink: StateRowsSink,
): ReadRows {
  return new Reader(bytes, source, addresses, sink).read();
}

/** The row of a state that is usable, or why it is left out. For whatever has no usual form, and for tests. */
export function rowOfState(
  state: XfrmState,
  addresses: AddressIds,
  row: StateRow,
): { why: string; line?: number | undefined } | undefined {
  const made = toSa(state);
  if (made.kind === 'omitted') return made;
  const { sa } = made;
  row.src = addresses.ofText(state.src);
  row.dst = addresses.ofText(state.dst);
  row.spi = sa.spi;
  row.mark = sa.mark?.value ?? 0;
  row.markMask = sa.mark?.mask ?? 0;
  row.outputMark = sa.outputMark?.value ?? 0;
  row.direction = sa.direction;
  row.mode = sa.mode;
  row.esn = sa.esn;
  row.window = sa.replayWindow;
  row.seqHi = sa.sequence?.seqHi ?? 0;
  row.seq = sa.sequence?.seq ?? 0;
  row.oseqHi = sa.sequence?.oseqHi ?? 0;
  row.oseq = sa.sequence?.oseq ?? 0;
  row.late = sa.counted?.replayWindow ?? 0;
  row.replayed = sa.counted?.replay ?? 0;
  row.failed = sa.counted?.failed ?? 0;
  const { algorithms } = state;
  row.icvBits = algorithms.find(({ type }) => type === 'aead' || type === 'auth-trunc')?.icvBits ?? 0;
  hashOf(algorithms, row);
  row.added = secondsOf(state.use?.added ?? null);
  row.used = secondsOf(state.use?.used ?? null);
  row.spent = spentOf(state);
  row.line = Number(/:(\d+)$/.exec(state.origin)?.[1] ?? 0);
  return undefined;
}

/** The hash of the keys that a state has, as cilium-bugtool would print it: what {@link StateRow.hash} is compared with. */
export function hashOfMaterial(material: KeyMaterial): Uint32Array {
  const hash = new Uint32Array(4);
  for (const [i, key] of printedKeys(material).entries()) addKeyHash(hash, key, i);
  return hash;
}

/** Puts the hash of all keys into a row; nothing where one of them is not told. */
function hashOf(algorithms: readonly XfrmAlgorithm[], row: StateRow): void {
  row.hash.fill(0);
  row.hasHash = algorithms.length > 0;
  // An empty key has no text to hash, and is printed as it is.
  for (const [i, { key, keyHash }] of algorithms.filter((one) => one.key !== '').entries()) {
    if (keyHash !== undefined) addHexHash(row.hash, keyHash, i);
    else if (key !== undefined) addKeyHash(row.hash, key, i);
    else row.hasHash = false;
  }
  if (!row.hasHash) row.hash.fill(0);
}

/**
 * Adds the hash of a key ({@link hashOfKey}). A state with two keys has both, each turned by its place, so that equal ones do
 * not cancel out.
 * @param hash 4 words
 * @param key hexadecimal digits, lower case
 * @param place 0 for the first key of a state
 */
export function addKeyHash(hash: Uint32Array, key: string, place: number): void {
  const digest = hashOfKey(key);
  const view = new DataView(digest.buffer, digest.byteOffset);
  for (let i = 0; i < 4; i++) hash[(i + place) & 3]! ^= view.getUint32(4 * i);
}

function addHexHash(hash: Uint32Array, digits: string, place: number): void {
  for (let i = 0; i < 4; i++) hash[(i + place) & 3]! ^= Number.parseInt(digits.slice(8 * i, 8 * i + 8), 16);
}

function secondsOf(time: string | null): number {
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)$/.exec(time ?? '') ?? [];
  if (year === undefined) return 0;
  return secondsOfDate(+year, +month!, +day!, +hour!, +minute!, +second!);
}

function spentOf({ lifetime, use }: XfrmState): number {
  const share = (limit: string | null | undefined, used: string | null | undefined) => {
    const [most, now] = [Number(limit ?? Number.NaN), Number(used ?? Number.NaN)];
    return most > 0 && now > 0 ? Math.min(1, now / most) : 0;
  };
  return Math.max(share(lifetime?.hardBytes, use?.bytes), share(lifetime?.hardPackets, use?.packets));
}

const PROTO = phrase('\tproto esp spi 0x');
const MODE_TRANSPORT = phrase(' mode transport');
const WINDOW = phrase('\treplay-window ');
const SEQ = phrase(' seq 0x');
const FLAG = phrase(' flag');
const ESN = phrase('esn');
const AF_UNSPEC = phrase('af-unspec');
const OUTPUT_MARK = phrase(' output-mark 0x');
const AEAD = phrase('\taead rfc4106(gcm(aes)) ');
const HASH = phrase('[hash:');
const HASH_END = phrase('] ');
const KEY = phrase('0x');
const BITS = phrase('(160 bits) ');
const BITS_256 = phrase('(288 bits) ');
const CONTEXT = phrase('\tanti-replay context: seq 0x');
const OSEQ = phrase(', oseq 0x');
const BITMAP = phrase(', bitmap 0x');
const ESN_CONTEXT = phrase('\tanti-replay esn context:');
const SEQ_HI = phrase('\t seq-hi 0x');
const SEQ_LO = phrase(', seq 0x');
const OSEQ_HI = phrase(', oseq-hi 0x');
const REPLAY_WINDOW = phrase('\t replay_window ');
const BITMAP_LENGTH = phrase(', bitmap-length ');
const SEL_V4 = phrase('\tsel src 0.0.0.0/0 dst 0.0.0.0/0');
const SEL_V6 = phrase('\tsel src ::/0 dst ::/0');
const STATS = phrase('\tstats:');
const STATS_LINE = phrase('\t  replay-window ');
const REPLAY = phrase(' replay ');
const FAILED = phrase(' failed ');
const WORDS_A_LINE = 8;
/** A line of a window in which nothing has come. */
const EMPTY_LINE = phrase(`\t ${'00000000 '.repeat(WORDS_A_LINE)}\n`);
/** As `to-sa.ts` has it. */
const MAX_WINDOW = 4096;

class Reader extends EntryBytes {
  readonly #addresses: AddressIds;
  readonly #sink: StateRowsSink;
  /** Of an entry of the usual form, and of another one. */
  readonly #row = stateRow();
  readonly #other = stateRow();
  readonly #omitted: Omission[] = [];
  #isOther = false;
  #states = 0;

  constructor(bytes: Uint8Array, source: string, addresses: AddressIds, sink: StateRowsSink) {
    super(bytes, source);
    this.#addresses = addresses;
    this.#sink = sink;
  }

  read(): ReadRows {
    this.walk();
    return { states: this.#states, omitted: few(this.#omitted, this.source), isOther: this.#isOther };
  }

  protected entry(line: number): void {
    this.#row.line = line;
    this.#states++;
    this.#sink.row(this.#row);
  }

  protected others(text: string, line: number): void {
    const tree = parseXfrm(text, this.source, { firstLine: line, mayBeNothing: true });
    if (tree.policies.length + tree.events.length > 0) this.#isOther = true;
    for (const state of tree.states) {
      this.count(line);
      const left = rowOfState(state, this.#addresses, this.#other);
      if (left) {
        const origin = left.line === undefined ? state.origin : `${this.source}:${left.line}`;
        this.#omitted.push({ origin, why: left.why });
        continue;
      }
      this.#states++;
      this.#sink.row(this.#other);
    }
    this.#omitted.push(...unreadParts(tree));
  }

  /** Reads an address up to a blank or line end. */
  #address(at: number): number {
    if (at < 0) return -1;
    const b = this.bytes;
    let i = at;
    for (; ; i++) {
      const code = b[i]!;
      const isOf = (code >= 48 && code <= 58) || code === 46 || (code >= 97 && code <= 102);
      if (!isOf) break;
    }
    if (i === at || i - at > 45) return -1;
    this.value = this.#addresses.ofBytes(b, at, i);
    return this.value === NO_ADDRESS ? -1 : i;
  }

  /**
   * Reads an entry of the usual form into the row.
   * @returns where it ends, or -1 where it has another form
   */
  protected usual(from: number): number {
    const b = this.bytes;
    const row = this.#row;
    let at = this.#address(this.match(from, HEAD));
    row.src = this.value;
    at = this.newline(this.#address(this.match(at, DST)));
    row.dst = this.value;
    at = this.again(this.hex(this.match(at, PROTO)));
    row.spi = this.value;
    at = this.again(this.decimal(this.match(at, REQID)));
    if (at < 0 || row.spi === 0 || !this.#addresses.isSameFamily(row.src, row.dst)) return -1;
    const tunnel = this.match(at, MODE_TUNNEL);
    row.mode = tunnel > 0 ? 'tunnel' : 'transport';
    at = this.newline(tunnel > 0 ? tunnel : this.match(at, MODE_TRANSPORT));
    at = this.#flags(this.decimal(this.match(at, WINDOW)));
    if (at < 0) return -1;
    at = this.#aead(this.#marks(at));
    at = this.#replay(at);
    if (at < 0 || row.window > MAX_WINDOW || (row.esn && row.window === 0)) return -1;
    row.direction = undefined;
    const dir = this.match(at, DIR);
    if (dir > 0) {
      const isIn = this.match(dir, IN);
      row.direction = isIn > 0 ? 'in' : 'out';
      at = this.newline(isIn > 0 ? isIn : this.match(dir, OUT));
    }
    const sel = this.match(at, SEL_V4);
    at = sel > 0 ? sel : this.match(at, SEL_V6);
    const uid = this.match(at, UID);
    at = this.newline(uid > 0 ? this.decimal(uid) : at);
    row.added = 0;
    row.used = 0;
    row.late = 0;
    row.replayed = 0;
    row.failed = 0;
    row.spent = 0;
    if (at < 0 || at === b.length || b[at] !== 9) return at;
    at = this.#life(at);
    if (at < 0 || at === b.length || b[at] !== 9) return at;
    return this.#stats(at);
  }

  /** Behind the window: `seq 0x00000000 flag af-unspec esn (0x10100000)`, or parts of it. */
  #flags(from: number): number {
    if (from < 0) return -1;
    const b = this.bytes;
    const row = this.#row;
    row.window = this.value;
    row.esn = false;
    let at = from;
    const seq = this.match(at, SEQ);
    if (seq > 0) {
      // Decimal digits behind 0x, and no fewer than 8.
      at = this.decimal(seq);
      if (at < seq + 8) return -1;
    }
    const flag = this.match(at, FLAG);
    if (flag > 0) {
      at = flag;
      let isAny = false;
      for (;;) {
        let i = at;
        while (b[i] === BLANK) i++;
        if (i === at) return b[i] === NEWLINE ? this.newline(i) : -1;
        const esn = this.match(i, ESN);
        const other = esn > 0 || isAny ? -1 : this.match(i, AF_UNSPEC);
        if (esn < 0 && other < 0) {
          if (b[i] === 40) at = i;
          break;
        }
        if (esn > 0 && row.esn) return -1;
        if (esn > 0) row.esn = true;
        isAny = true;
        at = esn > 0 ? esn : other;
      }
      if (b[at] === 40) {
        if (b[at + 1] !== 48 || b[at + 2] !== 120) return -1;
        at = this.again(at);
      }
    }
    return this.newline(at);
  }

  #marks(from: number): number {
    const row = this.#row;
    row.mark = 0;
    row.markMask = 0;
    row.outputMark = 0;
    const mark = this.match(from, MARK);
    if (mark < 0) return from;
    let at = this.hex(mark);
    row.mark = this.value;
    at = this.hex(this.match(at, SLASH_HEX));
    row.markMask = this.value;
    const output = this.match(at, OUTPUT_MARK);
    if (output > 0) {
      at = this.hex(output);
      row.outputMark = this.value;
      const mask = this.match(at, SLASH_HEX);
      if (mask > 0) at = this.hex(mask);
    }
    return this.newline(at);
  }

  #aead(from: number): number {
    const b = this.bytes;
    const { hash } = this.#row;
    let at = this.match(from, AEAD);
    if (at < 0) return -1;
    hash.fill(0);
    const hashed = this.match(at, HASH);
    if (hashed > 0) {
      for (let i = 0; i < 4; i++) {
        let value = 0;
        for (let digit = 0; digit < 8; digit++) {
          const n = DIGITS[b[hashed + 8 * i + digit]!] ?? -1;
          if (n < 0) return -1;
          value = (value << 4) | n;
        }
        hash[i] = value >>> 0;
      }
      for (let i = 32; i < 64; i++) if ((DIGITS[b[hashed + i]!] ?? -1) < 0) return -1;
      at = this.match(hashed + 64, HASH_END);
    } else {
      const key = this.match(at, KEY);
      if (key < 0) return -1;
      let end = key;
      while ((DIGITS[b[end]!] ?? -1) >= 0) end++;
      // AES-128 or AES-256, each with a salt of 4 bytes.
      if ((end !== key + 40 && end !== key + 72) || b[end] !== BLANK) return -1;
      addKeyHash(hash, String.fromCharCode(...b.subarray(key, end)), 0);
      at = end + 1;
      const bits = this.match(at, end === key + 40 ? BITS : BITS_256);
      if (bits < 0 && b[at] === 40) return -1;
      if (bits > 0) at = bits;
      return this.#icv(at);
    }
    const bits = this.match(at, BITS);
    return this.#icv(bits > 0 ? bits : this.match(at, BITS_256) > 0 ? this.match(at, BITS_256) : at);
  }

  #icv(at: number): number {
    const end = this.digits(at);
    if (end < 0 || (this.value !== 128 && this.value !== 96 && this.value !== 64)) return -1;
    this.#row.icvBits = this.value;
    this.#row.hasHash = true;
    return this.newline(end);
  }

  #replay(from: number): number {
    const b = this.bytes;
    const row = this.#row;
    row.seqHi = 0;
    row.oseqHi = 0;
    row.seq = 0;
    row.oseq = 0;
    const context = this.match(from, CONTEXT);
    if (context > 0) {
      let at = this.hex(context);
      row.seq = this.value;
      at = this.hex(this.match(at, OSEQ));
      row.oseq = this.value;
      return this.newline(this.hex(this.match(at, BITMAP)));
    }
    if (this.match(from, ESN_CONTEXT) < 0) return from;
    let at = this.newline(this.match(from, ESN_CONTEXT));
    at = this.hex(this.match(at, SEQ_HI));
    row.seqHi = this.value;
    at = this.hex(this.match(at, SEQ_LO));
    row.seq = this.value;
    at = this.hex(this.match(at, OSEQ_HI));
    row.oseqHi = this.value;
    at = this.newline(this.hex(this.match(at, OSEQ)));
    row.oseq = this.value;
    at = this.decimal(this.match(at, REPLAY_WINDOW));
    row.window = this.value;
    at = this.newline(this.decimal(this.match(at, BITMAP_LENGTH)));
    const words = this.value;
    if (at < 0 || words > MAX_WINDOW / 32) return -1;
    for (let left = words; left > 0; ) {
      const empty = left >= WORDS_A_LINE ? this.match(at, EMPTY_LINE) : -1;
      if (empty > 0) {
        at = empty;
        left -= WORDS_A_LINE;
        this.line++;
        continue;
      }
      if (b[at] !== 9 || b[at + 1] !== BLANK) return -1;
      at += 2;
      while (left > 0) {
        at = this.eight(at);
        if (at < 0) return -1;
        left--;
        if (b[at] !== BLANK || (DIGITS[b[at + 1]!] ?? -1) < 0) break;
        at++;
      }
      at = this.newline(at);
      if (at < 0) return -1;
    }
    return at;
  }

  #life(from: number): number {
    const row = this.#row;
    let at = this.match(this.match(from, LIMITS), CURRENT);
    if (at < 0) return from;
    this.line += LIMITS_LINES + 1;
    at = this.digits(at);
    at = this.digits(this.match(at, OF_BYTES));
    at = this.newline(this.match(at, OF_PACKETS));
    at = this.time(this.match(at, ADD));
    row.added = this.value;
    at = this.newline(this.time(this.match(at, USE)));
    row.used = this.value;
    return at;
  }

  #stats(from: number): number {
    const row = this.#row;
    let at = this.newline(this.match(from, STATS));
    at = this.decimal(this.match(at, STATS_LINE));
    row.late = this.value;
    at = this.decimal(this.match(at, REPLAY));
    row.replayed = this.value;
    at = this.newline(this.decimal(this.match(at, FAILED)));
    row.failed = this.value;
    return at;
  }
}
