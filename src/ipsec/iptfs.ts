/**
 * The receiving end of IP-TFS for one SA (RFC 9347 §2.2.3, §2.5): payloads in, in any order within a window, inner packets
 * out. It takes what has authenticated and moved the replay window, and nothing else.
 *
 * As Linux 7 does (`xfrm_iptfs.c`):
 * - A payload beyond the next number waits for those before it, up to `reorderWindow` numbers and `dropTime`. One that comes
 *   when its turn is over is dropped, and nothing counts it.
 * - One inner packet at most is in the making. A payload that is not what it waits for ends it: XfrmInIptfsError. One that
 *   ends it by time is not counted. The end of an inner packet whose beginning never came is passed over.
 * - Where a packet is in the making and the block offset is 0, padding may come in between (RFC 9347 §2.2.3), and anything else
 *   ends the packet. (Linux 7.0 means to do that and looks at the wrong byte: it takes all such payloads for padding.)
 * - A payload in which something is no data block gives none of its inner packets.
 * - ECN and DSCP of the outer header are not taken over: it carries none, one or many packets.
 *
 * Memory is bounded: {@link MOST_HELD} payloads and {@link MOST_BYTES} wait, and one inner packet is in the making.
 * @module
 */
import * as aggfrag from '../wire/aggfrag.ts';
import { PASS } from '../wire/packet.ts';
import { DROP } from './drop.ts';

/** Payloads that wait in one reorder window, and bytes of them; beyond that the first gap is given up. */
export const MOST_HELD = 1024;
export const MOST_BYTES = 1 << 20;

/** What Linux takes where nothing is said (`iptfs-opts`). */
export const DEFAULT_REORDER_WINDOW = 3;
export const DEFAULT_DROP_TIME = 1000;

const SHORT = DROP['iptfs-short'];
const HEADER = DROP['iptfs-header'];
const BLOCK = DROP['iptfs-block'];
const ABANDONED = DROP['iptfs-abandoned'];
const SELECTOR_MISMATCH = DROP['selector-mismatch'];

export interface IptfsOptions {
  /** Numbers that a payload may come early; 0: in the order in which they come. */
  readonly reorderWindow?: number;
  /** How long a missing number is waited for, in ms. */
  readonly dropTime?: number;
}

/** What became of one payload. The object is used again: copy what you keep. */
export interface IptfsTaken {
  /** {@link PASS}, or the row of the drop table. */
  readonly verdict: number;
  /** It waits for an earlier number: its inner packets come out with a later payload. */
  readonly isHeld: boolean;
  /** Its header; -1 where there is none to read. */
  readonly subtype: number;
  readonly blockOffset: number;
  /** Bytes of padding behind its data blocks, where it did not wait. */
  readonly padLength: number;
  /** The inner packet that its first bytes have made whole. */
  readonly completed: Uint8Array | undefined;
  /** Inner packets that are whole now, in order: also those of payloads that had waited. */
  readonly inners: readonly Uint8Array[];
  /** Rows of the drop table that were counted beside the verdict, once for each time. */
  readonly counted: readonly number[];
}

/** How often what was not delivered, since the beginning. */
export interface IptfsStats {
  /** Inner packets in the making that the next payload did not go on with: XfrmInIptfsError. */
  abandoned: number;
  /** Those whose rest did not come in time. */
  timedOut: number;
  /** Payloads that came when their turn was over, or a second time. */
  late: number;
}

interface Held {
  readonly hi: number;
  readonly lo: number;
  readonly bytes: Uint8Array;
  /** When the gap before it is given up. */
  readonly until: number;
}

export class IptfsReceiver {
  readonly stats: IptfsStats = { abandoned: 0, timedOut: 0, late: 0 };
  readonly #window: number;
  readonly #dropTime: number;
  /** Does the SA's selector cover an inner packet? */
  takes: (packet: Uint8Array) => boolean;

  /** The number whose turn it is, once there was one. */
  #isSet = false;
  #nextHi = 0;
  #nextLo = 0;
  /** In order of their numbers, all behind the next one. */
  readonly #held: Held[] = [];
  #heldBytes = 0;

  /** The inner packet in the making, which the payload of this number goes on with. */
  #making: Uint8Array | undefined;
  #have = 0;
  #since = 0;
  #wantHi = 0;
  #wantLo = 0;
  /** Its first bytes, where they do not tell its length. */
  readonly #runt = new Uint8Array(aggfrag.LENGTH_AT_MOST);
  #runtLen = 0;

