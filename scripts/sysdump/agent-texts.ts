/**
 * What Cilium's agent says of a node, as `cilium-dbg` prints it: the tables of `node list`, `bpf nodeid list` and
 * `bpf ipcache list`, and CiliumNodes.
 * @module
 */
import type { CiliumNode } from '../../src/cilium/nodes.ts';
import { type Address, formatAddress, formatPrefix } from '../../src/wire/address.ts';

/** Go's text/tabwriter with blanks: each cell that a tab ends is as wide as its column, which is three wider than its text. */
function table(rows: readonly (readonly string[])[], { least = 0, endsWithTab = false } = {}): string {
  const columns = Math.max(...rows.map(({ length }) => length)) - (endsWithTab ? 0 : 1);
  const widths = Array.from({ length: columns }, (_, i) =>
    Math.max(least, ...rows.map((row) => (row[i] ?? '').length + 3)),
  );
  return rows.map((row) => `${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('')}\n`).join('');
}

const ofFamily = (addresses: readonly Address[], length: number) => {
  const found = addresses.find((address) => address.length === length);
  return found ? formatAddress(found) : '';
};

/** `cilium-dbg node list`. */
export function nodeListText(nodes: readonly (CiliumNode & { readonly isLocal?: boolean })[]): string {
  const range = (node: CiliumNode, length: number) => {
    const found = node.podCidrs.find(({ address }) => address.length === length);
    return found ? formatPrefix(found) : '';
  };
  const rows = nodes
    .map((node) => [
      node.name,
      ofFamily(node.nodeAddresses, 4),
      range(node, 4),
      ofFamily(node.nodeAddresses, 16),
      range(node, 16),
      node.isLocal ? 'local' : 'custom-resource',
    ])
    .sort(([a = ''], [b = '']) => (a < b ? -1 : 1));
  return table([
    ['Name', 'IPv4 Address', 'Endpoint CIDR', 'IPv6 Address', 'Endpoint CIDR', 'Source'],
    ...rows,
  ]);
}

/** `cilium-dbg bpf nodeid list`, with the key id that each node has published. */
export function nodeIdsText(
  peers: readonly { readonly node: CiliumNode; readonly nodeId: number }[],
): string {
  const rows = peers
    .filter(({ nodeId }) => nodeId !== 0)
    .flatMap(({ node, nodeId }) =>
      [...node.ciliumAddresses, ...node.nodeAddresses].map((address) => [
        `0x${nodeId.toString(16)}`,
        formatAddress(address),
        String(node.keyId),
      ]),
    );
  return table([['NODE ID', 'IP ADDRESSES', 'SPI'], ...rows], { least: 5 });
}

export interface IpcacheRow {
  /** An address with its length. */
  readonly prefix: string;
  readonly identity: number;
  /** The key id of its node; 0 where nothing is encrypted. */
  readonly key: number;
  /** The address of its node; absent for what is here or outside the cluster. */
  readonly endpoint?: string | undefined;
}

/** `cilium-dbg bpf ipcache list`. */
export function ipcacheText(rows: readonly IpcacheRow[], minor: number): string {
  const lines = rows.map(({ prefix, identity, key, endpoint }) => {
    const flags = minor >= 16 ? ` flags=${endpoint === undefined ? '<none>' : 'hastunnel'}` : '';
    return [prefix, `identity=${identity} encryptkey=${key} tunnelendpoint=${endpoint ?? '0.0.0.0'}${flags}`];
  });
  return table([['IP PREFIX/ADDRESS', 'IDENTITY'], ...lines], { least: 5, endsWithTab: true });
}

/** The object, as the API server has it. Go leaves out a key id of 0. */
export function ciliumNodeObject(node: CiliumNode): object {
  const addresses = (type: string, list: readonly Address[]) =>
    list.map((address) => ({ ip: formatAddress(address), type }));
  return {
    metadata: { name: node.name },
    spec: {
      addresses: [
        ...addresses('InternalIP', node.nodeAddresses),
        ...addresses('CiliumInternalIP', node.ciliumAddresses),
      ],
      bootid: node.bootId,
      encryption: node.keyId === 0 ? {} : { key: node.keyId },
      ipam: { podCIDRs: node.podCidrs.map((prefix) => formatPrefix(prefix)) },
    },
    status: {},
  };
}
