/**
 * The batch: many packets in one slab, the unit that every stage of the data plane works on.
 *
 * ```text
 *  slot i                                                     slot i+1
 * |<- headroom ->|<------ packet ------>|<---- tailroom ---->|<- …
 *                ^ offset[i]            ^ offset[i] + length[i]
 * ```
 *
 * A stage grows a packet into its headroom and tailroom and leaves its payload where it is. What is known of a packet
 * stands in columns, by its index. `next` says where it goes: stages and links take what is {@link ON}, or what
 * is for their port. A dropped packet goes {@link NOWHERE}, and its verdict says why: it stays in its slot for statistics
 * and observers, but no stage touches it again.
 *
 * Only typed arrays cross from stage to stage and into the native addon, so nothing on this path
 * allocates per packet.
 * @module
 */
import { IS_LITTLE_ENDIAN } from '../base/bytes.ts';

/** Verdict of a packet that was not dropped. Other values are rows of the drop table (`ipsec/drop.ts`). */
export const PASS = 0;

/** {@link Batch.next} of a packet that goes on, to the next stage, and from the last to the link that sends the batch. */
export const ON = -1;
/** Of one that waits for its other fragments. */
export const HELD = -2;
/** Of one that was dropped, or has left. */
export const NOWHERE = -3;
/** Of one with a payload of IP-TFS, which begins at {@link Batch.l4}: what is in it goes on, in slots of its own. */
export const AGGREGATE = -4;

export interface BatchOptions {
  /** How many packets the batch holds. */
  readonly capacity?: number;
  /** Largest packet, in bytes, that fits with the headroom before it and the tailroom after it. */
  readonly maxPacket?: number;
  /** Bytes kept free before a new packet, for headers that will be prepended. */
  readonly headroom?: number;
  /** Bytes kept free after the largest packet, for padding, trailer and ICV. */
  readonly tailroom?: number;
  /** Puts the slab into a `SharedArrayBuffer`, so that workers see the same bytes. */
  readonly shared?: boolean;
}

/** Outer IPv6 (40), UDP (8), ESP header (8) and the longest IV (16) fit, and VXLAN over IPv6 (70) with them. */
export const HEADROOM = 144;
/**
 * The longest padding (255), its two trailer bytes and an ICV of 32 bytes fit. The longest ICV (64, HMAC-SHA-512 in full) does, too:
 * what is sealed here is padded to a block and no further.
 */
export const TAILROOM = 304;

/** Those that the addon reads and writes, and all. */
const NATIVE_COLUMNS = 6;
const COLUMNS = NATIVE_COLUMNS + 14;

