/**
 * The receiver of captures: one event for each ESP packet, with the verdict of the kernel that received it, and how that
 * is known.
 *
 * Frames come in one at a time, as a capture reader delivers them. Each ESP packet goes into a batch: copied, or left where
 * it lies, when that may be overwritten. The same `Decapsulator` that a node uses opens it, once, and out come events
 * in the capture's order, for all sinks.
 *
 * A capture starts in mid-stream. The first packet of a stream that authenticates therefore starts its window, and finds
 * the high half of its ESN, which is not on the wire ({@link HighHalf}). Later packets follow it as a receiver does. While
 * the start may still have been a replay of an earlier epoch, each packet is opened by itself, and one that fails is tried
 * again, on its bytes as they came: one that authenticates in a higher epoch starts the window again. Where the batch still
 * holds all that came since the first start, the packets of the earlier epoch get the verdict of the receiver.
 *
 * What the receiver's own kernel holds decides, where its text is at hand. What else opens a packet that it drops is a second
 * question, and its answer {@link EspEvent.openedBy}. Where it is not, a packet that fails under a key that has opened
 * nothing yet is not opened rather than dropped: whether that key is the receiver's is not known.
 *
 * Nothing is kept for long that a packet without a key can cause: what never authenticated makes room, and an SA of any
 * source is one stream until a source authenticates. (An SA that a kernel holds is one stream for all sources, with one
 * window, since a kernel does not look at the source.)
 * @module
 */
import { u16, u32 } from '../base/bytes.ts';
import type { RandomBytes } from '../base/rng.ts';
import type { FrameInfo, FrameSink } from '../capture/frame.ts';
import type { Engine } from '../crypto/engine.ts';
import { DROP } from '../ipsec/drop.ts';
import { type EspPlace, espPorts, isPortOf } from '../ipsec/esp-place.ts';
import type { SecurityAssociation } from '../ipsec/sa.ts';
import type { SaConfig, SaPlace } from '../ipsec/sa-config.ts';
import { isAtOneOf, isSameSa } from '../sa-text/sa-source.ts';
import { formatAddress, isAny } from '../wire/address.ts';
import * as esp from '../wire/esp.ts';
import * as icmp from '../wire/icmp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { LINK_RAW } from '../wire/link-type.ts';
import { AGGREGATE, Batch, LentBatch, PASS } from '../wire/packet.ts';
import type { Reassembler } from '../wire/reassembly.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';
import { type Aggregate, takePayload } from './aggregate.ts';
import { Contenders, type Look, Trials } from './contenders.ts';
import { EspEvent } from './esp-event.ts';
import { EspLane, type Stranger } from './esp-lane.ts';
import { EspStream } from './esp-stream.ts';
import { type Evidence, type Resolution, takesAnySource } from './evidence.ts';
import {
  type Carrier,
  EspFinder,
  type FoundSink,
  type FrameTotals,
  MOST_CARRIERS,
  noFrames,
  type Quote,
} from './find-esp.ts';
import { SearchBudget } from './high-half.ts';
import { SecondChance } from './second-chance.ts';
import { StreamTable } from './stream-table.ts';

const REPLAYS: readonly number[] = (['replay-zero', 'replay-stale', 'replay-seen'] as const).map(
  (reason) => DROP[reason],
);

/** Streams that are kept although nothing in them has authenticated, and sources of SAs that take any source. */
const MOST_UNOPENED = 4096;
const MOST_SOURCES = 4096;
/** Ways of packets without an SA that are looked up once: the first ones. To throw old ones out for new ones took a fifth more memory. */
const MOST_STRANGERS = 1024;
/** Longest IP packet there is. */
const MAX_PACKET = 0xffff;
/** Most packets are no longer, so that most captures never need larger slots. */
const USUAL_PACKET = 2048;
const BATCH = 128;

