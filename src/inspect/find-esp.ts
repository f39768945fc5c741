/**
 * Finds the ESP packets in frames: behind the link layer, in whole packets put together from fragments, and in what
 * carries them.
 * @module
 */
import { InputError } from '../base/errors.ts';
import type { FrameInfo } from '../capture/frame.ts';
import { type EspKind, EspPlace } from '../ipsec/esp-place.ts';
import * as linkType from '../wire/link-type.ts';
import { Reassembler } from '../wire/reassembly.ts';
import { findVxlan, type VxlanPlace } from './overlay.ts';

/** What went by beside the ESP packets. */
export interface FrameTotals {
  frames: number;
  keepalives: number;
  ike: number;
  /** Frames that hold no ESP. */
  other: number;
  /** IP packets that could not be read. */
  broken: number;
}

/** What carries a packet, from the frame to the packet itself. Made once and never changed: keep it where you like. */
export class Carrier {
  /** What carries this carrier. */
  readonly outer: Carrier | undefined;
  readonly kind: string;
  /** VNI of VXLAN, or -1. */
  readonly vni: number;
  /** How many carriers there are. */
  readonly depth: number;
  #last: Carrier | undefined;

  /** Nothing: the packet lies in the frame itself. */
  static readonly NONE = new Carrier(undefined, '', -1);

  private constructor(outer: Carrier | undefined, kind: string, vni: number) {
    this.outer = outer;
    this.kind = kind;
    this.vni = vni;
    this.depth = outer ? outer.depth + 1 : 0;
  }

  /** This one with another in it. */
  with(kind: string, vni = -1): Carrier {
    // Packets that follow each other have mostly come in the same way.
    const last = this.#last;
    if (last && last.kind === kind && last.vni === vni) return last;
    this.#last = new Carrier(this, kind, vni);
    return this.#last;
  }
}

/** Gets what is found, at once and in the capture's order. All bytes are borrowed. */
export interface FoundSink {
  /** An ESP packet, in the IP packet `b[at..end)`; `place`, borrowed too, says where. */
  esp(b: Uint8Array, at: number, end: number, info: FrameInfo, carrier: Carrier, place: EspPlace): void;
  /** An IP packet without ESP. */
  other?(b: Uint8Array, at: number, end: number, info: FrameInfo, carrier: Carrier): void;
  /** A fragment of an IP packet, before it is put together with the others. */
  fragment?(b: Uint8Array, at: number, end: number, info: FrameInfo, carrier: Carrier): void;
}

export interface EspFinderOptions {
  /** Name of the capture, for errors. */
  readonly source: string;
  /** UDP ports that carry ESP. */
  readonly udpPorts: readonly number[];
  readonly sink: FoundSink;
}

/** Carriers that are looked into; what lies deeper is not. */
const MOST_CARRIERS = 1;

export class EspFinder {
  readonly totals: FrameTotals;
  readonly reassembler = new Reassembler();
  readonly #source: string;
  readonly #sink: FoundSink;
  /** By depth, so that a packet may be looked at while one around it still is. */
  readonly #places: readonly EspPlace[];
  readonly #vxlan: VxlanPlace = { vni: 0, frameAt: 0, frameEnd: 0 };
  /** Of the frame before. */
  #linkType = -1;

  /** @param totals counts on there */
  constructor({ source, udpPorts, sink }: EspFinderOptions, totals: FrameTotals) {
    this.#source = source;
    this.#sink = sink;
    this.totals = totals;
    this.#places = Array.from({ length: MOST_CARRIERS + 1 }, () => new EspPlace(udpPorts));
  }

  /**
   * Takes the next frame of the capture.
   * @throws {InputError} when the capture has a link type that esplane does not know
   */
  frame(b: Uint8Array, at: number, end: number, info: FrameInfo): void {
    this.totals.frames++;
    if (info.linkType !== this.#linkType && !linkType.isKnownLinkType(info.linkType)) {
      throw new InputError(
        { source: this.#source, byte: info.byte },
        `unknown link type ${info.linkType} (frame ${info.number})`,
        'Take the capture on an Ethernet, cooked (any) or raw IP interface.',
      );
    }
    this.#linkType = info.linkType;
    const ipAt = linkType.ipAt(info.linkType, b, at, end);
    if (ipAt < 0) this.totals.other++;
    else this.packet(b, ipAt, end, info, Carrier.NONE);
  }

  /** Looks at the IP packet that begins at `b[at]` and ends before `end`, link-layer padding aside. */
  packet(b: Uint8Array, at: number, end: number, info: FrameInfo, carrier: Carrier): void {
    const place = this.#places[carrier.depth]!;
    const kind: EspKind = place.find(b, at, end);
    switch (kind) {
      case 'esp':
        this.#sink.esp(b, at, end, info, carrier, place);
        return;
      case 'fragment': {
        this.#sink.fragment?.(b, at, end, info, carrier);
        const whole = this.reassembler.add(b, at, end, info.seconds * 1000 + info.nanoseconds / 1e6);
        if (whole) this.packet(whole, 0, whole.length, info, carrier);
        return;
      }
      case 'keepalive':
        this.totals.keepalives++;
        return;
      case 'ike':
      case 'short':
        this.totals.ike++;
        return;
      case 'broken':
        this.totals.broken++;
        return;
      case 'other': {
        const vxlan = this.#vxlan;
        // Cilium does not nest, and a crafted capture must not make us recurse.
        if (carrier.depth < MOST_CARRIERS && findVxlan(b, place, vxlan)) {
          const { vni, frameEnd } = vxlan;
          const innerAt = linkType.ipAt(linkType.LINK_ETHERNET, b, vxlan.frameAt, frameEnd);
          if (innerAt >= 0) {
            this.packet(b, innerAt, frameEnd, info, carrier.with('vxlan', vni));
            return;
          }
        }
        this.totals.other++;
        this.#sink.other?.(b, at, end, info, carrier);
      }
    }
  }
}
