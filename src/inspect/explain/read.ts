/**
 * Which reader reads what: the one place that knows all of them.
 * @module
 */
import * as esp from '../../wire/esp.ts';
import * as ethernet from '../../wire/ethernet.ts';
import * as icmp from '../../wire/icmp.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as tcp from '../../wire/tcp.ts';
import * as udp from '../../wire/udp.ts';
import { readArp } from './arp.ts';
import { readCarrier } from './carrier.ts';
import { readEsp } from './esp.ts';
import { readIcmp } from './icmp.ts';
import { readIpv4 } from './ipv4.ts';
import { readIpv6 } from './ipv6.ts';
import { readLink } from './link.ts';
import { etherTypeName, protocolName } from './names.ts';
import { readTcp } from './tcp.ts';
import { readUdp } from './udp.ts';
import type { Readers } from './walker.ts';

export const READERS: Readers = {
  link: readLink,

  etherType(w, type, at, end, frameAt) {
    if (type === ethernet.TYPE_IPV4 || type === ethernet.TYPE_IPV6) w.next.ip(w, at, end, frameAt);
    else if (type === ethernet.TYPE_ARP) readArp(w, at, end, frameAt);
    else readCarrier(w, 'ethertype', type, at, end, { frameAt, otherwise: etherTypeName(type) });
  },

  ip(w, at, end, frameAt, quoted = false) {
    if (at >= end || w.tooDeep(at, end)) return;
    const version = w.b[at]! >>> 4;
    if (version === 4) readIpv4(w, at, end, frameAt, quoted);
    else if (version === 6) readIpv6(w, at, end, frameAt, quoted);
    else w.unreadable(at, end, 'ip', `IP version ${version}: neither 4 nor 6`);
  },

  protocol(w, protocol, at, end, ip) {
    if (at >= end || w.tooDeep(at, end)) return;
    switch (protocol) {
      case esp.PROTOCOL:
        readEsp(w, at, end, ip);
        return;
      case udp.PROTOCOL:
        readUdp(w, at, end, ip);
        return;
      case tcp.PROTOCOL:
        readTcp(w, at, end, ip);
        return;
      case icmp.PROTOCOL:
      case icmp.PROTOCOL_V6:
        readIcmp(w, protocol, at, end, ip);
        return;
      case ipv4.PROTOCOL:
      case ipv6.PROTOCOL:
        w.next.ip(w, at, end, -1, ip.quoted);
        return;
      default:
        readCarrier(w, 'protocol', protocol, at, end, {
          ip,
          otherwise: protocolName(protocol) ?? `Protocol ${protocol}`,
        });
    }
  },
};
