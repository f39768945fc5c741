/**
 * Which SAs could a stream of ESP packets belong to? The question that a capture asks for every new
 * (source, destination, SPI).
 *
 * Several sources may answer, and differently: what keys and nodes say, and what the kernels hold. All answers
 * are kept, those of kernels first, and the packets decide.
 * @module
 */
import type { ClusterPlan } from '../cilium/plan.ts';
import type { SaConfig, SaPlace } from '../ipsec/sa-config.ts';
import { type Address, formatAddress, isAny } from '../wire/address.ts';

/** Looks up the SAs of one stream. */
export interface SaSource {
  find(src: Address, dst: Address, spi: number): readonly SaConfig[];
}

/** SAs with wildcards that one stream may be of: each of them is tried on its packets. */
export const MOST_FITTING = 4;

/**
 * SAs that are listed one by one: `ip xfrm state` text, Wireshark's esp_sa. Those with wildcards come after all others, in
 * the order in which they stand.
 */
export class SaList implements SaSource {
  readonly #byStream = new Map<string, SaConfig[]>();
  readonly #patterns = new Map<string, SaConfig[]>();
  #size = 0;

  constructor(configs: Iterable<SaConfig> = []) {
    this.add(configs);
  }

  /** How many SAs it lists. */
  get size(): number {
    return this.#size;
  }

  /** How many of them have wildcards in destination or SPI. */
  get patterns(): number {
    return this.#patterns.size;
  }

  /** Adds SAs that turn up later, as a capture's own secrets do. */
  add(configs: Iterable<SaConfig>): void {
    for (const config of configs) {
      this.#size++;
      const key = placeName(config);
      const map = this.#mapOf(config);
      const same = map.get(key);
      if (same) same.push(config);
      else map.set(key, [config]);
    }
  }

  /** Takes out the SAs at a place, and returns them. */
  remove(place: SaPlace): readonly SaConfig[] {
    const name = placeName(place);
    const map = this.#mapOf(place);
    const found = map.get(name) ?? [];
    map.delete(name);
    this.#size -= found.length;
    return found;
  }

  /** Forgets the places that came first, until no more than `most` SAs are listed. */
  shrink(most: number): void {
    for (const map of [this.#patterns, this.#byStream]) {
      for (const [name, configs] of map) {
        if (this.#size <= most) return;
        map.delete(name);
        this.#size -= configs.length;
      }
    }
  }

  find(src: Address, dst: Address, spi: number): readonly SaConfig[] {
    const exact = this.#byStream.get(keyOf(src, dst, spi)) ?? [];
    const anySource = this.#byStream.get(keyOf(undefined, dst, spi)) ?? [];
    return [...exact, ...anySource, ...this.#fitting(src, dst, spi)];
  }

  #fitting(src: Address, dst: Address, spi: number): SaConfig[] {
    const found: SaConfig[] = [];
    for (const configs of this.#patterns.values()) {
      for (const { pattern, ...config } of configs) {
        if (found.length === MOST_FITTING) return found;
        if (pattern?.fits(src, dst, spi)) found.push({ ...config, src, dst, spi });
      }
    }
    return found;
  }

  #mapOf({ pattern }: SaPlace): Map<string, SaConfig[]> {
    return pattern ? this.#patterns : this.#byStream;
  }
}

/** Do both give the same answers: have they one key and one ESN setting? */
export function isSameSa(a: SaConfig, b: SaConfig): boolean {
  return a.esn === b.esn && a.keys.equals(b.keys);
}

/** What Cilium's keys and nodes yield, derived for a pair of addresses when it is asked for. */
export function planSource(plan: ClusterPlan): SaSource {
  return { find: (src, dst, spi) => plan.between(src, dst, spi) };
}

/** Equal for equal places, and different for others. */
function placeName({ src, dst, spi, pattern }: SaPlace): string {
  if (pattern) return `${src.length} ${pattern.src} ${pattern.dst} ${pattern.spi}`;
  return keyOf(isAny(src) ? undefined : src, dst, spi);
}

/** Tells whether an SA is at one of these places; one of any source stands for every source, a pattern for all that fit. */
export function isAtOneOf(places: readonly SaPlace[]): (sa: SaPlace) => boolean {
  const names = new Set(places.map(placeName));
  const patterns = places.flatMap(({ pattern }) => pattern ?? []);
  return ({ src, dst, spi }) =>
    names.has(keyOf(src, dst, spi)) ||
    names.has(keyOf(undefined, dst, spi)) ||
    patterns.some((pattern) => pattern.fits(src, dst, spi));
}

function keyOf(src: Address | undefined, dst: Address, spi: number): string {
  return `${src ? formatAddress(src) : 'any'} ${formatAddress(dst)} ${spi}`;
}
