/**
 * Compares what two places have of the same ways: what left the one and never came to the other, what came twice, and what
 * came in another order. No key is needed: a packet is known by SPI, number and the first bytes behind them, which do not
 * change on the way, or where it is no ESP by what no router changes.
 *
 * A packet waits for its like for {@link PATIENCE} seconds of both clocks, and no longer: memory is bounded. What had to make
 * room before that is counted and not judged. Only what came while both places were listening is judged.
 * @module
 */
import type { FrameInfo, FrameSink } from '../../capture/frame.ts';
import { fileOf } from '../../capture/frame-id.ts';
import { formatAddress } from '../../wire/address.ts';
import type { Basis } from '../basis.ts';
import { FrameTimes } from '../diagnose/frame-times.ts';
import { Tally } from '../diagnose/tally.ts';
import { FrameLook } from './frame-look.ts';
import { marginOf, type Place, type Places } from './places.ts';
import type { Survey, SurveyedWay } from './survey.ts';

/** Seconds that a packet may take, or a retransmission of the network. */
const PATIENCE = 5;
/** Less than that, where packets are too many, and whether one was lost is not known. */
const LEAST_PATIENCE = 1;
/** Packets that wait. */
const MOST_WAITING = 1 << 17;
/** Streams that are told apart, and lengths of each. */
const MOST_STREAMS = 1 << 14;
const MOST_LENGTHS = 4096;

/** Packets of one stream between two places. */
export class ComparedStream {
  /** Ends of the IP packet around ESP; of others those of the packet itself. */
  readonly src: string;
  readonly dst: string;
  /** By their outermost addresses. */
  readonly way: SurveyedWay;
  /** `undefined` for packets that are no ESP. */
  readonly spi: number | undefined;
  /** Of those, the protocol of the innermost packet, and what it lies in: `VXLAN`; empty for nothing. */
  readonly protocol: number | undefined;
  readonly tunnel: string;
  /** Numbers of the places, in the order in which packets pass them, and how that order is known. */
  readonly first: number;
  readonly second: number;
  readonly basis: Basis | undefined;
  /** Packets of both places, however often each was seen. */
  both = 0;
  /** At one of them, and not at the other, which was listening. */
  readonly lost: Tally;
  readonly added: Tally;
  /** Not judged: at a time when the other place was not listening, or they had to make room. */
  outside = 0;
  crowded = 0;
  /** Came twice at the second place, and left the first once. */
  readonly twice: Tally;
  /** Came behind one that had left later. */
  readonly reordered: Tally;
  /** Longest that came, in bytes of the IP packet. */
  longest = 0;
  /** How many were lost, by length. */
  readonly lostLengths = new Map<number, number>();
  /** Numbers of departure: the last, and the highest that came. */
  left = 0;
  came = 0;

  constructor(
    ends: Pick<
      ComparedStream,
      'src' | 'dst' | 'spi' | 'protocol' | 'tunnel' | 'way' | 'first' | 'second' | 'basis'
    >,
    times: FrameTimes,
  ) {
    this.src = ends.src;
    this.dst = ends.dst;
    this.spi = ends.spi;
    this.protocol = ends.protocol;
    this.tunnel = ends.tunnel;
    this.way = ends.way;
    this.first = ends.first;
    this.second = ends.second;
    this.basis = ends.basis;
    this.lost = new Tally(times);
    this.added = new Tally(times);
    this.twice = new Tally(times);
    this.reordered = new Tally(times);
  }

  /** Those that were lost and are longer than all that came: how many, and the shortest of them. */
  get beyond(): { readonly count: number; readonly shortest: number } {
    let count = 0;
    let shortest = Number.POSITIVE_INFINITY;
    for (const [length, n] of this.lostLengths) {
      if (length <= this.longest) continue;
      count += n;
      shortest = Math.min(shortest, length);
    }
    return { count, shortest };
  }
}

/** A packet that waits for its like. */
interface Waiting {
  key: number;
  stream: ComparedStream;
  /** By the clock of the first place of all. */
  seconds: number;
  length: number;
  /** Frames at the first and at the second place; 0 where it was not seen there. */
  frame: number;
  other: number;
  /** How often it was seen at each. */
  times: number;
  otherTimes: number;
  /** Its place in the order in which packets left. */
  departure: number;
}

