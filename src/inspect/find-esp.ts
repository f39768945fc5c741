/**
 * Finds the ESP packets in frames: behind the link layer, in whole packets put together from fragments, and in what
 * carries them, to a depth of {@link MOST_CARRIERS}.
 *
 * AH is taken off: its ICV is not checked, which {@link FrameTotals.skippedAh} counts. ESP that an ICMP error sends back
 * is never taken for ESP. What is not looked into is counted by its name.
 * @module
 */
import { u32 } from '../base/bytes.ts';
import type { FrameInfo } from '../capture/frame.ts';
import { EspPlace } from '../ipsec/esp-place.ts';
import { formatAddress } from '../wire/address.ts';
import * as ah from '../wire/ah.ts';
import { Descent, LAYER_NAMES } from '../wire/carrier.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmp from '../wire/icmp.ts';
import { AUTHENTICATION } from '../wire/ipv6-extensions.ts';
import type { As, LayerKind } from '../wire/layer.ts';
import { LINK_ETHERNET } from '../wire/link-type.ts';
import { Reassembler } from '../wire/reassembly.ts';

/** Carriers around a packet that are looked into. What lies deeper is counted. */
export const MOST_CARRIERS = 16;
/** Kinds of what is not looked into that are told apart. */
const MOST_KINDS = 64;
const OTHER_KINDS = 'other kinds';

/** What went by beside the ESP packets. */
export interface FrameTotals {
  frames: number;
  keepalives: number;
  ike: number;
  /** Frames that hold no ESP. */
  other: number;
  /** IP packets that could not be read. */
  broken: number;
  /** ICMP errors that send back an ESP packet. */
  quotes: number;
  /** AH headers that were taken off, with ICVs that were not checked. */
  skippedAh: number;
  /** Frames that hold something that is not looked into, by its name. Whether they hold ESP is not known. */
  readonly notRead: Map<string, number>;
}

/** Totals before the first frame. */
export function noFrames(): FrameTotals {
  return {
    frames: 0,
    keepalives: 0,
    ike: 0,
    other: 0,
    broken: 0,
    quotes: 0,
    skippedAh: 0,
    notRead: new Map(),
  };
}

/**
 * What may carry a packet: headers of `wire/carrier.ts`, IP in IP by both versions, and ESP itself. Not the link layer,
 * nor VLAN tags.
 */
export type CarrierKind =
  | 'mpls'
  | 'pppoe'
  | 'pbb'
  | 'vntag'
  | 'ah'
  | 'gre'
  | 'erspan'
  | 'etherip'
  | 'vxlan'
  | 'vxlan-gpe'
  | 'geneve'
  | 'gtpu'
  | 'teredo'
  | '4in4'
  | '6in4'
  | '4in6'
  | '6in6'
  | 'esp';

const CARRIERS: ReadonlySet<LayerKind> = new Set([
  ...(['mpls', 'pppoe', 'pbb', 'vntag', 'gre', 'erspan', 'etherip'] as const),
  ...(['vxlan', 'vxlan-gpe', 'geneve', 'gtpu', 'teredo'] as const),
]);

/** What carries a packet, from the frame to the packet itself. Made once and never changed: keep it where you like. */
export class Carrier {
  /** What carries this carrier. */
  readonly outer: Carrier | undefined;
  readonly kind: CarrierKind | '';
  /** The virtual network of VXLAN or Geneve, the tunnel of GTP-U, GRE's key, the label of MPLS; or -1. */
  readonly id: number;
  /** How many carriers there are. */
  readonly depth: number;
  /** VNI of the innermost VXLAN or Geneve, or -1. */
  readonly vni: number;
  #last: Carrier | undefined;

  /** Nothing: the packet lies in the frame itself. */
  static readonly NONE = new Carrier(undefined, '', -1);

  private constructor(outer: Carrier | undefined, kind: CarrierKind | '', id: number) {
    this.outer = outer;
    this.kind = kind;
    this.id = id;
    this.depth = outer ? outer.depth + 1 : 0;
    this.vni = kind === 'vxlan' || kind === 'geneve' ? id : (outer?.vni ?? -1);
  }

  /** This one with another in it. */
  with(kind: CarrierKind, id = -1): Carrier {
    // Packets that follow each other have mostly come in the same way.
    const last = this.#last;
    if (last && last.kind === kind && last.id === id) return last;
    this.#last = new Carrier(this, kind, id);
    return this.#last;
  }

  /** All of them, the outermost first. */
  kinds(): CarrierKind[] {
    const kinds: CarrierKind[] = [];
    for (let c: Carrier | undefined = this; c; c = c.outer) if (c.kind !== '') kinds.unshift(c.kind);
    return kinds;
  }
}

const CARRIER_NAMES: Readonly<Record<CarrierKind, string>> = {
  ...LAYER_NAMES,
  '4in4': 'IPv4 in IPv4',
  '6in4': 'IPv6 in IPv4',
  '4in6': 'IPv4 in IPv6',
  '6in6': 'IPv6 in IPv6',
  esp: 'ESP',
};