/** Gets what a capture holds, in its order. Events and bytes are borrowed. */
export interface EspSink {
  /** The receiver that it gets its events from. */
  attach?(receiver: Receiver): void;
  /** An ESP packet. */
  packet?(event: EspEvent): void;
  /** An IP packet without ESP. It comes at once: earlier ESP packets may still wait in the batch. */
  other?(b: Uint8Array, at: number, end: number, info: FrameInfo, carrier: Carrier): void;
  /** A fragment of an IP packet, in the same way, before it is put together with the others. */
  fragment?(b: Uint8Array, at: number, end: number, info: FrameInfo): void;
  /** An ICMP error that sends back an ESP packet; the packet that holds it goes to {@link other} too. */
  quote?(quote: Quote, info: FrameInfo): void;
  /** The capture has taken SAs away. */
  forget?(places: readonly SaPlace[]): void;
}

/** What became of the ESP packets, and what went by beside them. */
export interface ReceiverTotals extends FrameTotals {
  esp: number;
  ok: number;
  /** Of them those that no ICV vouches for. */
  unauthenticated: number;
  /** Not opened, and not known to be dropped, by row of the drop table. */
  unopened: Map<number, number>;
  /** Dropped, by row of the drop table. */
  dropped: Map<number, number>;
}

export interface ReceiverOptions {
  readonly evidence: Evidence;
  readonly engine: Engine;
  /** SAs that never send need it all the same. */
  readonly random: RandomBytes;
  /** UDP ports that carry ESP beside 4500. A list with 4500 in it may grow while the capture is read. */
  readonly udpPorts?: readonly number[] | undefined;
  /**
   * Frames may be overwritten: they are decrypted where they lie, and nothing is copied. Their bytes are then the
   * receiver's until {@link Receiver.release}. Events have no wire bytes then.
   */
  readonly inPlace?: boolean;
  readonly sinks: readonly EspSink[];
}

/** VXLAN, Geneve, GTP-U and Teredo. */
const CARRIER_PORTS: readonly number[] = [8472, 4789, 6081, 2152, 3544];

export class Receiver implements FrameSink {
  readonly totals: ReceiverTotals = {
    ...noFrames(),
    esp: 0,
    ok: 0,
    unauthenticated: 0,
    unopened: new Map(),
    dropped: new Map(),
  };
  /** For those who have questions about packets: opens them on trial. */
  readonly trials: Trials;
  /**
   * Called right before each packet is opened, with its SA, when it is set: the window is then as it was at the receiver.
   * Every packet is opened by itself then.
   */
  watch:
    | ((sa: SecurityAssociation | undefined, wire: Uint8Array, espAt: number, espEnd: number) => void)
    | undefined;

  /** Number of the last frame. */
  lastFrame = 0;