export class Batch {
  readonly capacity: number;
  readonly headroom: number;
  /** Bytes from one slot to the next. */
  readonly slotSize: number;
  readonly slab: Uint8Array;
  /** The slab again, for two or four bytes in network order at once: a third of the cost of single bytes. */
  readonly words: DataView;
  /** The slab once more, as words of a little-endian machine; none on another, and where packets need not lie on words. */
  readonly words32: Int32Array | undefined;
  /**
   * The columns that follow lie in one buffer, in this order, `capacity` entries each. This is the first six of them: the
   * native addon gets them as one (`native/src/view.h`).
   */
  readonly tables: Uint8Array;
  /** All of them: column c of packet i at `c * capacity + i`. For the innermost loops, where every further array costs its checks. */
  readonly cells: Int32Array;
  /** Where each packet starts in the slab. */
  readonly offset: Uint32Array;
  /** How many bytes each packet has. */
  readonly length: Uint32Array;
  /** Linux's packet mark (`skb->mark`): Cilium keeps node id and key id in it. */
  readonly mark: Uint32Array;
  /** The SA that a packet takes, as its index in the SAD; -1 while there is none. */
  readonly sa: Int32Array;
  /** Where each packet goes: {@link ON}, {@link HELD}, {@link NOWHERE}, {@link AGGREGATE}, or from 0 on a port, such as a pod of a node. */
  readonly next: Int32Array;
  /** {@link PASS}, or the row of the drop table that says why it was dropped: set by {@link drop} alone. */
  readonly verdict: Int32Array;
  /** What the IP header says (`ip.ts`): 4 or 6, and 0 without one. */
  readonly family: Int32Array;
  /** The protocol behind the IP header and its extensions, and where in the slab that begins; -1 where it cannot be read. */
  readonly protocol: Int32Array;
  readonly l4: Int32Array;
  /** Whether it is a fragment: one of `WHOLE`, `FIRST_FRAGMENT`, `LATER_FRAGMENT`. */
  readonly fragment: Int32Array;
  /** Set by decapsulation: 1 where the packet was ESP, 2 where ESP without whole SPI and number, 0 where it was not ESP. */
  readonly isEsp: Int32Array;
  /** What the ESP header said: the SPI, and the low half of the sequence number. */
  readonly spi: Uint32Array;
  readonly seqLo: Uint32Array;
  /** High half of the number, as inferred; 0 without ESN, without SA, or where it would be below 0. */
  readonly seqHi: Uint32Array;
  /** The same as the replay window inferred it, below 0 too: for decapsulation alone. */
  readonly inferred: Uint32Array;
  /** What a node decided: a row of its tables of decisions (`node/decisions.ts`). */
  readonly decision: Int32Array;
  /** Which routes of the node its source and destination have, by their numbers; -1 for none. */
  readonly from: Int32Array;
  readonly to: Int32Array;
  /** The outbound policy that it matched, by its place in the SPD; -1 for none. */
  readonly policy: Int32Array;
  /** The VNI that it goes with, or came with; -1 without VXLAN. */
  readonly vni: Int32Array;
  /** Packets in use: slots 0 to count-1. */
  count = 0;

