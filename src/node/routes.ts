/**
 * Who has which address: what Cilium's ipcache and node map, and the kernel's routes, know together.
 *
 * The longest prefix wins. So a node's own addresses, which lie inside its pod range, are told from its pods.
 * @module
 */
import { HashChains } from '../base/hash-chains.ts';
import { identityOf, type Peer, type Route } from '../cilium/ipcache.ts';
import { inPrefix, type Prefix } from '../wire/address.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import type { Batch } from '../wire/packet.ts';

/** Longest prefix, in bits. */
const MAX_BITS = 128;

/**
 * Prefixes by hash, one probe for each length in use: a lookup allocates nothing and does not grow with the cluster, nor
 * does the time to set or to remove a route.
 */
export class RouteTable {
  /** By index; a removed one leaves a hole that is filled again. */
  #prefixes: Prefix[] = [];
  #routes: Route[] = [];
  #free: number[] = [];
  #chains = new HashChains();
  /** Prefix lengths in use, the longest first, of IPv4 and IPv6, and how many routes have each. */
  #lengths4 = new Lengths();
  #lengths6 = new Lengths();

  /** Adds a route, in place of one for the same prefix. */
  set(prefix: Prefix, route: Route): void {
    const known = this.#indexOf(prefix);
    const at = known >= 0 ? known : (this.#free.pop() ?? this.#prefixes.length);
    this.#prefixes[at] = prefix;
    this.#routes[at] = route;
    if (known >= 0) return;
    this.#chains.add(at, hash(prefix.address, 0, prefix.bits));
    this.#lengthsOf(prefix.address.length).add(prefix.bits);
  }

  /** Removes the route for a prefix; false when there is none. */
  remove(prefix: Prefix): boolean {
    const at = this.#indexOf(prefix);
    if (at < 0) return false;
    this.#chains.remove(at);
    this.#free.push(at);
    this.#lengthsOf(prefix.address.length).remove(prefix.bits);
    return true;
  }

  /** The route that was set for exactly this prefix. */
  get(prefix: Prefix): Route | undefined {
    const at = this.#indexOf(prefix);
    return at < 0 ? undefined : this.#routes[at];
  }

  /** Takes over all that another table holds, in place of what is here. The other must not be used any more. */
  adopt(other: RouteTable): void {
    this.#prefixes = other.#prefixes;
    this.#routes = other.#routes;
    this.#free = other.#free;
    this.#chains = other.#chains;
    this.#lengths4 = other.#lengths4;
    this.#lengths6 = other.#lengths6;
  }

  /** The route for the address of `len` bytes at `at`, or `undefined`: no node in the cluster has it. */
  lookup(b: Uint8Array, at: number, len: number): Route | undefined {
    return this.at(this.find(b, at, len));
  }

  /** A route by its number, which holds until routes are changed; `undefined` for -1. */
  at(number: number): Route | undefined {
    return this.#routes[number];
  }

  /**
   * Notes which routes the addresses of packet `i` have, whose header was read ({@link Batch.from}, {@link Batch.to}).
   * @returns that of its destination
   */
  note(batch: Batch, i: number): Route | undefined {
    const isV4 = batch.family[i] === 4;
    const len = isV4 ? ipv4.ADDRESS_LEN : ipv6.ADDRESS_LEN;
    batch.from[i] = this.find(batch.slab, batch.offset[i]! + (isV4 ? ipv4.SRC_AT : ipv6.SRC_AT), len);
    return this.goal(batch, i);
  }

  /** Notes the route of the destination alone, and returns it. */
  goal(batch: Batch, i: number): Route | undefined {
    const isV4 = batch.family[i] === 4;
    const dstAt = batch.offset[i]! + (isV4 ? ipv4.DST_AT : ipv6.DST_AT);
    batch.to[i] = this.find(batch.slab, dstAt, isV4 ? ipv4.ADDRESS_LEN : ipv6.ADDRESS_LEN);
    return this.at(batch.to[i]!);
  }

  /** The node whose pod packet `i` goes to, if it is one of another node. */
  peerOf(batch: Batch, i: number): Peer | undefined {
    const route = this.at(batch.to[i]!);
    return route?.kind === 'remote' ? route.peer : undefined;
  }

  /** The identity of the sender of packet `i`: from its VNI, or else from the ipcache; 0 where it is not known. */
  senderOf(batch: Batch, i: number): number {
    const vni = batch.vni[i]!;
    return vni >= 0 ? vni : identityOf(this.at(batch.from[i]!));
  }

  /** The number of the route for the address of `len` bytes at `at`; -1 for none. */
  find(b: Uint8Array, at: number, len: number): number {
    const lengths = this.#lengthsOf(len).inUse;
    const chains = this.#chains;
    for (let k = 0; k < lengths.length; k++) {
      const bits = lengths[k]!;
      for (let i = chains.first(hash(b, at, bits)); i >= 0; i = chains.next(i)) {
        const prefix = this.#prefixes[i]!;
        if (prefix.bits === bits && inPrefix(prefix, b, at, len)) return i;
      }
    }
    return -1;
  }

  #indexOf({ address, bits }: Prefix): number {
    const chains = this.#chains;
    for (let i = chains.first(hash(address, 0, bits)); i >= 0; i = chains.next(i)) {
      const known = this.#prefixes[i]!;
      if (known.bits === bits && inPrefix(known, address)) return i;
    }
    return -1;
  }

  #lengthsOf(len: number): Lengths {
    return len === 4 ? this.#lengths4 : this.#lengths6;
  }
}

class Lengths {
  readonly inUse: number[] = [];
  readonly #counts = new Uint32Array(MAX_BITS + 1);

  add(bits: number): void {
    if (this.#counts[bits]!++ > 0) return;
    this.inUse.push(bits);
    this.inUse.sort((x, y) => y - x);
  }

  remove(bits: number): void {
    if (--this.#counts[bits]! === 0) this.inUse.splice(this.inUse.indexOf(bits), 1);
  }
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
