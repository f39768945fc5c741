/**
 * Which of Linux's counters rises for a packet that is dropped, and where it can be read.
 *
 * The drop table knows what a node of esplane counts. Before ESP, Linux tells more cases apart, by the field that is wrong.
 * @module
 */
import type { DropRow } from '../../ipsec/drop.ts';

export interface CounterAt {
  readonly name: string;
  /** The file, or the command. */
  readonly where: string;
}

const XFRM_STAT = '/proc/net/xfrm_stat';
const SNMP = '/proc/net/snmp';
const SNMP6 = '/proc/net/snmp6';
const NETSTAT = '/proc/net/netstat';

/**
 * @param ids fields that were hit
 * @param v6 whether the packet that arrived is IPv6
 */
export function counterFor(drop: DropRow, ids: readonly string[], v6: boolean): CounterAt | undefined {
  if (drop.counter) return { name: drop.counter, where: XFRM_STAT };
  const before = earlier(drop, ids, v6);
  if (before) return before;
  if (drop.elsewhere?.startsWith('nobody')) return undefined;
  const [, name, where] = /^(\S+) \((.*)\)$/.exec(drop.elsewhere ?? '') ?? [];
  if (name !== undefined && where !== undefined) return v6 ? inV6(name) : { name, where };
  return drop.elsewhere === undefined ? undefined : splitCilium(drop.elsewhere);
}

/** Where Linux drops earlier than the table says, or counts elsewhere. */
function earlier({ reason }: DropRow, ids: readonly string[], v6: boolean): CounterAt | undefined {
  const has = (...names: readonly string[]) => names.some((name) => ids.includes(name));
  switch (reason) {
    case 'no-route':
      // ip_local_deliver, ip6_protocol_deliver_rcu; __udp4_lib_rcv
      if (has('ip.proto')) return { name: 'IpInUnknownProtos', where: SNMP };
      if (has('ipv6.nxt')) return { name: 'Ip6InUnknownProtos', where: SNMP6 };
      if (has('udp.dstport'))
        return v6 ? { name: 'Udp6NoPorts', where: SNMP6 } : { name: 'UdpNoPorts', where: SNMP };
      return undefined;
    case 'ip-header':
    case 'inner-header':
      // ip_rcv_core: longer than what arrived is truncated; a wrong checksum is counted in both
      if (has('ip.len')) return { name: 'IpExtInTruncatedPkts', where: NETSTAT };
      if (has('ipv6.plen')) return { name: 'Ip6InTruncatedPkts', where: SNMP6 };
      return undefined;
    case 'bad-vxlan':
      // __udp4_lib_rcv, udp_queue_rcv_one_skb: before the device sees it
      if (has('udp.length')) return { name: 'UdpInErrors', where: SNMP };
      if (has('udp.checksum')) return { name: 'UdpInCsumErrors', where: SNMP };
      // __netif_receive_skb_core: the device has taken the frame, and no protocol takes its type
      if (has('eth.type')) return { name: 'rx_dropped', where: 'of the vxlan device, `ip -s link`' };
      // vxlan_rcv
      if (has('ip.dsfield.ecn', 'ipv6.tclass.ecn'))
        return { name: 'rx_errors', where: 'of the vxlan device, `ip -s link`' };
      return undefined;
    default:
      return undefined;
  }
}

/** IPv6 has counters of its own. */
function inV6(name: string): CounterAt {
  return { name: name.replace(/^Ip(Ext)?/, 'Ip6'), where: SNMP6 };
}

/** `cilium_drop_count_total reason 197`. */
function splitCilium(text: string): CounterAt {
  const [name = '', ...rest] = text.split(' ');
  return { name, where: rest.join(' ') };
}
