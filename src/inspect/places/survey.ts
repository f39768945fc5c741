/**
 * The first reading of several captures: when each begins and ends, which ways it sees, and a sample of its packets. The sample
 * goes by a hash of each packet, so that the same packets are in the samples of all captures that have them.
 *
 * Memory is bounded: where a sample grows too large, half of it goes, in all captures alike.
 * @module
 */
import type { FrameInfo, FrameSink } from '../../capture/frame.ts';
import { formatAddress } from '../../wire/address.ts';
import { FrameLook, isOutgoing } from './frame-look.ts';
import { WayTable } from './way-table.ts';

/** Packets in the samples of all captures. */
const MOST_SAMPLED = 1 << 17;
/** Ways between two addresses that are told apart. */
const MOST_WAYS = 1 << 16;

/** Frames of one capture that went from one address to another, by their outermost IP packets. */
export interface SeenWay {
  frames: number;
  esp: number;
  /** Largest TTL or hop limit. */
  hops: number;
  /** Of frames that say it: sent by the host at the place of the capture, and received. */
  sent: number;
  received: number;
}

/** A way between two addresses, and what each capture has of it: by its number. */
export interface SurveyedWay {
  readonly src: string;
  readonly dst: string;
  /** The same packets under other addresses, behind NAT: the ways that are counted with this one. */
  readonly others: SurveyedWay[];
  readonly seen: Map<number, SeenWay>;
}

/** When a packet of the sample was seen in one capture: its first time there. */
export interface Sighting {
  readonly file: number;
  readonly seconds: number;
}

export interface Sample {
  readonly way: SurveyedWay;
  readonly sightings: Sighting[];
}

/** What is known of one capture. */
export interface FileSpan {
  frames: number;
  esp: number;
  linkType: number;
  /** Seconds since 1970, of the earliest and the latest frame; NaN where no frame has a time. */
  first: number;
  last: number;
}

export class Survey {
  readonly spans: FileSpan[] = [];
  readonly samples = new Map<number, Sample>();
  readonly #look: FrameLook;
  readonly #ways = new WayTable<SurveyedWay>(MOST_WAYS);
  /** Ways whose packets another capture has under other addresses. */
  readonly #natted = new Map<SurveyedWay, SurveyedWay>();
  /** Hashes below it are in the sample. */
  #limit = 2 ** 32;

  /** @param udpPorts that carry ESP */
  constructor(udpPorts: readonly number[]) {
    this.#look = new FrameLook(udpPorts);
  }

  get ways(): readonly SurveyedWay[] {
    return this.#ways.all;
  }

  /** The sink for the next capture. */
  file(): FrameSink {
    const span: FileSpan = { frames: 0, esp: 0, linkType: -1, first: Number.NaN, last: Number.NaN };
    const file = this.spans.push(span) - 1;
    return { frame: (b, at, end, info) => this.#frame(file, span, b, at, end, info) };
  }

  /** The way of a frame whose outermost packet was looked at; behind NAT the one that its packets had elsewhere. */
  wayOf({ b, srcAt, addressLen }: FrameLook): SurveyedWay | undefined {
    const way = this.#ways.get(b, srcAt, addressLen, 0);
    return way && (this.#natted.get(way) ?? way);
  }

  /** Puts together what NAT keeps apart. Call once, when all captures have been read. */
  finish(): void {
    for (const [way, original] of this.#natted) {
      original.others.push(way);
      for (const [file, seen] of way.seen) if (!original.seen.has(file)) original.seen.set(file, seen);
    }
  }

  #frame(file: number, span: FileSpan, b: Uint8Array, at: number, end: number, info: FrameInfo): void {
    const seconds = info.seconds + info.nanoseconds / 1e9;
    if (span.frames++ === 0) span.linkType = info.linkType;
    if (info.hasTime) {
      if (!(span.first <= seconds)) span.first = seconds;
      if (!(span.last >= seconds)) span.last = seconds;
    }
    const look = this.#look;
    look.look(b, at, end, info);
    const { addressLen } = look;
    if (addressLen === 0) return;
    const way = this.#ways.get(look.b, look.srcAt, addressLen, 0, (ends) => ({
      src: formatAddress(ends, 0, addressLen),
      dst: formatAddress(ends, addressLen, addressLen),
      others: [],
      seen: new Map(),
    }));
    if (!way) return;
    let seen = way.seen.get(file);
    if (!seen) {
      seen = { frames: 0, esp: 0, hops: 0, sent: 0, received: 0 };
      way.seen.set(file, seen);
    }
    seen.frames++;
    const outgoing = isOutgoing(b, at, end, info.linkType);
    if (outgoing === true) seen.sent++;
    else if (outgoing === false) seen.received++;
    if (look.kind !== 'esp') return;
    seen.esp++;
    span.esp++;
    if (look.hops > seen.hops) seen.hops = look.hops;
    if (look.a < this.#limit && info.hasTime)
      this.#sample(look.a * 2 ** 21 + (look.c >>> 11), way, file, seconds);
  }

  #sample(key: number, way: SurveyedWay, file: number, seconds: number): void {
    const known = this.samples.get(key);
    if (known) {
      if (known.sightings.at(-1)!.file === file) return;
      known.sightings.push({ file, seconds });
      if (
        known.way !== way &&
        !this.#natted.has(way) &&
        !this.#natted.has(known.way) &&
        !way.seen.has(known.sightings[0]!.file)
      )
        this.#natted.set(way, known.way);
      return;
    }
    this.samples.set(key, { way, sightings: [{ file, seconds }] });
    if (this.samples.size <= MOST_SAMPLED) return;
    this.#limit /= 2;
    for (const one of this.samples.keys()) if (one / 2 ** 21 >= this.#limit) this.samples.delete(one);
  }
}
