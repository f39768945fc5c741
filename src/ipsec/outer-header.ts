/**
 * The outer header of tunnel mode: what Linux puts before ESP, and what of it the receiver keeps
 * (RFC 4301 §5.1.2).
 *
 * ```text
 *  at                    at + length
 * | IPv4 or IPv6 | (UDP) | ESP … inner packet … |
 *                                ^ innerAt
 * ```
 *
 * | field | without special flags, Linux 6.1 |
 * |---|---|
 * | DSCP | that of the inner packet |
 * | ECN | that of the inner packet, but CE inside becomes ECT(0) outside (RFC 3168 §9.1.1, full functionality) |
 * | DF | that of inner IPv4; set over inner IPv6, whose packets are never fragmented on the way |
 * | identification | 0 when DF is set, else counted |
 * | TTL, hop limit | 64, the host's own |
 * | flow label | that of inner IPv6; 0 over inner IPv4 |
 *
 * RFC 6040 §4.1 (normal mode) differs in one point: CE inside is CE outside, too. That is `ecn: 'copy'`, and
 * what RFC 4301 and DPDK do.
 *
 * Nothing here checks lengths: the inner packet is one that `wire/ipv4.ts` or `wire/ipv6.ts` found whole.
 * @module
 */
import { i32, netWord, putU16, u16, u32 } from '../base/bytes.ts';
import type { Address } from '../wire/address.ts';
import { sum, update } from '../wire/checksum.ts';
import * as esp from '../wire/esp.ts';
import { trafficClass } from '../wire/ip.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as udp from '../wire/udp.ts';
import { FLAG, WORD } from './sa-words.ts';

/** First byte: version, and for IPv4 the header length in words. */
export const VERSION_4 = 0x45;
const VERSION_6 = 0x60;

/** Ports 0 to 0, which no datagram has. */
const NO_PORTS = 0;
const ECN_MASK = 3;
const ECT_0 = 2;
/** Congestion experienced: with it, or with another DSCP to take over, the inner header may change (RFC 3168 §9.1.1). */
export const CE = 3;

/** How an outer header follows the inner one. */
export interface HeaderRules {
  /** Copied from the inner packet, or fixed: 0..63. */
  readonly dscp: 'copy' | number;
  /** `linux`: RFC 3168 full functionality, CE becomes ECT(0); `copy`: RFC 6040 normal mode; `clear`: none, and none taken over by the receiver. */
  readonly ecn: 'linux' | 'copy' | 'clear';
  /** Don't Fragment of an outer IPv4 header. */
  readonly df: 'copy' | 'set' | 'clear';
  /** Copied from the inner packet, or fixed: 1..255. */
  readonly ttl: 'copy' | number;
  /** Of an outer IPv6 header: copied from inner IPv6 (0 over IPv4), or fixed: 0..0xfffff. */
  readonly flowLabel: 'copy' | number;
  /** Does the receiver write the outer DSCP into the inner packet? */
  readonly decapDscp: boolean;
}

/** What Linux does for a state without flags, and so what Cilium's tunnels do. */
export const LINUX_RULES: HeaderRules = {
  dscp: 'copy',
  ecn: 'linux',
  df: 'copy',
  ttl: 64,
  flowLabel: 'copy',
  decapDscp: false,
};

/** Of ESP in UDP (RFC 3948). */
interface Ports {
  readonly sport: number;
  readonly dport: number;
}

/** Writes the outer headers of one SA. */
export class OuterHeader {
  /** Bytes it prepends: 20 or 40, and 8 more with UDP. */
  readonly length: number;
  readonly #version: 4 | 6;
  // The rules as numbers, because every packet asks them.
  /** Which bits of the inner TOS are taken over, and what is put beside them: the DSCP. */
  readonly #tosMask: number;
  readonly #tos: number;
  /** ECN outside, by ECN inside: two bits of each. */
  readonly #ecn: number;
  /** 0 when it is copied. */
  readonly #ttl: number;
  /** Which bits are copied from inner IPv4; 0 when DF is fixed, and then it is this. */
  readonly #dfMask: number;
  readonly #df: number;
  /** -1 when it is copied. */
  readonly #label: number;
  /** 50, or 17 with UDP. */
  readonly #protocol: number;
  /** Source and destination of IPv6, 32 bits at a time, and of IPv4. */
  readonly #addresses: Uint32Array | undefined;
  readonly #src: number;
  readonly #dst: number;
  /** What never changes of an IPv4 header, summed in 16-bit words: the constant part of its checksum. */
  readonly #sum: number;
  /** UDP ports in 32 bits; {@link NO_PORTS} without UDP. */
  readonly #ports: number;
  #id = 0;