export class Comparison {
  readonly #places: Places;
  readonly #survey: Survey;
  readonly #look: FrameLook;
  readonly #times: FrameTimes;
  /** By the SPI, or what {@link clearKey} makes of other packets. */
  readonly #streams = new Map<SurveyedWay, Map<number, ComparedStream>>();
  readonly #mostWaiting: number;
  #count = 0;
  #last: { readonly way: SurveyedWay; readonly key: number; readonly stream: ComparedStream } | undefined;
  readonly #waiting = new Map<number, Waiting>();
  /** The same in the order in which they came, from `#head` on: a map is slow to give its oldest entry. */
  readonly #queue: Waiting[] = [];
  #head = 0;
  /** The latest time, by the clock of the first place. */
  #now = Number.NEGATIVE_INFINITY;

  /**
   * @param udpPorts that carry ESP
   * @param times of frames, for those who name them
   * @param mostWaiting packets that wait at a time
   */
  constructor(
    survey: Survey,
    places: Places,
    udpPorts: readonly number[],
    times = new FrameTimes(),
    mostWaiting = MOST_WAITING,
  ) {
    this.#mostWaiting = mostWaiting;
    this.#survey = survey;
    this.#places = places;
    this.#look = new FrameLook(udpPorts);
    this.#times = times;
  }

  /** Times of the frames that its tallies name. */
  get times(): FrameTimes {
    return this.#times;
  }

  get places(): readonly Place[] {
    return this.#places.all;
  }

  /** What is known of the clocks of two places. */
  clocksOf(one: number, other: number): ReturnType<Places['clocksOf']> {
    return this.#places.clocksOf(one, other);
  }

  get clocks(): Places['clocks'] {
    return this.#places.clocks;
  }

  /** Streams that two places see. Call {@link finish} before. */
  get streams(): ComparedStream[] {
    return [...this.#streams.values()].flatMap((byKey) => [...byKey.values()]);
  }

  /** A sink that has each frame first, and hands it on. */
  before(sink: FrameSink): FrameSink {
    return {
      frame: (b, at, end, info) => {
        this.#frame(b, at, end, info);
        sink.frame(b, at, end, info);
      },
      release: () => sink.release?.(),
      comment: (text) => sink.comment?.(text),
      section: (section) => sink.section?.(section),
      interface: (description) => sink.interface?.(description),
      secrets: (type, data, file) => sink.secrets?.(type, data, file),
    };
  }

  /** Judges what still waits. Call once, after the last frame. */
  finish(): void {
    for (const one of this.#queue.slice(this.#head)) this.#judge(one);
    this.#queue.length = 0;
    this.#head = 0;
    this.#waiting.clear();
  }

  #frame(b: Uint8Array, at: number, end: number, info: FrameInfo): void {
    if (!info.hasTime) return;
    const look = this.#look;
    look.look(b, at, end, info);
    if (look.kind === 'none') return;
    const way = this.#survey.wayOf(look);
    if (!way || way.seen.size < 2) return;
    const stream = this.#streamOf(way);
    if (!stream) return;
    const place = this.#places.placeOf[fileOf(info.number)]!;
    if (place !== stream.first && place !== stream.second) return;
    this.#times.note(info.number, info);
    const seconds = info.seconds + info.nanoseconds / 1e9 + this.#places.shifts[place]!;
    this.#see(
      stream,
      place === stream.first,
      look.a * 2 ** 21 + (look.c >>> 11),
      seconds,
      look.length,
      info.number,
    );
    if (seconds > this.#now) this.#now = seconds;
    this.#expire();
  }

  #see(
    stream: ComparedStream,
    isFirst: boolean,
    key: number,
    seconds: number,
    length: number,
    frame: number,
  ): void {
    let one = this.#waiting.get(key);
    if (one?.stream !== stream) {
      one = { key, stream, seconds, length, frame: 0, other: 0, times: 0, otherTimes: 0, departure: 0 };
      this.#waiting.set(key, one);
      this.#queue.push(one);
    }
    if (isFirst) {
      if (one.times++ > 0) return;
      one.frame = frame;
      one.departure = ++stream.left;
    } else {
      if (one.otherTimes++ > 0) return;
      one.other = frame;
    }
    if (one.times === 0 || one.otherTimes === 0) return;
    stream.both++;
    if (length > stream.longest) stream.longest = length;
    // Of the one that is read later the order is known by then.
    if (isFirst) return;
    if (one.departure < stream.came) stream.reordered.add(frame);
    else stream.came = one.departure;
  }

