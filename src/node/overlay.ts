/**
 * Cilium's overlay: pod packets in VXLAN between node addresses, with the sender's identity as VNI.
 *
 * ```text
 *  vxlan-in-esp (from 1.18)   IP nodes │ ESP │ IP nodes │ UDP 8472 │ VXLAN │ Ethernet │ IP pods │ …
 *  esp-in-vxlan (to 1.17)     IP nodes │ UDP 8472 │ VXLAN │ Ethernet │ IP CiliumInternalIPs │ ESP │ IP pods │ …
 * ```
 *
 * With Geneve, on port 6081, its header stands in place of VXLAN's. It is as long, as Cilium sends no options.
 *
 * Headers are as Linux's vxlan device makes them for Cilium: TTL 64, no DF, DSCP 0, ECN as RFC 6040 has it, a source
 * port for each flow, and no UDP checksum over IPv4. Over IPv6 there is one, as RFC 8200 wants.
 * @module
 */
import type { Peer } from '../cilium/ipcache.ts';
import { DROP } from '../ipsec/drop.ts';
import { ecnDecapsulate, type HeaderRules, LINUX_RULES, OuterHeader } from '../ipsec/outer-header.ts';
import * as checksum from '../wire/checksum.ts';
import * as esp from '../wire/esp.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as geneve from '../wire/geneve.ts';
import { trafficClass } from '../wire/ip.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { type Batch, ON } from '../wire/packet.ts';
import * as udp from '../wire/udp.ts';
import * as vxlan from '../wire/vxlan.ts';
import type { RouteTable } from './routes.ts';

/** What {@link Overlay.unwrap} says of a packet that is no VXLAN, or Geneve. */
export const NO_VXLAN = -1;
/** And of VXLAN that carries no IP packet, is damaged, or met congestion that the packet in it does not understand. */
export const BAD_VXLAN = -2;

/** As Linux's vxlan device has them. */
const RULES: HeaderRules = { ...LINUX_RULES, dscp: 0, df: 'clear', flowLabel: 0 };
/** Each packet gets its own. */
const NO_PORTS = { sport: 0, dport: 0 };
/** Linux's `net.ipv4.ip_local_port_range`. */
const FIRST_PORT = 32_768;
const PORTS = 60_999 - FIRST_PORT + 1;
const ECN_MASK = 3;
const ECN_CE = 3;
/** Everything behind the outer IP header. */
const BEHIND_IP = udp.HEADER_LEN + vxlan.HEADER_LEN + ethernet.HEADER_LEN;

/** Bytes that VXLAN or Geneve adds, by the family of what runs between the nodes. */
export function overlayLength(addressLen: number): number {
  return (addressLen === ipv4.ADDRESS_LEN ? ipv4.HEADER_LEN : ipv6.HEADER_LEN) + BEHIND_IP;
}

type Tunnel = NonNullable<Peer['tunnel']>;

export class Overlay {
  /** Packets are wrapped in Geneve, not VXLAN, and taken out of it. */
  isGeneve = false;
  /** What goes before IP packets to each node. */
  readonly #headers = new WeakMap<Tunnel, OuterHeader>();
  readonly #firstId: number;
  readonly #port: number | undefined;

  /**
   * @param firstId what identifications of IPv4 are counted from, chosen at random: packets cut on the way are put
   *   together by them
   * @param port the UDP port that all packets come from; left out, one for each flow
   */
  constructor(firstId: number, port?: number) {
    this.#port = port;
    this.#firstId = firstId & 0xffff;
  }

  /** Wraps the packets of a batch that go on and have a VNI. What has no room is dropped. */
  wrapAll(batch: Batch, routes: RouteTable): void {
    for (let i = 0; i < batch.count; i++) {
      const vni = batch.vni[i]!;
      if (vni < 0 || batch.next[i] !== ON) continue;
      const tunnel = routes.peerOf(batch, i)?.tunnel;
      if (!tunnel || !this.wrap(batch, i, tunnel, vni)) batch.drop(i, DROP['out-proto-error']);
    }
  }

  /** Puts packet `i` into VXLAN. Returns false, with nothing changed, when it has no room or gets too long. */
  wrap(batch: Batch, i: number, tunnel: Tunnel, vni: number): boolean {
    const { slab, words } = batch;
    const { src, dst } = tunnel;
    const inner = batch.offset[i]!;
    const isV4 = slab[inner]! >>> 4 === 4;
    const port = this.#port ?? sourcePort(slab, inner, isV4);
    const added = overlayLength(src.length);
    const total = batch.length[i]! + added;
    if (total > 0xffff || !batch.prepend(i, added)) return false;
    const at = batch.offset[i]!;
    const udpAt = inner - BEHIND_IP;
    this.#headerOf(tunnel).emit(words, at, inner, total);
    udp.setSrcPort(slab, udpAt, port);
    udp.setDstPort(slab, udpAt, overlayPort(this.isGeneve));
    if (this.isGeneve) geneve.put(slab, udpAt + udp.HEADER_LEN, vni);
    else vxlan.put(slab, udpAt + udp.HEADER_LEN, vni);
    putFrameHeader(slab, inner - ethernet.HEADER_LEN, src, dst, isV4);
    if (src.length === ipv6.ADDRESS_LEN) checksum.fillTransport(slab, at, udp.PROTOCOL, udpAt, at + total);
    return true;
  }

  #headerOf(tunnel: Tunnel): OuterHeader {
    let header = this.#headers.get(tunnel);
    if (!header) {
      const { src, dst } = tunnel;
      header = new OuterHeader(src, dst, RULES, NO_PORTS, this.#firstId);
      this.#headers.set(tunnel, header);
    }
    return header;
  }

