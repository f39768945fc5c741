/**
 * Is what came out of a cipher the text of an ESP packet? The question where no ICV answers it: a wrong key yields bytes
 * that look random, of which less than one in a hundred thousand is taken for a packet.
 *
 * | next header | asked for |
 * |---|---|
 * | 4 (IPv4) | a whole header with the right checksum, and its length |
 * | 41 (IPv6) | padding, version and length |
 * | 144 (IP-TFS) | padding, and a header that Linux reads, with a data block behind it |
 * | 59 (dummy) | padding, at least one byte of it |
 * | TCP, UDP, ICMP, ICMPv6, GRE (transport mode) | padding, and what their headers must have |
 * | others that are in use (transport mode) | padding, at least one byte of it |
 *
 * Padding must count 1, 2, 3, … as RFC 4303 §2.4 has it and all do.
 * @module
 */
import { u16 } from '../base/bytes.ts';
import * as aggfrag from '../wire/aggfrag.ts';
import { checksum } from '../wire/checksum.ts';
import * as esp from '../wire/esp.ts';
import * as icmp from '../wire/icmp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';
import { payloadLength } from './padding.ts';

const GRE = 47;
/** IPv6 extensions, IGMP, RSVP, ESP, AH, EIGRP, OSPF, IPIP, EtherIP, PIM, IPComp, VRRP, L2TP, SCTP, Mobility, UDP-Lite. */
const OTHERS: ReadonlySet<number> = new Set([
  0, 2, 43, 44, 46, 50, 51, 60, 88, 89, 94, 97, 103, 108, 112, 115, 132, 135, 136,
]);
/** Bytes of the shortest GRE header (RFC 2784 §2.1). */
const GRE_LEN = 4;
/** Of GRE, bits that are 0 in versions 0 and 1 alike, and its version. */
const GRE_RESERVED = 0x0478;
/** What ICMPv6 has for its own errors, questions and answers (RFC 4443 §2.1, and what IANA added). */
const ICMPV6_ERRORS = 4;
const ICMPV6_LAST = 161;

/**
 * Does `b[at..at+len)` look like the text of an ESP packet, trailer included?
 * @param isTunnel only IP, or a dummy, may be inside
 */
export function isPlausible(b: Uint8Array, at: number, len: number, isTunnel: boolean): boolean {
  const payloadLen = payloadLength(b, at, len);
  if (payloadLen < 0) return false;
  const end = at + payloadLen;
  const next = b[at + len - 1]!;
  if (next === ipv4.PROTOCOL)
    return !ipv4.checkHeader(b, at, end) && ipv4.checksumOk(b, at) && ipv4.totalLength(b, at) <= payloadLen;
  const padLen = len - esp.TRAILER_LEN - payloadLen;
  for (let i = 0; i < padLen; i++) if (b[end + i] !== i + 1) return false;
  switch (next) {
    case ipv6.PROTOCOL:
      return !ipv6.checkHeader(b, at, end) && ipv6.HEADER_LEN + ipv6.payloadLength(b, at) <= payloadLen;
    case aggfrag.PROTOCOL:
      return isPayload(b, at, end, padLen);
    case esp.DUMMY:
      return padLen > 0;
    default:
      return !isTunnel && isUpperLayer(b, at, end, next, padLen);
  }
}

/** Of IP-TFS: its header alone has 24 bits that are 0. */
function isPayload(b: Uint8Array, at: number, end: number, padLen: number): boolean {
  if (aggfrag.check(b, at, end)) return false;
  const block = at + aggfrag.headerLen(b, at);
  if (aggfrag.blockOffset(b, at) > 0) return padLen > 0;
  return block < end && aggfrag.blockKind(b, block) !== 'unknown';
}

function isUpperLayer(b: Uint8Array, at: number, end: number, protocol: number, padLen: number): boolean {
  const len = end - at;
  switch (protocol) {
    case tcp.PROTOCOL:
      return !tcp.check(b, at, end) && (b[at + 12]! & 0xe) === 0;
    case udp.PROTOCOL:
      return len >= udp.HEADER_LEN && udp.length(b, at) === len;
    case icmp.PROTOCOL:
      return len >= icmp.HEADER_LEN && checksum(b, at, end) === 0;
    case icmp.PROTOCOL_V6: {
      const type = icmp.type(b, at);
      const isKnown = (type >= 1 && type <= ICMPV6_ERRORS) || (type >= 128 && type <= ICMPV6_LAST);
      return len >= GRE_LEN && isKnown && icmp.code(b, at) <= 8;
    }
    case GRE:
      return len >= GRE_LEN && (u16(b, at) & GRE_RESERVED) === 0 && (u16(b, at) & 7) <= 1;
    default:
      return padLen > 0 && OTHERS.has(protocol);
  }
}
