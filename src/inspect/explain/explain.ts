/**
 * Explains frames: the tree of fields, and, with SAs, what their ESP packets hold and what becomes of them.
 *
 * For one frame in the middle of a capture, the receiver has to get the frames before too: the windows are then what they
 * were there, as far as the capture knows.
 * @module
 */
import { equalBytes, putU32, u32 } from '../../base/bytes.ts';
import type { RandomBytes } from '../../base/rng.ts';
import type { FrameInfo } from '../../capture/frame.ts';
import type { Engine } from '../../crypto/engine.ts';
import { isAuthenticated, isEncrypting } from '../../crypto/suite.ts';
import { DROP } from '../../ipsec/drop.ts';
import type { SecurityAssociation } from '../../ipsec/sa.ts';
import { CaptureSas } from '../../sa-text/capture-sas.ts';
import * as esp from '../../wire/esp.ts';
import * as ethernet from '../../wire/ethernet.ts';
import { trafficClass } from '../../wire/ip.ts';
import * as linkType from '../../wire/link-type.ts';
import { PASS } from '../../wire/packet.ts';
import type { EspEvent } from '../esp-event.ts';
import { Evidence } from '../evidence.ts';
import { timeText } from '../packet-time.ts';
import type { Receiver } from '../receiver.ts';
import { CaptureSession, type CaptureSink } from '../session.ts';
import { textLength } from '../trial.ts';
import { READERS } from './read.ts';
import { describeSecurity, type WindowState, windowState } from './security.ts';
import type { Explanation, Stop } from './tree.ts';
import { type OpenedEsp, Walker } from './walker.ts';

export interface ExplainSinkOptions {
  readonly evidence: Evidence;
  /** UDP ports that carry ESP beside 4500. */
  readonly udpPorts?: readonly number[] | undefined;
  /** Show the salt, which is a part of the key material. */
  readonly showKeys?: boolean;
  /** Is this frame to be explained? */
  readonly wants: (info: FrameInfo) => boolean;
  /** Frames without ESP are not explained. */
  readonly onlyEsp?: boolean;
  readonly onExplanation: (explanation: Explanation) => void;
}

/** An ESP packet of the frame at hand. */
interface Kept {
  /** As it was on the wire, from SPI to ICV. */
  readonly wire: Uint8Array;
  /** The IP packet that was put together from fragments, and where ESP lies in it. */
  readonly reassembled: Uint8Array | undefined;
  readonly opened: OpenedEsp;
}

/** Explains frames as they come, beside whatever else hangs on the receiver. */
export class ExplainSink implements CaptureSink {
  readonly #options: ExplainSinkOptions;
  #receiver!: Receiver;
  /** SAs that have seen a packet. */
  readonly #begun = new WeakSet<SecurityAssociation>();
  #frame: Uint8Array | undefined;
  /** Of the first ESP packet of the frame: its window before, and how it was found. */
  #before: WindowState | undefined;
  #isFirst = false;
  #high = 0;
  #kept: Kept | undefined;

  constructor(options: ExplainSinkOptions) {
    this.#options = options;
  }

  attach(receiver: Receiver): void {
    this.#receiver = receiver;
  }

