/**
 * What a Cilium agent installs for one peer, and once for all: SAs (`ip xfrm state`) and policies (`ip xfrm policy`).
 *
 * | | out | in |
 * |---|---|---|
 * | mark | node id, key id, 0xe00 / 0xffffff00 | node id, 0xd00 / 0xffff0f00 |
 * | output mark | 0xe00 / 0xffffff00 | 0xd00 / 0xffffff00 |
 *
 * Before 1.15 output marks had the mask 0xf00. Before per-tunnel keys came, one inbound SA with mark 0xd00 / 0xf00
 * and no source took the packets of all peers.
 *
 * | policy | selects | asks for |
 * |---|---|---|
 * | out, priority 0, one for each peer, key and pod range (of multi-pool IPAM: {@link rangesOf}) | the range, with the peer's encrypt mark | the SA between CiliumInternalIPs |
 * | the same, tunnel from 1.18, one for each peer and key | VXLAN between the two node addresses | the SA between node addresses |
 * | the same, ENI and Azure, one for each pod subnet | the subnet | the SA between node addresses |
 * | out, priority 100, one a family | everything marked for encryption | block: it never leaves in the clear |
 * | in, priority 0, one a family | everything | a tunnel, if it came by one |
 * | fwd, priority 2975, one a family | everything | a tunnel, if it came by one |
 *
 * To 1.16 there were two policies in, for the node's own pod ranges: mark 0xd00 must have come by a tunnel, 0x200 (to
 * the proxy) need not. To 1.14 policies out had the node's own pod ranges as source.
 * @module
 */
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { Policy } from '../ipsec/spd.ts';
import { type Address, type Prefix, singlePrefix } from '../wire/address.ts';
import type { CiliumKey } from './keys.ts';
import {
  decryptMark,
  encryptMark,
  MAGIC_DECRYPT,
  MAGIC_ENCRYPT,
  MAGIC_MASK,
  MAGIC_TO_PROXY,
  outputMark,
} from './mark.ts';
import type { CiliumNode } from './nodes.ts';
import { canDerive, keysAt, type RoutingMode, type TunnelEnd, tunnelSa } from './tunnel.ts';
import { type CiliumVersion, hasPerTunnelKeys, isAtLeast } from './version.ts';

const PRIORITY_BLOCK = 100;
const PRIORITY_FORWARD = 2975;
const REQID = 1;

/** What is the same for all peers. */
export interface PlanContext {
  readonly version: CiliumVersion;
  readonly mode: RoutingMode;
  /** ENI and Azure: send between CiliumInternalIPs (`use-cilium-internal-ip-for-ipsec`). */
  readonly usesCiliumAddresses?: boolean;
  /** ENI and Azure: what pods have addresses from (`ipv4-pod-subnets`); none given, anything. */
  readonly podSubnets?: readonly Prefix[];
  /** What the overlay's packets are between nodes (`underlay-protocol`); left out, IPv4. */
  readonly underlay?: 'ipv6';
  /** How the overlay wraps packets; left out, VXLAN. */
  readonly tunnelProtocol?: 'geneve';
  /** Pods have routes of their own (`enable-endpoint-routes`): under ENI and Azure no mark is left on what was decrypted. */
  readonly endpointRoutes?: boolean;
}

/** Two addresses of one kind and family that SAs run between. */
interface Pair {
  readonly here: TunnelEnd;
  readonly there: TunnelEnd;
  /** Whether this node sends between them; it receives in any case. */
  readonly sends: boolean;
}

/**
 * The SAs with one peer, one out and one in for each key and pair of addresses. None with a peer that has no id, or
 * whose boot id is missing where the key is made from it.
 */