  constructor({
    capacity = 64,
    maxPacket = 2048,
    headroom = HEADROOM,
    tailroom = TAILROOM,
    shared = false,
  }: BatchOptions = {}) {
    this.capacity = capacity;
    this.headroom = headroom;
    // An odd number of cache lines: slots do not all fall onto the same cache sets.
    this.slotSize = (Math.ceil((headroom + maxPacket + tailroom) / 64) | 1) * 64;
    const bytes = this.slotSize * capacity;
    this.slab = new Uint8Array(shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes));
    this.words = new DataView(this.slab.buffer);
    this.words32 = IS_LITTLE_ENDIAN ? new Int32Array(this.slab.buffer) : undefined;
    const cells = new ArrayBuffer(capacity * 4 * COLUMNS);
    let end = 0;
    const signed = () => new Int32Array(cells, capacity * 4 * end++, capacity);
    const unsigned = () => new Uint32Array(cells, capacity * 4 * end++, capacity);
    this.tables = new Uint8Array(cells, 0, capacity * 4 * NATIVE_COLUMNS);
    this.cells = new Int32Array(cells);
    this.offset = unsigned();
    this.length = unsigned();
    this.mark = unsigned();
    this.sa = signed();
    this.next = signed();
    this.verdict = signed();
    this.family = signed();
    this.protocol = signed();
    this.l4 = signed();
    this.fragment = signed();
    this.isEsp = signed();
    this.spi = unsigned();
    this.seqLo = unsigned();
    this.seqHi = unsigned();
    this.inferred = unsigned();
    this.decision = signed();
    this.from = signed();
    this.to = signed();
    this.policy = signed();
    this.vni = signed();
  }

  /** Forgets all packets. Their bytes stay until overwritten. */
  clear(): void {
    this.count = 0;
  }

  /**
   * Copies `bytes[at..end)` into the next free slot.
   * @returns the packet's index, or -1 when the batch is full or the packet does not fit into a slot
   */
  push(bytes: Uint8Array, at = 0, end = bytes.length): number {
    const i = this.reserve(end - at);
    if (i < 0) return -1;
    const to = this.offset[i]!;
    // One call into the engine for long packets; a loop is quicker than the call's set-up for short ones.
    if (end - at > 64) this.slab.set(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end), to);
    else for (let k = at; k < end; k++) this.slab[to + k - at] = bytes[k]!;
    return i;
  }

  /**
   * Takes the next free slot for a packet of `len` bytes that the caller writes itself.
   * @returns the packet's index, or -1 when the batch is full or the packet does not fit into a slot
   */
  reserve(len: number): number {
    const i = this.count;
    if (i >= this.capacity || this.headroom + len > this.slotSize) return -1;
    this.offset[i] = i * this.slotSize + this.headroom;
    this.length[i] = len;
    this.next[i] = ON;
    this.verdict[i] = PASS;
    this.sa[i] = -1;
    this.mark[i] = 0;
    this.count = i + 1;
    return i;
  }

  /** Drops packet `i`. @param verdict the row of the drop table that says why */
  drop(i: number, verdict: number): void {
    this.verdict[i] = verdict;
    this.next[i] = NOWHERE;
  }

  /** Grows packet `i` by `n` bytes at its front. Returns false, and changes nothing, without headroom. */
  prepend(i: number, n: number): boolean {
    const at = this.offset[i]! - n;
    if (at < i * this.slotSize) return false;
    this.offset[i] = at;
    this.length[i] = this.length[i]! + n;
    return true;
  }

  /** Grows packet `i` by `n` bytes at its end. Returns false, and changes nothing, without tailroom. */
  append(i: number, n: number): boolean {
    const len = this.length[i]! + n;
    if (this.offset[i]! + len > (i + 1) * this.slotSize) return false;
    this.length[i] = len;
    return true;
  }

  /** Removes `n` bytes at the front of packet `i`; the caller knows that it has them. */
  trimFront(i: number, n: number): void {
    this.offset[i] = this.offset[i]! + n;
    this.length[i] = this.length[i]! - n;
  }

  /** Removes `n` bytes at the end of packet `i`; the caller knows that it has them. */
  trimBack(i: number, n: number): void {
    this.length[i] = this.length[i]! - n;
  }

  /** Packet `i` as a view: valid until the slot is used again. Allocates, so not for the hot path. */
  view(i: number): Uint8Array {
    const at = this.offset[i]!;
    return this.slab.subarray(at, at + this.length[i]!);
  }

  /** Packet `i` as a copy of its own. */
  copy(i: number): Uint8Array {
    const at = this.offset[i]!;
    return this.slab.slice(at, at + this.length[i]!);
  }
}

/**
 * A batch of packets that stay where they lie: all in one array, which the caller lends. Stages change them there.
 * There are no slots, so none of them can grow.
 */
export class LentBatch extends Batch {
  /** What was lent last. */
  declare slab: Uint8Array;
  declare words: DataView;
  declare words32: undefined;

  /** @param capacity packets that it holds */
  constructor(capacity: number) {
    super({ capacity, maxPacket: 0, headroom: 0, tailroom: 0 });
    this.words32 = undefined;
  }

  /**
   * Takes the packet `bytes[at..end)`, without a copy.
   * @returns its index, or -1 when the batch is full or holds packets of another array
   */
  lend(bytes: Uint8Array, at: number, end: number): number {
    if (this.slab !== bytes) {
      if (this.count > 0) return -1;
      this.slab = bytes;
      this.words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    }
    const i = super.reserve(0);
    if (i < 0) return -1;
    this.offset[i] = at;
    this.length[i] = end - at;
    return i;
  }

  /** There is no room of its own. */
  override reserve(_len: number): number {
    return -1;
  }

  override prepend(_i: number, _n: number): boolean {
    return false;
  }

  override append(_i: number, _n: number): boolean {
    return false;
  }
}
