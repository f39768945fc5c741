import { describe, expect, it } from 'vitest';
import { checkAddresses, checkNames } from '../../src/cilium/node-checks.ts';
import type { CiliumNode } from '../../src/cilium/nodes.ts';
import { address } from '../support/sa.ts';

function node(name: string, ip: string, source: string): CiliumNode {
  return {
    name,
    ciliumAddresses: [address(ip)],
    nodeAddresses: [address(ip)],
    bootId: '',
    keyId: 3,
    podCidrs: [],
    source,
  };
}

describe('nodes of a mesh', () => {
  it('share names, but not addresses; a node may have one address of two kinds', () => {
    const a = node('node-1', '10.0.0.1', 'a');
    expect(() => checkAddresses([a, node('node-1', '10.0.0.2', 'b')])).not.toThrow();
    expect(() => checkAddresses([a, node('node-1', '10.0.0.1', 'b')])).toThrow(
      /^b: nodes node-1 and node-1 both have/,
    );
  });

  it('share no names within one list', () => {
    expect(() => checkNames([node('node-1', '10.0.0.1', 'a'), node('node-1', '10.0.0.2', 'a')], 'a')).toThrow(
      /^a: two nodes have the name node-1/,
    );
  });
});
