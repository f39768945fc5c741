/**
 * The security association database (RFC 4301 §4.4.2): which SA does an inbound packet belong to?
 *
 * Linux looks for destination, SPI and protocol, and then for the packet's mark; it does not look at the source.
 * Cilium depends on that: all its SPIs are key ids, and the mark that tells the peers apart is set from the
 * outer source address. A capture has no marks, so there the source itself decides (RFC 4301 §4.1 allows it).
 * @module
 */
import { i32, toHex } from '../base/bytes.ts';
import { EsplaneError } from '../base/errors.ts';
import { formatAddress, isAny } from '../wire/address.ts';
import type { SecurityAssociation } from './sa.ts';

/** What, beside destination and SPI, has to fit: the packet's mark (as Linux) or its source address. */
export type SadMatch = 'mark' | 'source';

export class Sad {
  readonly match: SadMatch;
  /** By index, as `Batch.sa` names them; a removed SA leaves a hole that is filled again. */
  readonly sas: (SecurityAssociation | undefined)[] = [];
  /** Grows with every change: what was worked out from the SAs holds for one version. */
  version = 0;
  readonly #free: number[] = [];
  /** When each was added, by a count of all that ever were. */
  readonly #ages: number[] = [];
  #added = 0;
  /** First index of each chain, by hash; the chains go on in {@link #next}. -1 ends. */
  #heads = new Int32Array(64).fill(-1);
  #next = new Int32Array(64).fill(-1);
  // The IPv4 packet that was asked about last, and its answer: nearly always the next one is like it.
  #lastSpi = 0;
  #lastSrc = 0;
  #lastDst = 0;
  #lastMark = 0;
  #lastIndex = -1;
  /** How many SAs take any source: while there is none, a second look-up is spared. */
  #anySource = 0;

  /** The mark masks in use, and how many SAs have each: a look-up costs a probe for each. */
  readonly #masks: number[] = [];
  readonly #maskCounts: number[] = [];
  /** The same for each destination and SPI: SAs with different masks there may collide without sharing a chain. */
  readonly #places = new Map<string, Map<number, number>>();

  constructor(match: SadMatch) {
    this.match = match;
  }

  /** How many SAs are here. */
  get size(): number {
    return this.sas.length - this.#free.length;
  }

