/**
 * Selectors of esplane, made of those that a text holds.
 * @module
 */
import type { Selector } from '../ipsec/selector.ts';
import { formatPrefix, parsePrefix } from '../wire/address.ts';
import type { XfrmSelector } from './xfrm-tree.ts';

/** Protocols by the names that /etc/protocols has for them, as far as policies meet them. */
const PROTOCOLS: Readonly<Record<string, number>> = {
  ip: 0,
  icmp: 1,
  igmp: 2,
  ipencap: 4,
  tcp: 6,
  udp: 17,
  dccp: 33,
  ipv6: 41,
  gre: 47,
  esp: 50,
  ah: 51,
  'ipv6-icmp': 58,
  icmpv6: 58,
  ospf: 89,
  ipip: 94,
  vrrp: 112,
  l2tp: 115,
  sctp: 132,
  'mobility-header': 135,
  udplite: 136,
};

const ICMP = 1;
const GRE = 47;
const ICMPV6 = 58;

/** Makes a selector; `undefined` where addresses, protocol or ports cannot be read. */
export function toSelector(selector: XfrmSelector): Selector | undefined {
  const src = parsePrefix(selector.src);
  const dst = parsePrefix(selector.dst);
  if (!src || !dst || src.address.length !== dst.address.length) return undefined;
  const proto = protocolOf(selector.proto);
  if (proto === undefined) return undefined;
  // Linux keeps ICMP type and code where TCP has its ports, and the two halves of a GRE key.
  const { type, code, key } = selector;
  const sport = selector.sport ?? type ?? (key === null ? null : key >>> 16);
  const dport = selector.dport ?? code ?? (key === null ? null : key & 0xffff);
  return {
    src,
    dst,
    ...(proto !== null && { proto }),
    ...(sport !== null && { sport }),
    ...(dport !== null && { dport }),
  };
}

/** The selector as `ip xfrm` has it. */
export function fromSelector(selector: Selector): XfrmSelector {
  const { src, dst, proto, sport = null, dport = null } = selector;
  const isGre = proto === GRE && sport !== null && dport !== null;
  const none: Pick<XfrmSelector, 'sport' | 'dport' | 'type' | 'code' | 'key'> = {
    sport: null,
    dport: null,
    type: null,
    code: null,
    key: null,
  };
  const isIcmp = proto === ICMP || proto === ICMPV6;
  const upper = isGre
    ? { key: sport * 0x1_0000 + dport }
    : isIcmp
      ? { type: sport, code: dport }
      : { sport, dport };
  return {
    src: formatPrefix(src),
    dst: formatPrefix(dst),
    proto: proto === undefined ? null : String(proto),
    ...none,
    ...upper,
    dev: null,
    uid: null,
  };
}

/** Null for any protocol, `undefined` for a name that is not known. */
function protocolOf(text: string | null): number | null | undefined {
  if (text === null) return null;
  const number = /^\d{1,3}$/.test(text) ? Number(text) : PROTOCOLS[text];
  return number === undefined || number > 0xff ? undefined : number === 0 ? null : number;
}
