/**
 * Where ESP lies in an IP packet: behind the IP header and its extensions, in UDP port 4500 perhaps.
 *
 * One object is filled again and again, so that looking at a packet allocates nothing.
 * @module
 */
import { u16 } from '../base/bytes.ts';
import * as esp from '../wire/esp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as extensions from '../wire/ipv6-extensions.ts';
import * as udp from '../wire/udp.ts';

/** What {@link EspPlace.find} found. */
export type EspKind =
  /** ESP right in IP, or in UDP (then {@link EspPlace.udpAt} is not -1). */
  | 'esp'
  /** A NAT keepalive on port 4500 (RFC 3948 §2.3). */
  | 'keepalive'
  /** IKE on port 4500 (RFC 3948 §2.2). */
  | 'ike'
  /** A datagram on port 4500 that is too short for ESP: Linux hands it to the IKE daemon, or drops it uncounted. */
  | 'short'
  /** A fragment: to be reassembled first. */
  | 'fragment'
  /** IP that carries something else. */
  | 'other'
  /** Not an IP packet that can be read. */
  | 'broken';

/** The UDP ports that carry ESP, 4500 among them: the list itself where it has that one, so that it may grow. */
export function espPorts(ports: readonly number[] = []): readonly number[] {
  return ports.includes(udp.PORT_ESP) ? ports : [udp.PORT_ESP, ...ports];
}

/** Is it one of a few ports? (For every packet, and `includes` takes several times as long.) */
export function isPortOf(ports: readonly number[], port: number): boolean {
  for (let k = 0; k < ports.length; k++) if (port === ports[k]) return true;
  return false;
}

export class EspPlace {
  /** Where the IP header starts. */
  outerAt = 0;
  version: 4 | 6 = 4;
  srcAt = 0;
  dstAt = 0;
  /** 4 or 16. */
  addressLen = 4;
  /** The byte that names ESP (or UDP) as what comes next. */
  protocolAt = 0;
  /** Where the UDP header starts, or -1. */
  udpAt = -1;
  /** Where the SPI starts. */
  espAt = 0;
  /** Where the ESP packet ends by its IP (or UDP) length; link-layer padding lies beyond. */
  espEnd = 0;
  /** The IP packet says it is longer than the bytes at hand: a capture with a snap length. */
  cut = false;

  readonly #ports: readonly number[];

  /** @param ports UDP ports that carry ESP; RFC 3948 has 4500, and SAs may name others */
  constructor(ports: readonly number[] = [udp.PORT_ESP]) {
    this.#ports = ports;
  }

  /** Looks at the IP packet in `b[at..end)`. */
  find(b: Uint8Array, at: number, end: number): EspKind {
    this.outerAt = at;
    this.udpAt = -1;
    this.cut = false;
    const isV6 = end > at && b[at]! >>> 4 === 6;
    this.version = isV6 ? 6 : 4;
    this.addressLen = isV6 ? ipv6.ADDRESS_LEN : ipv4.ADDRESS_LEN;
    this.srcAt = at + (isV6 ? ipv6.SRC_AT : ipv4.SRC_AT);
    this.dstAt = this.srcAt + this.addressLen;
    // What nearly every packet is: IPv4 without options, whole.
    if (end - at >= ipv4.HEADER_LEN && b[at] === 0x45) {
      const packetEnd = at + ((b[at + 2]! << 8) | b[at + 3]!);
      const isFragment = (((b[at + 6]! & 0x3f) << 8) | b[at + 7]!) !== 0;
      if (!isFragment && packetEnd <= end && packetEnd >= at + ipv4.HEADER_LEN) {
        this.protocolAt = at + 9;
        return this.#findPayload(b, b[at + 9]!, at + ipv4.HEADER_LEN, packetEnd);
      }
    }
    return this.#findAny(b, at, end);
  }

  #findAny(b: Uint8Array, at: number, end: number): EspKind {
    const version = end > at ? b[at]! >>> 4 : 0;
    let protocol: number;
    let payloadAt: number;
    let packetEnd: number;
    if (version === 4) {
      if (ipv4.checkHeader(b, at, end)) return 'broken';
      this.protocolAt = at + 9;
      protocol = ipv4.protocol(b, at);
      payloadAt = at + ipv4.headerLen(b, at);
      packetEnd = at + ipv4.totalLength(b, at);
      if (ipv4.isFragment(b, at)) return 'fragment';
    } else if (version === 6) {
      if (ipv6.checkHeader(b, at, end)) return 'broken';
      packetEnd = at + ipv6.HEADER_LEN + ipv6.payloadLength(b, at);
      if (extensions.walk.run(b, at, Math.min(end, packetEnd))) return 'broken';
      const { fragmentAt } = extensions.walk;
      if (fragmentAt >= 0 && extensions.isFragment(b, fragmentAt)) return 'fragment';
      this.protocolAt = extensions.walk.nextAt;
      protocol = extensions.walk.protocol;
      payloadAt = extensions.walk.at;
    } else return 'broken';
    if (packetEnd > end) {
      this.cut = true;
      packetEnd = end;
    }
    return this.#findPayload(b, protocol, payloadAt, packetEnd);
  }

  /** What lies behind the IP header, and its extensions: `b[payloadAt..packetEnd)`. */
  #findPayload(b: Uint8Array, protocol: number, payloadAt: number, packetEnd: number): EspKind {
    this.espAt = payloadAt;
    this.espEnd = packetEnd;
    if (protocol === esp.PROTOCOL) return 'esp';
    if (protocol !== udp.PROTOCOL || packetEnd - payloadAt < udp.HEADER_LEN) return 'other';
    if (!this.isEncapPort(u16(b, payloadAt)) && !this.isEncapPort(u16(b, payloadAt + 2))) return 'other';
    const dataAt = payloadAt + udp.HEADER_LEN;
    const dataEnd = Math.min(packetEnd, payloadAt + udp.length(b, payloadAt));
    if (dataEnd < dataAt) return 'broken';
    this.udpAt = payloadAt;
    this.espAt = dataAt;
    this.espEnd = dataEnd;
    const kind = esp.classifyUdp(b, dataAt, dataEnd);
    // Linux (xfrm4_udp_encap_rcv) wants ESP as long as the IP header, which it has taken off by then, and drops what
    // is shorter without counting it.
    const least = this.version === 4 ? payloadAt - this.outerAt : ipv6.HEADER_LEN;
    return kind === 'esp' && dataEnd - dataAt < least ? 'short' : kind;
  }

  /** Does a UDP port carry ESP? */
  isEncapPort(port: number): boolean {
    return isPortOf(this.#ports, port);
  }
}