  /**
   * Takes packet `i` out of VXLAN, if it is in it. It starts at its IP header, which is found whole, and is no
   * fragment; its length is that of its IP header.
   * @returns the VNI, {@link NO_VXLAN}, or {@link BAD_VXLAN}; with these two nothing has changed
   */
  unwrap(batch: Batch, i: number): number {
    const { slab } = batch;
    const at = batch.offset[i]!;
    const end = at + batch.length[i]!;
    const isV4 = slab[at]! >>> 4 === 4;
    // Linux's device sends no extensions, and a node does not look behind those of others.
    const protocol = isV4 ? ipv4.protocol(slab, at) : ipv6.nextHeader(slab, at);
    const udpAt = at + (isV4 ? ipv4.headerLen(slab, at) : ipv6.HEADER_LEN);
    if (protocol !== udp.PROTOCOL || end - udpAt < udp.HEADER_LEN) return NO_VXLAN;
    if (udp.dstPort(slab, udpAt) !== overlayPort(this.isGeneve)) return NO_VXLAN;
    const udpEnd = udpAt + udp.length(slab, udpAt);
    if (udpEnd > end) return BAD_VXLAN;
    if (udp.checksum(slab, udpAt) !== 0 && !checksum.transportOk(slab, at, udp.PROTOCOL, udpAt, udpEnd))
      return BAD_VXLAN;
    const headerAt = udpAt + udp.HEADER_LEN;
    const frameAt =
      headerAt + (this.isGeneve ? geneveLen(slab, headerAt, udpEnd) : vxlanLen(slab, headerAt, udpEnd));
    if (frameAt === headerAt) return BAD_VXLAN;
    const inner = frameAt + ethernet.HEADER_LEN;
    if (udpEnd <= inner) return BAD_VXLAN;
    const version = slab[inner]! >>> 4;
    const type = ethernet.type(slab, frameAt);
    const fits = version === 4 ? type === ethernet.TYPE_IPV4 : version === 6 && type === ethernet.TYPE_IPV6;
    if (!fits || udpEnd - inner < (version === 4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN)) return BAD_VXLAN;
    const outerTos = trafficClass(slab, at);
    // RFC 6040 §4.2: congestion that the packet inside cannot say must not be lost. Linux: vxlan_ecn_decapsulate.
    if ((outerTos & ECN_MASK) === ECN_CE && (trafficClass(slab, inner) & ECN_MASK) === 0) return BAD_VXLAN;
    const vni = this.isGeneve ? geneve.vni(slab, headerAt) : vxlan.vni(slab, headerAt);
    batch.trimBack(i, end - udpEnd);
    batch.trimFront(i, inner - at);
    ecnDecapsulate(slab, outerTos, inner);
    return vni;
  }
}

/** The UDP port of the overlay, Cilium's default. */
export function overlayPort(isGeneve: boolean): number {
  return isGeneve ? geneve.PORT : vxlan.PORT_LINUX;
}

/** Bytes of a header that Linux's vxlan device takes; 0 for another. */
function vxlanLen(b: Uint8Array, at: number, end: number): number {
  return vxlan.check(b, at, end) || !vxlan.isPlain(b, at) ? 0 : vxlan.HEADER_LEN;
}

/** Bytes of a header before a frame, with its options, which Linux's geneve device does not look at; 0 for another. */
function geneveLen(b: Uint8Array, at: number, end: number): number {
  return geneve.check(b, at, end) || geneve.type(b, at) !== geneve.TYPE_ETHERNET
    ? 0
    : geneve.headerLen(b, at);
}

/** The frame's addresses mean nothing to Cilium's programs: each node is known by the last bytes of its IP address. */
function putFrameHeader(b: Uint8Array, at: number, src: Uint8Array, dst: Uint8Array, isV4: boolean): void {
  b[at] = 0x02; // locally administered
  b[at + 1] = 0;
  b[at + 6] = 0x02;
  b[at + 7] = 0;
  for (let k = 0; k < 4; k++) {
    b[at + 2 + k] = dst[dst.length - 4 + k]!;
    b[at + 8 + k] = src[src.length - 4 + k]!;
  }
  const type = isV4 ? ethernet.TYPE_IPV4 : ethernet.TYPE_IPV6;
  b[at + 12] = type >>> 8;
  b[at + 13] = type & 0xff;
}

/** A port for each flow (RFC 7348 §5), so that routers on the way spread flows and keep each in order. */
function sourcePort(b: Uint8Array, at: number, isV4: boolean): number {
  let h = 0x811c_9dc5;
  const end = at + (isV4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN);
  for (let k = at + (isV4 ? ipv4.SRC_AT : ipv6.SRC_AT); k < end; k++) h = Math.imul(h ^ b[k]!, 0x0100_0193);
  const protocol = isV4 ? ipv4.protocol(b, at) : ipv6.nextHeader(b, at);
  h = Math.imul(h ^ protocol, 0x0100_0193);
  // TCP, UDP: the ports. ESP: the SPI. A fragment has none.
  const hasPorts = protocol === 6 || protocol === udp.PROTOCOL || protocol === esp.PROTOCOL;
  if (hasPorts && !(isV4 && ipv4.isFragment(b, at))) {
    const upper = at + (isV4 ? ipv4.headerLen(b, at) : ipv6.HEADER_LEN);
    for (let k = upper; k < upper + 4; k++) h = Math.imul(h ^ (b[k] ?? 0), 0x0100_0193);
  }
  return FIRST_PORT + (((h ^ (h >>> 15)) >>> 0) % PORTS);
}