  /**
   * @param encap ports of ESP in UDP (RFC 3948)
   * @throws {RangeError} when the addresses are of two families, or a rule's number does not fit its field
   */
  constructor(src: Address, dst: Address, rules: HeaderRules, encap?: Ports) {
    checkHeader(src, dst, rules);
    const tos = tosRules(rules);
    this.#tosMask = tos & 0xff;
    this.#tos = (tos >>> 8) & 0xff;
    this.#ecn = tos >>> 16;
    this.#ttl = rules.ttl === 'copy' ? 0 : rules.ttl;
    this.#dfMask = rules.df === 'copy' ? ipv4.DF : 0;
    this.#df = rules.df === 'set' ? ipv4.DF : 0;
    this.#label = rules.flowLabel === 'copy' ? -1 : rules.flowLabel;
    this.#version = src.length === 4 ? 4 : 6;
    this.length = headerLength(dst, encap);
    this.#protocol = encap ? udp.PROTOCOL : esp.PROTOCOL;
    this.#addresses = src.length === 4 ? undefined : wordsOf(src, dst);
    this.#src = i32(src, 0);
    this.#dst = i32(dst, 0);
    this.#sum = VERSION_4 * 0x100 + this.#protocol + sum(src, 0, src.length) + sum(dst, 0, dst.length);
    this.#ports = encap ? (encap.sport << 16) | encap.dport : NO_PORTS;
  }

