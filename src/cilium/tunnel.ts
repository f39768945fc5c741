/**
 * Tunnels: between which addresses SAs run, and what one such SA is.
 *
 * Every SA runs from one address of a node to the address of the same kind and family of another node:
 *
 * | routing | CiliumInternalIP pair | node address pair |
 * |---|---|---|
 * | native | all versions | - |
 * | tunnel (VXLAN, Geneve) | all versions | from 1.18: VXLAN in ESP |
 * | ENI, Azure | inbound | both directions |
 *
 * Common to all: ESP in tunnel mode, SPI = key id, reqid 1, wildcard selector, no lifetime, no UDP. A per-tunnel
 * key brings ESN and a window of 1024; a global one brings neither.
 * @module
 */
import { equalBytes } from '../base/bytes.ts';
import { InputError } from '../base/errors.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { Address } from '../wire/address.ts';
import { BOOT_ID_LEN, deriveMaterial } from './derive.ts';
import type { CiliumKey } from './keys.ts';
import { type CiliumNode, checkAddresses } from './nodes.ts';
import { type CiliumVersion, isAtLeast } from './version.ts';

/** Packets; the same from the first release with per-tunnel keys to this day. */
const REPLAY_WINDOW = 1024;
/** Cilium tells its SAs by it. */
const REQID = 1;
/** The kinds of outer address, by the field of {@link CiliumNode} that holds them. */
const KIND_NAMES = { ciliumAddresses: 'CiliumInternalIP', nodeAddresses: 'InternalIP' } as const;
const AGAIN = 'Fetch the list again once Cilium runs on that node, or take the node out of it.';

/** How pod packets cross the network. `eni` is also Azure: pod addresses come from the cloud. */
export type RoutingMode = 'native' | 'tunnel' | 'eni';

/** One address of a node that SAs start and end at. */
export interface TunnelEnd {
  readonly node: CiliumNode;
  readonly kind: keyof typeof KIND_NAMES;
  readonly address: Address;
}

/**
 * All tunnel ends of a cluster.
 *
 * A node without an address that others have is an error: to skip it would hide why its packets do not decrypt.
 * @param mode `any` takes every address that some mode uses
 * @throws {InputError} when an address is missing, or belongs to two nodes
 */
export function tunnelEnds(
  nodes: readonly CiliumNode[],
  mode: RoutingMode | 'any',
  version: CiliumVersion,
): TunnelEnd[] {
  checkAddresses(nodes);
  const usesNodeAddresses = mode === 'eni' || mode === 'any' || (mode === 'tunnel' && isAtLeast(version, 18));
  // A family is on where Cilium has addresses of its own in it.
  const families = [4, 16].filter((len) => nodes.some((node) => addressOf(node, 'ciliumAddresses', len)));
  const [first] = nodes;
  if (families.length === 0 && first) throw missing(first, 'CiliumInternalIP');
  return families.flatMap((len) => [
    ...endsOf(nodes, 'ciliumAddresses', len),
    ...(usesNodeAddresses ? endsOf(nodes, 'nodeAddresses', len) : []),
  ]);
}

/**
 * Checks that every node has what the keys need: per-tunnel keys are made from boot ids.
 * @throws {InputError} that names the node
 */
export function checkBootIds(keys: readonly CiliumKey[], nodes: readonly CiliumNode[]): void {
  if (!keys.some((key) => key.perTunnel)) return;
  for (const { name, bootId, source } of nodes) {
    if (bootId.length >= BOOT_ID_LEN) continue;
    const what = bootId === '' ? 'no boot id' : `a boot id of less than ${BOOT_ID_LEN} characters`;
    const problem = `node ${name} has ${what} (spec.bootid), and per-tunnel keys are made from it`;
    throw new InputError({ source }, problem, AGAIN);
  }
}

/** Do SAs run between these two? */
export function isTunnel(from: TunnelEnd, to: TunnelEnd): boolean {
  return from.node !== to.node && from.kind === to.kind && from.address.length === to.address.length;
}

/**
 * The keys that the node at `local` uses: of each id the one made for that node, or else the one for all. Both
 * ends look by their own address, so a key for one node works only where the other end has the same bytes.
 */
export function keysAt(keys: readonly CiliumKey[], local: Address): CiliumKey[] {
  const own = keys.filter(({ scope }) => scope !== undefined && equalBytes(scope, local));
  const shared = keys.filter(({ scope, id }) => scope === undefined && !own.some((key) => key.id === id));
  return [...shared, ...own];
}

/** The SA that carries packets between two ends, without direction and marks. */
export function tunnelSa(key: CiliumKey, from: TunnelEnd, to: TunnelEnd): SaConfig {
  const any = { address: new Uint8Array(from.address.length), bits: 0 };
  return {
    src: from.address,
    dst: to.address,
    spi: key.id,
    mode: 'tunnel',
    keys: key.perTunnel
      ? deriveMaterial(key.material, from.address, to.address, from.node.bootId, to.node.bootId)
      : key.material,
    esn: key.perTunnel,
    replayWindow: key.perTunnel ? REPLAY_WINDOW : 0,
    reqid: REQID,
    selector: { src: any, dst: any },
    flags: [],
    origin: `${key.source}:${key.line} ${from.node.name} -> ${to.node.name}`,
  };
}

function endsOf(nodes: readonly CiliumNode[], kind: TunnelEnd['kind'], len: number): TunnelEnd[] {
  // Pods may have a family that the nodes do not have between them.
  if (!nodes.some((node) => addressOf(node, kind, len))) return [];
  return nodes.map((node) => {
    const address = addressOf(node, kind, len);
    if (!address) throw missing(node, `${len === 4 ? 'IPv4' : 'IPv6'} ${KIND_NAMES[kind]}`);
    return { node, kind, address };
  });
}

function addressOf(node: CiliumNode, kind: TunnelEnd['kind'], len: number): Address | undefined {
  return node[kind].find((address) => address.length === len);
}

function missing({ name, source }: CiliumNode, what: string): InputError {
  return new InputError({ source }, `node ${name} has no ${what} (spec.addresses)`, AGAIN);
}
