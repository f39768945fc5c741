/**
 * The security association database (RFC 4301 §4.4.2): which SA does an inbound packet belong to?
 *
 * Linux looks for destination, SPI and protocol, and then for the packet's mark; it does not look at the source.
 * Cilium depends on that: all its SPIs are key ids, and the mark that tells the peers apart is set from the
 * outer source address.
 *
 * Adding and removing an SA take constant time on average, so that many fit between two batches of packets.
 * @module
 */
import { i32 } from '../base/bytes.ts';
import { EsplaneError } from '../base/errors.ts';
import { HashChains } from '../base/hash-chains.ts';
import { formatAddress } from '../wire/address.ts';
import type { SecurityAssociation } from './sa.ts';
import type { SaConfig } from './sa-config.ts';
import { FLAG } from './sa-words.ts';
import { isByAddress } from './selector.ts';

/** What a decapsulator asks: which SA, by index, is a packet of? */
export interface SaLookup {
  readonly sas: readonly (SecurityAssociation | undefined)[];
  /** @returns an index, or -1 */
  lookup(slab: Uint8Array, dstAt: number, addressLen: number, spi: number, mark: number): number;
}

/** Words of an SA's row: SPI, destination (four, IPv4 in the first), its bytes, what counts of the mark, its mask. */
const ROW = 8;
const DST = 1;
const DST_LEN = 5;
const MARK = 6;
const MASK = 7;

export class Sad implements SaLookup {
  /** By index, as `Batch.sa` names them; a removed SA leaves a hole that is filled again. */
  readonly sas: (SecurityAssociation | undefined)[] = [];
  /** Grows with every change: what was worked out from the SAs holds for one version. */
  version = 0;
  readonly #free: number[] = [];
  /** What a look-up compares, {@link ROW} words for each index: to ask the SAs themselves costs several cache lines each. */
  #rows = new Int32Array(16 * ROW);
  /** When each was added, by a count of all that ever were. */
  readonly #ages: number[] = [];
  #added = 0;
  /** By what a packet is looked up with: destination, SPI and mark. */
  readonly #chains = new HashChains();
  /** By destination, SPI and mark mask: SAs with different masks may collide without sharing one of {@link #chains}. */
  readonly #places = new HashChains();
  /** The mark masks in use, and how many SAs have each: a look-up costs a probe for each. */
  readonly #masks: number[] = [];
  readonly #maskCounts: number[] = [];
  /** How many SAs have a selector that asks for protocol or ports. */
  #withUpper = 0;
  #timed = 0;
  #inTransport = 0;
  #inIptfs = 0;

  /** How many SAs are here. */
  get size(): number {
    return this.sas.length - this.#free.length;
  }

  /**
   * Adds an SA. Besides constant time it takes a comparison with each SA of the same destination and SPI whose mark has
   * another mask.
   * @param age what {@link age} is to say, from {@link reserve}; left out, the SA is the newest
   * @returns its index
   * @throws {EsplaneError} `ERR_SA_EXISTS` when a packet could belong to this SA and to one that is here
   */
  add(sa: SecurityAssociation, age?: number): number {
    const { config } = sa;
    const twin = this.twins(config)[0];
    if (twin !== undefined) throw collision(config, this.sas[twin]!.config);
    const index = this.#free.pop() ?? this.sas.length;
    this.sas[index] = sa;
    this.#ages[index] = age ?? this.reserve(1);
    this.version++;
    this.#setRow(index, config);
    this.#chains.add(index, hashOf(config));
    this.#count(sa, 1);
    this.#countMask(maskOf(config), 1);
    this.#places.add(index, placeHash(config, maskOf(config)));
    return index;
  }

  /** Sets ages aside for `count` SAs that come together: newer than all that are here. @returns the lowest of them */
  reserve(count: number): number {
    this.#added += count;
    return this.#added - count + 1;
  }

  /**
   * Puts an SA in the place of the one at `index`, whose destination, SPI and mark it has.
   * @param age left out, its age is the old one's
   */
  replace(index: number, sa: SecurityAssociation, age = this.#ages[index]!): void {
    this.#count(this.sas[index]!, -1);
    this.#count(sa, 1);
    this.sas[index] = sa;
    this.#ages[index] = age;
    this.version++;
  }

  /** Do the selectors of all SAs go by addresses alone? Then packets of one flow have one SA. */
  get byAddress(): boolean {
    return this.#withUpper === 0;
  }

  /** How many SAs have limits in seconds. */
  get timed(): number {
    return this.#timed;
  }

  /** Is an SA of transport mode here: may there be ESP in ESP for one node? */
  get hasTransport(): boolean {
    return this.#inTransport > 0;
  }

  /** Is an SA in IP-TFS here? */
  get hasIptfs(): boolean {
    return this.#inIptfs > 0;
  }