  readonly #evidence: Evidence;
  readonly #sinks: EspSink[] = [];
  readonly #ports: readonly number[];
  readonly #engine: Engine;
  readonly #finder: EspFinder;
  readonly #streams = new StreamTable<EspStream>();
  readonly #unopened = new SecondChance<EspStream>(MOST_UNOPENED);
  readonly #sources = new SecondChance<EspStream>(MOST_SOURCES);
  readonly #event = new EspEvent();
  /** Where packets wait: those of frames, and by depth those that came out of other ESP packets. */
  #lane: EspLane;
  readonly #lanes: EspLane[] = [];
  #depth = 0;
  /** The SAs around the packet that is looked into, the outermost first. */
  #around: readonly SaConfig[] = [];
  readonly #info: { -readonly [K in keyof FrameInfo]: FrameInfo[K] } = {
    number: 0,
    seconds: 0,
    nanoseconds: 0,
    hasTime: false,
    interfaceId: 0,
    linkType: LINK_RAW,
    originalLength: 0,
    byte: 0,
  };
  /** Counts batches, from 1. */
  #batches = 0;
  /** What was looked up for packets that no source has an SA for; anew once SAs come or go. */
  #strangers = new StreamTable<Stranger>();
  /** The same for the packet at hand. */
  #stranger: Stranger | undefined;

  constructor({ evidence, engine, random, udpPorts, inPlace, sinks }: ReceiverOptions) {
    this.#evidence = evidence;
    evidence.useEngine(engine);
    this.#engine = engine;
    this.trials = new Trials(engine, random, new SearchBudget());
    this.#ports = espPorts(udpPorts);
    const found: FoundSink = {
      esp: (b, at, end, info, carrier, place) => this.#take(b, at, end, info, carrier, place),
      other: (b, at, end, info, carrier) => {
        for (const sink of this.#sinks) sink.other?.(b, at, end, info, carrier);
      },
      fragment: (b, at, end, info) => {
        for (const sink of this.#sinks) sink.fragment?.(b, at, end, info);
      },
      quote: (quote, info) => {
        for (const sink of this.#sinks) sink.quote?.(quote, info);
      },
    };
    this.#finder = new EspFinder({ udpPorts: this.#ports, sink: found }, this.totals);
    // Slots of an ordinary size lie close together, which caches like; a longer packet brings larger ones.
    const batch = inPlace ? new LentBatch(BATCH) : new Batch({ capacity: BATCH, maxPacket: USUAL_PACKET });
    this.#lane = this.#newLane(batch);
    for (const sink of sinks) {
      this.#sinks.push(sink);
      sink.attach?.(this);
    }
  }

  get reassembler(): Reassembler {
    return this.#finder.reassembler;
  }

  /** Takes the next frame of the capture. */
  frame(b: Uint8Array, at: number, end: number, info: FrameInfo): void {
    this.lastFrame = info.number;
    this.#finder.frame(b, at, end, info);
  }

  /** The memory of frames is about to be used again. */
  release(): void {
    this.flush();
  }

  /** Finishes what is still in the batch. Call after the last frame, and before reading results so far. */
  flush(): void {
    const lane = this.#lane;
    const { batch } = lane;
    if (batch.count === 0) return;
    this.#run(lane);
    for (let i = 0; i < batch.count; i++) this.#emit(lane, i);
    lane.clear();
    lane.number = ++this.#batches;
  }

  /**
   * The capture has brought SAs, or taken away those at `places`: what comes from now on is opened with those that it then has,
   * which begin windows of their own.
   */
  forget(places: readonly SaPlace[]): void {
    this.#strangers = new StreamTable();
    if (places.length === 0) return;
    this.flush();
    const isGone = isAtOneOf(places);
    for (const stream of this.#streams.entries()) {
      if (stream.contenders.configs.some(isGone)) this.#remove(stream);
    }
    this.#evidence.forget();
    for (const sink of this.#sinks) sink.forget?.(places);
  }

  #newLane(batch: Batch): EspLane {
    const lane = new EspLane(batch, this.#streams, this.#engine, this.#ports);
    lane.number = ++this.#batches;
    this.#lanes.push(lane);
    return lane;
  }

  /** `place` says where ESP lies. */
  #take(b: Uint8Array, at: number, end: number, info: FrameInfo, carrier: Carrier, place: EspPlace): void {
    const { espAt, espEnd, srcAt, dstAt, addressLen, cut } = place;
    const hasSpi = espEnd - espAt >= esp.HEADER_LEN;
    this.#stranger = undefined;
    let stream = hasSpi ? this.#streamOf(b, srcAt, dstAt, addressLen, u32(b, espAt)) : undefined;
    if (this.watch) this.flush();
    const isTried = stream !== undefined && !cut && !stream.isCertain;
    // Before a stream has started its packets say where it stands, and which source they are of.
    if (isTried && !stream!.isStarted) stream = this.#begin(stream!, b, espAt, espEnd, srcAt);
    // Nothing longer than an IP packet is ESP by its length fields; link-layer padding may go.
    const last = Math.min(end, at + MAX_PACKET);
    const i = this.#push(b, at, last, stream);
    const lane = this.#lane;
    lane.stream[i] = stream;
    lane.frame[i] = info.number;
    lane.seconds[i] = info.seconds;
    lane.nanoseconds[i] = info.nanoseconds;
    lane.hasTime[i] = info.hasTime ? 1 : 0;
    lane.carrier[i] = carrier;
    lane.wire[i] = b;
    lane.ipAt[i] = at;
    lane.ipEnd[i] = last;
    lane.espAt[i] = espAt;
    lane.espEnd[i] = espEnd;
    if (stream) {
      lane.src[i] = stream.srcOf(b, srcAt);
      lane.sa[i] = stream.contenders.current.sa;
      if (stream.hasOthers) lane.openedBy[i] = undefined;
      stream.used = true;
      lane.isProven[i] = stream.isStarted ? 1 : 0;
      if (stream.firstBatch === STARTING) stream.firstBatch = lane.number;
      if (lane.isLent && (isTried || stream.hasOthers)) lane.keepWire(i);
      if (isTried && stream.isStarted) this.#follow(stream, i);
      else if (isTried || this.watch) this.#run(lane);
    } else {
      const stranger = this.#stranger ?? this.#strangerOf(b, srcAt, dstAt, addressLen);
      lane.src[i] = stranger.src;
      lane.sa[i] = undefined;
      lane.stranger[i] = stranger;
      if (this.watch) this.#run(lane);
    }
  }

  /** Looks where a stream stands in which nothing has authenticated. @returns the stream of the packet's source */
  #begin(stream: EspStream, b: Uint8Array, espAt: number, espEnd: number, srcAt: number): EspStream {
    const { contenders } = stream;
    const look = contenders.look(b, espAt, espEnd);
    this.#streams.sas[stream.index] = contenders.current.sa;
    if (look !== 'starts') return stream;
    const lo = u32(b, espAt + 4);
    if (!stream.isShared) {
      this.#start(stream, lo, this.#lane.batch.count);
      return stream;
    }
    const src = b.slice(srcAt, srcAt + contenders.current.config.dst.length);
    const own = this.#addStream(contenders.forSource(src), stream.resolution, src, false);
    contenders.reset();
    this.#start(own, lo, this.#lane.batch.count);
    return own;
  }

  /** Opens packet `i` of a stream that has started, and looks again where it may be beyond what the window infers. */
  #follow(stream: EspStream, i: number): void {
    const lane = this.#lane;
    const { contenders } = stream;
    this.#run(lane);
    const { verdict } = lane.batch;
    const before = contenders.current;
    const look = this.#lookAgain(stream, i, verdict[i]!);
    if (look === 'unknown') return;
    if (look === 'follows' && contenders.current === before) {
      stream.followed++;
      return;
    }
    this.#streams.sas[stream.index] = contenders.current.sa;
    if (look === 'starts') this.#start(stream, u32(lane.wire[i]!, lane.espAt[i]! + 4), i);
    this.#reopen(lane, i);
  }

  /** What a packet that was just opened says of its stream. */
  #lookAgain(stream: EspStream, i: number, verdict: number): Look {
    const lane = this.#lane;
    const { contenders } = stream;
    const { current } = contenders;
    const isOnly = contenders.configs.length === 1;
    const isClosed = verdict === DROP['bad-icv'];
    // Of several SAs the one in use refuses a number first, as it does in a kernel. One with ESN alone may stand too low.
    if (REPLAYS.includes(verdict)) {
      if (!isOnly || !current.sa.esn) return 'follows';
    } else if (verdict === DROP['too-short']) {
      if (isOnly) return 'follows';
    } else if (!isClosed && verdict !== DROP.implausible) return 'follows';
    const { window } = current.sa;
    if (window.esn) current.high.standAt(window.topHi, window.topLo);
    return contenders.look(lane.wire[i]!, lane.espAt[i]!, lane.espEnd[i]!, isClosed);
  }

  /** A packet with low half `lo` says where the window of a stream stood; `i` is its place in the batch. */
  #start(stream: EspStream, lo: number, i: number): void {
    const { high, sa } = stream.contenders.current;
    const lane = this.#lane;
    const isFirst = stream.firstBatch === 0;
    sa.window.startBefore(high.hi, lo);
    // The batch holds all that came since the stream began: it gets the verdicts of a window that stood here.
    if (isFirst || stream.firstBatch === lane.number) {
      this.#run(lane);
      for (let k = 0; k < Math.min(i, lane.batch.count); k++) {
        if (lane.stream[k] === stream && lane.sa[k] === sa) this.#reopen(lane, k);
      }
    }
    if (isFirst) {
      stream.firstBatch = STARTING;
      this.#unopened.delete(stream);
    }
    stream.followed = 0;
  }

  #reopen(lane: EspLane, i: number): void {
    lane.restore(i);
    lane.sa[i] = lane.stream[i]?.contenders.current.sa;
    this.#tell(lane, i);
    lane.open(i, i + 1);
  }

  /** Opens what waits in a lane. */
  #run(lane: EspLane): void {
    const { batch, stream } = lane;
    const from = lane.ran;
    const to = batch.count;
    if (from === to) return;
    this.#tell(lane, to - 1);
    lane.open(from, to);
    lane.ran = to;
    const { verdict } = batch;
    for (let i = from; i < to; i++) {
      if (verdict[i] !== DROP['bad-icv']) continue;
      const one = stream[i]!;
      if (one.isCertain) one.doubt();
      if (one.hasOthers) lane.openedBy[i] = this.#elsewhere(one, lane, i);
    }
  }

  #tell(lane: EspLane, i: number): void {
    this.watch?.(lane.sa[i], lane.wire[i]!, lane.espAt[i]!, lane.espEnd[i]!);
  }

  /** Which SA, other than the receiver's own, opens packet `i`? */
  #elsewhere(stream: EspStream, lane: EspLane, i: number): SaConfig | undefined {
    const { candidates, others } = stream.resolution;
    stream.others ??= new Contenders(
      others.map(({ config }) => config).filter((one) => !candidates.some((own) => isSameSa(own, one))),
      this.trials,
    );
    const look = stream.others.look(lane.wire[i]!, lane.espAt[i]!, lane.espEnd[i]!);
    return look === 'unknown' ? undefined : stream.others.current.config;
  }

  /** Returns the packet's place in the batch, which is finished first when it has no room. */
  #push(b: Uint8Array, at: number, end: number, stream: EspStream | undefined): number {
    let i = this.#put(b, at, end);
    if (i < 0) {
      this.flush();
      i = this.#put(b, at, end);
    }
    const lane = this.#lane;
    if (i < 0) {
      lane.batch = new Batch({ capacity: lane.batch.capacity, maxPacket: MAX_PACKET });
      i = this.#put(b, at, end);
    }
    lane.from[i] = lane.batch.offset[i]!;
    lane.batch.mark[i] = stream ? stream.index + 1 : 0;
    return i;
  }

  #put(b: Uint8Array, at: number, end: number): number {
    const { batch } = this.#lane;
    return batch instanceof LentBatch ? batch.lend(b, at, end) : batch.push(b, at, end);
  }

  /** The stream of a packet, made when this is its first; `undefined` when no source knows an SA for it. */
  #streamOf(b: Uint8Array, srcAt: number, dstAt: number, len: number, spi: number): EspStream | undefined {
    const known = this.#streams.find(b, srcAt, dstAt, len, spi);
    if (known && !known.isShared) return known;
    this.#stranger = this.#strangers.find(b, srcAt, dstAt, len, spi);
    if (this.#stranger) return known;
    const src = b.slice(srcAt, srcAt + len);
    const dst = b.slice(dstAt, dstAt + len);
    const resolution = this.#evidence.resolve(formatAddress(src), formatAddress(dst), spi);
    const { candidates, atReceiver, held } = resolution;
    if (candidates.length === 0) {
      this.#stranger = this.#strangerOf(b, srcAt, dstAt, len, atReceiver === 'hidden');
      if (this.#strangers.sas.length < MOST_STRANGERS)
        this.#strangers.add(this.#stranger, undefined, src, dst, spi);
      return known;
    }
    const isShared = candidates.every((config) => isAny(config.src));
    if (isShared && known) return known;
    // One state of a kernel is one window, wherever its packets come from.
    const isOfKernel =
      (atReceiver === 'held' || atReceiver === 'other-key') && held.every(({ sa }) => takesAnySource(sa));
    const any = new Uint8Array(len);
    return this.#addStream(
      new Contenders(candidates, this.trials),
      resolution,
      isShared || isOfKernel ? any : src,
      isShared && !isOfKernel,
      dst,
      spi,
    );
  }

  /** What is known of the ends of a packet without an SA. */
  #strangerOf(b: Uint8Array, srcAt: number, dstAt: number, len: number, isHidden = false): Stranger {
    const evidence = this.#evidence;
    const dst = formatAddress(b, dstAt, len);
    return {
      src: formatAddress(b, srcAt, len),
      dst,
      isHidden,
      isTold: isHidden || evidence.heldBy(dst).length > 0,
      hasSas: evidence.hasSasTo(dst),
    };
  }

  #addStream(
    contenders: Contenders,
    resolution: Resolution,
    src: Uint8Array,
    isShared: boolean,
    dst = contenders.current.config.dst,
    spi = contenders.current.config.spi,
  ): EspStream {
    const stream = new EspStream(contenders, resolution, dst, isShared);
    const kept = stream.isStarted ? this.#sources : this.#unopened;
    const gone = kept.makeRoom();
    if (gone.length > 0) this.flush();
    for (const one of gone) this.#remove(one);
    kept.add(stream);
    stream.index = this.#streams.add(stream, contenders.current.sa, src, dst, spi);
    return stream;
  }

  #remove(stream: EspStream): void {
    this.#streams.remove(stream.index);
    stream.contenders.remove();
    stream.others?.remove();
    this.#unopened.delete(stream);
    this.#sources.delete(stream);
  }

  #emit(lane: EspLane, i: number): void {
    const event = this.#event;
    lane.iptfs[i] = lane.batch.next[i] === AGGREGATE ? this.#takeOut(lane, i) : undefined;
    event.place(lane, i);
    const stream = lane.stream[i];
    // A tunnel of another kind between them begins anew.
    event.around = event.carrier.kind === 'esp' ? this.#around : [];
    this.#judge(event, stream, lane, i);
    this.#count(event);
    for (let k = 0; k < this.#sinks.length; k++) this.#sinks[k]!.packet?.(event);
    if (event.tried !== PASS || event.verdict === DROP['timed-out']) return;
    const { aggregate } = event;
    if (aggregate) {
      for (const inner of aggregate.inners)
        if (mayCarry(this.#ports, inner, 0, inner.length)) this.#lookInside(event, inner);
    } else if (mayCarry(this.#ports, event.bytes, event.at, event.end))
      this.#lookInside(event, event.bytes.slice(event.at, event.end));
  }

  /** Takes out what a payload of IP-TFS holds: in the order of the capture, once for each. */
  #takeOut(lane: EspLane, i: number): Aggregate {
    const { slab, offset, length, l4, seqHi, seqLo } = lane.batch;
    const { verdict, aggregate } = takePayload(
      lane.sa[i]!,
      [seqHi[i]!, seqLo[i]!],
      slab,
      [l4[i]!, offset[i]! + length[i]!],
      { seconds: lane.seconds[i]!, nanoseconds: lane.nanoseconds[i]! },
    );
    if (verdict !== PASS) lane.batch.drop(i, verdict);
    return aggregate;
  }

  /** ESP in ESP: what came out is looked at like a frame, at once. */
  #lookInside(event: EspEvent, inner: Uint8Array): void {
    if (event.carrier.depth >= MOST_CARRIERS) return;
    const carrier = event.carrier.with('esp');
    const info = this.#info;
    info.number = event.frame;
    info.seconds = event.seconds;
    info.nanoseconds = event.nanoseconds;
    info.hasTime = event.hasTime;
    info.originalLength = inner.length;
    const outer = this.#lane;
    const { around } = event;
    const before = this.#around;
    this.#around = [...around, event.sa!.config];
    this.#depth++;
    this.#lane = this.#lanes[this.#depth] ?? this.#newLane(new Batch({ capacity: 1, maxPacket: MAX_PACKET }));
    this.#finder.inside(inner, 0, inner.length, info, carrier);
    this.flush();
    this.#depth--;
    this.#around = before;
    this.#lane = outer;
  }

  /** Says what the receiver makes of a packet, and how that is known. */
  #judge(event: EspEvent, stream: EspStream | undefined, lane: EspLane, i: number): void {
    const { tried } = event;
    event.verdict = tried;
    event.isUnopened = false;
    event.openedBy = undefined;
    if (!stream) {
      const { isHidden, isTold, hasSas } = lane.stranger[i]!;
      event.basis = isTold ? 'told' : 'assumed';
      // ESP inside ESP may be for another node, whose SAs a list need not have.
      event.isUnopened = isHidden || (!isTold && (!hasSas || this.#depth > 0));
      if (isHidden && tried === DROP['no-state']) event.verdict = DROP['key-hidden'];
      return;
    }
    switch (stream.resolution.atReceiver) {
      case 'held':
        event.basis = 'told';
        if (stream.hasOthers) event.openedBy = lane.openedBy[i];
        if (isOver(event, stream)) this.#end(event);
        return;
      case 'other-key':
        event.basis = 'told';
        event.openedBy = lane.openedBy[i];
        // What no key at hand opens may open with the receiver's.
        event.isUnopened = tried === DROP['bad-icv'] && event.openedBy === undefined;
        if (event.isUnopened) event.verdict = DROP['key-hidden'];
        return;
      case 'missing':
        event.basis = 'told';
        event.verdict = DROP['no-state'];
        event.openedBy = event.isOpened ? event.sa!.config : undefined;
        return;
      default:
        event.basis = 'assumed';
        event.isUnopened = !event.isOpened && lane.isProven[i] === 0;
        if (isOver(event, stream)) this.#end(event);
    }
  }

  /** The kernel has deleted its SA, if the dates of the text are in UTC. */
  #end(event: EspEvent): void {
    event.basis = 'assumed';
    event.verdict = DROP['timed-out'];
    event.isUnopened = false;
    event.openedBy = undefined;
  }

  #count(event: EspEvent): void {
    const { totals } = this;
    totals.esp++;
    if (event.verdict === PASS) {
      totals.ok++;
      if (!event.authenticated) totals.unauthenticated++;
      return;
    }
    const counts = event.isUnopened ? totals.unopened : totals.dropped;
    counts.set(event.verdict, (counts.get(event.verdict) ?? 0) + 1);
  }
}

