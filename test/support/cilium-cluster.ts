/**
 * Keys and nodes for the tests of plans: the two nodes of the shared captures, and more like them.
 * @module
 */
import { type CiliumKey, parseKeys } from '../../src/cilium/keys.ts';
import { type CiliumNode, parseNodes } from '../../src/cilium/nodes.ts';
import { parseVersion } from '../../src/cilium/version.ts';
import { type Address, formatAddress, parseAddress } from '../../src/wire/address.ts';

export const GCM = 'rfc4106(gcm(aes)) 44434241343332312423222114131211f4f3f2f1 128';

export function keysFrom(text: string, version = '1.18'): CiliumKey[] {
  return parseKeys(text, 'keys', parseVersion(version));
}

/** Node `i` as kubectl prints it, less what IPsec does not need. */
export function nodeObject(i: number, spec: Record<string, unknown> = {}) {
  return {
    kind: 'CiliumNode',
    metadata: { name: `node-${i}` },
    spec: {
      addresses: [
        { type: 'InternalIP', ip: `192.168.7.${i}` },
        { type: 'InternalIP', ip: `fd07::${i}` },
        { type: 'CiliumInternalIP', ip: `10.244.${i}.1` },
        { type: 'CiliumInternalIP', ip: `fd00:10:244:${i}::1` },
      ],
      bootid: `3f2a6c1e-8d4b-4e57-9a30-5b7c9d1e2f4${i % 10}`,
      encryption: { key: 3 },
      ...spec,
    },
  };
}

/** Node `i` as it stands in the list of a running node: on a wire between the nodes, and with pods. */
export function wiredNode(i: number, { address = `10.99.0.${i}`, key = 3 } = {}) {
  return nodeObject(i, {
    addresses: [
      { type: 'InternalIP', ip: address },
      { type: 'CiliumInternalIP', ip: `10.244.${i}.254` },
    ],
    encryption: { key },
    ipam: { podCIDRs: [`10.244.${i}.0/24`] },
  });
}

export function nodesFrom(...objects: readonly object[]): CiliumNode[] {
  return parseNodes(JSON.stringify(objects), 'nodes.json');
}

export function ip(text: string): Address {
  const address = parseAddress(text);
  if (!address) throw new Error(`no address: ${text}`);
  return address;
}

/** `src->dst:spi`, as cilium-cli indexes SAs. */
export function index({ src, dst, spi }: { src: Address; dst: Address; spi: number }): string {
  return `${formatAddress(src)}->${formatAddress(dst)}:${spi}`;
}
