/**
 * Who has which address: what Cilium's ipcache and node map, and the kernel's routes, know together.
 *
 * The longest prefix wins. So a node's own addresses, which lie inside its pod range, are told from its pods.
 * @module
 */
import { toHex } from '../base/bytes.ts';
import type { Route } from '../cilium/ipcache.ts';
import { inPrefix, type Prefix } from '../wire/address.ts';

interface Entry {
  readonly prefix: Prefix;
  readonly route: Route;
}

/** Prefixes by hash, one probe for each length in use: a lookup allocates nothing and does not grow with the cluster. */
export class RouteTable {
  #entries: Entry[] = [];
  /** Where the entry of a prefix is. */
  readonly #places = new Map<string, number>();
  /** First entry of each chain, and the next of each entry; -1 ends. */
  #heads = new Int32Array(64).fill(-1);
  #next: number[] = [];
  /** Prefix lengths in use, the longest first, of IPv4 and IPv6. */
  readonly #lengths4: number[] = [];
  readonly #lengths6: number[] = [];

  /** Adds a route, in place of one for the same prefix. */
  set(prefix: Prefix, route: Route): void {
    const at = this.#find(prefix);
    if (at >= 0) this.#entries[at] = { prefix, route };
    else {
      this.#places.set(nameOf(prefix), this.#entries.push({ prefix, route }) - 1);
      if (this.#entries.length > this.#heads.length) this.#rebuild(this.#heads.length * 2);
      else this.#link(this.#entries.length - 1);
    }
  }

  /** Removes the route for a prefix; false when there is none. */
  remove(prefix: Prefix): boolean {
    const at = this.#find(prefix);
    if (at < 0) return false;
    const last = this.#entries.pop()!;
    this.#places.delete(nameOf(prefix));
    if (at < this.#entries.length) {
      this.#entries[at] = last;
      this.#places.set(nameOf(last.prefix), at);
    }
    this.#rebuild(this.#heads.length);
    return true;
  }

  /** The route that was set for exactly this prefix. */
  get(prefix: Prefix): Route | undefined {
    return this.#entries[this.#find(prefix)]?.route;
  }

  /** The route for the address of `len` bytes at `at`, or `undefined`: nobody in the cluster has it. */
  lookup(b: Uint8Array, at: number, len: number): Route | undefined {
    const lengths = len === 4 ? this.#lengths4 : this.#lengths6;
    const mask = this.#heads.length - 1;
    for (let k = 0; k < lengths.length; k++) {
      const bits = lengths[k]!;
      for (let i = this.#heads[hash(b, at, bits) & mask]!; i >= 0; i = this.#next[i]!) {
        const { prefix, route } = this.#entries[i]!;
        if (prefix.bits === bits && inPrefix(prefix, b, at, len)) return route;
      }
    }
    return undefined;
  }

  #find(prefix: Prefix): number {
    return this.#places.get(nameOf(prefix)) ?? -1;
  }

  #link(i: number): void {
    const { address, bits } = this.#entries[i]!.prefix;
    const bucket = hash(address, 0, bits) & (this.#heads.length - 1);
    this.#next[i] = this.#heads[bucket]!;
    this.#heads[bucket] = i;
    const lengths = address.length === 4 ? this.#lengths4 : this.#lengths6;
    if (lengths.includes(bits)) return;
    lengths.push(bits);
    lengths.sort((x, y) => y - x);
  }

  #rebuild(size: number): void {
    this.#heads = new Int32Array(size).fill(-1);
    this.#next = [];
    this.#lengths4.length = 0;
    this.#lengths6.length = 0;
    for (let i = 0; i < this.#entries.length; i++) this.#link(i);
  }
}

function nameOf({ address, bits }: Prefix): string {
  return `${toHex(address)}/${bits}`;
}

/** Spreads the first `bits` bits at `at` over 32 (FNV-1a). */
function hash(b: Uint8Array, at: number, bits: number): number {
  let h = Math.imul(0x811c_9dc5 ^ bits, 0x0100_0193);
  const whole = bits >>> 3;
  for (let i = 0; i < whole; i++) h = Math.imul(h ^ b[at + i]!, 0x0100_0193);
  const rest = bits & 7;
  if (rest > 0) h = Math.imul(h ^ (b[at + whole]! & (0xff00 >>> rest) & 0xff), 0x0100_0193);
  return h ^ (h >>> 15);
}
