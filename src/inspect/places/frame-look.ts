/**
 * What a frame shows without keys: the ends of its outermost IP packet, which way it went at the place of the capture, and
 * the ESP packet in it by the bytes that do not change on the way.
 *
 * One object is filled again and again.
 * @module
 */
import { u16, u32 } from '../../base/bytes.ts';
import type { FrameInfo } from '../../capture/frame.ts';
import { ipAt } from '../../wire/carrier.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import { LINK_ETHERNET, LINK_LINUX_SLL, LINK_LINUX_SLL2 } from '../../wire/link-type.ts';
import { InnerPacket } from '../diagnose/inner.ts';
import { fingerprint } from '../diagnose/seen.ts';
import { type Carrier, EspFinder, noFrames, tunnelName } from '../find-esp.ts';

/** Bytes of an ESP packet that tell it from all others: SPI, number, and the IV or the first of what is encrypted. */
const TOLD_BY = 24;
/** Packet type of Linux cooked captures: sent by this host. */
const SLL_OUTGOING = 4;

/** What {@link FrameLook.kind} says: an ESP packet, another IP packet, or neither. */
export type Kind = 'esp' | 'other' | 'none';

export class FrameLook {
  kind: Kind = 'none';
  /** The ends of the outermost IP packet: addresses of `addressLen` bytes, 0 where the frame holds no IP. */
  b: Uint8Array = new Uint8Array(0);
  srcAt = 0;
  addressLen = 0;
  /** Its TTL or hop limit. */
  hops = 0;
  /** The ends of the IP packet around ESP, or of the innermost packet. */
  packet: Uint8Array = this.b;
  packetSrcAt = 0;
  packetAddressLen = 0;
  spi = 0;
  seq = 0;
  /** Of the innermost packet that is no ESP, and what it lies in: `VXLAN`; empty for nothing. */
  protocol = 0;
  tunnel = '';
  /** Of the IP packet around ESP, or of the innermost packet, in bytes. */
  length = 0;
  /** Two hashes of what does not change on the way: not addresses, which NAT may change, of ESP. */
  a = 0;
  c = 0;

  readonly #finder: EspFinder;
  readonly #inner = new InnerPacket();
  readonly #print = new Uint32Array(2);

  /** @param udpPorts that carry ESP */
  constructor(udpPorts: readonly number[]) {
    this.#finder = new EspFinder(
      {
        udpPorts,
        sink: {
          esp: (b, at, end, _info, _carrier, { espAt, espEnd, srcAt, addressLen }) => {
            if (espEnd - espAt < 8) return;
            this.kind = 'esp';
            this.packet = b;
            this.packetSrcAt = srcAt;
            this.packetAddressLen = addressLen;
            this.spi = u32(b, espAt);
            this.seq = u32(b, espAt + 4);
            this.length = lengthOf(b, at, end);
            const last = Math.min(espEnd, espAt + TOLD_BY);
            this.a = fingerprint(b, espAt, last);
            this.c = fingerprint(b, espAt, last, this.a);
          },
          other: (b, at, end, _info, carrier) => this.#other(b, at, end, carrier),
        },
      },
      noFrames(),
    );
  }

  /** Looks at a frame. */
  look(b: Uint8Array, at: number, end: number, info: FrameInfo): void {
    this.kind = 'none';
    this.#lookOutside(b, at, end, info.linkType);
    if (this.addressLen > 0) this.#finder.frame(b, at, end, info);
  }

  /** Looks at the outermost IP packet alone. */
  lookOutside(b: Uint8Array, at: number, end: number, info: FrameInfo): void {
    this.#lookOutside(b, at, end, info.linkType);
  }

  #lookOutside(b: Uint8Array, at: number, end: number, linkType: number): void {
    let ip = at + 14;
    const isUsual = linkType === LINK_ETHERNET && end - at > 34 && b[at + 12] === 8 && b[at + 13] === 0;
    if (!isUsual || b[ip]! >>> 4 !== 4) ip = ipAt(linkType, b, at, end);
    this.addressLen = 0;
    if (ip < 0) return;
    const isV4 = b[ip]! >>> 4 === 4;
    if (end - ip < (isV4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN)) return;
    this.b = b;
    this.addressLen = isV4 ? 4 : 16;
    this.srcAt = ip + (isV4 ? ipv4.SRC_AT : ipv6.SRC_AT);
    this.hops = isV4 ? ipv4.ttl(b, ip) : ipv6.hopLimit(b, ip);
  }

  #other(b: Uint8Array, at: number, end: number, carrier: Carrier): void {
    const inner = this.#inner;
    if (!inner.read(b, at, end, tunnelName(carrier))) return;
    this.kind = 'other';
    this.packet = inner.b;
    this.packetSrcAt = inner.srcAt;
    this.packetAddressLen = inner.addressLen;
    this.protocol = inner.protocol;
    this.tunnel = inner.tunnel;
    this.length = inner.end - inner.at;
    inner.print(this.#print);
    [this.a, this.c] = this.#print as unknown as [number, number];
  }
}

function lengthOf(b: Uint8Array, at: number, end: number): number {
  const isV4 = b[at]! >>> 4 === 4;
  return Math.min(end - at, isV4 ? ipv4.totalLength(b, at) : ipv6.HEADER_LEN + ipv6.payloadLength(b, at));
}

/** Did the host at the place of the capture send the frame? `undefined` where the link type does not say. */
export function isOutgoing(b: Uint8Array, at: number, end: number, linkType: number): boolean | undefined {
  if (linkType === LINK_LINUX_SLL && end - at >= 2) return u16(b, at) === SLL_OUTGOING;
  if (linkType === LINK_LINUX_SLL2 && end - at >= 11) return b[at + 10] === SLL_OUTGOING;
  return undefined;
}

/** A number for the interface that a frame was on, of one capture. */
export function pointOf(b: Uint8Array, at: number, end: number, info: FrameInfo): number {
  let index = 0;
  if (info.linkType === LINK_LINUX_SLL2 && end - at >= 8) index = u32(b, at + 4);
  // The older form does not name it, but a router's two sides are told.
  else if (info.linkType === LINK_LINUX_SLL && end - at >= 2) index = u16(b, at);
  return (info.interfaceId + 1) * 0x1_0000_0000 + index;
}
