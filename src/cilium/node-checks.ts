/**
 * What has to hold among the nodes of a cluster, wherever they come from. Apart from their text, whose reader is large:
 * commands that are given no nodes start without it.
 * @module
 */
import { InputError } from '../base/errors.ts';
import { formatAddress } from '../wire/address.ts';
import type { CiliumNode } from './nodes.ts';

const ONCE = 'Give every node once, as it is now.';

/**
 * Checks that every name belongs to one node.
 * @param source of the whole list, for errors
 * @throws {InputError} that names the node
 */
export function checkNames(nodes: readonly CiliumNode[], source: string): void {
  const names = new Set<string>();
  for (const { name } of nodes) {
    if (names.has(name)) throw new InputError({ source }, `two nodes have the name ${name}`, ONCE);
    names.add(name);
  }
}

/**
 * Checks that every address belongs to one node, as it must across all files of a cluster mesh.
 * @throws {InputError} that names both nodes
 */
export function checkAddresses(nodes: readonly CiliumNode[]): void {
  const owners = new Map<string, CiliumNode>();
  for (const node of nodes) {
    for (const address of [...node.ciliumAddresses, ...node.nodeAddresses].map((b) => formatAddress(b))) {
      const owner = owners.get(address);
      if (owner && owner !== node) {
        const problem = `nodes ${owner.name} and ${node.name} both have the address ${address}`;
        throw new InputError({ source: node.source }, problem, ONCE);
      }
      owners.set(address, node);
    }
  }
}
