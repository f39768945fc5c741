/**
 * What a node calls its peers: 16 bits, 1 to 65535, at random, and known to no other node. 0 means "none", and the node
 * itself. The id stands in the marks by which SAs and policies are found; all addresses of one peer have one.
 * @module
 */
import { type Address, formatAddress } from '../wire/address.ts';
import type { CiliumNode } from './nodes.ts';

/** The largest id: half a packet mark. */
export const MAX_NODE_ID = 0xffff;

/** As many bits of chance as an id needs, and more: a number from 0 to 2^32-1. */
export type Random32 = () => number;

interface Owner {
  readonly id: number;
  addresses: string[];
}

/** The ids of all peers, by name and by address (Cilium's `cilium_node_map_v2`). */
export class NodeIdTable {
  readonly #random: Random32;
  readonly #owners = new Map<string, Owner>();
  readonly #byAddress = new Map<string, number>();
  readonly #used = new Set<number>();

  constructor(random: Random32) {
    this.#random = random;
  }

  /** How many peers have an id. */
  get size(): number {
    return this.#owners.size;
  }

  /** The id of a peer; 0 when it has none. */
  idOf(name: string): number {
    return this.#owners.get(name)?.id ?? 0;
  }

  /** The id that an address leads to; 0 when it is no peer's. */
  lookup(address: Address): number {
    return this.#byAddress.get(formatAddress(address)) ?? 0;
  }

  /**
   * Gives a peer an id for these addresses, or the addresses the id that it has. When one of them still leads to
   * another id (its old owner was deleted unseen), all are unmapped and get a new one.
   * @returns the id; 0 when all are in use
   */
  assign(name: string, addresses: readonly Address[]): number {
    const texts = addresses.map((address) => formatAddress(address));
    const owner = this.#owners.get(name);
    for (const text of owner?.addresses ?? []) this.#byAddress.delete(text);
    const isConflict = texts.some((text) => this.#byAddress.has(text));
    if (isConflict) {
      for (const other of this.#owners.values())
        other.addresses = other.addresses.filter((text) => !texts.includes(text));
    }
    if (owner && isConflict) this.#used.delete(owner.id);
    const id = owner && !isConflict ? owner.id : this.#allocate();
    if (id === 0) {
      this.#owners.delete(name);
      for (const text of texts) this.#byAddress.delete(text);
      return 0;
    }
    this.#own(name, texts, id);
    return id;
  }

  /** Gives a new peer the id that it had before. No other peer may have it. */
  restore(name: string, addresses: readonly Address[], id: number): void {
    this.#used.add(id);
    this.#own(
      name,
      addresses.map((address) => formatAddress(address)),
      id,
    );
  }

  /** Forgets a peer: its id is free again. */
  release(name: string): void {
    const owner = this.#owners.get(name);
    if (!owner) return;
    for (const text of owner.addresses) this.#byAddress.delete(text);
    this.#used.delete(owner.id);
    this.#owners.delete(name);
  }

  #own(name: string, addresses: string[], id: number): void {
    this.#owners.set(name, { id, addresses });
    for (const text of addresses) this.#byAddress.set(text, id);
  }

  #allocate(): number {
    if (this.#used.size >= MAX_NODE_ID) return 0;
    let id = 1 + (this.#random() % MAX_NODE_ID);
    while (this.#used.has(id)) id = 1 + (id % MAX_NODE_ID);
    this.#used.add(id);
    return id;
  }
}

/** Every address of a node. */
export function addressesOf({ ciliumAddresses, nodeAddresses }: CiliumNode): Address[] {
  return [...ciliumAddresses, ...nodeAddresses];
}

/**
 * Numbers the peers of a node, by name.
 * @param known the ids of some of them
 */
export function randomNodeIds(
  local: CiliumNode,
  nodes: readonly CiliumNode[],
  random: Random32,
  known: ReadonlyMap<string, number> = new Map(),
): Map<string, number> {
  const table = new NodeIdTable(random);
  const peers = nodes.filter(({ name }) => name !== local.name);
  for (const peer of peers) {
    const id = known.get(peer.name);
    if (id !== undefined) table.restore(peer.name, addressesOf(peer), id);
  }
  return new Map(
    peers.map((peer) => [peer.name, known.get(peer.name) ?? table.assign(peer.name, addressesOf(peer))]),
  );
}
