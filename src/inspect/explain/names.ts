/**
 * Names of the numbers that headers hold, as far as cluster traffic meets them.
 * @module
 */
import { toHex } from '../../base/bytes.ts';
import { formatAddress } from '../../wire/address.ts';

/** IANA: IEEE 802 numbers. */
const ETHER_TYPES: ReadonlyMap<number, string> = new Map([
  [0x0800, 'IPv4'],
  [0x0806, 'ARP'],
  [0x8100, 'VLAN tag'],
  [0x86dd, 'IPv6'],
  [0x8847, 'MPLS'],
  [0x8863, 'PPPoE discovery'],
  [0x8864, 'PPPoE session'],
  [0x888e, '802.1X'],
  [0x88a8, "provider's VLAN tag"],
  [0x88cc, 'LLDP'],
  [0x88e5, 'MACsec'],
  [0x9100, 'old VLAN tag'],
]);

/** IANA: protocol numbers. */
const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [0, 'hop-by-hop options'],
  [1, 'ICMP'],
  [2, 'IGMP'],
  [4, 'IPv4'],
  [6, 'TCP'],
  [17, 'UDP'],
  [41, 'IPv6'],
  [43, 'routing header'],
  [44, 'fragment header'],
  [47, 'GRE'],
  [50, 'ESP'],
  [51, 'AH'],
  [58, 'ICMPv6'],
  [59, 'no next header'],
  [60, 'destination options'],
  [89, 'OSPF'],
  [108, 'IPComp'],
  [112, 'VRRP'],
  [132, 'SCTP'],
  [135, 'mobility header'],
  [144, 'AGGFRAG'],
]);

/** Ports that a cluster's captures show. */
const PORTS: ReadonlyMap<number, string> = new Map([
  [22, 'ssh'],
  [53, 'DNS'],
  [67, 'DHCP'],
  [68, 'DHCP'],
  [80, 'HTTP'],
  [123, 'NTP'],
  [443, 'HTTPS'],
  [500, 'IKE'],
  [2379, 'etcd'],
  [2380, 'etcd'],
  [4240, 'Cilium health'],
  [4244, 'Hubble'],
  [4500, 'ESP in UDP'],
  [4789, 'VXLAN'],
  [6081, 'Geneve'],
  [6443, 'Kubernetes API'],
  [8472, 'VXLAN, Linux'],
  [10250, 'kubelet'],
  [51871, 'WireGuard, Cilium'],
]);

export function etherTypeName(type: number): string | undefined {
  return ETHER_TYPES.get(type);
}

export function protocolName(protocol: number): string | undefined {
  return PROTOCOLS.get(protocol);
}

export function portName(port: number): string | undefined {
  return PORTS.get(port);
}

/** RFC 2474, RFC 2597, RFC 3246: names of traffic classes. */
export function dscpName(dscp: number): string | undefined {
  if (dscp === 0) return 'best effort';
  if (dscp === 46) return 'EF';
  if (dscp % 8 === 0) return `CS${dscp / 8}`;
  const group = dscp >>> 3;
  const drop = (dscp >>> 1) & 3;
  return dscp % 2 === 0 && group <= 4 && drop > 0 ? `AF${group}${drop}` : undefined;
}

/** RFC 3168 §5. */
export function ecnName(ecn: number): string {
  return ['not capable', 'capable, ECT(1)', 'capable, ECT(0)', 'congestion met'][ecn]!;
}

/** `02:00:00:00:00:01` */
export function macText(b: Uint8Array, at: number, end: number): string {
  let text = toHex(b, at, at + 1);
  for (let i = at + 1; i < end; i++) text += `:${toHex(b, i, i + 1)}`;
  return text;
}

export function ipText(b: Uint8Array, at: number, end: number): string {
  return formatAddress(b, at, end - at);
}
