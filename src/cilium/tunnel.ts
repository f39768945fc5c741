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
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { Address } from '../wire/address.ts';
import { BOOT_ID_LEN, deriveMaterial } from './derive.ts';
import type { CiliumKey } from './keys.ts';
import { checkAddresses } from './node-checks.ts';
import type { CiliumNode } from './nodes.ts';
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

/** What a node lacks: as with Cilium there are no SAs with it then, or fewer, and the others go on. */
export interface NodeLack {
  readonly node: CiliumNode;
  /** The file that it was read from. */
  readonly origin: string;
  /** `node node-3 has no boot id (spec.bootid), …: no SA is made with it`. */
  readonly why: string;
  readonly remedy: string;
  /** Are there no SAs with it at all? */
  readonly isWhole: boolean;
}

/** Between what the SAs of a cluster run, and what nodes lack for it. */
export interface TunnelEnds {
  readonly ends: readonly TunnelEnd[];
  /** At most one a node. */
  readonly lacks: readonly NodeLack[];
}

/**
 * All tunnel ends of a cluster. A node has none where it lacks an address that others have; per-tunnel keys are also made
 * from its boot id ({@link canDerive}).
 * @param mode `any` takes every address that some mode uses
 * @throws {InputError} when an address belongs to two nodes
 */
export function tunnelEnds(
  keys: readonly CiliumKey[],
  nodes: readonly CiliumNode[],
  mode: RoutingMode | 'any',
  version: CiliumVersion,
): TunnelEnds {
  checkAddresses(nodes);
  const usesNodeAddresses = mode === 'eni' || mode === 'any' || (mode === 'tunnel' && isAtLeast(version, 18));
  // A family is on where Cilium has addresses of its own in it.
  const families = [4, 16].filter((len) => nodes.some((node) => addressOf(node, 'ciliumAddresses', len)));
  const kinds = (['ciliumAddresses', 'nodeAddresses'] as const).slice(0, usesNodeAddresses ? 2 : 1);
  // Pods may have a family that the nodes do not have between them.
  const wanted = families.flatMap((len) =>
    kinds.filter((kind) => nodes.some((node) => addressOf(node, kind, len))).map((kind) => ({ kind, len })),
  );
  const needsBootId = keys.some((key) => key.perTunnel);
  const ends: TunnelEnd[] = [];
  const missing = new Map<CiliumNode, string[]>();
  for (const { kind, len } of wanted) {
    for (const node of nodes) {
      const address = addressOf(node, kind, len);
      if (address) ends.push({ node, kind, address });
      else
        missing.set(node, [
          ...(missing.get(node) ?? []),
          `${len === 4 ? 'IPv4' : 'IPv6'} ${KIND_NAMES[kind]}`,
        ]);
    }
  }
  const withEnds = new Set(ends.map(({ node }) => node));
  const lacks = nodes.flatMap((node): NodeLack[] => {
    const without = families.length === 0 ? ['CiliumInternalIP'] : (missing.get(node) ?? []);
    const why = [
      ...(needsBootId && node.bootId.length < BOOT_ID_LEN ? [bootIdLack(node)] : []),
      ...(without.length > 0 ? [`no ${without.join(' and no ')} (spec.addresses)`] : []),
    ].join(', and ');
    if (why === '') return [];
    const hasSome = withEnds.has(node) && keys.some((key) => canDerive(key, node, node));
    const isWhole = !hasSome;
    const so = isWhole ? 'no SA is made with it' : 'fewer SAs are made with it';
    return [
      { node, origin: node.source, why: `node ${node.name} has ${why}: ${so}`, remedy: AGAIN, isWhole },
    ];
  });
  return { ends, lacks };
}

function bootIdLack({ bootId }: CiliumNode): string {
  const what = bootId === '' ? 'no boot id' : `a boot id of less than ${BOOT_ID_LEN} characters`;
  return `${what} (spec.bootid), which per-tunnel keys are made from`;
}

/** Is there what the key of SAs between these two is made from? */
export function canDerive(key: CiliumKey, one: CiliumNode, other: CiliumNode): boolean {
  return !key.perTunnel || [one, other].every(({ bootId }) => bootId.length >= BOOT_ID_LEN);
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

function addressOf(node: CiliumNode, kind: TunnelEnd['kind'], len: number): Address | undefined {
  return node[kind].find((address) => address.length === len);
}
