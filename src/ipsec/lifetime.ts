/**
 * How much an SA may still carry: soft and hard limits by packets and by bytes (RFC 4301 §4.4.2.1).
 *
 * As in Linux (xfrm_state_check_expire) the question is asked before a packet is counted. So a hard limit of n
 * packets lets n of them pass, and a hard limit of n bytes is overrun by the packet that crosses it.
 * @module
 */
import type { Lifetime } from './sa-config.ts';

export class LifetimeCounter {
  /** Packets, bytes. A typed array: a number field would be a new object for every packet beyond 2^31 bytes. */
  readonly #carried = new Float64Array(2);
  /** Becomes true once, at the first soft limit that is reached: time for a new key. The caller clears it when it has acted. */
  softEvent = false;
  /** Is there a hard limit: can the answer of {@link expired} ever become true? */
  readonly limited: boolean;
  /** Is there any limit: is it worth asking? */
  readonly watched: boolean;
  readonly #softPackets: number;
  readonly #softBytes: number;
  readonly #hardPackets: number;
  readonly #hardBytes: number;
  #isDying = false;

  /** @param carried what counts already: new limits for an SA that goes on (Linux xfrm_state_update) */
  constructor(limits: Lifetime, carried?: Readonly<Pick<LifetimeCounter, 'packets' | 'bytes'>>) {
    this.#carried[0] = carried?.packets ?? 0;
    this.#carried[1] = carried?.bytes ?? 0;
    this.#softPackets = limits.softPackets ?? Number.POSITIVE_INFINITY;
    this.#softBytes = limits.softBytes ?? Number.POSITIVE_INFINITY;
    this.#hardPackets = limits.hardPackets ?? Number.POSITIVE_INFINITY;
    this.#hardBytes = limits.hardBytes ?? Number.POSITIVE_INFINITY;
    this.limited = limits.hardPackets !== undefined || limits.hardBytes !== undefined;
    this.watched = this.limited || limits.softPackets !== undefined || limits.softBytes !== undefined;
  }

  /** Packets carried. */
  get packets(): number {
    return this.#carried[0]!;
  }

  /** Bytes carried: of inner packets, without trailer and outer header. */
  get bytes(): number {
    return this.#carried[1]!;
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
    this.countAll(1, bytes);
  }

  /** Counts packets, and their bytes together. */
  countAll(packets: number, bytes: number): void {
    const carried = this.#carried;
    carried[0] = carried[0]! + packets;
    carried[1] = carried[1]! + bytes;
  }
}