  #count(sa: SecurityAssociation, by: 1 | -1): void {
    const { selector } = sa.config;
    if (selector && !isByAddress(selector)) this.#withUpper += by;
    if (sa.has(FLAG.TIMED)) this.#timed += by;
    if (sa.config.mode === 'transport') this.#inTransport += by;
    if (sa.config.mode === 'iptfs') this.#inIptfs += by;
  }

  /** A number that is greater the later the SA at `index` was added. */
  age(index: number): number {
    return this.#ages[index] ?? 0;
  }

  /** Removes the SA at `index`; unknown indices are ignored. */
  remove(index: number): void {
    const sa = this.sas[index];
    if (!sa) return;
    this.#chains.remove(index);
    this.#count(sa, -1);
    this.#countMask(maskOf(sa.config), -1);
    this.#places.remove(index);
    this.sas[index] = undefined;
    this.#free.push(index);
    this.version++;
  }

  /**
   * The one SA that every packet of another with this configuration would find: it has the same destination and SPI, and
   * the same mark under the same mask.
   * @returns its index, or -1
   */
  at(config: SaConfig): number {
    const { spi, dst } = config;
    const mask = maskOf(config);
    const value = markOf(config);
    const chains = this.#chains;
    const rows = this.#rows;
    for (let i = chains.first(hashOf(config)); i >= 0; i = chains.next(i)) {
      const row = i * ROW;
      if (!this.#isFor(row, spi, dst, 0, dst.length)) continue;
      if (rows[row + MASK] === mask && rows[row + MARK] === value) return i;
    }
    return -1;
  }

  /**
   * All SAs that a packet could belong to as well as to one with this configuration (Linux: two states collide when some
   * packet's mark fits both).
   * @returns their indices
   */
  twins(config: SaConfig): readonly number[] {
    const same = this.at(config);
    // One that collides with this configuration collides with the SA at its place too: there is no other.
    if (same >= 0) return [same];
    const { spi, dst } = config;
    const own = maskOf(config);
    const places = this.#places;
    const found: number[] = [];
    for (const mask of this.#masks) {
      if (mask === own) continue;
      for (let i = places.first(placeHash(config, mask)); i >= 0; i = places.next(i)) {
        const row = i * ROW;
        if (this.#rows[row + MASK] !== mask || !this.#isFor(row, spi, dst, 0, dst.length)) continue;
        if (((this.#rows[row + MARK]! ^ markOf(config)) & own & mask) === 0) found.push(i);
      }
    }
    return found;
  }

  /**
   * Finds the SA of a packet whose destination, of `addressLen` bytes, lies in the slab.
   * @returns its index, or -1
   */
  lookup(slab: Uint8Array, dstAt: number, addressLen: number, spi: number, mark: number): number {
    const chains = this.#chains;
    const rows = this.#rows;
    const key = hashAddress(spi, slab, dstAt, addressLen);
    // No two fit one mark, so the order of the masks does not matter.
    for (let k = 0; k < this.#masks.length; k++) {
      for (let i = chains.first(addWord(key, mark & this.#masks[k]!)); i >= 0; i = chains.next(i)) {
        const row = i * ROW;
        if (((mark ^ rows[row + MARK]!) & rows[row + MASK]!) !== 0) continue;
        if (this.#isFor(row, spi, slab, dstAt, addressLen)) return i;
      }
    }
    return -1;
  }

  #countMask(mask: number, by: 1 | -1): void {
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
  }

  /** Has the SA of a row this SPI, and is its destination the `len` bytes `b[at..)`? */
  #isFor(row: number, spi: number, b: Uint8Array, at: number, len: number): boolean {
    const rows = this.#rows;
    if (rows[row] !== (spi | 0) || rows[row + DST] !== i32(b, at) || rows[row + DST_LEN] !== len)
      return false;
    for (let k = 4; k < len; k += 4) if (rows[row + DST + k / 4] !== i32(b, at + k)) return false;
    return true;
  }

  #setRow(index: number, config: SaConfig): void {
    const { spi, dst } = config;
    const row = index * ROW;
    if (row === this.#rows.length) {
      const rows = new Int32Array(2 * row);
      rows.set(this.#rows);
      this.#rows = rows;
    }
    const rows = this.#rows;
    rows[row] = spi;
    for (let k = 0; k < dst.length; k += 4) rows[row + DST + k / 4] = i32(dst, k);
    rows[row + DST_LEN] = dst.length;
    rows[row + MARK] = markOf(config);
    rows[row + MASK] = maskOf(config);
  }
}

/** Of those SAs with one destination, SPI and mark. */
function hashOf(config: SaConfig): number {
  const { spi, dst } = config;
  return addWord(hashAddress(spi, dst, 0, dst.length), markOf(config));
}

/** The error for an SA whose packets could belong to another as well. */
export function collision({ src, dst, spi }: SaConfig, { origin }: SaConfig): EsplaneError {
  return new EsplaneError(
    'ERR_SA_EXISTS',
    `an SA from ${formatAddress(src)} to ${formatAddress(dst)} with SPI 0x${spi.toString(16)} is here already (${origin})`,
  );
}

/** As a signed word, as {@link markOf}: above 2^31 a number would be an object of its own. */
function maskOf({ mark }: SaConfig): number {
  return (mark?.mask ?? 0) | 0;
}

/** What counts of a mark. */
function markOf({ mark }: SaConfig): number {
  return mark ? mark.value & mark.mask : 0;
}

/** Of those SAs with one destination, SPI and mask. */
function placeHash({ spi, dst }: SaConfig, mask: number): number {
  return addWord(hashAddress(spi, dst, 0, dst.length), mask);
}

/** Adds a mark to a hash: with Cilium it tells the peers apart that send to one address. */
function addWord(key: number, word: number): number {
  const h = Math.imul(key ^ word, 0x85eb_ca6b);
  return h ^ (h >>> 15);
}

/** Spreads SPI and address over 32 bits (FNV-1a over words). */
export function hashAddress(spi: number, b: Uint8Array, at: number, len: number): number {
  let h = (0x811c_9dc5 ^ spi) | 0;
  for (let i = 0; i < len; i += 4) h = Math.imul(h ^ i32(b, at + i), 0x0100_0193);
  return h ^ (h >>> 15);
}