  #expire(): void {
    const queue = this.#queue;
    for (; this.#head < queue.length; this.#head++) {
      const one = queue[this.#head]!;
      const isOld = one.seconds < this.#now - PATIENCE;
      if (!isOld && queue.length - this.#head <= this.#mostWaiting) break;
      if (this.#waiting.get(one.key) === one) this.#waiting.delete(one.key);
      const isSoon = one.seconds > this.#now - LEAST_PATIENCE;
      if (isSoon && (one.times === 0 || one.otherTimes === 0)) one.stream.crowded++;
      else this.#judge(one);
    }
    if (this.#head < this.#mostWaiting) return;
    queue.splice(0, this.#head);
    this.#head = 0;
  }

  #judge({ stream, seconds, length, frame, other, times, otherTimes }: Waiting): void {
    if (times > 0 && otherTimes > 0) {
      if (otherTimes > times) stream.twice.add(other);
      return;
    }
    const [here, there] = times > 0 ? [stream.first, stream.second] : [stream.second, stream.first];
    if (!this.#isListening(here, there, seconds)) {
      stream.outside++;
      return;
    }
    if (times === 0) {
      stream.added.add(other);
      return;
    }
    stream.lost.add(frame);
    const known = stream.lostLengths.get(length);
    if (known !== undefined || stream.lostLengths.size < MOST_LENGTHS)
      stream.lostLengths.set(length, (known ?? 0) + 1);
  }

  /** Was a place listening when a packet that another place saw would have come there? */
  #isListening(here: number, there: number, seconds: number): boolean {
    const margin = marginOf(this.#places.clocksOf(here, there));
    const time = seconds - this.#places.shifts[there]!;
    return this.#places.all[there]!.listening.some(
      ({ from, to }) => time >= from + margin && time <= to - margin,
    );
  }

  #streamOf(way: SurveyedWay): ComparedStream | undefined {
    const { packet, packetSrcAt, packetAddressLen: len, kind } = this.#look;
    const isEsp = kind === 'esp';
    const key = isEsp ? this.#look.spi : clearKey(this.#look);
    const last = this.#last;
    if (last?.way === way && last.key === key) return last.stream;
    let byKey = this.#streams.get(way);
    if (!byKey) {
      byKey = new Map();
      this.#streams.set(way, byKey);
    }
    let stream = byKey.get(key);
    if (!stream) {
      const between = this.#count < MOST_STREAMS ? this.#between(way) : undefined;
      if (!between) return undefined;
      this.#count++;
      const src = formatAddress(packet, packetSrcAt, len);
      const dst = formatAddress(packet, packetSrcAt + len, len);
      const { spi, protocol, tunnel } = this.#look;
      const what = isEsp ? { spi, protocol: undefined, tunnel: '' } : { spi: undefined, protocol, tunnel };
      stream = new ComparedStream({ src, dst, ...what, way, ...between }, this.#times);
      byKey.set(key, stream);
    }
    this.#last = { way, key, stream };
    return stream;
  }

  /** The two places that a way is compared between: of several the ones at its ends, or else those with most frames. */
  #between(way: SurveyedWay): Pick<ComparedStream, 'first' | 'second' | 'basis'> | undefined {
    const places = this.#places;
    const seen = places.seenAt(way);
    if (seen.length < 2) return undefined;
    const second = places.judge(way);
    const others = seen.filter((place) => place !== second);
    const sender = places.nodeAt(way.src);
    const first = others.find((place) => places.all[place]!.node?.name === sender) ?? others[0]!;
    const order = places.order(way, first, second);
    if (order && order.first === second) return { first: second, second: first, basis: order.basis };
    return { first, second, basis: order?.basis };
  }
}

/** A capture may have been filtered by protocol, so each is a stream of its own: a number below 0, where SPIs are not. */
function clearKey({ protocol, tunnel }: FrameLook): number {
  return -1 - protocol - (tunnel === '' ? 0 : 256);
}
