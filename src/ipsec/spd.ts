/**
 * The security policy database: which packets are to be protected, pass, or are dropped (RFC 4301 §4.4.1), with
 * the answers of Linux's `ip xfrm policy`.
 *
 * - A policy matches by addresses, protocol, ports and mark. The lowest priority value wins; among equals the
 *   oldest policy does, however narrow its prefixes are.
 * - Where TCP and its like have ports, ICMP has type (as source port) and code (as destination port).
 * - A fragment has no ports, not even the first one. A policy that asks for a port does not match it.
 *
 * **Not** here: interface ids, security contexts, policies of sockets. Unlike Linux, the IPv6 walk steps over an
 * authentication header.
 * @module
 */
import type { Address } from '../wire/address.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { PolicyIndex } from './policy-index.ts';
import { PolicyNames } from './policy-names.ts';
import type { Mark } from './sa-config.ts';
import { isByAddress, SelectedPacket, type Selector } from './selector.ts';

/** Where a packet is asked about: leaving, for this host, or passing through it after decryption. */
export type Direction = 'in' | 'out' | 'fwd';

export type Action = 'allow' | 'block';

/** The SA that a policy asks for; what is absent, any SA has. */
export interface Template {
  readonly src?: Address;
  readonly dst?: Address;
  readonly spi?: number;
  readonly reqid?: number;
  readonly mode: 'tunnel' | 'transport' | 'iptfs';
  /** `use`: without such an SA the packet passes all the same. */
  readonly level: 'required' | 'use';
}

export interface Policy {
  readonly dir: Direction;
  readonly selector: Selector;
  readonly action: Action;
  /** Lower wins. */
  readonly priority: number;
  /** Compared under its mask; absent, any mark. */
  readonly mark?: Mark;
  /** No templates: what matches passes in the clear. */
  readonly templates: readonly Template[];
}

/** The policies of one direction. */
interface PolicyTable {
  /** In the order in which they are asked. */
  readonly list: Policy[];
  /** The same policies by what tells them apart. */
  readonly names: PolicyNames;
  /** Made when it is first asked after a change. */
  index: PolicyIndex | undefined;
  /** How many look at protocol or ports. */
  withPorts: number;
}

export class Spd {
  /** What becomes of a packet that no policy matches (`ip xfrm policy setdefault`). */
  readonly defaults: Readonly<Record<Direction, Action>>;
  readonly #tables: Record<Direction, PolicyTable> = { in: newTable(), out: newTable(), fwd: newTable() };
  readonly #packet = new SelectedPacket();

  /** @param defaults those that are not `allow` */
  constructor(defaults: Partial<Record<Direction, Action>> = {}) {
    this.defaults = { in: 'allow', out: 'allow', fwd: 'allow', ...defaults };
  }

  /** Does the answer depend on addresses and mark alone? Then packets of one flow have one answer. */
  byAddress(dir: Direction): boolean {
    return this.#tables[dir].withPorts === 0;
  }

  /** The policies of one direction, in the order in which they are asked. */
  policies(dir: Direction): readonly Policy[] {
    return this.#tables[dir].list;
  }

  /**
   * Adds a policy, or replaces the one with the same direction, selector and mark (`ip xfrm policy update`). With
   * the same priority it takes the old one's place, age included.
   */
  set(policy: Policy): void {
    const table = this.#tables[policy.dir];
    const { list } = table;
    const known = table.names.get(policy);
    if (known === policy) return;
    table.names.set(policy);
    table.index = undefined;
    table.withPorts +=
      (isByAddress(policy.selector) ? 0 : 1) - (!known || isByAddress(known.selector) ? 0 : 1);
    const old = known ? list.indexOf(known) : -1;
    if (old >= 0 && list[old]!.priority === policy.priority) {
      list[old] = policy;
      return;
    }
    if (old >= 0) list.splice(old, 1);
    list.splice(placeFor(list, policy.priority), 0, policy);
  }

  /** Removes the policy with the same direction, selector and mark; false when there is none. */
  remove(policy: Pick<Policy, 'dir' | 'selector' | 'mark'>): boolean {
    const table = this.#tables[policy.dir];
    const known = table.names.get(policy);
    if (!known) return false;
    table.names.delete(policy);
    table.list.splice(table.list.indexOf(known), 1);
    table.index = undefined;
    if (!isByAddress(known.selector)) table.withPorts--;
    return true;
  }

  /** Does now, a little in each step, what the first {@link lookup} after a change would do in one go. */
  *prepare(): Generator<void, void> {
    for (const table of Object.values(this.#tables)) {
      const index = new PolicyIndex();
      yield* index.fill(table.list);
      table.index = index;
    }
  }

  /** Takes over the policies of another SPD, in place of those that are here. The other must not be used any more. */
  adopt(other: Spd): void {
    Object.assign(this.#tables, other.#tables);
  }

  /**
   * The policy for the IP packet at `at`, which `wire` has found whole. Allocates nothing, but for the first after a
   * change; takes time in proportion to the number of prefix lengths and mark masks in use.
   * @param mark the packet's mark
   * @returns `undefined` when none matches: {@link defaults} then decides
   */
  lookup(dir: Direction, slab: Uint8Array, at: number, mark: number): Policy | undefined {
    return this.#tables[dir].list[this.find(dir, slab, at, mark)];
  }

  /** The same as its place in {@link policies}; -1 when none matches. */
  find(dir: Direction, slab: Uint8Array, at: number, mark: number): number {
    const table = this.#tables[dir];
    const { list } = table;
    const isV4 = slab[at]! >>> 4 === 4;
    const len = isV4 ? ipv4.ADDRESS_LEN : ipv6.ADDRESS_LEN;
    const srcAt = at + (isV4 ? ipv4.SRC_AT : ipv6.SRC_AT);
    table.index ??= PolicyIndex.of(list);
    const { index } = table;
    const shapes = index.shapes(len);
    const packet = this.#packet.look(slab, at);
    let best = list.length;
    for (let k = 0; k < shapes; k++) {
      let place = index.head(k, best, mark, slab, srcAt, len);
      if (place === -2) break;
      for (; place >= 0 && place < best; place = index.next(place)) {
        const { mark: want, selector } = list[place]!;
        if (want && ((mark & want.mask) ^ want.value) !== 0) continue;
        if (packet.isIn(selector)) best = place;
      }
    }
    return best < list.length ? best : -1;
  }
}

function newTable(): PolicyTable {
  return { list: [], names: new PolicyNames(), index: undefined, withPorts: 0 };
}

/** Where a new policy of this priority goes: behind those that have it. */
function placeFor(list: readonly Policy[], priority: number): number {
  let from = 0;
  let to = list.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (list[middle]!.priority <= priority) from = middle + 1;
    else to = middle;
  }
  return from;
}