/** May there be ESP in the packet `bytes[at..end)` that came out of ESP? */
function mayCarry(ports: readonly number[], bytes: Uint8Array, at: number, end: number): boolean {
  const isV4 = bytes[at]! >>> 4 === 4;
  const protocol = bytes[isV4 ? at + 9 : at + 6]!;
  if (protocol === tcp.PROTOCOL || protocol === icmp.PROTOCOL || protocol === icmp.PROTOCOL_V6) return false;
  if (protocol !== udp.PROTOCOL) return true;
  const udpAt = at + (isV4 ? ipv4.headerLen(bytes, at) : ipv6.HEADER_LEN);
  if (end - udpAt < udp.HEADER_LEN) return false;
  const dst = u16(bytes, udpAt + 2);
  return isPortOf(CARRIER_PORTS, dst) || isPortOf(ports, dst) || isPortOf(ports, u16(bytes, udpAt));
}

/** In place of the number of a batch: its first packet is about to be put into one. */
const STARTING = -1;

/**
 * Is the time of a packet's SA over? A text does not say of which time zone its dates are. They are taken as UTC only where an
 * authentic packet came before the end, and none shows that they are not: one that came before the SA was added, or came after its
 * end and was in the window when the text was printed.
 */
function isOver(event: EspEvent, stream: EspStream): boolean {
  const { dates, sequence } = event.sa!.config;
  if (!dates || !event.hasTime) return false;
  const time = event.seconds + event.nanoseconds / 1e9;
  if (event.authenticated) {
    const { seqHi = 0, seq = 0 } = sequence ?? {};
    const isTaken = event.seqHi < seqHi || (event.seqHi === seqHi && event.seqLo <= seq);
    if (time < dates.added - 1 || (time >= dates.over && isTaken)) stream.dates = 'other-clock';
    else if (time < dates.over - 2 && stream.dates === 'unseen') stream.dates = 'seen';
  }
  return stream.dates === 'seen' && time >= dates.over;
}
