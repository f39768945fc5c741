/**
 * Which packets a policy or an SA is for (RFC 4301 §4.4.1.1): by addresses, protocol and ports.
 *
 * - Where TCP and its like have ports, ICMP has type (as source port) and code (as destination port), and GRE the two
 *   halves of its key, as in Linux (`xfrm_flowi_sport`, `xfrm_flowi_dport`).
 * - A fragment has no ports, not even the first one: what asks for a port does not match it.
 * @module
 */
import { u16 } from '../base/bytes.ts';
import { inPrefix, isSamePrefix, type Prefix } from '../wire/address.ts';
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

/** Do both ask for the same? */
export function isSameSelector(a: Selector, b: Selector): boolean {
  return (
    isSamePrefix(a.dst, b.dst) &&
    isSamePrefix(a.src, b.src) &&
    a.proto === b.proto &&
    a.sport === b.sport &&
    a.dport === b.dport
  );
}

/** No port: the packet is a fragment, or its protocol has none. */
const NO_PORT = -1;

/** Flag and length of a GRE key (RFC 2890 §2). */
const GRE_CHECKSUM = 0x80;
const GRE_KEY = 0x20;

/** One packet at a time as selectors look at it. Protocol and ports are read when they are asked for. Allocates nothing. */
export class SelectedPacket {
  #b: Uint8Array = new Uint8Array(0);
  #at = 0;
  #isV4 = true;
  #isRead = false;
  #proto = 0;
  #sport = NO_PORT;
  #dport = NO_PORT;

  /** Looks at the IP packet at `at`, which `wire` has found whole. */
  look(b: Uint8Array, at: number): this {
    this.#b = b;
    this.#at = at;
    this.#isV4 = b[at]! >>> 4 === 4;
    this.#isRead = false;
    return this;
  }

  /**
   * Does a selector cover it?
   * @param asReceiver does a prefix of length 0 cover either IP version, as in Linux on the way in (tried on 6.1.176)?
   */
  isIn(selector: Selector, asReceiver = false): boolean {
    const { src, dst } = selector;
    const len = this.#isV4 ? ipv4.ADDRESS_LEN : ipv6.ADDRESS_LEN;
    const srcAt = this.#at + (this.#isV4 ? ipv4.SRC_AT : ipv6.SRC_AT);
    if (!(asReceiver && dst.bits === 0) && !inPrefix(dst, this.#b, srcAt + len, len)) return false;
    if (!(asReceiver && src.bits === 0) && !inPrefix(src, this.#b, srcAt, len)) return false;
    return isByAddress(selector) || this.#hasUpper(selector);
  }

  #hasUpper({ proto, sport, dport }: Selector): boolean {
    if (!this.#isRead) this.#read(this.#b, this.#at);
    return (
      (proto === undefined || proto === this.#proto) &&
      (sport === undefined || sport === this.#sport) &&
      (dport === undefined || dport === this.#dport)
    );
  }

  #read(b: Uint8Array, at: number): void {
    this.#isRead = true;
    this.#sport = NO_PORT;
    this.#dport = NO_PORT;
    let upperAt: number;
    let end: number;
    if (this.#isV4) {
      this.#proto = ipv4.protocol(b, at);
      if (ipv4.isFragment(b, at)) return;
      upperAt = at + ipv4.headerLen(b, at);
      end = at + ipv4.totalLength(b, at);
    } else {
      end = at + ipv6.HEADER_LEN + ipv6.payloadLength(b, at);
      // A chain that is broken ends at an extension header, and those have no ports.
      walk.run(b, at, end);
      // A later fragment does not show what it carries, but its fragment header says it.
      this.#proto = walk.protocol === FRAGMENT ? b[walk.fragmentAt]! : walk.protocol;
      if (walk.fragmentAt >= 0) return;
      upperAt = walk.at;
    }
    switch (this.#proto) {
      case 6: // TCP
      case 17: // UDP
      case 33: // DCCP
      case 132: // SCTP
      case 136: // UDP-Lite
        if (upperAt + 4 > end) return;
        this.#sport = u16(b, upperAt);
        this.#dport = u16(b, upperAt + 2);
        return;
      case 1: // ICMP
      case 58: // ICMPv6
        if (upperAt + 2 > end) return;
        this.#sport = b[upperAt]!;
        this.#dport = b[upperAt + 1]!;
        return;
      case 47: {
        // GRE: the key lies behind the checksum, where there is one.
        if (upperAt + 4 > end) return;
        // Linux takes one that is not there for 0.
        this.#sport = 0;
        this.#dport = 0;
        if ((b[upperAt]! & GRE_KEY) === 0) return;
        const keyAt = upperAt + ((b[upperAt]! & GRE_CHECKSUM) === 0 ? 4 : 8);
        if (keyAt + 4 > end) return;
        this.#sport = u16(b, keyAt);
        this.#dport = u16(b, keyAt + 2);
      }
    }
  }
}
