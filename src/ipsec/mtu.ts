/**
 * How long packets become: what ESP adds, and what then still fits (Linux __xfrm_state_mtu).
 *
 * ```text
 *  tunnel     | outer IP | UDP | SPI seq IV | inner packet          | padding 2 | ICV |
 *  transport  | IP       | UDP | SPI seq IV | rest of the packet    | padding 2 | ICV |
 * ```
 *
 * Transport mode counts an IP header without options or extensions, as Linux does. ESN changes nothing: the high
 * half is not sent.
 * @module
 */
import type { Suite } from '../crypto/suite.ts';
import * as esp from '../wire/esp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as udp from '../wire/udp.ts';
import { padLength } from './padding.ts';
import type { SaConfig } from './sa-config.ts';

type Mode = SaConfig['mode'];

/**
 * How long an IP packet of `innerLen` bytes is as an ESP packet, from the outer IP header to the ICV.
 * @param encap in UDP (RFC 3948)?
 */
export function packetLength(
  innerLen: number,
  suite: Suite,
  mode: Mode,
  outerFamily: 4 | 6,
  encap: boolean,
): number {
  const clearLen = mode === 'transport' ? ipHeader(outerFamily) : 0;
  const payloadLen = innerLen - clearLen;
  return (
    fixedLength(suite, outerFamily, encap) + payloadLen + padLength(payloadLen, suite.align) + esp.TRAILER_LEN
  );
}

/**
 * The longest IP packet that stays within `linkMtu` as an ESP packet: the MTU to tell pods. In transport mode it
 * includes the packet's own IP header. Not positive when nothing fits.
 *
 * Linux does not tell IPv6 hosts less than 1280 even if this is less: their packets are then fragmented outside.
 * @param encap in UDP (RFC 3948)?
 */
export function maxInner(
  suite: Suite,
  mode: Mode,
  outerFamily: 4 | 6,
  encap: boolean,
  linkMtu: number,
): number {
  const clearLen = mode === 'transport' ? ipHeader(outerFamily) : 0;
  const room = linkMtu - fixedLength(suite, outerFamily, encap);
  return (room & -suite.align) - esp.TRAILER_LEN + clearLen;
}

/** Everything but payload, padding and trailer. */
function fixedLength(suite: Suite, outerFamily: 4 | 6, encap: boolean): number {
  return ipHeader(outerFamily) + (encap ? udp.HEADER_LEN : 0) + esp.HEADER_LEN + suite.ivLen + suite.icvLen;
}

function ipHeader(family: 4 | 6): number {
  return family === 4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN;
}
