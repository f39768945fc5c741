/**
 * The streams of a capture by source, destination and SPI, and the SA that each is opened with, for the decapsulator.
 * @module
 */
import { i32 } from '../base/bytes.ts';
import { HashChains } from '../base/hash-chains.ts';
import type { SecurityAssociation } from '../ipsec/sa.ts';
import { hashAddress, type SaLookup } from '../ipsec/sad.ts';
import { isAny } from '../wire/address.ts';

interface Place {
  /** All zero takes every source. */
  readonly src: Uint8Array;
  readonly dst: Uint8Array;
  readonly spi: number;
}

export class StreamTable<T> implements SaLookup {
  /** By index: the SA of each stream. It may be exchanged. */
  readonly sas: (SecurityAssociation | undefined)[] = [];
  readonly #streams: (T | undefined)[] = [];
  readonly #places: (Place | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #chains = new HashChains();
  /** How many take any source: while there is none, a second look-up is spared. */
  #anySource = 0;
  // The IPv4 packet that was asked about last, and its answer: nearly always the next one is like it.
  #lastSpi = 0;
  #lastSrc = 0;
  #lastDst = 0;
  #last: T | undefined;

  /** @returns its index */
  add(stream: T, sa: SecurityAssociation | undefined, src: Uint8Array, dst: Uint8Array, spi: number): number {
    const index = this.#free.pop() ?? this.sas.length;
    this.sas[index] = sa;
    this.#streams[index] = stream;
    this.#places[index] = { src, dst, spi };
    this.#chains.add(index, hashOf(spi, dst, 0, src, 0, dst.length));
    if (isAny(src)) this.#anySource++;
    this.#last = undefined;
    return index;
  }

  remove(index: number): void {
    const place = this.#places[index];
    if (!place) return;
    this.#chains.remove(index);
    if (isAny(place.src)) this.#anySource--;
    this.sas[index] = undefined;
    this.#streams[index] = undefined;
    this.#places[index] = undefined;
    this.#free.push(index);
    this.#last = undefined;
  }

  entries(): T[] {
    return this.#streams.filter((one) => one !== undefined);
  }

  /**
   * The stream of a packet whose addresses, of `len` bytes, lie in `b`. One for the very source wins over one for any.
   */
  find(b: Uint8Array, srcAt: number, dstAt: number, len: number, spi: number): T | undefined {
    if (len !== 4) return this.#search(b, srcAt, dstAt, len, spi);
    const src = i32(b, srcAt);
    const dst = i32(b, dstAt);
    if (this.#last && spi === this.#lastSpi && dst === this.#lastDst && src === this.#lastSrc)
      return this.#last;
    this.#lastSpi = spi;
    this.#lastSrc = src;
    this.#lastDst = dst;
    this.#last = this.#search(b, srcAt, dstAt, len, spi);
    return this.#last;
  }

  /** The index that a packet's mark holds, plus one: who puts a packet into the batch has looked already. */
  lookup(_slab: Uint8Array, _dstAt: number, _len: number, _spi: number, mark: number): number {
    return mark - 1;
  }

  #search(b: Uint8Array, srcAt: number, dstAt: number, len: number, spi: number): T | undefined {
    const own = this.#at(b, srcAt, b, dstAt, len, spi);
    return (
      own ?? (this.#anySource > 0 ? this.#at(len === 4 ? ANY4 : ANY6, 0, b, dstAt, len, spi) : undefined)
    );
  }

  #at(s: Uint8Array, srcAt: number, b: Uint8Array, dstAt: number, len: number, spi: number): T | undefined {
    const chains = this.#chains;
    for (let i = chains.first(hashOf(spi, b, dstAt, s, srcAt, len)); i >= 0; i = chains.next(i)) {
      const place = this.#places[i]!;
      if (place.spi === spi && sameBytes(place.dst, b, dstAt, len) && sameBytes(place.src, s, srcAt, len))
        return this.#streams[i];
    }
    return undefined;
  }
}

const ANY4 = new Uint8Array(4);
const ANY6 = new Uint8Array(16);

function hashOf(
  spi: number,
  d: Uint8Array,
  dstAt: number,
  s: Uint8Array,
  srcAt: number,
  len: number,
): number {
  return hashAddress(hashAddress(spi, d, dstAt, len), s, srcAt, len);
}

/** Are the bytes of `want` those of `b[at..at+len)`? */
function sameBytes(want: Uint8Array, b: Uint8Array, at: number, len: number): boolean {
  if (want.length !== len) return false;
  for (let i = 0; i < len; i++) if (want[i] !== b[at + i]) return false;
  return true;
}
