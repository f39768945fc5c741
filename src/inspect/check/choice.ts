/**
 * Which pairs of a check are asked for, by either end. It chooses what is in the clear and what is in ESP alike: a packet
 * in the clear of a pod or a node that is asked for is never left out.
 * @module
 */
import { inPrefix, type Prefix, parseAddress } from '../../wire/address.ts';
import type { Evidence } from '../evidence.ts';
import type { Names } from '../names.ts';
import type { FilterSpec } from '../packet-filter.ts';

export type ChoiceSpec = Pick<FilterSpec, 'addresses' | 'nodes' | 'pods'>;

export class PairChoice {
  readonly #spec: ChoiceSpec;
  readonly #names: Names;
  readonly #evidence: Evidence;
  /** Of pods that are asked for by their names. */
  readonly #podAddresses: readonly string[];

  constructor(spec: ChoiceSpec, names: Names, evidence: Evidence) {
    this.#spec = spec;
    this.#names = names;
    this.#evidence = evidence;
    this.#podAddresses = spec.pods.length > 0 ? names.addressesOf(spec.pods) : [];
  }

  /** May it leave a pair out? */
  get isOn(): boolean {
    const { addresses, nodes, pods } = this.#spec;
    return addresses.length + nodes.length + pods.length > 0;
  }

  /** Is a node one of those that are asked for: by its name, or with all others? */
  wantsNode(name: string): boolean {
    return !this.isOn || (this.#spec.nodes.length > 0 && this.#isByNode([name]));
  }

  /** Is all asked for that goes between two nodes, of whatever pods? @param from address of a node, as `to` */
  hasNodes(from: string, to: string): boolean {
    const { addresses, pods } = this.#spec;
    return (
      pods.length === 0 && this.#isByNode([from, to]) && (addresses.length === 0 || this.#isOf([from, to]))
    );
  }

  /**
   * Is what goes between two pods asked for?
   * @param nodes addresses of their nodes, as far as they are known: what has none is not left out for its node
   */
  hasPods(src: string, dst: string, nodes: readonly string[]): boolean {
    const { addresses, pods } = this.#spec;
    if (nodes.length > 0 && !this.#isByNode(nodes)) return false;
    const ends = [src, dst];
    if (addresses.length > 0 && !this.#isOf(nodes) && !ends.some((end) => this.#isIn(parseAddress(end)!)))
      return false;
    return pods.length === 0 || ends.some((end) => this.#names.isOneOf(end, pods));
  }

  /** May ESP between two nodes carry what is asked for, as far as the lists of nodes tell? */
  mayCarry(from: string, to: string): boolean {
    const { addresses, pods } = this.#spec;
    const ends = [from, to];
    if (!this.#isByNode(ends)) return false;
    const ranges = ends.map((end) => this.#evidence.nodeOf(end)?.podCidrs ?? []);
    if (ranges.some((of) => of.length === 0)) return true;
    const all = ranges.flat();
    if (
      addresses.length > 0 &&
      !this.#isOf(ends) &&
      !all.some((one) => addresses.some((wanted) => meet(one, wanted)))
    )
      return false;
    return (
      pods.length === 0 ||
      this.#podAddresses.some((address) => all.some((range) => inPrefix(range, parseAddress(address)!)))
    );
  }

  #isByNode(ends: readonly string[]): boolean {
    const { nodes } = this.#spec;
    const evidence = this.#evidence;
    return (
      nodes.length === 0 ||
      ends.some((end) => nodes.some((node) => evidence.nameOf(node) === evidence.nameOf(end)))
    );
  }

  /** Has one of these nodes an address that is asked for? */
  #isOf(ends: readonly string[]): boolean {
    return ends.some((end) => {
      const node = this.#evidence.nodeOf(end);
      const addresses = node ? [...node.ciliumAddresses, ...node.nodeAddresses] : [parseAddress(end)!];
      return addresses.some((address) => this.#isIn(address));
    });
  }

  #isIn(address: Uint8Array): boolean {
    return this.#spec.addresses.some((range) => inPrefix(range, address));
  }
}

/** Have two ranges an address in common? */
function meet(a: Prefix, b: Prefix): boolean {
  return inPrefix(a.bits < b.bits ? a : b, a.bits < b.bits ? b.address : a.address);
}