  readonly #taken = {
    verdict: PASS,
    isHeld: false,
    subtype: -1,
    blockOffset: 0,
    padLength: 0,
    completed: undefined as Uint8Array | undefined,
    inners: [] as Uint8Array[],
    counted: [] as number[],
  };
  /** Of the payload that was read last: its padding, and the inner packet that its first bytes ended. */
  #padLength = 0;
  #completed: Uint8Array | undefined;

  constructor(options: IptfsOptions = {}, takes: (packet: Uint8Array) => boolean = () => true) {
    this.#window = Math.min(options.reorderWindow ?? DEFAULT_REORDER_WINDOW, MOST_HELD);
    this.#dropTime = options.dropTime ?? DEFAULT_DROP_TIME;
    this.takes = takes;
  }

  /** When {@link expire} has something to do, in ms; infinite while nothing waits. */
  get due(): number {
    const made = this.#making ? this.#since + this.#dropTime : Number.POSITIVE_INFINITY;
    return Math.min(made, this.#held[0]?.until ?? Number.POSITIVE_INFINITY);
  }

  /**
   * Takes the payload `b[at..end)` of number `hi`, `lo`, padding and trailer taken off.
   * @param now ms, from any epoch
   */
  take(hi: number, lo: number, b: Uint8Array, at: number, end: number, now: number): IptfsTaken {
    const taken = this.#begin();
    this.#expire(now);
    if (end - at >= aggfrag.HEADER_LEN) {
      taken.subtype = aggfrag.subtype(b, at);
      taken.blockOffset = aggfrag.blockOffset(b, at);
    }
    lo >>>= 0;
    if (!this.#isSet) this.#next(hi, lo);
    this.#isSet = true;
    const ahead = distance(hi, lo, this.#nextHi, this.#nextLo);
    if (this.#window === 0 || ahead === 0) {
      taken.verdict = this.#read(hi, lo, b, at, end, now);
      taken.padLength = this.#padLength;
      taken.completed = this.#completed;
      this.#next(...after(hi, lo));
      this.#goOn(now);
    } else if (ahead < 0) this.stats.late++;
    else {
      if (!this.#hold(hi, lo, b.slice(at, end), now)) this.stats.late++;
      // Too far ahead: what is further back than the window is given up.
      const beyond = ahead - this.#window;
      if (beyond > 0) this.#giveUpTo(...plus(this.#nextHi, this.#nextLo, beyond), now);
      while (this.#heldBytes > MOST_BYTES) this.#giveUpTo(this.#held[0]!.hi, this.#held[0]!.lo, now);
      taken.isHeld = distance(hi, lo, this.#nextHi, this.#nextLo) >= 0;
    }
    return taken;
  }

  /** Lets out what has waited long enough. {@link take} does it too; call it when nothing arrives. */
  expire(now: number): IptfsTaken {
    const taken = this.#begin();
    this.#expire(now);
    return taken;
  }

  #begin() {
    const taken = this.#taken;
    taken.verdict = PASS;
    taken.isHeld = false;
    taken.subtype = -1;
    taken.blockOffset = 0;
    taken.padLength = 0;
    taken.completed = undefined;
    taken.inners = [];
    taken.counted = [];
    return taken;
  }

  #next(hi: number, lo: number): void {
    this.#nextHi = hi;
    this.#nextLo = lo;
  }

  #expire(now: number): void {
    if (this.#making && now - this.#since >= this.#dropTime) {
      this.#making = undefined;
      this.stats.timedOut++;
    }
    for (let first = this.#held[0]; first && first.until <= now; first = this.#held[0])
      this.#giveUpTo(first.hi, first.lo, now);
  }

  /** Keeps a payload for later. @returns false where its number waits already */
  #hold(hi: number, lo: number, bytes: Uint8Array, now: number): boolean {
    const held = this.#held;
    let k = held.length;
    while (k > 0 && distance(held[k - 1]!.hi, held[k - 1]!.lo, hi, lo) >= 0) k--;
    const above = held[k];
    if (above?.hi === hi && above.lo === lo) return false;
    // A gap has its time from what came first behind it.
    held.splice(k, 0, { hi, lo, bytes, until: above ? above.until : now + this.#dropTime });
    this.#heldBytes += bytes.length;
    return true;
  }

  /** It is the turn of this number, whether or not those before it came. */
  #giveUpTo(hi: number, lo: number, now: number): void {
    for (let first = this.#held[0]; first && distance(first.hi, first.lo, hi, lo) < 0; first = this.#held[0])
      this.#readHeld(now);
    this.#next(hi, lo);
    this.#goOn(now);
  }

  /** Reads what waits, up to the next gap. */
  #goOn(now: number): void {
    for (let first = this.#held[0]; first; first = this.#held[0]) {
      const { hi, lo } = first;
      if (hi !== this.#nextHi || lo !== this.#nextLo) return;
      this.#readHeld(now);
      this.#next(...after(hi, lo));
    }
  }

  #readHeld(now: number): void {
    const { hi, lo, bytes } = this.#held.shift()!;
    this.#heldBytes -= bytes.length;
    const verdict = this.#read(hi, lo, bytes, 0, bytes.length, now);
    if (verdict !== PASS) this.#taken.counted.push(verdict);
  }

  /** Reads a payload whose turn it is. Returns its verdict. */
  #read(hi: number, lo: number, b: Uint8Array, at: number, end: number, now: number): number {
    this.#padLength = 0;
    this.#completed = undefined;
    const have = end - at;
    if (have < aggfrag.HEADER_LEN) return SHORT;
    if (aggfrag.subtype(b, at) <= aggfrag.CONGESTION && have < aggfrag.headerLen(b, at)) return SHORT;
    if (aggfrag.check(b, at, end)) return HEADER;
    const offset = aggfrag.blockOffset(b, at);
    const inners: Uint8Array[] = [];
    let p = at + aggfrag.headerLen(b, at);
    if (offset > 0 || this.#runtLen > 0 || this.#making)
      p = this.#continue(hi, lo, b, p, end, offset, inners);
    while (p < end) {
      const kind = aggfrag.blockKind(b, p);
      if (kind === 'unknown') return BLOCK;
      if (kind === 'padding') {
        this.#padLength = end - p;
        break;
      }
      const left = end - p;
      const len = aggfrag.innerLength(b, p, left);
      if (len < 0) {
        this.#runt.set(b.subarray(p, end));
        this.#runtLen = left;
        [this.#wantHi, this.#wantLo] = after(hi, lo);
        break;
      }
      if (aggfrag.isTooShort(b, p)) return HEADER;
      if (len > left) {
        this.#make(len, b, p, end);
        this.#since = now;
        [this.#wantHi, this.#wantLo] = after(hi, lo);
        break;
      }
      inners.push(b.slice(p, p + len));
      p += len;
    }
    for (const packet of inners) {
      if (this.takes(packet)) this.#taken.inners.push(packet);
      else this.#taken.counted.push(SELECTOR_MISMATCH);
    }
    return PASS;
  }

  /**
   * What lies before the first data block of a payload, `b[p..)`.
   * @returns where the data blocks begin
   */
  #continue(
    hi: number,
    lo: number,
    b: Uint8Array,
    p: number,
    end: number,
    offset: number,
    inners: Uint8Array[],
  ): number {
    const pieceEnd = Math.min(p + offset, end);
    if (this.#runtLen === 0 && !this.#making) return pieceEnd;
    const ahead = distance(hi, lo, this.#wantHi, this.#wantLo);
    if (ahead < 0) return end;
    if (ahead > 0) return this.#abandon(pieceEnd);
    if (offset === 0) {
      if (p < end && aggfrag.blockKind(b, p) !== 'padding') return this.#abandon(pieceEnd);
      // A payload of padding alone may come in between (RFC 9347 §2.2.3).
      [this.#wantHi, this.#wantLo] = after(hi, lo);
      this.#padLength = end - p;
      return end;
    }
    if (this.#runtLen > 0) {
      const runtLen = this.#runtLen;
      const missing = aggfrag.LENGTH_AT_MOST - runtLen;
      this.#runtLen = 0;
      if (pieceEnd - p < missing) return this.#abandon(pieceEnd);
      this.#runt.set(b.subarray(p, p + missing), runtLen);
      const len = aggfrag.innerLength(this.#runt, 0, aggfrag.LENGTH_AT_MOST);
      if (aggfrag.isTooShort(this.#runt, 0)) return this.#abandon(pieceEnd);
      this.#make(len, this.#runt, 0, runtLen);
      this.#since = Number.POSITIVE_INFINITY;
    }
    const making = this.#making!;
    const missing = making.length - this.#have;
    if (offset < missing) return this.#abandon(pieceEnd);
    const piece = b.subarray(p, Math.min(p + missing, pieceEnd));
    making.set(piece, this.#have);
    this.#have += piece.length;
    if (this.#have < making.length) [this.#wantHi, this.#wantLo] = after(hi, lo);
    else {
      inners.push(making);
      this.#completed = making;
      this.#making = undefined;
    }
    return pieceEnd;
  }

  /** Begins an inner packet of `len` bytes with `b[at..end)`. */
  #make(len: number, b: Uint8Array, at: number, end: number): void {
    this.#making = new Uint8Array(len);
    this.#making.set(b.subarray(at, end));
    this.#have = end - at;
  }

  /** The inner packet in the making will not become whole. */
  #abandon(pieceEnd: number): number {
    this.#making = undefined;
    this.#runtLen = 0;
    this.stats.abandoned++;
    this.#taken.counted.push(ABANDONED);
    return pieceEnd;
  }
}

/** How far the first number lies ahead of the second. Exact where they are close. */
function distance(hi: number, lo: number, fromHi: number, fromLo: number): number {
  return (hi - fromHi) * 2 ** 32 + (lo - fromLo);
}

/** The number `n` after another one. */
function plus(hi: number, lo: number, n: number): [hi: number, lo: number] {
  const sum = lo + n;
  return [hi + Math.floor(sum / 2 ** 32), sum % 2 ** 32];
}

function after(hi: number, lo: number): [hi: number, lo: number] {
  return plus(hi, lo, 1);
}
