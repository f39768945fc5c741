/**
 * The MTU of the interface inside.
 * @module
 */
import type { AgentPlan } from '../cilium/agent-plan.ts';
import { maxInner } from '../ipsec/mtu.ts';
import { MIN_MTU as MIN_MTU_V6 } from '../wire/ipv6.ts';
import type { NodeConfig } from './node-config.ts';

const MIN_MTU_V4 = 68;

/** The MTU inside: as chosen, or what Cilium leaves pods, or what fits. In an overlay the rest is not for pods either way. */
export function mtuInside(config: NodeConfig, plan: AgentPlan, outsideMtu: number): number {
  const { mtu } = config.inside;
  if (typeof mtu === 'number') return mtu;
  const isCiliums = plan.overlay !== undefined || mtu !== 'fit';
  return Math.max(leastMtu(config), roomFor(plan, outsideMtu, isCiliums));
}

/** What fits through the narrowest SA, with or without what Cilium keeps back. */
function roomFor({ sas, mtuReserve = 0 }: AgentPlan, outsideMtu: number, isCiliums: boolean): number {
  let room = isCiliums ? outsideMtu - mtuReserve : outsideMtu;
  for (const { keys, mode, src, encap } of sas) {
    const family = src.length === 4 ? 4 : 6;
    room = Math.min(room, maxInner(keys.suite, mode, family, encap !== undefined, outsideMtu));
  }
  return room;
}

/** The least that a TUN interface takes; below IPv6's least it would lose its IPv6 addresses. */
function leastMtu({ inside }: NodeConfig): number {
  return inside.addresses.some((address) => address.includes(':')) ? MIN_MTU_V6 : MIN_MTU_V4;
}
