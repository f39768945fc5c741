/**
 * The innermost IP packet of what was decrypted, or of what went by in the clear: VXLAN is looked into.
 *
 * One object is filled again and again.
 * @module
 */
import { u32 } from '../../base/bytes.ts';
import { EspPlace } from '../../ipsec/esp-place.ts';
import { ipAt } from '../../wire/carrier.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import { LINK_ETHERNET } from '../../wire/link-type.ts';
import { findVxlan, type VxlanPlace } from '../overlay.ts';
import { fingerprint } from './seen.ts';

/** Bytes of the payload that tell two packets apart. */
const TOLD_BY = 64;
/** TTLs that packets begin with. */
const FIRST_HOPS: ReadonlySet<number> = new Set([64, 128, 255]);

export class InnerPacket {
  b: Uint8Array = new Uint8Array(0);
  /** The IP header. */
  at = 0;
  end = 0;
  srcAt = 0;
  dstAt = 0;
  addressLen = 4;
  protocol = 0;
  payloadAt = 0;
  isFragment = false;
  /** What it lay in, without ESP around: `VXLAN`, `Geneve`; empty for nothing. */
  tunnel = '';

  readonly #place = new EspPlace([]);
  readonly #vxlan: VxlanPlace = { vni: 0, frameAt: 0, frameEnd: 0 };
  /** The VXLAN packet that it was found in, or that what was read is. */
  vxlan: VxlanPlace | undefined;

  /** Reads the IP packet `b[at..end)`. @param tunnel what it lies in @returns false where it is none */
  read(b: Uint8Array, at: number, end: number, tunnel = ''): boolean {
    this.tunnel = tunnel;
    this.vxlan = undefined;
    let kind = this.#place.find(b, at, end);
    if (kind === 'other' && findVxlan(b, this.#place, this.#vxlan)) {
      this.vxlan = this.#vxlan;
      const { frameAt, frameEnd } = this.#vxlan;
      const innerAt = ipAt(LINK_ETHERNET, b, frameAt, frameEnd);
      if (innerAt >= 0) {
        kind = this.#place.find(b, innerAt, frameEnd);
        this.tunnel = 'VXLAN';
      }
    }
    if (kind === 'broken') return false;
    const { outerAt, espEnd, srcAt, dstAt, addressLen, protocolAt, espAt } = this.#place;
    this.b = b;
    this.at = outerAt;
    this.srcAt = srcAt;
    this.dstAt = dstAt;
    this.addressLen = addressLen;
    this.isFragment = kind === 'fragment';
    if (this.isFragment) {
      const isV4 = addressLen === 4;
      this.payloadAt = outerAt + (isV4 ? ipv4.headerLen(b, outerAt) : ipv6.HEADER_LEN);
      this.end = isV4
        ? outerAt + ipv4.totalLength(b, outerAt)
        : this.payloadAt + ipv6.payloadLength(b, outerAt);
      this.protocol = isV4 ? ipv4.protocol(b, outerAt) : ipv6.nextHeader(b, outerAt);
      return this.end <= end;
    }
    this.end = espEnd;
    this.protocol = b[protocolAt]!;
    this.payloadAt = espAt;
    return true;
  }

  /**
   * Two hashes of what no router changes: addresses, identification, place of a fragment, length, protocol and the payload's beginning.
   * Written into `out[0]` and `out[1]`.
   */
  print(out: Uint32Array): void {
    const { b, srcAt, addressLen, payloadAt, end } = this;
    const id = addressLen === 4 ? u32(b, this.at + 4) : 0;
    const seed = Math.imul((end - this.at) ^ id ^ this.protocol, 0x9e37_79b1);
    const last = Math.min(end, payloadAt + TOLD_BY);
    const h = fingerprint(b, srcAt, srcAt + 2 * addressLen, seed);
    out[0] = fingerprint(b, payloadAt, last, h);
    out[1] = fingerprint(b, payloadAt, last, ~h);
  }

  /** A hash of both addresses, with those exchanged where `reversed`. */
  pair(reversed = false): number {
    const { b, srcAt, dstAt, addressLen } = this;
    const h = fingerprint(b, reversed ? dstAt : srcAt, (reversed ? dstAt : srcAt) + addressLen);
    return fingerprint(b, reversed ? srcAt : dstAt, (reversed ? srcAt : dstAt) + addressLen, h);
  }

  /** TTL or hop limit. */
  get hops(): number {
    return this.addressLen === 4 ? ipv4.ttl(this.b, this.at) : ipv6.hopLimit(this.b, this.at);
  }

  /** Is it as its sender made it, so that it has passed no router, and no node? In a tunnel a node has had it. */
  get isFirstHop(): boolean {
    return this.tunnel === '' && FIRST_HOPS.has(this.hops);
  }

  /** Both ports of TCP, UDP or SCTP, the source's in the upper 16 bits; -1 where there are none. */
  get ports(): number {
    const { protocol, payloadAt, end, isFragment } = this;
    if (protocol !== 6 && protocol !== 17 && protocol !== 132) return -1;
    if (isFragment && (this.addressLen !== 4 || ipv4.fragmentOffset(this.b, this.at) > 0)) return -1;
    return payloadAt + 4 <= end ? u32(this.b, payloadAt) : -1;
  }

  /** 32 bits of the payload. */
  word(offset: number): number {
    return this.payloadAt + offset + 4 <= this.end ? u32(this.b, this.payloadAt + offset) : 0;
  }
}