/** The carriers for people, the outermost first: `GRE, VXLAN 5`; empty for none. */
export function carrierText(carrier: Carrier): string {
  const names: string[] = [];
  for (let c: Carrier | undefined = carrier; c; c = c.outer) {
    if (c.kind !== '')
      names.unshift(`${CARRIER_NAMES[c.kind]}${c.vni === c.id && c.id >= 0 ? ` ${c.id}` : ''}`);
  }
  return names.join(', ');
}

/** The innermost tunnel that a packet lies in, for people: `VXLAN`; empty where there is none. AH and MPLS are no tunnels. */
export function tunnelName(carrier: Carrier): string {
  for (let c: Carrier | undefined = carrier; c; c = c.outer)
    if (TUNNELS.has(c.kind)) return CARRIER_NAMES[c.kind as CarrierKind];
  return '';
}

const TUNNELS: ReadonlySet<string> = new Set([
  ...(['gre', 'vxlan', 'vxlan-gpe', 'geneve', '4in4', '6in4', '4in6', '6in6'] satisfies CarrierKind[]),
]);

/** An ICMP error that sends back an ESP packet. */
export interface Quote {
  readonly isV6: boolean;
  readonly type: number;
  readonly code: number;
  /** Who says so. */
  readonly from: string;
  /** Of the ESP packet. */
  readonly src: string;
  readonly dst: string;
  /** `undefined` where too little of it came back. */
  readonly spi: number | undefined;
}

/** Gets what is found, at once and in the capture's order. All bytes are borrowed. */
export interface FoundSink {
  /** An ESP packet, in the IP packet `b[at..end)`; `place`, borrowed too, says where. */
  esp(b: Uint8Array, at: number, end: number, info: FrameInfo, carrier: Carrier, place: EspPlace): void;
  /** An IP packet without ESP: the innermost one. */
  other?(b: Uint8Array, at: number, end: number, info: FrameInfo, carrier: Carrier): void;
  /** A fragment of an IP packet, before it is put together with the others. */
  fragment?(b: Uint8Array, at: number, end: number, info: FrameInfo, carrier: Carrier): void;
  /** An ICMP error that sends back an ESP packet. The packet that holds it goes to {@link other} too. */
  quote?(quote: Quote, info: FrameInfo): void;
}

export interface EspFinderOptions {
  /** UDP ports that carry ESP. */
  readonly udpPorts: readonly number[];
  readonly sink: FoundSink;
}

export class EspFinder {
  readonly totals: FrameTotals;
  readonly reassembler = new Reassembler();
  readonly #sink: FoundSink;
  readonly #udpPorts: readonly number[];
  /** Of packets of frames, of packets inside others, and of those that ICMP errors send back. */
  readonly #place: EspPlace;
  readonly #inner: EspPlace;
  readonly #quoted: EspPlace;
  readonly #descent = new Descent();
  /** What the last descent came through. */
  #carrier = Carrier.NONE;

  /** @param totals counts on there */
  constructor({ udpPorts, sink }: EspFinderOptions, totals: FrameTotals) {
    this.#sink = sink;
    this.totals = totals;
    this.#udpPorts = udpPorts;
    this.#place = new EspPlace(udpPorts);
    this.#inner = new EspPlace(udpPorts);
    this.#quoted = new EspPlace(udpPorts);
  }

