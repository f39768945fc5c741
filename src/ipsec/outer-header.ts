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
import { i32, netWord, putU16, putU32, u16, u32 } from '../base/bytes.ts';
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

/** Writes the outer headers of one SA, or of one tunnel. */
export class OuterHeader {
  /** Bytes it prepends: 20 or 40, and 8 more with UDP. */
  readonly length: number;
  readonly #rules: HeaderRules;
  readonly #isV4: boolean;
  /** The header in words, with what changes left 0, and the sum of these in 16-bit words. */
  readonly #template: Uint32Array;
  readonly #sum: number;
  /** Of {@link tosRules}. */
  readonly #tos: number;
  #id: number;

  /**
   * @param encap ports of ESP in UDP (RFC 3948)
   * @param lastId what identifications are counted from
   * @throws {RangeError} when the addresses are of two families, or a rule's number does not fit its field
   */
  constructor(src: Address, dst: Address, rules: HeaderRules, encap?: Ports, lastId = 0) {
    checkHeader(src, dst, rules);
    this.#rules = rules;
    this.#isV4 = src.length === ipv4.ADDRESS_LEN;
    this.#tos = tosRules(rules);
    this.#id = lastId;
    this.length = headerLength(dst, encap);
    const b = new Uint8Array(this.length);
    b[0] = this.#isV4 ? VERSION_4 : VERSION_6;
    b[this.#isV4 ? 9 : 6] = encap ? udp.PROTOCOL : esp.PROTOCOL;
    b.set(src, this.#isV4 ? ipv4.SRC_AT : ipv6.SRC_AT);
    b.set(dst, this.#isV4 ? ipv4.DST_AT : ipv6.DST_AT);
    this.#sum = sum(b, 0, ipv4.HEADER_LEN);
    if (encap) putU32(b, this.length - udp.HEADER_LEN, (encap.sport << 16) | encap.dport);
    this.#template = Uint32Array.from({ length: b.length / 4 }, (_, k) => u32(b, 4 * k));
  }

  /**
   * Writes the header at `at`, reading what it copies from the inner packet at `innerAt`, which must still be in
   * the clear. The checksum of a UDP header is 0 (RFC 3948 §2.1). Linux does not accept that over IPv6 (RFC 8200
   * §8.1), so there the caller fills it once the packet is sealed: `fillTransport` in `wire/checksum.ts`.
   * @param totalLen bytes of the whole packet, this header to ICV; at most 65535 (IPv6: 65575)
   */
  emit(words: DataView, at: number, innerAt: number, totalLen: number): void {
    const { ttl, df, flowLabel } = this.#rules;
    const first = words.getUint32(innerAt);
    const inner4 = first >>> 28 === 4;
    const tos = tosOf(this.#tos, (inner4 ? first >>> 16 : first >>> 20) & 0xff);
    const hops = ttl === 'copy' ? words.getUint8(innerAt + (inner4 ? 8 : 7)) : ttl;
    const template = this.#template;
    for (let k = 0; k < template.length; k++) words.setUint32(at + 4 * k, template[k]!);
    const ipLen = this.#isV4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN;
    if (this.length > ipLen) words.setUint16(at + ipLen + 4, totalLen - ipLen);
    if (!this.#isV4) {
      const label = flowLabel !== 'copy' ? flowLabel : inner4 ? 0 : first & 0xfffff;
      words.setUint32(at, (VERSION_6 << 24) | (tos << 20) | label);
      words.setUint16(at + 4, totalLen - ipLen);
      words.setUint8(at + 7, hops);
      return;
    }
    const isWhole = df === 'copy' ? !inner4 || (words.getUint16(innerAt + 6) & ipv4.DF) !== 0 : df === 'set';
    // Only a packet that may be fragmented needs a number (RFC 6864 §4.1); 0 is left to those that may not.
    if (!isWhole) this.#id = this.#id === 0xffff ? 1 : this.#id + 1;
    words.setUint8(at + 1, tos);
    words.setUint16(at + 2, totalLen);
    words.setUint32(at + 4, isWhole ? ipv4.DF : this.#id << 16);
    words.setUint8(at + 8, hops);
    const added = tos + totalLen + (isWhole ? ipv4.DF : this.#id) + (hops << 8);
    words.setUint16(at + 10, ~fold(fold(this.#sum + added)));
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

/** Takes a sum of 16-bit words, of which there are not many, nearer to 16 bits: after two times it has no more. */
export function fold(sum: number): number {
  return (sum & 0xffff) + (sum >>> 16);
}

/** Which bits of the inner TOS are taken over, above them what is put beside, above that ECN outside by ECN inside. */
function tosRules(rules: HeaderRules): number {
  let ecn = 0;
  for (let inner = 0; inner <= ECN_MASK; inner++) ecn |= outerEcn(rules, inner) << (2 * inner);
  const { dscp } = rules;
  return (dscp === 'copy' ? 0xff & ~ECN_MASK : dscp << 10) | (ecn << 16);
}

/** The outer TOS over an inner one. @param rules of {@link tosRules} */
export function tosOf(rules: number, inner: number): number {
  return (
    (inner & rules & 0xff) | ((rules >>> 8) & 0xff) | ((rules >>> (16 + 2 * (inner & ECN_MASK))) & ECN_MASK)
  );
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