export function peerSas(
  local: CiliumNode,
  peer: CiliumNode,
  nodeId: number,
  keys: readonly CiliumKey[],
  context: PlanContext,
): SaConfig[] {
  if (nodeId === 0) return [];
  const { version, mode, endpointRoutes = false } = context;
  const clearsIds = isAtLeast(version, 15);
  const left = outputMark(MAGIC_DECRYPT, clearsIds);
  const inMark = mode === 'eni' && endpointRoutes ? { ...left, value: 0 } : left;
  return pairs(local, peer, context).flatMap(({ here, there, sends }) =>
    keysAt(keys, here.address).flatMap((key): SaConfig[] => {
      if (!canDerive(key, local, peer)) return [];
      const out: SaConfig = {
        ...tunnelSa(key, here, there),
        direction: 'out',
        mark: encryptMark(nodeId, key.id),
        outputMark: outputMark(MAGIC_ENCRYPT, clearsIds),
      };
      const into = (): SaConfig => ({
        ...tunnelSa(key, there, here),
        direction: 'in',
        mark: decryptMark(nodeId),
        outputMark: inMark,
      });
      return [...(sends ? [out] : []), ...(hasInboundPerPeer(version) ? [into()] : [])];
    }),
  );
}

/** The inbound SAs for all peers at once, of the releases that had them; none in newer ones. */
export function sharedSas(
  local: CiliumNode,
  keys: readonly CiliumKey[],
  { version }: PlanContext,
): SaConfig[] {
  if (hasInboundPerPeer(version)) return [];
  return local.ciliumAddresses.flatMap((address) => {
    const end: TunnelEnd = { node: local, kind: 'ciliumAddresses', address };
    return keysAt(keys, address).map(
      (key): SaConfig => ({
        ...tunnelSa(key, end, end),
        src: new Uint8Array(address.length),
        direction: 'in',
        mark: { value: MAGIC_DECRYPT, mask: MAGIC_MASK },
        outputMark: outputMark(MAGIC_DECRYPT, false),
        origin: `${key.source}:${key.line} any -> ${local.name}`,
      }),
    );
  });
}

/** The policies that lead to the SAs with one peer. */
export function peerPolicies(
  local: CiliumNode,
  peer: CiliumNode,
  nodeId: number,
  keys: readonly CiliumKey[],
  context: PlanContext,
): Policy[] {
  if (nodeId === 0) return [];
  return pairs(local, peer, context)
    .filter(({ sends }) => sends)
    .flatMap(({ here, there }) =>
      keysAt(keys, here.address)
        .filter((key) => canDerive(key, local, peer))
        .flatMap((key) =>
          selectors(local, peer, here, there, context).map(
            (selector): Policy => ({
              dir: 'out',
              selector,
              action: 'allow',
              priority: 0,
              mark: encryptMark(nodeId, key.id),
              templates: [
                {
                  src: here.address,
                  dst: there.address,
                  spi: key.id,
                  reqid: REQID,
                  mode: 'tunnel',
                  level: 'required',
                },
              ],
            }),
          ),
        ),
    );
}

/** The policies that do not depend on peers: without them nothing that is marked could leave. */
export function sharedPolicies(local: CiliumNode, { version }: PlanContext): Policy[] {
  return familiesOf(local).flatMap((len): Policy[] => {
    const selector = { src: anyPrefix(len), dst: anyPrefix(len) };
    const optional = [{ mode: 'tunnel', level: 'use' }] as const;
    const ranges = local.podCidrs.filter(({ address }) => address.length === len);
    const inbound: Policy[] = isAtLeast(version, 17)
      ? [{ dir: 'in', selector, action: 'allow', priority: 0, templates: optional }]
      : // With the address of one peer in the template the policy would refuse all others: it is left open.
        ranges.flatMap((dst): Policy[] => [
          {
            dir: 'in',
            selector: { src: anyPrefix(len), dst },
            action: 'allow',
            priority: 0,
            mark: { value: MAGIC_DECRYPT, mask: MAGIC_MASK },
            templates: [{ mode: 'tunnel', level: 'required' }],
          },
          {
            dir: 'in',
            selector: { src: anyPrefix(len), dst },
            action: 'allow',
            priority: 0,
            mark: { value: MAGIC_TO_PROXY, mask: MAGIC_MASK },
            templates: optional,
          },
        ]);
    return [
      {
        dir: 'out',
        selector,
        action: 'block',
        priority: PRIORITY_BLOCK,
        mark: { value: MAGIC_ENCRYPT, mask: MAGIC_MASK },
        templates: [],
      },
      ...inbound,
      { dir: 'fwd', selector, action: 'allow', priority: PRIORITY_FORWARD, templates: optional },
    ];
  });
}