  /** Takes the next frame of the capture. */
  frame(b: Uint8Array, at: number, end: number, info: FrameInfo): void {
    this.totals.frames++;
    // What nearly every frame is.
    if (info.linkType === LINK_ETHERNET && end - at > 14 && b[at + 12] === 8 && b[at + 13] === 0) {
      const ipAt = at + ethernet.HEADER_LEN;
      if (b[ipAt]! >>> 4 === 4) {
        this.#packet(b, ipAt, end, info, Carrier.NONE, true);
        return;
      }
    }
    const { layer } = this.#descent;
    if (this.#descend('link', info.linkType, b, at, end, 4, Carrier.NONE))
      this.#packet(b, layer.at, layer.end, info, this.#carrier, true);
    else this.#countUnread();
  }

  /**
   * Looks for ESP in an IP packet that came out of ESP, whose `carrier` says so. Nothing is counted, and nothing but ESP
   * reported; fragments are passed over.
   * @returns whether there was ESP in it
   */
  inside(b: Uint8Array, at: number, end: number, info: FrameInfo, carrier: Carrier): boolean {
    return this.#packet(b, at, end, info, carrier, false);
  }

  /** Looks at an IP packet, and at the packets in it. There is no recursion that a frame could make deep. */
  #packet(
    bytes: Uint8Array,
    from: number,
    to: number,
    info: FrameInfo,
    around: Carrier,
    isOfFrame: boolean,
  ): boolean {
    const { totals } = this;
    const { layer } = this.#descent;
    const place = isOfFrame ? this.#place : this.#inner;
    let b = bytes;
    let at = from;
    let end = to;
    let carrier = around;
    for (;;) {
      const kind = place.find(b, at, end);
      if (kind === 'other' && b[place.protocolAt] === AUTHENTICATION && carrier.depth < MOST_CARRIERS) {
        const bare = ah.without(b, place.outerAt, end, place.protocolAt, place.espAt);
        if (bare) {
          b = bare;
          at = 0;
          end = b.length;
          carrier = carrier.with('ah');
          if (isOfFrame) totals.skippedAh++;
          continue;
        }
      }
      if (kind === 'esp') {
        this.#sink.esp(b, at, end, info, carrier, isOfFrame ? place : this.#ownPlace(b, at, end));
        return true;
      }
      if (kind === 'other') {
        const { espAt, espEnd, protocolAt, version } = place;
        if (this.#descend('protocol', b[protocolAt]!, b, espAt, espEnd, version, carrier)) {
          at = layer.at;
          end = layer.end;
          carrier = this.#carrier;
          continue;
        }
        if (!isOfFrame) return false;
        if (isIcmp(b[protocolAt]!) && this.#isQuote(b, place, info)) totals.quotes++;
        else this.#countUnread();
        this.#sink.other?.(b, at, end, info, carrier);
        return false;
      }
      if (!isOfFrame) return false;
      if (kind === 'fragment') {
        this.#sink.fragment?.(b, at, end, info, carrier);
        const whole = this.reassembler.add(b, at, end, info.seconds * 1000 + info.nanoseconds / 1e6);
        if (!whole) return false;
        b = whole;
        at = 0;
        end = whole.length;
        continue;
      }
      if (kind === 'keepalive') totals.keepalives++;
      else if (kind === 'broken') totals.broken++;
      else totals.ike++;
      return false;
    }
  }

  /** Packets may come out of ESP while a frame is still looked at: what is found in one has a place of its own. */
  #ownPlace(b: Uint8Array, at: number, end: number): EspPlace {
    const place = new EspPlace(this.#udpPorts);
    place.find(b, at, end);
    return place;
  }

  /**
   * Follows headers to the next IP packet, which then lies at `layer`, in `#carrier`.
   * @param version of the IP packet around, for the name of IP in IP
   */
  #descend(
    as: As,
    value: number,
    b: Uint8Array,
    at: number,
    end: number,
    version: number,
    around: Carrier,
  ): boolean {
    const descent = this.#descent;
    const { layer } = descent;
    let carrier = around;
    descent.start(as, value, at, end);
    while (layer.as !== 'ip') {
      descent.next(b);
      if (layer.outcome !== 'carries') return false;
      let kind: CarrierKind | undefined;
      if (CARRIERS.has(layer.kind)) kind = layer.kind as CarrierKind;
      // Ethernet and link types carry IP too; IP in IP is where nothing lies between.
      else if (as === 'protocol' && layer.kind === 'ip' && carrier === around)
        kind = `${layer.value as 4 | 6}in${version as 4 | 6}`;
      if (kind === undefined) continue;
      if (carrier.depth === MOST_CARRIERS) {
        layer.unknown(`more than ${MOST_CARRIERS} carriers in one another`);
        return false;
      }
      carrier = carrier.with(kind, layer.id);
    }
    this.#carrier = carrier;
    if (descent.isAtIp(b)) return true;
    layer.nothing();
    return false;
  }

  /** Counts a frame by where the last descent ended. */
  #countUnread(): void {
    const { outcome, kind, what } = this.#descent.layer;
    const { notRead } = this.totals;
    if (outcome === 'nothing') {
      this.totals.other++;
      return;
    }
    let name = outcome === 'broken' ? `damaged or cut-off ${LAYER_NAMES[kind]}` : what;
    if (!notRead.has(name) && notRead.size >= MOST_KINDS) name = OTHER_KINDS;
    notRead.set(name, (notRead.get(name) ?? 0) + 1);
  }

  #isQuote(b: Uint8Array, place: EspPlace, info: FrameInfo): boolean {
    const { espAt: icmpAt, espEnd, srcAt, addressLen } = place;
    const at = icmpAt + icmp.HEADER_LEN;
    const isV6 = addressLen === 16;
    if (at >= espEnd || !icmp.isError(icmp.type(b, icmpAt), isV6)) return false;
    const quoted = this.#quoted;
    const kind = quoted.find(b, at, espEnd);
    if (kind !== 'esp' && !(kind === 'short' && quoted.cut)) return false;
    const { espAt } = quoted;
    this.#sink.quote?.(
      {
        isV6,
        type: icmp.type(b, icmpAt),
        code: icmp.code(b, icmpAt),
        from: formatAddress(b, srcAt, addressLen),
        src: formatAddress(b, quoted.srcAt, quoted.addressLen),
        dst: formatAddress(b, quoted.dstAt, quoted.addressLen),
        spi: quoted.espEnd - espAt >= 4 ? u32(b, espAt) : undefined,
      },
      info,
    );
    return true;
  }
}

function isIcmp(protocol: number): boolean {
  return protocol === icmp.PROTOCOL || protocol === icmp.PROTOCOL_V6;
}
