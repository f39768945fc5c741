/**
 * Remembers the addresses of one packet, to know the next of the same flow: most packets of a batch are answered as
 * the one before was, without asking tables again.
 *
 * It holds for one batch only. Tables change between batches, never during one, so nothing has to be told of it.
 * @module
 */
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';

/** Source and destination of IPv6. */
const MOST_BYTES = 32;

export class FlowMemo {
  readonly #addresses = new Uint8Array(MOST_BYTES);
  /** Bytes remembered: 8, 32, or 0 for none. */
  #len = 0;

  /** Forgets: what is seen next is new. */
  clear(): void {
    this.#len = 0;
  }

  /** Has the IP packet at `at` the addresses that were kept last? */
  matches(b: Uint8Array, at: number): boolean {
    const isV4 = b[at]! >>> 4 === 4;
    const len = isV4 ? 2 * ipv4.ADDRESS_LEN : 2 * ipv6.ADDRESS_LEN;
    if (len !== this.#len) return false;
    const from = at + (isV4 ? ipv4.SRC_AT : ipv6.SRC_AT);
    const kept = this.#addresses;
    for (let k = 0; k < len; k++) if (kept[k] !== b[from + k]) return false;
    return true;
  }

  /** Keeps the addresses of the IP packet at `at`. */
  keep(b: Uint8Array, at: number): void {
    const isV4 = b[at]! >>> 4 === 4;
    const from = at + (isV4 ? ipv4.SRC_AT : ipv6.SRC_AT);
    this.#len = isV4 ? 2 * ipv4.ADDRESS_LEN : 2 * ipv6.ADDRESS_LEN;
    for (let k = 0; k < this.#len; k++) this.#addresses[k] = b[from + k]!;
  }
}
