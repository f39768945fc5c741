/**
 * Explains frames: the tree of fields, and, with SAs, what their ESP packets hold and what becomes of them.
 *
 * For one frame in the middle of a capture, show it the frames before too ({@link Explainer.pass}): the windows are
 * then what they were at the receiver, as far as the capture knows.
 * @module
 */
import { u32 } from '../../base/bytes.ts';
import type { RandomBytes } from '../../base/rng.ts';
import type { FrameInfo } from '../../capture/frame.ts';
import type { Engine } from '../../crypto/engine.ts';
import { isAuthenticated } from '../../crypto/suite.ts';
import type { SecurityAssociation } from '../../ipsec/sa.ts';
import type { SaPlace } from '../../ipsec/sa-config.ts';
import { SaList, type SaSource } from '../../sa-text/sa-source.ts';
import * as esp from '../../wire/esp.ts';
import * as ethernet from '../../wire/ethernet.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as linkType from '../../wire/link-type.ts';
import { PASS } from '../../wire/packet.ts';
import { type Admission, CaptureDecryptor } from '../decrypt.ts';
import { timeText } from '../decrypt-json.ts';
import { Trial, textLength } from '../trial.ts';
import { READERS } from './read.ts';
import { describeSecurity, hidesText, type WindowState, windowState } from './security.ts';
import type { Explanation, Stop } from './tree.ts';
import { type OpenedEsp, Walker } from './walker.ts';

export interface ExplainOptions {
  /** Name of the capture, for errors. */
  readonly source: string;
  /** Left out, ESP stays closed. */
  readonly sas?: SaSource | undefined;
  readonly engine: Engine;
  /** SAs that never send need it all the same. */
  readonly random: RandomBytes;
  /** UDP ports that carry ESP beside 4500. */
  readonly udpPorts?: readonly number[];
  /** Show the salt, which is a part of the key material. */
  readonly showKeys?: boolean;
}

/** An ESP packet of the frame at hand, kept until its verdict is there. */
interface Kept {
  readonly bytes: Uint8Array;
  readonly espAt: number;
  readonly src: Uint8Array;
  readonly dst: Uint8Array;
  readonly admission: Admission;
  readonly before: WindowState | undefined;
  readonly isFirst: boolean;
  readonly high: number;
}

interface Delivered {
  readonly verdict: number;
  readonly seqHi: number;
  readonly packet: Uint8Array | undefined;
}

export class Explainer {
  readonly #options: ExplainOptions;
  readonly #decryptor: CaptureDecryptor;
  readonly #trial: Trial;
  /** SAs that have seen a packet. */
  readonly #begun = new WeakSet<SecurityAssociation>();
  #isWatching = false;
  #kept: Kept | undefined;
  #delivered: Delivered | undefined;

