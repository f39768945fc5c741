/**
 * How much an SA may still carry: soft and hard limits by packets and by bytes (RFC 4301 §4.4.2.1).
 *
 * As in Linux (xfrm_state_check_expire) the question is asked before a packet is counted. So a hard limit of n
 * packets lets n of them pass, and a hard limit of n bytes is overrun by the packet that crosses it.
 * @module
 */
import type { Lifetime } from './sa-config.ts';
import { SaPlace, WORD } from './sa-words.ts';

export class LifetimeCounter {
  readonly #place: SaPlace;
  /** Becomes true once, at the first soft limit that is reached: time for a new key. The caller clears it when it has acted. */
  softEvent = false;
  readonly #softPackets: number;
  readonly #softBytes: number;
  readonly #hardPackets: number;
  readonly #hardBytes: number;
  #isDying = false;

  /** @param place the words of an SA: what they have counted counts already (Linux xfrm_state_update) */
  constructor(limits: Lifetime, place = new SaPlace(0)) {
    this.#place = place;
    this.#softPackets = limits.softPackets ?? Number.POSITIVE_INFINITY;
    this.#softBytes = limits.softBytes ?? Number.POSITIVE_INFINITY;
    this.#hardPackets = limits.hardPackets ?? Number.POSITIVE_INFINITY;
    this.#hardBytes = limits.hardBytes ?? Number.POSITIVE_INFINITY;
  }

  /** Packets carried. */
  get packets(): number {
    return this.#place.floats[(this.#place.at + WORD.PACKETS) >>> 1]!;
  }

  /** Bytes carried: of inner packets, without trailer and outer header. */
  get bytes(): number {
    return this.#place.floats[(this.#place.at + WORD.BYTES) >>> 1]!;
  }

  /** Was a soft limit reached? Linux then prefers any other SA that fits (`km.dying`). */
  get dying(): boolean {
    return this.#isDying;
  }

  /** Has the SA reached a hard limit, so that the next packet must be dropped? Notes a soft limit, too. */
  expired(): boolean {
    if (this.packets >= this.#hardPackets || this.bytes >= this.#hardBytes) return true;
    if (!this.#isDying && (this.packets >= this.#softPackets || this.bytes >= this.#softBytes)) {
      this.#isDying = true;
      this.softEvent = true;
    }
    return false;
  }

  /** Counts a packet that the SA carried. */
  count(bytes: number): void {
    countAll(this.#place, 1, bytes);
  }
}

/** Can an SA with these limits ever expire? */
export function isLimited({ hardPackets, hardBytes }: Lifetime): boolean {
  return hardPackets !== undefined || hardBytes !== undefined;
}

/** Is there any limit: is it worth asking? */
export function isWatched(limits: Lifetime): boolean {
  return isLimited(limits) || limits.softPackets !== undefined || limits.softBytes !== undefined;
}

/** Counts packets that an SA carried, and their bytes together. */
export function countAll({ floats, at }: SaPlace, packets: number, bytes: number): void {
  const of = at >>> 1;
  floats[of + WORD.PACKETS / 2]! += packets;
  floats[of + WORD.BYTES / 2]! += bytes;
}