  begin(b: Uint8Array, _at: number, _end: number, info: FrameInfo): void {
    if (!this.#options.wants(info)) return;
    this.#frame = b;
    this.#kept = undefined;
    // Windows are what they were only when everything before is finished.
    this.#receiver.flush();
    this.#receiver.watch = (sa, wire, espAt, espEnd) => this.#look(sa, wire, espAt, espEnd);
  }

  frame(b: Uint8Array, at: number, end: number, info: FrameInfo): void {
    if (!this.#frame) return;
    this.#receiver.watch = undefined;
    this.#frame = undefined;
    const kept = this.#kept;
    if (kept || !this.#options.onlyEsp)
      this.#options.onExplanation(this.#explain(b.subarray(at, end), info, kept));
  }

  packet(event: EspEvent): void {
    if (!this.#frame) {
      if (event.sa) this.#begun.add(event.sa);
      return;
    }
    if (this.#kept) return;
    const { wire, espAt, espEnd, carrier } = event;
    const isWhole = wire !== this.#frame && !carrier.kinds().includes('ah');
    this.#kept = {
      wire: wire.slice(espAt, espEnd),
      reassembled: isWhole ? wire : undefined,
      opened: this.#describe(event),
    };
  }

  /** The packet is about to be opened. */
  #look(sa: SecurityAssociation | undefined, wire: Uint8Array, espAt: number, espEnd: number): void {
    if (this.#kept) return;
    this.#isFirst = sa !== undefined && !this.#begun.has(sa);
    if (sa) this.#begun.add(sa);
    this.#before = sa && windowState(sa.window);
    this.#high = sa && espEnd - espAt >= esp.HEADER_LEN ? sa.window.inferHigh(u32(wire, espAt + 4)) : 0;
  }

  #describe(event: EspEvent): OpenedEsp {
    const { sa, wire, espAt, espEnd, hasSpi } = event;
    const isWhole = sa !== undefined && hasSpi && textLength(sa.suite, espEnd - espAt) >= 0;
    const text = isWhole ? this.#textOf(event, sa) : undefined;
    const vouches = sa !== undefined && isAuthenticated(sa.suite);
    const ivEnd = espAt + esp.HEADER_LEN + (sa?.suite.ivLen ?? 0);
    const security = describeSecurity({
      src: event.src,
      dst: event.dst,
      sa,
      candidates: event.stream?.contenders.configs ?? [],
      hasSources: this.#options.evidence.hasSas,
      spi: hasSpi ? event.spi : undefined,
      seqLo: hasSpi ? event.seqLo : 0,
      high: this.#high,
      seqHi: event.seqHi,
      before: this.#before,
      isFirst: this.#isFirst,
      iv: ivEnd <= espEnd ? wire.slice(espAt + esp.HEADER_LEN, ivEnd) : new Uint8Array(0),
      aad: isWhole ? aadOf(event, sa.esn, this.#high) : new Uint8Array(0),
      icvOk: isWhole && vouches ? text !== undefined : null,
      text,
      verdict: event.verdict,
      isUnopened: event.isUnopened,
      basis: event.basis,
      openedBy: event.openedBy?.origin,
      hiddenAt: sa || !hasSpi ? undefined : this.#hiddenAt(event),
      showKeys: this.#options.showKeys ?? false,
    });
    const { suite } = sa ?? {};
    return {
      security,
      shape: suite && { ivLen: suite.ivLen, icvLen: suite.icvLen, hides: isEncrypting(suite), vouches },
      text,
      delivered:
        event.tried === PASS && !event.aggregate ? event.bytes.slice(event.at, event.end) : undefined,
      aggregate: event.aggregate,
    };
  }

  #hiddenAt({ src, dst, spi }: EspEvent): string | undefined {
    return this.#options.evidence.resolve(src, dst, spi).held[0]?.sa.origin;
  }

  /** The clear text, trailer included; `undefined` where it does not open. */
  #textOf(event: EspEvent, sa: SecurityAssociation): Uint8Array | undefined {
    const { wire, ipAt, espAt, espEnd } = event;
    // It was opened already, but for packets that the window refuses, and ECN may have changed what came out.
    if (event.isOpened && !sa.rules.decapDscp && (trafficClass(wire, ipAt) & ECN_CE) !== ECN_CE)
      return event.bytes.slice(event.textAt, event.textEnd);
    if (event.tried === DROP['bad-icv']) return undefined;
    const { trials } = this.#receiver;
    return trials.opens(sa, wire, espAt, espEnd, this.#high) ? trials.text() : undefined;
  }

  #explain(frame: Uint8Array, info: FrameInfo, kept: Kept | undefined): Explanation {
    const stops: Stop[] = [];
    const walker = new Walker(
      frame,
      'frame',
      READERS,
      {
        udpPorts: this.#options.udpPorts ?? [],
        opened: (b, espAt, espEnd) =>
          kept && equalBytes(kept.wire, b.subarray(espAt, espEnd)) ? kept.opened : undefined,
        reassembled: kept?.reassembled,
      },
      stops,
    );
    READERS.link(walker, info.linkType, 0, frame.length);
    return {
      frame: info.number > 0 ? info.number : null,
      time: info.hasTime ? timeText(info) : null,
      linkType: info.linkType,
      originalLength: info.originalLength,
      packet: walker.packet(),
      stops,
    };
  }
}

/** Congestion experienced (RFC 3168 §5). */
const ECN_CE = 3;

/** What is authenticated beside the text: SPI and number (RFC 4106 §5). */
function aadOf({ spi, seqLo }: EspEvent, esn: boolean, high: number): Uint8Array {
  const aad = new Uint8Array(esn ? 12 : 8);
  putU32(aad, 0, spi);
  if (esn) putU32(aad, 4, high);
  putU32(aad, aad.length - 4, seqLo);
  return aad;
}

export interface ExplainOptions {
  /** Left out, ESP stays closed. */
  readonly evidence?: Evidence | undefined;
  readonly engine: Engine;
  /** SAs that never send need it all the same. */
  readonly random: RandomBytes;
  /** UDP ports that carry ESP beside 4500. */
  readonly udpPorts?: readonly number[] | undefined;
  /** Show the salt, which is a part of the key material. */
  readonly showKeys?: boolean;
}

/** Explains single frames: a receiver with an {@link ExplainSink}. */
export class Explainer {
  readonly #session: CaptureSession;
  #isWanted = false;
  #explanation: Explanation | undefined;

