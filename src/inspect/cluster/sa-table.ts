/**
 * The states of all nodes of a cluster, each SA with its two sides: what the sender's kernel holds, and what the
 * receiver's. A thousand nodes have two million SAs: each takes about 110 bytes here.
 * @module
 */
import type { StateRow } from '../../sa-text/state-rows.ts';
import { Grown, PairIndex } from './columns.ts';

/** The sides of an SA. */
export const SENDER = 0;
export const RECEIVER = 1;
export type Side = typeof SENDER | typeof RECEIVER;

const HAS_ESN = 1;
const HAS_HASH = 2;

/** SAs of one tunnel have different SPIs; a tunnel goes from one address to another, one way. */
export class SaTable {
  /** Tunnels: addresses of source and destination, by number. */
  readonly tunnels = new PairIndex();
  /** SAs: tunnel, and SPI as a signed number. */
  readonly #sas = new PairIndex();
  /** By tunnel: its first SA, plus 1. */
  readonly #first = new Grown((n) => new Int32Array(n));
  /** By SA and side: 2 * SA + side. */
  readonly #node = new Grown((n) => new Int32Array(n), -1);
  readonly #line = new Grown((n) => new Uint32Array(n));
  readonly #hash = new Grown((n) => new Uint32Array(n));
  readonly #flags = new Grown((n) => new Uint8Array(n));
  readonly #icv = new Grown((n) => new Uint8Array(n));
  readonly #window = new Grown((n) => new Uint16Array(n));
  readonly #markId = new Grown((n) => new Uint16Array(n));
  readonly #hi = new Grown((n) => new Uint32Array(n));
  readonly #lo = new Grown((n) => new Uint32Array(n));
  readonly #failed = new Grown((n) => new Uint32Array(n));
  readonly #refused = new Grown((n) => new Uint32Array(n));
  readonly #added = new Grown((n) => new Uint32Array(n));

  constructor() {
    this.#hash.reserve(4 * this.#node.array.length);
  }

  /** How many SAs there are: numbers count from 0. */
  get size(): number {
    return this.#sas.size;
  }

  /**
   * Adds what a node's kernel holds. Of two states that differ in the mark alone the one that was made last counts.
   * @returns the SA
   */
  add(node: number, side: Side, row: StateRow): number {
    const sa = this.#saOf(this.tunnels.of(row.src, row.dst), row.spi | 0);
    const at = 2 * sa + side;
    this.#reserve(at + 1);
    if (this.#node.array[at]! >= 0 && row.added < this.#added.array[at]!) return sa;
    this.#node.array[at] = node;
    this.#line.array[at] = row.line;
    for (let i = 0; i < 4; i++) this.#hash.array[4 * at + i] = row.hash[i]!;
    this.#flags.array[at] = (row.esn ? HAS_ESN : 0) | (row.hasHash ? HAS_HASH : 0);
    this.#icv.array[at] = row.icvBits >>> 3;
    this.#window.array[at] = row.window;
    this.#markId.array[at] = row.mark >>> 16;
    this.#hi.array[at] = side === SENDER ? row.oseqHi : row.seqHi;
    this.#lo.array[at] = side === SENDER ? row.oseq : row.seq;
    this.#failed.array[at] = row.failed;
    this.#refused.array[at] = Math.min(0xffff_ffff, row.late + row.replayed + row.failed);
    this.#added.array[at] = row.added;
    return sa;
  }

  /** Most tunnels have one SA, or two in a rotation: the first one needs no search. */
  #saOf(tunnel: number, spi: number): number {
    const first = (this.#first.array[tunnel] ?? 0) - 1;
    if (first >= 0 && this.#sas.other.array[first] === spi) return first;
    const sa = this.#sas.of(tunnel, spi);
    if (first < 0) {
      this.#first.reserve(tunnel + 1);
      this.#first.array[tunnel] = sa + 1;
    }
    return sa;
  }

  #reserve(length: number): void {
    if (length <= this.#node.array.length) return;
    for (const column of [
      this.#node,
      this.#line,
      this.#flags,
      this.#icv,
      this.#window,
      this.#markId,
      this.#hi,
      this.#lo,
      this.#failed,
      this.#refused,
      this.#added,
    ])
      column.reserve(length);
    this.#hash.reserve(4 * this.#node.array.length);
  }

  /** The SA of a tunnel with an SPI, or -1. */
  find(tunnel: number, spi: number): number {
    return tunnel < 0 ? -1 : this.#sas.find(tunnel, spi | 0);
  }

  tunnelOf(sa: number): number {
    return this.#sas.one.array[sa]!;
  }

  spiOf(sa: number): number {
    return this.#sas.other.array[sa]! >>> 0;
  }

  /** Addresses by number. */
  srcOf(sa: number): number {
    return this.tunnels.one.array[this.tunnelOf(sa)]!;
  }

  dstOf(sa: number): number {
    return this.tunnels.other.array[this.tunnelOf(sa)]!;
  }

  /** The node that holds this side, or -1. */
  nodeOf(sa: number, side: Side): number {
    return this.#node.array[2 * sa + side] ?? -1;
  }

  /** The line of its text. */
  lineOf(sa: number, side: Side): number {
    return this.#line.array[2 * sa + side]!;
  }

  hasEsn(sa: number, side: Side): boolean {
    return (this.#flags.array[2 * sa + side]! & HAS_ESN) !== 0;
  }

  hasHash(sa: number, side: Side): boolean {
    return (this.#flags.array[2 * sa + side]! & HAS_HASH) !== 0;
  }

  /** The first 128 bits of its key's hash. */
  hashOf(sa: number, side: Side): Uint32Array {
    const at = 4 * (2 * sa + side);
    return this.#hash.array.subarray(at, at + 4);
  }

  /** Do the kernels hold the same key, by its hash? Sides may be of two SAs. */
  isSameKey(sa: number, side: Side, other: number, otherSide: Side): boolean {
    const hash = this.#hash.array;
    const [a, b] = [4 * (2 * sa + side), 4 * (2 * other + otherSide)];
    return (
      hash[a] === hash[b] &&
      hash[a + 1] === hash[b + 1] &&
      hash[a + 2] === hash[b + 2] &&
      hash[a + 3] === hash[b + 3]
    );
  }

  /** Bits; 0 where not told. */
  icvBitsOf(sa: number, side: Side): number {
    return this.#icv.array[2 * sa + side]! * 8;
  }

  windowOf(sa: number, side: Side): number {
    return this.#window.array[2 * sa + side]!;
  }

  /** The upper half of its mark: the node id by which Cilium knows the other end. */
  markIdOf(sa: number, side: Side): number {
    return this.#markId.array[2 * sa + side]!;
  }

  /** The last number that was sent, or received. */
  numberOf(sa: number, side: Side): number {
    return this.#hi.array[2 * sa + side]! * 2 ** 32 + this.#lo.array[2 * sa + side]!;
  }

  /** Packets whose ICV was wrong. */
  failedOf(sa: number, side: Side): number {
    return this.#failed.array[2 * sa + side]!;
  }

  /** Packets that were refused: those, and by their numbers. */
  refusedOf(sa: number, side: Side): number {
    return this.#refused.array[2 * sa + side]!;
  }

  /** When it was made: {@link StateRow.added}. */
  addedOf(sa: number, side: Side): number {
    return this.#added.array[2 * sa + side]!;
  }
}
