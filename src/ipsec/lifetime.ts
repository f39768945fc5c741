/**
 * How much an SA may still carry, and how long: soft and hard limits by packets, bytes and seconds (RFC 4301 §4.4.2.1).
 *
 * As in Linux (xfrm_state_check_expire) the question is asked before a packet is counted. So a hard limit of n
 * packets lets n of them pass, and a hard limit of n bytes is overrun by the packet that crosses it. Seconds are for
 * {@link LifetimeCounter.look}, which those call who have a clock.
 * @module
 */
import type { Lifetime } from './sa-config.ts';
import { SaPlace, WORD } from './sa-words.ts';

export class LifetimeCounter {
  readonly #place: SaPlace;
  readonly #softPackets: number;
  readonly #softBytes: number;
  readonly #hardPackets: number;
  readonly #hardBytes: number;
  readonly #limits: Lifetime;
  #isDying = false;

  /** @param place the words of an SA: what they have counted counts already (Linux xfrm_state_update) */
  constructor(limits: Lifetime, place = new SaPlace(0)) {
    this.#place = place;
    this.#limits = limits;
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
    if (this.packets >= this.#softPackets || this.bytes >= this.#softBytes) this.#isDying = true;
    return false;
  }

  /**
   * What a clock says of the limits in seconds (Linux xfrm_timer_handler). The first call behind the first packet says when that
   * came, and the first of all when the SA was added, unless {@link noteAdded} has.
   * @param now ms since any epoch
   * @returns the time at which the next limit is reached; not later than `now` once it is a hard one: the SA is gone then
   */
  look(now: number): number {
    const { floats, at } = this.#place;
    const { softAddSeconds, hardAddSeconds, softUseSeconds, hardUseSeconds } = this.#limits;
    const added = since(floats, (at + WORD.ADDED) >>> 1, now);
    const used = this.packets > 0 ? since(floats, (at + WORD.USED) >>> 1, now) : Number.POSITIVE_INFINITY;
    const hard = Math.min(after(added, hardAddSeconds), after(used, hardUseSeconds));
    if (hard <= now || this.#isDying) return hard;
    const soft = Math.min(after(added, softAddSeconds), after(used, softUseSeconds));
    if (soft > now) return Math.min(soft, hard);
    this.#isDying = true;
    return hard;
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

/** Has an SA limits in seconds: must one {@link LifetimeCounter.look}? */
export function isTimed({
  softAddSeconds,
  hardAddSeconds,
  softUseSeconds,
  hardUseSeconds,
}: Lifetime): boolean {
  return (softAddSeconds ?? hardAddSeconds ?? softUseSeconds ?? hardUseSeconds) !== undefined;
}

/** Notes when an SA was added, in ms since the epoch that {@link LifetimeCounter.look} will have. */
export function noteAdded({ floats, at }: SaPlace, now: number): void {
  since(floats, (at + WORD.ADDED) >>> 1, now);
}

/** The time in a word; one that is not there yet is now. Stored is 1 ms more: memory that is 0 says nothing. */
function since(floats: Float64Array, at: number, now: number): number {
  if (floats[at] === 0) floats[at] = now + 1;
  return floats[at]! - 1;
}

function after(time: number, seconds: number | undefined): number {
  return seconds === undefined ? Number.POSITIVE_INFINITY : time + 1000 * seconds;
}

/** Counts packets that an SA carried, and their bytes together. */
export function countAll({ floats, at }: SaPlace, packets: number, bytes: number): void {
  const of = at >>> 1;
  floats[of + WORD.PACKETS / 2]! += packets;
  floats[of + WORD.BYTES / 2]! += bytes;
}