  constructor({ evidence = new Evidence({}), engine, random, udpPorts, showKeys }: ExplainOptions) {
    const sink = new ExplainSink({
      evidence,
      udpPorts,
      showKeys: showKeys ?? false,
      wants: () => this.#isWanted,
      onExplanation: (explanation) => {
        this.#explanation = explanation;
      },
    });
    const own = new CaptureSas(() => {});
    this.#session = new CaptureSession({
      source: 'packet',
      own,
      evidence,
      engine,
      random,
      udpPorts,
      sinks: [sink],
    });
  }

  /** Takes a frame that comes before the one to be explained. */
  pass(b: Uint8Array, at: number, end: number, info: FrameInfo): void {
    this.#session.frame(b, at, end, info);
  }

  /** Explains a frame, which counts as received then. */
  explain(b: Uint8Array, at: number, end: number, info: FrameInfo): Explanation {
    this.#isWanted = true;
    this.#session.frame(b, at, end, info);
    this.#isWanted = false;
    return this.#explanation!;
  }
}

/** Explains bytes that come from no capture. */
export function explainBytes(bytes: Uint8Array, type: number, options: ExplainOptions): Explanation {
  return new Explainer(options).explain(bytes, 0, bytes.length, {
    number: 0,
    seconds: 0,
    nanoseconds: 0,
    hasTime: false,
    linkType: type,
    interfaceId: 0,
    originalLength: bytes.length,
    byte: 0,
  });
}

/**
 * What bytes without a capture are most likely: an Ethernet frame when a type that is known stands where Ethernet has
 * it, an IP packet when they begin like one.
 */
export function guessLinkType(b: Uint8Array): number {
  if (!ethernet.check(b)) {
    const type = ethernet.etherType(b);
    const at = ethernet.payloadAt(b);
    const version = at < b.length ? b[at]! >>> 4 : 0;
    if (type === ethernet.TYPE_ARP) return linkType.LINK_ETHERNET;
    if (type === ethernet.TYPE_IPV4 && version === 4) return linkType.LINK_ETHERNET;
    if (type === ethernet.TYPE_IPV6 && version === 6) return linkType.LINK_ETHERNET;
  }
  const version = b.length > 0 ? b[0]! >>> 4 : 0;
  if (version === 4 && b.length >= 1 && (b[0]! & 0xf) >= 5) return linkType.LINK_RAW;
  return version === 6 ? linkType.LINK_RAW : linkType.LINK_ETHERNET;
}