  constructor(options: ExplainOptions) {
    this.#options = options;
    this.#trial = new Trial(options.engine);
    this.#decryptor = new CaptureDecryptor({
      source: options.source,
      sas: options.sas ?? new SaList(),
      engine: options.engine,
      random: options.random,
      ...(options.udpPorts && { udpPorts: options.udpPorts }),
      onAdmit: (admission) => this.#admit(admission),
      onPacket: (record) => {
        if (!this.#isWatching) return;
        const packet = record.verdict === PASS ? record.bytes.slice(record.at, record.end) : undefined;
        this.#delivered = { verdict: record.verdict, seqHi: record.seqHi, packet };
      },
    });
  }

  /** Takes a frame that comes before the one to be explained. */
  pass(b: Uint8Array, at: number, end: number, info: FrameInfo): void {
    this.#decryptor.frame(b, at, end, info);
  }

  /** The capture has taken SAs away. */
  forget(places: readonly SaPlace[]): void {
    this.#decryptor.forget(places);
  }

  /** Explains a frame, which counts as received then. */
  explain(b: Uint8Array, at: number, end: number, info: FrameInfo): Explanation {
    const frame = b.slice(at, end);
    this.#kept = undefined;
    this.#delivered = undefined;
    // Windows are what they were only when everything before is finished.
    this.#decryptor.flush();
    this.#isWatching = true;
    this.pass(frame, 0, frame.length, info);
    this.#decryptor.flush();
    this.#isWatching = false;

    const kept = this.#kept as Kept | undefined;
    const stops: Stop[] = [];
    const walker = new Walker(
      frame,
      'frame',
      READERS,
      {
        udpPorts: this.#options.udpPorts ?? [],
        opened: (bytes, espAt, espEnd) => this.#opened(bytes, espAt, espEnd),
        reassembled: kept && kept.bytes !== frame ? kept.bytes : undefined,
      },
      stops,
    );
    READERS.link(walker, info.linkType, 0, frame.length);
    return {
      frame: info.number > 0 ? info.number : null,
      time: info.hasTime ? timeText(info.seconds, info.nanoseconds) : null,
      linkType: info.linkType,
      originalLength: info.originalLength,
      packet: walker.packet(),
      stops,
    };
  }

  #admit(admission: Admission): void {
    const { sa, bytes, at, espAt, espEnd } = admission;
    const isFirst = sa !== undefined && !this.#begun.has(sa);
    if (sa) this.#begun.add(sa);
    if (!this.#isWatching) return;
    const v4 = bytes[at]! >>> 4 === 4;
    const srcAt = at + (v4 ? ipv4.SRC_AT : ipv6.SRC_AT);
    const len = v4 ? ipv4.ADDRESS_LEN : ipv6.ADDRESS_LEN;
    this.#kept = {
      bytes,
      espAt,
      src: bytes.slice(srcAt, srcAt + len),
      dst: bytes.slice(srcAt + len, srcAt + 2 * len),
      admission,
      before: sa && windowState(sa.window),
      isFirst,
      high: sa && espEnd - espAt >= esp.HEADER_LEN ? sa.window.inferHigh(u32(bytes, espAt + 4)) : 0,
    };
  }

  /** What is known of the ESP packet that starts at `espAt`, if it is the one that was admitted. */
  #opened(bytes: Uint8Array, espAt: number, espEnd: number): OpenedEsp | undefined {
    const kept = this.#kept;
    const delivered = this.#delivered;
    if (!kept || !delivered || !isSame(kept, bytes, espAt, espEnd)) return undefined;
    const { sa, candidates } = kept.admission;
    const hasHeader = espEnd - espAt >= esp.HEADER_LEN;
    const isWhole = sa !== undefined && hasHeader && textLength(sa.suite, espEnd - espAt) >= 0;
    const opens = isWhole && this.#trial.opens(sa, bytes, espAt, espEnd, kept.high);
    const text = opens ? this.#trial.text() : undefined;
    const vouches = sa !== undefined && isAuthenticated(sa.suite);
    const ivEnd = espAt + esp.HEADER_LEN + (sa?.suite.ivLen ?? 0);
    const security = describeSecurity({
      src: kept.src,
      dst: kept.dst,
      sa,
      candidates,
      hasSources: this.#options.sas !== undefined,
      spi: hasHeader ? u32(bytes, espAt) : undefined,
      seqLo: hasHeader ? u32(bytes, espAt + 4) : 0,
      high: kept.high,
      seqHi: delivered.seqHi,
      before: kept.before,
      isFirst: kept.isFirst,
      iv: ivEnd <= espEnd ? bytes.slice(espAt + esp.HEADER_LEN, ivEnd) : new Uint8Array(0),
      aad: isWhole ? this.#trial.aad() : new Uint8Array(0),
      icvOk: isWhole && vouches ? opens : null,
      text,
      verdict: delivered.verdict,
      showKeys: this.#options.showKeys ?? false,
    });
    return {
      security,
      shape: sa && {
        ivLen: sa.suite.ivLen,
        icvLen: sa.suite.icvLen,
        hides: hidesText(sa.suite),
        vouches,
      },
      text,
      delivered: delivered.packet,
    };
  }
}

/** A header that was taken off before ESP, such as AH, leaves other bytes around the same ESP packet. */
function isSame({ bytes, espAt, admission }: Kept, b: Uint8Array, at: number, end: number): boolean {
  if (bytes === b) return espAt === at;
  const len = admission.espEnd - espAt;
  if (len !== end - at) return false;
  for (let i = 0; i < len; i++) if (bytes[espAt + i] !== b[at + i]) return false;
  return true;
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
