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

/** SAs that are listed one by one: `ip xfrm state` text, Wireshark's esp_sa. */
export class SaList implements SaSource {
  readonly #byStream = new Map<string, SaConfig[]>();
  #size = 0;

  constructor(configs: Iterable<SaConfig> = []) {
    this.add(configs);
  }

  /** How many SAs it lists. */
  get size(): number {
    return this.#size;
  }

  /** Adds SAs that turn up later, as a capture's own secrets do. */
  add(configs: Iterable<SaConfig>): void {
    for (const config of configs) {
      this.#size++;
      const key = placeName(config);
      const same = this.#byStream.get(key);
      if (same) same.push(config);
      else this.#byStream.set(key, [config]);
    }
  }

  /** Takes out the SAs at a place, and returns them. */
  remove(place: SaPlace): readonly SaConfig[] {
    const name = placeName(place);
    const found = this.#byStream.get(name) ?? [];
    this.#byStream.delete(name);
    this.#size -= found.length;
    return found;
  }

  /** Forgets the places that came first, until no more than `most` SAs are listed. */
  shrink(most: number): void {
    for (const [name, configs] of this.#byStream) {
      if (this.#size <= most) return;
      this.#byStream.delete(name);
      this.#size -= configs.length;
    }
  }

  find(src: Address, dst: Address, spi: number): readonly SaConfig[] {
    const exact = this.#byStream.get(keyOf(src, dst, spi)) ?? [];
    const anySource = this.#byStream.get(keyOf(undefined, dst, spi)) ?? [];
    return [...exact, ...anySource];
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

/**
 * Asks several sources, in order, and leaves out what is said twice: the same key and the same ESN setting
 * give the same answers.
 */
export function joinSources(sources: readonly SaSource[]): SaSource {
  return {
    find(src, dst, spi) {
      const found: SaConfig[] = [];
      for (const source of sources) {
        for (const config of source.find(src, dst, spi)) {
          if (!found.some((known) => known.esn === config.esn && known.keys.equals(config.keys)))
            found.push(config);
        }
      }
      return found;
    },
  };
}

/** Equal for equal places, and different for others. */
function placeName({ src, dst, spi }: SaPlace): string {
  return keyOf(isAny(src) ? undefined : src, dst, spi);
}

/** Tells whether an SA is at one of these places; one of any source stands for every source. */
export function isAtOneOf(places: readonly SaPlace[]): (sa: SaPlace) => boolean {
  const names = new Set(places.map(placeName));
  return ({ src, dst, spi }) => names.has(keyOf(src, dst, spi)) || names.has(keyOf(undefined, dst, spi));
}

function keyOf(src: Address | undefined, dst: Address, spi: number): string {
  return `${src ? formatAddress(src) : 'any'} ${formatAddress(dst)} ${spi}`;
}