  /**
   * Adds an SA.
   * @returns its index
   * @throws {EsplaneError} `ERR_SA_EXISTS` when a packet could belong to this SA and to one that is here
   */
  add(sa: SecurityAssociation): number {
    const twin = this.#findTwin(sa);
    if (twin) {
      const { src, dst, spi } = sa.config;
      throw new EsplaneError(
        'ERR_SA_EXISTS',
        `an SA from ${formatAddress(src)} to ${formatAddress(dst)} with SPI 0x${spi.toString(16)} is here already (${twin.config.origin})`,
      );
    }
    this.#lastIndex = -1;
    const index = this.#free.pop() ?? this.sas.length;
    this.sas[index] = sa;
    this.#ages[index] = ++this.#added;
    this.version++;
    if (isAny(sa.config.src)) this.#anySource++;
    this.#countMask(sa, 1);
    if (this.sas.length > this.#heads.length) this.#grow();
    else this.#link(sa, index);
    return index;
  }

  /**
   * Adds SAs that come together, none of which collides. The first is the newest of them, as `ip xfrm state` prints
   * them.
   */
  addAll(sas: readonly SecurityAssociation[]): void {
    const before = this.#added;
    for (let k = 0; k < sas.length; k++) this.#ages[this.add(sas[k]!)] = before + sas.length - k;
  }

  /** Puts an SA in the place of the one at `index`, whose destination, SPI, source and mark it has; its age is the old one's. */
  replace(index: number, sa: SecurityAssociation): void {
    this.sas[index] = sa;
    this.version++;
  }

  /** A number that is greater the later the SA at `index` was added. */
  age(index: number): number {
    return this.#ages[index] ?? 0;
  }

  /** Removes the SA at `index`; unknown indices are ignored. */
  remove(index: number): void {
    const sa = this.sas[index];
    if (!sa) return;
    this.#lastIndex = -1;
    const bucket = this.#bucket(sa);
    if (this.#heads[bucket] === index) this.#heads[bucket] = this.#next[index]!;
    else {
      let i = this.#heads[bucket]!;
      while (this.#next[i] !== index) i = this.#next[i]!;
      this.#next[i] = this.#next[index]!;
    }
    if (isAny(sa.config.src)) this.#anySource--;
    this.#countMask(sa, -1);
    this.sas[index] = undefined;
    this.#free.push(index);
    this.version++;
  }

  /**
   * Finds the SA of a packet whose addresses, of `addressLen` bytes, lie in the slab. An SA for the very source
   * wins over one for any source; of several that fit a mark, the one added last wins, as in Linux.
   * @returns its index, or -1
   */
  lookup(
    slab: Uint8Array,
    srcAt: number,
    dstAt: number,
    addressLen: number,
    spi: number,
    mark: number,
  ): number {
    if (addressLen !== 4) return this.#search(slab, srcAt, dstAt, addressLen, spi, mark);
    const src = i32(slab, srcAt);
    const dst = i32(slab, dstAt);
    const isLast =
      spi === this.#lastSpi && dst === this.#lastDst && src === this.#lastSrc && mark === this.#lastMark;
    if (isLast && this.#lastIndex >= 0) return this.#lastIndex;
    this.#lastSpi = spi;
    this.#lastSrc = src;
    this.#lastDst = dst;
    this.#lastMark = mark;
    this.#lastIndex = this.#search(slab, srcAt, dstAt, 4, spi, mark);
    return this.#lastIndex;
  }

  #search(
    slab: Uint8Array,
    srcAt: number,
    dstAt: number,
    addressLen: number,
    spi: number,
    mark: number,
  ): number {
    const mask = this.#heads.length - 1;
    const key = hash(spi, slab, dstAt, addressLen);
    if (this.match === 'mark') {
      // No two fit one mark, so the order of the masks does not matter.
      for (let k = 0; k < this.#masks.length; k++) {
        const marked = addMark(key, mark & this.#masks[k]!);
        for (let i = this.#heads[marked & mask]!; i >= 0; i = this.#next[i]!) {
          const config = this.sas[i]!.config;
          if (config.spi !== spi || !sameBytes(config.dst, slab, dstAt, addressLen)) continue;
          const want = config.mark;
          if (!want || ((mark ^ want.value) & want.mask) === 0) return i;
        }
      }
      return -1;
    }
    for (let i = this.#heads[hash(key, slab, srcAt, addressLen) & mask]!; i >= 0; i = this.#next[i]!) {
      const config = this.sas[i]!.config;
      if (config.spi !== spi || !sameBytes(config.dst, slab, dstAt, addressLen)) continue;
      if (sameBytes(config.src, slab, srcAt, addressLen)) return i;
    }
    if (this.#anySource === 0) return -1;
    const zero = addressLen === 4 ? ANY4 : ANY6;
    for (let i = this.#heads[hash(key, zero, 0, addressLen) & mask]!; i >= 0; i = this.#next[i]!) {
      const config = this.sas[i]!.config;
      if (config.spi === spi && isAny(config.src) && sameBytes(config.dst, slab, dstAt, addressLen)) return i;
    }
    return -1;
  }

  /** An SA that a packet could belong to as well as to this one. */
  #findTwin(sa: SecurityAssociation): SecurityAssociation | undefined {
    for (let i = this.#heads[this.#bucket(sa)]!; i >= 0; i = this.#next[i]!) {
      if (this.#collide(this.sas[i]!, sa)) return this.sas[i]!;
    }
    if (this.match === 'source') return undefined;
    const masks = this.#places.get(placeOf(sa));
    const own = sa.config.mark?.mask ?? 0;
    if (!masks || (masks.size === 1 && masks.has(own))) return undefined;
    return this.sas.find((other) => other && this.#collide(other, sa));
  }

  #countMask(sa: SecurityAssociation, by: 1 | -1): void {
    if (this.match === 'source') return;
    const mask = sa.config.mark?.mask ?? 0;
    let at = this.#masks.indexOf(mask);
    if (at < 0) {
      at = this.#masks.push(mask) - 1;
      this.#maskCounts.push(0);
    }
    this.#maskCounts[at]! += by;
    if (this.#maskCounts[at] === 0) {
      this.#masks.splice(at, 1);
      this.#maskCounts.splice(at, 1);
    }
    const place = placeOf(sa);
    const masks = this.#places.get(place) ?? new Map<number, number>();
    this.#places.set(place, masks);
    const count = (masks.get(mask) ?? 0) + by;
    if (count > 0) masks.set(mask, count);
    else masks.delete(mask);
    if (masks.size === 0) this.#places.delete(place);
  }

  #collide(a: SecurityAssociation, b: SecurityAssociation): boolean {
    const x = a.config;
    const y = b.config;
    if (x.spi !== y.spi || !sameBytes(x.dst, y.dst, 0, y.dst.length)) return false;
    if (this.match === 'source') return sameBytes(x.src, y.src, 0, y.src.length);
    // Linux: two states collide when some packet's mark fits both.
    const shared = (x.mark?.mask ?? 0) & (y.mark?.mask ?? 0);
    return (((x.mark?.value ?? 0) ^ (y.mark?.value ?? 0)) & shared) === 0;
  }

  #bucket(sa: SecurityAssociation): number {
    const { spi, src, dst, mark } = sa.config;
    const key = hash(spi, dst, 0, dst.length);
    const full =
      this.match === 'mark'
        ? addMark(key, (mark?.value ?? 0) & (mark?.mask ?? 0))
        : hash(key, src, 0, src.length);
    return full & (this.#heads.length - 1);
  }

  #link(sa: SecurityAssociation, index: number): void {
    const bucket = this.#bucket(sa);
    this.#next[index] = this.#heads[bucket]!;
    this.#heads[bucket] = index;
  }

  #grow(): void {
    const size = this.#heads.length * 2;
    this.#heads = new Int32Array(size).fill(-1);
    this.#next = new Int32Array(size).fill(-1);
    this.sas.forEach((sa, index) => {
      if (sa) this.#link(sa, index);
    });
  }
}

const ANY4 = new Uint8Array(4);
const ANY6 = new Uint8Array(16);

/** Adds what counts of a mark to a hash: with Cilium it tells the peers apart that send to one address. */
function addMark(key: number, mark: number): number {
  const h = Math.imul(key ^ mark, 0x85eb_ca6b);
  return h ^ (h >>> 15);
}

/** Destination and SPI, as text. */
function placeOf({ config: { dst, spi } }: SecurityAssociation): string {
  return `${toHex(dst)}/${spi}`;
}

/** Spreads SPI and address over 32 bits (FNV-1a over words). */
function hash(spi: number, b: Uint8Array, at: number, len: number): number {
  let h = (0x811c_9dc5 ^ spi) | 0;
  for (let i = 0; i < len; i += 4) h = Math.imul(h ^ i32(b, at + i), 0x0100_0193);
  return h ^ (h >>> 15);
}

function sameBytes(want: Uint8Array, b: Uint8Array, at: number, len: number): boolean {
  if (want.length !== len) return false;
  for (let i = 0; i < len; i++) if (want[i] !== b[at + i]) return false;
  return true;
}
