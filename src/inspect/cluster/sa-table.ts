/**
 * The states of all nodes of a cluster, each SA with its two sides: what the sender's kernel holds, and what the
 * receiver's. A thousand nodes have two million SAs: each takes about 70 bytes here.
 * @module
 */
import type { StateRow } from '../../sa-text/state-rows.ts';
import { Grown, Paged, PairIndex } from './columns.ts';

/** The sides of an SA. */
export const SENDER = 0;
export const RECEIVER = 1;
export type Side = typeof SENDER | typeof RECEIVER;

const HAS_ESN = 1;
const HAS_HASH = 2;
/** Stands for no node: there are never so many. */
const NO_NODE = 0xffff;

/** SAs of one tunnel have different SPIs; a tunnel goes from one address to another, one way. */
export class SaTable {
  /** Tunnels: addresses of source and destination, by number. */
  readonly tunnels = new PairIndex();
  /** SAs: tunnel, and SPI as a signed number. */
  readonly #sas = new PairIndex();
  /** By tunnel: its first SA, plus 1. */
  readonly #first = new Grown((n) => new Int32Array(n));
  /** By SA and side: 2 * SA + side. */
  readonly #node = new Paged((n) => new Uint16Array(n), NO_NODE);
  readonly #line = new Paged((n) => new Uint32Array(n));
  readonly #hashHi = new Paged((n) => new Uint32Array(n));
  readonly #hashLo = new Paged((n) => new Uint32Array(n));
  readonly #flags = new Paged((n) => new Uint8Array(n));
  readonly #icv = new Paged((n) => new Uint8Array(n));
  readonly #window = new Paged((n) => new Uint16Array(n));
  readonly #markId = new Paged((n) => new Uint16Array(n));
  readonly #hi = new Paged((n) => new Uint32Array(n));
  readonly #lo = new Paged((n) => new Uint32Array(n));
  readonly #failed = new Paged((n) => new Uint32Array(n));
  readonly #refused = new Paged((n) => new Uint32Array(n));
  readonly #added = new Paged((n) => new Uint32Array(n));

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
    if (this.#node.get(at) !== NO_NODE && row.added < this.#added.get(at)) return sa;
    this.#node.set(at, node);
    this.#line.set(at, row.line);
    this.#hashHi.set(at, row.hash[0]!);
    this.#hashLo.set(at, row.hash[1]!);
    this.#flags.set(at, (row.esn ? HAS_ESN : 0) | (row.hasHash ? HAS_HASH : 0));
    this.#icv.set(at, row.icvBits >>> 3);
    this.#window.set(at, row.window);
    this.#markId.set(at, row.mark >>> 16);
    this.#hi.set(at, side === SENDER ? row.oseqHi : row.seqHi);
    this.#lo.set(at, side === SENDER ? row.oseq : row.seq);
    this.#failed.set(at, row.failed);
    this.#refused.set(at, Math.min(0xffff_ffff, row.late + row.replayed + row.failed));
    this.#added.set(at, row.added);
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
    const node = this.#node.get(2 * sa + side);
    return node === NO_NODE ? -1 : node;
  }

  /** The line of its text. */
  lineOf(sa: number, side: Side): number {
    return this.#line.get(2 * sa + side);
  }

  hasEsn(sa: number, side: Side): boolean {
    return (this.#flags.get(2 * sa + side) & HAS_ESN) !== 0;
  }

  hasHash(sa: number, side: Side): boolean {
    return (this.#flags.get(2 * sa + side) & HAS_HASH) !== 0;
  }

  /** Does a side hold the key with this hash? See {@link StateRow.hash}: 64 bits of it are compared. */
  hasKey(sa: number, side: Side, hash: Uint32Array): boolean {
    const at = 2 * sa + side;
    return this.#hashHi.get(at) === hash[0] && this.#hashLo.get(at) === hash[1];
  }

  /** Do the kernels hold the same key, by its hash? Sides may be of two SAs. */
  isSameKey(sa: number, side: Side, other: number, otherSide: Side): boolean {
    const [a, b] = [2 * sa + side, 2 * other + otherSide];
    return this.#hashHi.get(a) === this.#hashHi.get(b) && this.#hashLo.get(a) === this.#hashLo.get(b);
  }

  /** Bits; 0 where not told. */
  icvBitsOf(sa: number, side: Side): number {
    return this.#icv.get(2 * sa + side) * 8;
  }

  windowOf(sa: number, side: Side): number {
    return this.#window.get(2 * sa + side);
  }

  /** The upper half of its mark: the node id by which Cilium knows the other end. */
  markIdOf(sa: number, side: Side): number {
    return this.#markId.get(2 * sa + side);
  }

  /** The last number that was sent, or received. */
  numberOf(sa: number, side: Side): number {
    return this.#hi.get(2 * sa + side) * 2 ** 32 + this.#lo.get(2 * sa + side);
  }

  /** Packets whose ICV was wrong. */
  failedOf(sa: number, side: Side): number {
    return this.#failed.get(2 * sa + side);
  }

  /** Packets that were refused: those, and by their numbers. */
  refusedOf(sa: number, side: Side): number {
    return this.#refused.get(2 * sa + side);
  }

  /** When it was made: {@link StateRow.added}. */
  addedOf(sa: number, side: Side): number {
    return this.#added.get(2 * sa + side);
  }
}
