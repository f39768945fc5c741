/**
 * Who is who: the nodes that Kubernetes lists and those whose texts are at hand, and whose each address is.
 * @module
 */
import type { CiliumNode } from '../../cilium/nodes.ts';
import { formatAddress } from '../../wire/address.ts';
import type { Evidence } from '../evidence.ts';
import type { NodeSigns } from '../files/names.ts';
import type { ClusterReader, NodeFacts } from './reader.ts';

/** A node. */
export interface ClusterNode {
  readonly name: string;
  /** As Kubernetes lists it. */
  readonly cilium?: CiliumNode;
  /** What it says itself; where it was collected more than once, the last time. */
  facts?: NodeFacts;
  /** The release of Cilium that runs there, where its pod says it. */
  readonly version?: string;
}

/** What else is known. */
export interface ClusterContext {
  readonly reader: ClusterReader;
  /** Keys and nodes as they are, and as they were: what keys are derived from. */
  readonly evidence: Evidence;
  /** Names of nodes by what was collected, where that can be told. */
  readonly nameOf: (signs: NodeSigns) => string | undefined;
  /** Releases of Cilium, by the name of the node. */
  readonly versions: ReadonlyMap<string, string>;
}

export class Cluster {
  readonly reader: ClusterReader;
  readonly evidence: Evidence;
  readonly nodes: ClusterNode[] = [];
  /** Names of nodes that were collected more than once. */
  readonly again: string[] = [];
  /** By the place of facts in the reader's list: the node. */
  readonly #ofFacts: Int32Array;
  readonly #byName = new Map<string, number>();
  /** By address: the node, or -1. */
  readonly #ofAddress: Int32Array;

  constructor({ reader, evidence, nameOf, versions }: ClusterContext) {
    this.reader = reader;
    this.evidence = evidence;
    const { addresses } = reader;
    const add = (node: ClusterNode) => {
      this.#byName.set(node.name, this.nodes.length);
      return this.nodes.push(node) - 1;
    };
    const ownOf = ({ ciliumAddresses, nodeAddresses }: CiliumNode) =>
      [...ciliumAddresses, ...nodeAddresses].map((address) => addresses.of(address));
    const listed = new Map<number, number>();
    for (const cilium of evidence.cluster.nodes) {
      const version = versions.get(cilium.name);
      const index = add({ name: cilium.name, cilium, ...(version !== undefined && { version }) });
      for (const address of ownOf(cilium)) listed.set(address, index);
    }
    this.#ofFacts = new Int32Array(reader.nodes.length).fill(-1);
    for (const [i, facts] of reader.nodes.entries()) {
      const [first] = facts.own;
      let index = this.#byName.get(nameOf(facts) ?? facts.host);
      for (const address of facts.own) index ??= listed.get(address);
      if (index === undefined) {
        const name =
          nameOf(facts) ?? (facts.host || (first === undefined ? facts.source : addresses.textOf(first)));
        const version = versions.get(name);
        index = this.#byName.get(name) ?? add({ name, ...(version !== undefined && { version }) });
      }
      const node = this.nodes[index]!;
      const before = node.facts;
      if (before && before.states > 0 && facts.states > 0) this.again.push(node.name);
      node.facts = before ? joined(before, facts) : facts;
      this.#ofFacts[i] = index;
    }
    this.#ofAddress = new Int32Array(addresses.size).fill(-1);
    for (const [i, facts] of reader.nodes.entries()) {
      for (const address of facts.own) this.#ofAddress[address] = this.#ofFacts[i]!;
    }
    // Kubernetes's list counts more than what an address of a text looks like.
    for (const [address, index] of listed) this.#ofAddress[address] = index;
  }

  get size(): number {
    return this.nodes.length;
  }

  /** The node that holds something, by the place of its facts. */
  nodeOfFacts(facts: number): number {
    return facts < 0 ? -1 : this.#ofFacts[facts]!;
  }

  /** The node that an address belongs to, or -1. */
  nodeOfAddress(address: number): number {
    return this.#ofAddress[address] ?? -1;
  }

  /** The node with this name or address, or -1. */
  find(name: string): number {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const address = this.reader.addresses.ofText(name);
    return address < 0 ? -1 : this.nodeOfAddress(address);
  }

  nameOf(node: number): string {
    return this.nodes[node]!.name;
  }

  /** Are the states of a node at hand? */
  hasStates(node: number): boolean {
    return this.nodes[node]!.facts?.stateFile !== undefined;
  }

  /** `FILE:LINE` of a state, by the place of its facts. */
  origin(facts: number, line: number): string {
    return `${this.reader.nodes[facts]?.stateFile ?? '?'}:${line}`;
  }

  /** An address that a node is known by, for findings. */
  addressOf(node: number): string | undefined {
    const { cilium, facts } = this.nodes[node]!;
    const [first] = facts?.own ?? [];
    const known = cilium?.ciliumAddresses[0] ?? cilium?.nodeAddresses[0];
    if (known) return formatAddress(known);
    return first === undefined ? undefined : this.reader.addresses.textOf(first);
  }
}

/** Two collections of one node, or two texts of it: what the later one says counts. */
function joined(before: NodeFacts, after: NodeFacts): NodeFacts {
  return {
    ...before,
    ...after,
    isOnlyNamed: before.isOnlyNamed === true && after.isOnlyNamed === true,
    host: after.host || before.host,
    bootId: after.bootId || before.bootId,
    states: before.states + after.states,
    own: new Set([...before.own, ...after.own]),
    files: { ...before.files, ...after.files },
  };
}