  /**
   * Writes the header at `at`, reading what it copies from the inner packet at `innerAt`, which must still be in
   * the clear. The checksum of a UDP header is 0 (RFC 3948 §2.1). Linux does not accept that over IPv6 (RFC 8200
   * §8.1), so there the caller fills it once the packet is sealed: `fillTransport` in `wire/checksum.ts`.
   * @param totalLen bytes of the whole packet, this header to ICV; at most 65535 (IPv6: 65575)
   */
  emit(words: DataView, at: number, innerAt: number, totalLen: number): void {
    const first = words.getUint32(innerAt);
    const inner4 = first >>> 28 === 4;
    const innerTos = (inner4 ? first >>> 16 : first >>> 20) & 0xff;
    const tos =
      (innerTos & this.#tosMask) | this.#tos | ((this.#ecn >>> (2 * (innerTos & ECN_MASK))) & ECN_MASK);
    const ttl = this.#ttl > 0 ? this.#ttl : words.getUint8(innerAt + (inner4 ? 8 : 7));
    if (this.#version === 6) this.#emit6(words, at, first, inner4, tos, ttl, totalLen);
    else {
      const df =
        this.#dfMask === 0 ? this.#df : inner4 ? words.getUint16(innerAt + 6) & this.#dfMask : ipv4.DF;
      let id = 0;
      if (df === 0) {
        // Only a packet that may be fragmented needs a number (RFC 6864 §4.1); 0 is left to those that may not.
        this.#id = this.#id === 0xffff ? 1 : this.#id + 1;
        id = this.#id;
      }
      let sum = this.#sum + tos + totalLen + id + df + (ttl << 8);
      sum = (sum & 0xffff) + (sum >>> 16);
      sum = (sum & 0xffff) + (sum >>> 16);
      words.setUint32(at, (VERSION_4 << 24) | (tos << 16) | totalLen);
      words.setUint32(at + 4, (id << 16) | df);
      words.setUint32(at + 8, (ttl << 24) | (this.#protocol << 16) | (~sum & 0xffff));
      words.setUint32(at + 12, this.#src);
      words.setUint32(at + 16, this.#dst);
      if (this.#ports !== NO_PORTS) this.#emitUdp(words, at, at + ipv4.HEADER_LEN, totalLen);
    }
  }

  #emit6(
    words: DataView,
    at: number,
    innerFirst: number,
    inner4: boolean,
    tos: number,
    ttl: number,
    totalLen: number,
  ): void {
    const label = this.#label >= 0 ? this.#label : inner4 ? 0 : innerFirst & 0xfffff;
    words.setUint32(at, (VERSION_6 << 24) | (tos << 20) | label);
    words.setUint32(at + 4, ((totalLen - ipv6.HEADER_LEN) << 16) | (this.#protocol << 8) | ttl);
    const addresses = this.#addresses!;
    let to = at + ipv6.SRC_AT;
    for (let i = 0; i < addresses.length; i++, to += 4) words.setUint32(to, addresses[i]!);
    if (this.#ports !== NO_PORTS) this.#emitUdp(words, at, to, totalLen);
  }

  #emitUdp(words: DataView, at: number, udpAt: number, totalLen: number): void {
    words.setUint32(udpAt, this.#ports);
    words.setUint32(udpAt + 4, (totalLen - (udpAt - at)) << 16);
  }
}

/** Bytes of an outer header. */
export function headerLength(dst: Address, encap: Ports | undefined): number {
  return (dst.length === 4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN) + (encap ? udp.HEADER_LEN : 0);
}

/** @throws {RangeError} when the addresses are of two families, or a rule's number does not fit its field */
export function checkHeader(src: Address, dst: Address, rules: HeaderRules): void {
  if (src.length !== dst.length || (src.length !== 4 && src.length !== 16)) {
    throw new RangeError(
      `outer header: expected two addresses of one family, got ${src.length} and ${dst.length} bytes`,
    );
  }
  inRange('DSCP', rules.dscp, 0, 63);
  inRange('TTL', rules.ttl, 1, 255);
  inRange('flow label', rules.flowLabel, 0, 0xfffff);
}

/**
 * Writes what a run of packets makes its outer headers of, as words of this machine that go out as they are: addresses,
 * ports (0 without UDP), TTL and protocol with the sum of all that does not change, and {@link tosRules}.
 * @returns {@link FLAG.PLAIN_HEADER} and {@link FLAG.SETS_DF}, or 0 with nothing written for IPv6, a TTL that is copied,
 *   and a DF that is cleared
 */
export function writePlainHeader(
  words: Int32Array,
  at: number,
  from: Address,
  to: Address,
  rules: HeaderRules,
  encap: Ports | undefined,
): number {
  if (to.length !== 4 || rules.ttl === 'copy' || rules.df === 'clear') return 0;
  const src = netWord(i32(from, 0));
  const dst = netWord(i32(to, 0));
  const ttlAndProtocol = rules.ttl | ((encap ? udp.PROTOCOL : esp.PROTOCOL) << 8);
  const sum = VERSION_4 + ttlAndProtocol + (src & 0xffff) + (src >>> 16) + (dst & 0xffff) + (dst >>> 16);
  words[at + WORD.SRC] = src;
  words[at + WORD.DST] = dst;
  words[at + WORD.PORTS] = encap ? netWord((encap.sport << 16) | encap.dport) : NO_PORTS;
  // Folded once it has 17 bits at most, twice 16.
  words[at + WORD.HEADER] = ttlAndProtocol | (fold(fold(sum)) << 16);
  words[at + WORD.TOS] = tosRules(rules);
  return FLAG.PLAIN_HEADER | (rules.df === 'set' ? FLAG.SETS_DF : 0);
}

function fold(sum: number): number {
  return (sum & 0xffff) + (sum >>> 16);
}

/** Which bits of the inner TOS are taken over, above them what is put beside, above that ECN outside by ECN inside. */
function tosRules(rules: HeaderRules): number {
  let ecn = 0;
  for (let inner = 0; inner <= ECN_MASK; inner++) ecn |= outerEcn(rules, inner) << (2 * inner);
  const { dscp } = rules;
  return (dscp === 'copy' ? 0xff & ~ECN_MASK : dscp << 10) | (ecn << 16);
}

/**
 * Takes over into the inner packet at `innerAt` what the rules let the outer header say: CE outside makes an
 * ECN-capable inner packet CE; with `decapDscp` the outer DSCP replaces the inner one.
 *
 * As Linux and RFC 3168 §9.1.1 have it, every other combination of ECN leaves the inner packet alone. RFC 6040
 * §4.2 would drop an inner Not-ECT packet that comes with CE, and take over ECT(1).
 * @param outerTos TOS or traffic class of the outer header
 */
export function ecnDecapsulate(
  slab: Uint8Array,
  outerTos: number,
  innerAt: number,
  rules: HeaderRules = LINUX_RULES,
): void {
  const was = trafficClass(slab, innerAt);
  let tos = rules.decapDscp ? (outerTos & ~ECN_MASK) | (was & ECN_MASK) : was;
  const isMarked = (outerTos & ECN_MASK) === CE && (was & ECN_MASK) !== 0;
  if (isMarked && rules.ecn !== 'clear') tos |= CE;
  if (tos !== was) writeTos(slab, innerAt, tos);
}

/** 32 bits at a time. */
function wordsOf(src: Address, dst: Address): Uint32Array {
  const words = new Uint32Array((src.length + dst.length) / 4);
  for (let i = 0; i < words.length; i++) {
    const at = 4 * i;
    words[i] = at < src.length ? u32(src, at) : u32(dst, at - src.length);
  }
  return words;
}

function outerEcn(rules: HeaderRules, innerTos: number): number {
  if (rules.ecn === 'clear') return 0;
  const ecn = innerTos & ECN_MASK;
  return rules.ecn === 'linux' && ecn === CE ? ECT_0 : ecn;
}

/** Writes it; the checksum of IPv4 follows. */
function writeTos(b: Uint8Array, at: number, tos: number): void {
  if (b[at]! >>> 4 === 6) {
    ipv6.setTrafficClass(b, at, tos);
    return;
  }
  const before = u16(b, at);
  ipv4.setTos(b, at, tos);
  putU16(b, at + 10, update(ipv4.checksum(b, at), before, u16(b, at)));
}

function inRange(what: string, value: 'copy' | number, least: number, most: number): void {
  if (value === 'copy') return;
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`outer header: expected a ${what} of ${least} to ${most}, got ${value}`);
  }
}
