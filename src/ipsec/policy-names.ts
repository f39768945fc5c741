/**
 * Policies by what tells them apart in Linux, which keeps one for each selector and mark of a direction.
 *
 * Told by a hash and a comparison, not by a text: a rotation in a large cluster puts thousands of them into a new table,
 * and texts would keep the collector busy between packets.
 * @module
 */
import { HashChains } from '../base/hash-chains.ts';
import { hashOf } from './policy-index.ts';
import { isSameSelector } from './selector.ts';
import type { Policy } from './spd.ts';

/** What tells the policies of one direction apart. */
export type PolicyName = Pick<Policy, 'selector' | 'mark'>;

export class PolicyNames {
  readonly #chains = new HashChains();
  /** By index; a removed one leaves a hole that is filled again. */
  readonly #policies: (Policy | undefined)[] = [];
  readonly #free: number[] = [];

  /** The policy of this name. */
  get(name: PolicyName): Policy | undefined {
    return this.#policies[this.#find(name)];
  }

  /** Adds a policy, or puts it in the place of the one that has its name. */
  set(policy: Policy): void {
    const known = this.#find(policy);
    const index = known >= 0 ? known : (this.#free.pop() ?? this.#policies.length);
    this.#policies[index] = policy;
    if (known < 0) this.#chains.add(index, hashOfName(policy));
  }

  /** Removes the policy of this name, if there is one. */
  delete(name: PolicyName): void {
    const index = this.#find(name);
    if (index < 0) return;
    this.#chains.remove(index);
    this.#policies[index] = undefined;
    this.#free.push(index);
  }

  #find(name: PolicyName): number {
    const chains = this.#chains;
    for (let i = chains.first(hashOfName(name)); i >= 0; i = chains.next(i))
      if (isSameName(this.#policies[i]!, name)) return i;
    return -1;
  }
}

function hashOfName({ selector: { src, dst }, mark }: PolicyName): number {
  return hashOf(mark?.value ?? 0, src.address, 0, src.bits, dst.address, 0, dst.bits);
}

/** No mark is one of 0 under mask 0. */
function isSameName({ selector: a, mark: m }: PolicyName, { selector: b, mark: n }: PolicyName): boolean {
  return (m?.value ?? 0) === (n?.value ?? 0) && (m?.mask ?? 0) === (n?.mask ?? 0) && isSameSelector(a, b);
}
