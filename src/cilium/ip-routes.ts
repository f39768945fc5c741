/**
 * What Cilium's agent has Linux route by, beside xfrm: the rule for what was encrypted or is to be decrypted, and the
 * routes of its table 200. They bring ESP that is addressed to a CiliumInternalIP, which no interface has, to xfrm, and
 * what xfrm has made to Cilium's programs.
 * @module
 */
import { formatPrefix, type Prefix } from '../wire/address.ts';
import { MAGIC_DECRYPT, MAGIC_ENCRYPT, MAGIC_MASK } from './mark.ts';
import type { CiliumNode } from './nodes.ts';
import type { PlanContext } from './peer-plan.ts';
import { isAtLeast } from './version.ts';

const TABLE = 200;
const PRIORITY = 1;
const CILIUM_HOST = 'cilium_host';

/** What keys and nodes do not say. */
export interface RouteDevice {
  /** What carries encrypted packets: the tunnel device in tunnel mode, else the first of Cilium's `devices`. */
  readonly device: string;
  /** Its MTU, in bytes. */
  readonly mtu: number;
}

/** The device that carries encrypted packets, as far as the mode says it. */
export function encryptDevice({ mode, tunnelProtocol }: PlanContext): string | undefined {
  return mode === 'tunnel' ? `cilium_${tunnelProtocol ?? 'vxlan'}` : undefined;
}

/**
 * The commands of a node, one each: rules, then routes.
 *
 * | | |
 * |---|---|
 * | rule | mark 0xd00/0xf00; up to 1.18 also 0xe00/0xf00. None for IPv4 with endpoint routes |
 * | pod ranges here | local, on the device that carries encrypted packets |
 * | pod ranges of peers | `cilium_host`, with the MTU that holds after encryption |
 */
export function routeCommands(
  local: CiliumNode,
  peers: readonly CiliumNode[],
  { version, endpointRoutes = false }: PlanContext,
  { device, mtu }: RouteDevice,
): string[] {
  const hex = (n: number) => `0x${n.toString(16)}`;
  const marks = isAtLeast(version, 19) ? [MAGIC_DECRYPT] : [MAGIC_DECRYPT, MAGIC_ENCRYPT];
  return [4, 16].flatMap((len) => {
    const ofFamily = ({ address }: Prefix) => address.length === len;
    const own = local.podCidrs.filter(ofFamily);
    if (own.length === 0 && !local.ciliumAddresses.some((address) => address.length === len)) return [];
    const ip = len === 4 ? 'ip' : 'ip -6';
    const hasRule = len === 16 || !endpointRoutes;
    return [
      ...(hasRule ? marks : []).map(
        (mark) => `${ip} rule add fwmark ${hex(mark)}/${hex(MAGIC_MASK)} pref ${PRIORITY} table ${TABLE}`,
      ),
      ...own.map((range) => `${ip} route add local ${formatPrefix(range)} dev ${device} table ${TABLE}`),
      ...peers
        .flatMap(({ podCidrs }) => podCidrs.filter(ofFamily))
        .map(
          (range) => `${ip} route add ${formatPrefix(range)} dev ${CILIUM_HOST} mtu ${mtu} table ${TABLE}`,
        ),
    ];
  });
}
