/**
 * The cluster of the demo, as an operator would see it: a keys file and `kubectl get ciliumnodes -o json`, read by
 * the same code that reads real ones.
 *
 * ```text
 *  client 10.244.1.10 ┐                                                ┌ web 10.244.2.20
 *                     ├ node-1 192.168.0.11 ═══ wire ═══ node-2 192.168.0.12
 *  cache  10.244.1.11 ┘                          ║
 *                                        database 198.51.100.50, not in the cluster
 * ```
 * @module
 */
import { toHex } from '../base/bytes.ts';
import { mixSeed, type RandomBytes, seededBytes } from '../base/rng.ts';
import { generateKey } from '../cilium/key-line.ts';
import { type CiliumKey, parseKeys } from '../cilium/keys.ts';
import { type CiliumNode, parseNodes } from '../cilium/nodes.ts';
import { DEFAULT_VERSION } from '../cilium/version.ts';
import { type Address, parseAddress } from '../wire/address.ts';

/** Where a host is: on a node, or outside the cluster. */
export interface Place {
  readonly node: 'node-1' | 'node-2' | undefined;
  /** IPv4 and IPv6. */
  readonly addresses: readonly [string, string];
}

/** Everybody who sends or receives. */
export const HOSTS = {
  client: { node: 'node-1', addresses: ['10.244.1.10', 'fd00:10:244:1::10'] },
  cache: { node: 'node-1', addresses: ['10.244.1.11', 'fd00:10:244:1::11'] },
  web: { node: 'node-2', addresses: ['10.244.2.20', 'fd00:10:244:2::20'] },
  database: { node: undefined, addresses: ['198.51.100.50', '2001:db8:50::50'] },
} as const satisfies Record<string, Place>;

export type HostName = keyof typeof HOSTS;

const KEY_ID = 3;

export interface DemoCluster {
  /** The keys file. Made from the seed, so it protects nothing. */
  readonly keysText: string;
  /** `kubectl get ciliumnodes -o json`. */
  readonly nodesText: string;
  readonly keys: readonly CiliumKey[];
  readonly nodes: readonly CiliumNode[];
}

/** Makes keys and nodes. The same seed gives the same. */
export function demoCluster(seed: number): DemoCluster {
  const random = seededBytes(mixSeed(seed));
  const keysText = `${generateKey({ id: KEY_ID, random })}\n`;
  const items = [1, 2].map((n) => ({
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNode',
    metadata: { name: `node-${n}` },
    spec: {
      addresses: [
        { type: 'InternalIP', ip: `192.168.0.1${n}` },
        { type: 'InternalIP', ip: `fd00:192:168::1${n}` },
        { type: 'CiliumInternalIP', ip: `10.244.${n}.1` },
        { type: 'CiliumInternalIP', ip: `fd00:10:244:${n}::1` },
      ],
      bootid: bootId(random),
      encryption: { key: KEY_ID },
      ipam: { podCIDRs: [`10.244.${n}.0/24`, `fd00:10:244:${n}::/64`] },
    },
  }));
  const nodesText = `${JSON.stringify({ apiVersion: 'v1', kind: 'List', items }, null, 2)}\n`;
  return {
    keysText,
    nodesText,
    keys: parseKeys(keysText, 'keys', DEFAULT_VERSION),
    nodes: parseNodes(nodesText, 'ciliumnodes.json'),
  };
}

/** The addresses of a host. */
export function addressesOf(name: HostName): Address[] {
  return HOSTS[name].addresses.map((text) => parseAddress(text) ?? new Uint8Array(0));
}

/** A version 4 UUID. */
function bootId(random: RandomBytes): string {
  const b = new Uint8Array(16);
  random(b);
  b[6] = (b[6]! & 0x0f) | 0x40;
  b[8] = (b[8]! & 0x3f) | 0x80;
  return toHex(b).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
