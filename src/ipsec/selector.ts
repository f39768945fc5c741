/**
 * Which packets a policy or an SA is for (RFC 4301 §4.4.1.1): by addresses, protocol and ports.
 *
 * - Where TCP and its like have ports, ICMP has type (as source port) and code (as destination port), and GRE the two
 *   halves of its key, as in Linux (`xfrm_flowi_sport`, `xfrm_flowi_dport`).
 * - A fragment has no ports, not even the first one: what asks for a port does not match it.
 * @module
 */
import { u16 } from '../base/bytes.ts';
import { inPrefix, type Prefix } from '../wire/address.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { FRAGMENT, walk } from '../wire/ipv6-extensions.ts';

/** What is absent is any. Both prefixes are of one family. */
export interface Selector {
  readonly src: Prefix;
  readonly dst: Prefix;
  /** IP protocol number. */
  readonly proto?: number;
  /** Source port, ICMP type, or the upper half of a GRE key. */
  readonly sport?: number;
  /** Destination port, ICMP code, or the lower half of a GRE key. */
  readonly dport?: number;
}

/** Does it go by addresses alone? */
export function isByAddress({ proto, sport, dport }: Selector): boolean {
  return proto === undefined && sport === undefined && dport === undefined;
}

/** No port: the packet is a fragment, or its protocol has none. */
const NO_PORT = -1;

/** Flag and length of a GRE key (RFC 2890 §2). */
const GRE_CHECKSUM = 0x80;
const GRE_KEY = 0x20;

/** Protocol and ports of one packet at a time, read when they are asked for. Allocates nothing. */
export class UpperLayer {
  proto = 0;
  sport = NO_PORT;
  dport = NO_PORT;

  /** Reads the IP packet at `at`, which `wire` has found whole. */
  read(b: Uint8Array, at: number, isV4: boolean): void {
    this.sport = NO_PORT;
    this.dport = NO_PORT;
    let upperAt: number;
    let end: number;
    if (isV4) {
      this.proto = ipv4.protocol(b, at);
      if (ipv4.isFragment(b, at)) return;
      upperAt = at + ipv4.headerLen(b, at);
      end = at + ipv4.totalLength(b, at);
    } else {
      end = at + ipv6.HEADER_LEN + ipv6.payloadLength(b, at);
      // A chain that is broken ends at an extension header, and those have no ports.
      walk.run(b, at, end);
      // A later fragment does not show what it carries, but its fragment header says it.
      this.proto = walk.protocol === FRAGMENT ? b[walk.fragmentAt]! : walk.protocol;
      if (walk.fragmentAt >= 0) return;
      upperAt = walk.at;
    }
    switch (this.proto) {
      case 6: // TCP
      case 17: // UDP
      case 33: // DCCP
      case 132: // SCTP
      case 136: // UDP-Lite
        if (upperAt + 4 > end) return;
        this.sport = u16(b, upperAt);
        this.dport = u16(b, upperAt + 2);
        return;
      case 1: // ICMP
      case 58: // ICMPv6
        if (upperAt + 2 > end) return;
        this.sport = b[upperAt]!;
        this.dport = b[upperAt + 1]!;
        return;
      case 47: {
        // GRE: the key lies behind the checksum, where there is one.
        if (upperAt + 4 > end) return;
        // Linux takes one that is not there for 0.
        this.sport = 0;
        this.dport = 0;
        if ((b[upperAt]! & GRE_KEY) === 0) return;
        const keyAt = upperAt + ((b[upperAt]! & GRE_CHECKSUM) === 0 ? 4 : 8);
        if (keyAt + 4 > end) return;
        this.sport = u16(b, keyAt);
        this.dport = u16(b, keyAt + 2);
      }
    }
  }

  /** Is what was read last of the protocol and ports that a selector asks for? */
  fits({ proto, sport, dport }: Selector): boolean {
    return (
      (proto === undefined || proto === this.proto) &&
      (sport === undefined || sport === this.sport) &&
      (dport === undefined || dport === this.dport)
    );
  }
}

/**
 * Does a selector cover the IP packet at `at`, on its way out? As in Linux it is of one IP version, even one of length 0; a
 * receiver is not as strict.
 * @param upper reads what is above IP, if the selector asks for it
 */
export function covers(
  selector: Selector,
  slab: Uint8Array,
  at: number,
  isV4: boolean,
  upper: UpperLayer,
): boolean {
  const len = isV4 ? ipv4.ADDRESS_LEN : ipv6.ADDRESS_LEN;
  const srcAt = at + (isV4 ? ipv4.SRC_AT : ipv6.SRC_AT);
  if (!inPrefix(selector.src, slab, srcAt, len) || !inPrefix(selector.dst, slab, srcAt + len, len))
    return false;
  if (isByAddress(selector)) return true;
  upper.read(slab, at, isV4);
  return upper.fits(selector);
}
