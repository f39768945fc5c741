/**
 * What a node tells the sender of a packet that it cannot send on: that it is too big, or that its hops are used up.
 *
 * Linux's answer bears an address of the router. Behind a TUN device that is the host's own, and a host drops what claims
 * to come from itself; and across a tunnel policies may not know it. There the answer bears the address that the packet was
 * sent to.
 * @module
 */
import { maxInner } from '../ipsec/mtu.ts';
import type { SecurityAssociation } from '../ipsec/sa.ts';
import type { Address } from '../wire/address.ts';
import * as icmp from '../wire/icmp.ts';
import { addressLen, dstAt, LATER_FRAGMENT, mayBeCut } from '../wire/ip.ts';
import * as ipv6 from '../wire/ipv6.ts';
import type { Batch } from '../wire/packet.ts';

/** Answers in one second; a flood is not worth more. */
const ANSWERS_A_SECOND = 100;
const MULTICAST_V4 = 224;
const MULTICAST_V6 = 0xff;
const REDIRECT_V6 = 137;

export interface IcmpStats {
  /** ICMP errors sent. */
  icmpSent: number;
  /** ICMP errors kept back: too many in one second, or to what gets none. */
  icmpSuppressed: number;
}

export class IcmpAnswers {
  readonly tooBigStats: IcmpStats = { icmpSent: 0, icmpSuppressed: 0 };
  readonly timeExceededStats: IcmpStats = { icmpSent: 0, icmpSuppressed: 0 };
  /** The node's own addresses, of IPv4 and IPv6, if it has any. */
  own: { readonly [family in 4 | 6]?: Address } = {};
  #second = 0;
  #left = ANSWERS_A_SECOND;

  /**
   * The answer to packet `i`, which its SA, or the link, has no room for. IPv4 without DF gets
   * none, and one of many receivers gets one in IPv6.
   * @param sa the SA that it was meant for; without one it would have left in the clear
   * @param mtu of the path outside
   * @param now ms
   * @returns the whole ICMP packet, or `undefined` when none is due
   */
  tooBig(
    batch: Batch,
    i: number,
    sa: SecurityAssociation | undefined,
    mtu: number,
    now: number,
  ): Uint8Array | undefined {
    const { slab } = batch;
    const at = batch.offset[i]!;
    const isV6 = batch.family[i] === 6;
    const from = isMulticast(slab, at) ? this.own[6] : destination(slab, at);
    const isDue = from && !mayBeCut(slab, at) && isEligible(batch, i, isV6);
    if (!this.#take(isDue === true, this.tooBigStats, now)) return undefined;
    const room = sa ? roomIn(sa) : mtu;
    return icmp.tooBigPacket(batch.copy(i), from!, isV6 ? Math.max(room, ipv6.MIN_MTU) : room);
  }

  /**
   * The answer to a packet whose TTL or hop limit does not allow another hop.
   * @param asItself whether the answer may bear the node's own address
   */
  timeExceeded(batch: Batch, i: number, asItself: boolean, now: number): Uint8Array | undefined {
    const own = this.own[batch.family[i] === 6 ? 6 : 4];
    const isDue = isEligible(batch, i, false);
    if (!this.#take(isDue, this.timeExceededStats, now)) return undefined;
    return icmp.timeExceededPacket(
      batch.copy(i),
      asItself && own ? own : destination(batch.slab, batch.offset[i]!),
    );
  }

  /** Counts one answer, if it is due and there is one left in this second. */
  #take(isDue: boolean, stats: IcmpStats, now: number): boolean {
    const second = Math.floor(now / 1000);
    // Also when the clock was set back.
    if (second !== this.#second) {
      this.#second = second;
      this.#left = ANSWERS_A_SECOND;
    }
    if (!isDue || this.#left === 0) {
      stats.icmpSuppressed++;
      return false;
    }
    this.#left--;
    stats.icmpSent++;
    return true;
  }
}

/**
 * RFC 1812 §4.3.2.7, RFC 4443 §2.4: never to an ICMP error, a later IPv4 fragment, or what is for many. A later IPv6
 * fragment gets one (tried on 6.1): its sender needs to know, and the RFC does not except it.
 */
function isEligible(batch: Batch, i: number, forMany: boolean): boolean {
  const { slab, offset, length, family, protocol, l4, fragment } = batch;
  const at = offset[i]!;
  if (!forMany && isMulticast(slab, at)) return false;
  const type = l4[i]! < at + length[i]! ? slab[l4[i]!]! : 0;
  if (family[i] === 6) {
    if (protocol[i] !== icmp.PROTOCOL_V6) return protocol[i]! >= 0;
    return type >= icmp.V6_ECHO_REQUEST && type !== REDIRECT_V6;
  }
  if (fragment[i] === LATER_FRAGMENT) return false;
  return protocol[i] !== icmp.PROTOCOL || type === icmp.ECHO_REQUEST || type === icmp.ECHO_REPLY;
}

/** How long an inner packet may be. */
function roomIn({ suite, config, pathMtu }: SecurityAssociation): number {
  const family = config.dst.length === 4 ? 4 : 6;
  return maxInner(suite, config.mode, family, config.encap !== undefined, pathMtu);
}

function destination(b: Uint8Array, at: number): Address {
  return b.slice(dstAt(b, at), dstAt(b, at) + addressLen(b, at));
}

/** Is it for many, or for everybody on a link? */
function isMulticast(b: Uint8Array, at: number): boolean {
  const first = b[dstAt(b, at)]!;
  return b[at]! >>> 4 === 6 ? first === MULTICAST_V6 : first >= MULTICAST_V4;
}
