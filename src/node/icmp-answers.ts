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
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { Walk } from '../wire/ipv6-extensions.ts';
import { addressLen, dstAt } from './ip.ts';

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
  own4: Address | undefined;
  own6: Address | undefined;
  readonly #walk = new Walk();
  #second = 0;
  #left = ANSWERS_A_SECOND;

  /**
   * The answer to the IP packet of `len` bytes at `at`, which its SA, or the link, has no room for. IPv4 without DF gets
   * none, and one of many receivers gets one in IPv6.
   * @param sa the SA that it was meant for; without one it would have left in the clear
   * @param mtu of the path outside
   * @param now ms
   * @returns the whole ICMP packet, or `undefined` when none is due
   */
  tooBig(
    b: Uint8Array,
    at: number,
    len: number,
    sa: SecurityAssociation | undefined,
    mtu: number,
    now: number,
  ): Uint8Array | undefined {
    const isV6 = addressLen(b, at) === 16;
    const from = isMulticast(b, at) ? this.own6 : destination(b, at);
    const mustNotBeCut = isV6 || (ipv4.fragmentField(b, at) & ipv4.DF) !== 0;
    const isDue = from && mustNotBeCut && this.#isEligible(b, at, len, isV6);
    if (!this.#take(isDue === true, this.tooBigStats, now)) return undefined;
    const room = sa ? roomIn(sa) : mtu;
    return icmp.tooBigPacket(b.slice(at, at + len), from!, isV6 ? Math.max(room, ipv6.MIN_MTU) : room);
  }

  /**
   * The answer to a packet whose TTL or hop limit does not allow another hop.
   * @param asItself whether the answer may bear the node's own address
   */
  timeExceeded(
    b: Uint8Array,
    at: number,
    len: number,
    asItself: boolean,
    now: number,
  ): Uint8Array | undefined {
    const own = addressLen(b, at) === 16 ? this.own6 : this.own4;
    const isDue = this.#isEligible(b, at, len, false);
    if (!this.#take(isDue, this.timeExceededStats, now)) return undefined;
    return icmp.timeExceededPacket(b.slice(at, at + len), asItself && own ? own : destination(b, at));
  }

  /**
   * RFC 1812 §4.3.2.7, RFC 4443 §2.4: never to an ICMP error, a later IPv4 fragment, or what is for many. A later IPv6
   * fragment gets one (tried on 6.1): its sender needs to know, and the RFC does not except it.
   */
  #isEligible(b: Uint8Array, at: number, len: number, forMany: boolean): boolean {
    if (!forMany && isMulticast(b, at)) return false;
    if (b[at]! >>> 4 === 6) {
      const walk = this.#walk;
      if (walk.run(b, at, at + len)) return false;
      if (walk.protocol !== icmp.PROTOCOL_V6) return true;
      const type = walk.at < at + len ? b[walk.at]! : 0;
      return type >= icmp.V6_ECHO_REQUEST && type !== REDIRECT_V6;
    }
    if (ipv4.fragmentOffset(b, at) !== 0) return false;
    if (ipv4.protocol(b, at) !== icmp.PROTOCOL) return true;
    const type = b[at + ipv4.headerLen(b, at)];
    return type === icmp.ECHO_REQUEST || type === icmp.ECHO_REPLY;
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
