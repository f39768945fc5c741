/**
 * Outbound policies of a node, in numbers: what they select. A thousand nodes have millions of them, most for the same
 * few thousand ranges.
 * @module
 */
import type { PrefixIds } from '../../sa-text/address-ids.ts';
import type { PolicyRow } from '../../sa-text/policy-rows.ts';
import { type Address, inPrefix, type Prefix } from '../../wire/address.ts';

/** Ranges that are gone through one by one. */
const MOST_WIDE = 256;

/** Outbound policies of one node that lead to ESP. */
export class OutboundPolicies {
  readonly #prefixes: PrefixIds;
  /** Destinations, a bit for each number. */
  #exact = new Uint32Array(8);
  /** Destinations that hold more than 256 addresses. */
  readonly #wide: Prefix[] = [];
  #count = 0;
  /** Does a policy block what is marked for encryption and has no policy of its own? */
  blocksOthers = false;

  constructor(prefixes: PrefixIds) {
    this.#prefixes = prefixes;
  }

  get count(): number {
    return this.#count;
  }

  /** @param id the destination, by number */
  add(id: number): void {
    this.#count++;
    if (this.#isSet(id)) return;
    if (id >>> 5 >= this.#exact.length) {
      const longer = new Uint32Array(2 * (id >>> 5));
      longer.set(this.#exact);
      this.#exact = longer;
    }
    this.#exact[id >>> 5]! |= 1 << (id & 31);
    const destination = this.#prefixes.thing(id);
    const isWide = destination.bits < 8 * destination.address.length - 8;
    if (isWide && this.#wide.length < MOST_WIDE) this.#wide.push(destination);
  }

  /** Does one of them select all packets to this range? */
  covers(range: Prefix): boolean {
    return (
      this.#isSet(this.#prefixes.of(range)) ||
      this.#wide.some(
        (wide) =>
          wide.address.length === range.address.length &&
          wide.bits <= range.bits &&
          inPrefix(wide, range.address as Address),
      )
    );
  }

  #isSet(id: number): boolean {
    return ((this.#exact[id >>> 5] ?? 0) & (1 << (id & 31))) !== 0;
  }
}

/** Takes a policy where it is an outbound one. */
export function putPolicy(rows: OutboundPolicies, policy: PolicyRow): void {
  const { direction, isSocket, blocks, hasEsp, dst } = policy;
  if (direction !== 'out' || isSocket) return;
  if (blocks) rows.blocksOthers = true;
  else if (hasEsp) rows.add(dst);
}