/** What the policies for one pair select. */
function selectors(
  local: CiliumNode,
  peer: CiliumNode,
  here: TunnelEnd,
  there: TunnelEnd,
  { version, mode, podSubnets = [] }: PlanContext,
): { src: Prefix; dst: Prefix }[] {
  const len = here.address.length;
  const ofFamily = ({ address }: Prefix) => address.length === len;
  const any = anyPrefix(len);
  if (mode === 'tunnel' && here.kind === 'nodeAddresses')
    return [{ src: singlePrefix(here.address), dst: singlePrefix(there.address) }];
  if (mode === 'eni') {
    const subnets = podSubnets.filter(ofFamily);
    return (subnets.length > 0 ? subnets : [any]).map((dst) => ({ src: any, dst }));
  }
  const sources = isAtLeast(version, 15) ? [any] : local.podCidrs.filter(ofFamily);
  return rangesOf(peer, mode, version)
    .filter(ofFamily)
    .flatMap((dst) => sources.map((src) => ({ src, dst })));
}

/**
 * The pod ranges of a peer that have policies. Those of the further pools of multi-pool IPAM have them in tunnel mode from
 * 1.18 (#39442), in native routing from 1.19 (#40460); before, what goes there meets the policy that blocks.
 */
function rangesOf(
  { podCidrs, furtherPools }: CiliumNode,
  mode: RoutingMode,
  version: CiliumVersion,
): readonly Prefix[] {
  if (furtherPools === undefined || isAtLeast(version, mode === 'tunnel' ? 18 : 19)) return podCidrs;
  return podCidrs.filter((range) => !furtherPools.includes(range));
}

function pairs(local: CiliumNode, peer: CiliumNode, context: PlanContext): Pair[] {
  const { version, mode, usesCiliumAddresses = false } = context;
  const found: Pair[] = [];
  for (const len of familiesOf(local)) {
    if (!ofFamily(local.ciliumAddresses, len)) continue;
    for (const kind of ['ciliumAddresses', 'nodeAddresses'] as const) {
      if (kind === 'nodeAddresses' && !(mode === 'eni' || (mode === 'tunnel' && isAtLeast(version, 18))))
        continue;
      const here = ofFamily(local[kind], len);
      const there = ofFamily(peer[kind], len);
      if (!here || !there) continue;
      // With addresses from the cloud Cilium sends between addresses of one kind only, and receives on both.
      const sends = mode !== 'eni' || (kind === 'ciliumAddresses') === usesCiliumAddresses;
      found.push({
        here: { node: local, kind, address: here },
        there: { node: peer, kind, address: there },
        sends,
      });
    }
  }
  return found;
}

/** The address lengths of the families that are on: those in which Cilium has an address of its own, or else the node has. */
function familiesOf({ ciliumAddresses, nodeAddresses }: CiliumNode): number[] {
  const addresses = ciliumAddresses.length > 0 ? ciliumAddresses : nodeAddresses;
  return [4, 16].filter((len) => ofFamily(addresses, len));
}

function hasInboundPerPeer(version: CiliumVersion): boolean {
  return isAtLeast(version, 15) || hasPerTunnelKeys(version);
}

function ofFamily(addresses: readonly Address[], len: number): Address | undefined {
  return addresses.find((address) => address.length === len);
}

function anyPrefix(len: number): Prefix {
  return { address: new Uint8Array(len), bits: 0 };
}
