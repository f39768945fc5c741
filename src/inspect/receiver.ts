/**
 * The receiver of captures: one event for each ESP packet, with the verdict of the kernel that received it, and how that
 * is known.
 *
 * Frames come in one at a time, as a capture reader delivers them. Each ESP packet goes into a batch: copied, or left where
 * it lies, when that may be overwritten. The same {@link Decapsulator} that a node uses opens it, once, and out come events
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
 * nothing yet is not dropped but not opened: nobody knows whether that key is the receiver's.
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
import { isAuthenticated } from '../crypto/suite.ts';
import { Decapsulator } from '../ipsec/decapsulate.ts';
import { DROPS, type DropReason, dropCode } from '../ipsec/drop.ts';
import { type EspPlace, espPorts } from '../ipsec/esp-place.ts';
import type { SecurityAssociation } from '../ipsec/sa.ts';
import type { SaConfig, SaPlace } from '../ipsec/sa-config.ts';
import { isAtOneOf, isSameSa } from '../sa-text/sa-source.ts';
import { formatAddress, isAny } from '../wire/address.ts';
import * as esp from '../wire/esp.ts';
import * as icmp from '../wire/icmp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { LINK_RAW } from '../wire/link-type.ts';
import { Batch, LentBatch, PASS } from '../wire/packet.ts';
import type { Reassembler } from '../wire/reassembly.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';
import type { Basis } from './basis.ts';
import { Contenders, type Look, Trials } from './contenders.ts';
import { type Evidence, type Resolution, takesAnySource } from './evidence.ts';
import {
  Carrier,
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

const BAD_ICV = dropCode('bad-icv');
const TOO_SHORT = dropCode('too-short');
const NO_STATE = dropCode('no-state');
const KEY_HIDDEN = dropCode('key-hidden');
const IMPLAUSIBLE = dropCode('implausible');
const REPLAYS: readonly number[] = (['replay-zero', 'replay-stale', 'replay-seen'] as const).map(dropCode);
/** Drops of packets that had been opened by then: by code. */
const OPENED_DROPS = new Uint8Array(DROPS.length + 1);
for (const reason of [
  ...(['bad-padding', 'dummy', 'not-ip', 'inner-short', 'inner-header', 'inner-truncated'] as const),
  'selector-mismatch',
] satisfies DropReason[])
  OPENED_DROPS[dropCode(reason)] = 1;

/** Packets under ESN that have to follow each other before the start of their stream is beyond doubt. */
const PROVEN = 256;
/** So many of them again after a packet that did not authenticate. */
const DOUBT = 32;
/** Streams that are kept although nothing in them has authenticated, and sources of SAs that take any source. */
const MOST_UNOPENED = 4096;
const MOST_SOURCES = 4096;
/** Longest IP packet there is. */
const MAX_PACKET = 0xffff;
/** Most packets are no longer, so that most captures never need larger slots. */
const USUAL_PACKET = 2048;
const BATCH = 128;

/** One ESP packet of the capture. The object is used again: copy what you keep. */
export class EspEvent {
  /** What the receiver makes of it: {@link PASS} or the row of the drop table. */
  verdict = PASS;
  /**
   * It was not opened, and nobody knows what the receiver does with it: no SA of that receiver is known at all, or its
   * own is not, and those at hand have opened nothing of the stream yet. {@link verdict} then says what failed here.
   */
  isUnopened = false;
  /** Whether the receiver's own kernel text says which SA it has. */
  basis: Exclude<Basis, 'seen'> = 'assumed';
  /** The SA that opened it, where that is not the receiver's own. */
  openedBy: SaConfig | undefined;
  /**
   * The verdict under {@link sa}. It is another than {@link verdict} only where the receiver's text has no SA for the
   * packet, and others do.
   */
  tried = PASS;
  // The rest is read where it lies: most sinks ask for little of it.
  #lane!: Lane;
  #i = 0;

  /** @internal */
  place(lane: Lane, i: number): void {
    this.#lane = lane;
    this.#i = i;
    this.tried = lane.batch.verdict[i]!;
  }

  /** 1-based number of the frame that completed the packet. */
  get frame(): number {
    return this.#lane.frame[this.#i]!;
  }

  get seconds(): number {
    return this.#lane.seconds[this.#i]!;
  }

  get nanoseconds(): number {
    return this.#lane.nanoseconds[this.#i]!;
  }

  get hasTime(): boolean {
    return this.#lane.hasTime[this.#i] === 1;
  }

  /** Addresses of the IP header around ESP. */
  get src(): string {
    return this.#lane.src[this.#i]!;
  }

  get dst(): string {
    return this.stream?.dst ?? this.#lane.dst[this.#i]!;
  }

  /** False where the packet is too short for SPI and number. */
  get hasSpi(): boolean {
    return this.#lane.decapsulator.isEsp[this.#i] === 1;
  }

  get spi(): number {
    return this.#lane.decapsulator.spi[this.#i]!;
  }

  get seqHi(): number {
    return this.#lane.decapsulator.seqHi[this.#i]!;
  }

  get seqLo(): number {
    return this.#lane.decapsulator.seqLo[this.#i]!;
  }

  /** What carried the IP packet. */
  get carrier(): Carrier {
    return this.#lane.carrier[this.#i]!;
  }

  /** The SA that it was opened with, or was to be. */
  get sa(): SecurityAssociation | undefined {
    return this.#lane.sa[this.#i];
  }

  /** `undefined` where there is no SA for it. */
  get stream(): Stream | undefined {
    return this.#lane.stream[this.#i];
  }

  /** Did an SA open it, whatever became of it then? */
  get isOpened(): boolean {
    return this.tried === PASS || OPENED_DROPS[this.tried] === 1;
  }

  /** Does an ICV vouch for what was opened? */
  get authenticated(): boolean {
    return this.isOpened && isAuthenticated(this.sa!.suite);
  }

  /** The clear packet, `bytes[at..end)`, where {@link tried} is {@link PASS}. */
  get bytes(): Uint8Array {
    return this.#lane.batch.slab;
  }

  get at(): number {
    return this.#lane.batch.offset[this.#i]!;
  }

  get end(): number {
    return this.at + this.#lane.batch.length[this.#i]!;
  }

  /** Where the text is, or was, in {@link bytes}, trailer included; clear where {@link isOpened}. */
  get textAt(): number {
    return this.#lane.from[this.#i]! + this.espAt - this.ipAt + (this.sa?.espLen ?? 0);
  }

  get textEnd(): number {
    return this.#lane.from[this.#i]! + this.espEnd - this.ipAt - (this.sa?.icvLen ?? 0);
  }

  /**
   * ESP as it was on the wire, `wire[espAt..espEnd)`, in the IP packet `wire[ipAt..ipEnd)`. Not where frames are opened in
   * place: only lengths are right then.
   */
  get wire(): Uint8Array {
    return this.#lane.wire[this.#i]!;
  }

  get ipAt(): number {
    return this.#lane.ipAt[this.#i]!;
  }

  get ipEnd(): number {
    return this.#lane.ipEnd[this.#i]!;
  }

  get espAt(): number {
    return this.#lane.espAt[this.#i]!;
  }

  get espEnd(): number {
    return this.#lane.espEnd[this.#i]!;
  }
}

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

/** A stream of packets: one direction of one tunnel under one SPI. */
export class Stream {
  readonly contenders: Contenders;
  readonly resolution: Resolution;
  readonly dst: string;
  /** It stands for every source that has not authenticated yet. */
  readonly isShared: boolean;
  /** Its place in the table. */
  index = -1;
  /** Packets that followed each other since the stream started. */
  followed = 0;
  /** The batch in which it started first, or 0. */
  firstBatch = 0;
  used = true;
  /** What else may open its packets; made when it is first asked for. */
  others: Contenders | undefined;
  readonly hasOthers: boolean;
  /** Source of the last packet, and its text. */
  readonly #source: Uint8Array;
  #src = '';
  /** Once it is certain that stays so until a packet fails. */
  #isCertain = false;

  constructor(contenders: Contenders, resolution: Resolution, dst: Uint8Array, isShared: boolean) {
    this.contenders = contenders;
    this.resolution = resolution;
    this.dst = formatAddress(dst);
    this.isShared = isShared;
    this.#source = new Uint8Array(dst.length);
    this.hasOthers =
      resolution.atReceiver === 'held' &&
      resolution.others.some(({ config }) => !resolution.candidates.some((one) => isSameSa(one, config)));
  }

  /** The text of a source that nearly always is the same. */
  srcOf(b: Uint8Array, at: number): string {
    const last = this.#source;
    let isLast = this.#src !== '';
    for (let k = 0; k < last.length && isLast; k++) isLast = last[k] === b[at + k];
    if (!isLast) {
      for (let k = 0; k < last.length; k++) last[k] = b[at + k]!;
      this.#src = formatAddress(last);
    }
    return this.#src;
  }

  /** Has a packet authenticated? */
  get isStarted(): boolean {
    return this.#isCertain ? !this.contenders.isUnchecked : this.contenders.current.high.isStarted;
  }

  /** Is there nothing to try on its packets? */
  get isCertain(): boolean {
    this.#isCertain ||= this.#judge();
    return this.#isCertain;
  }

  #judge(): boolean {
    const { contenders } = this;
    if (contenders.configs.length > 1) return false;
    if (contenders.isUnchecked) return true;
    return this.isStarted && (!contenders.current.sa.esn || this.followed >= PROVEN);
  }

  /** A packet did not authenticate: those after it are looked at again, for a while. */
  doubt(): void {
    if (!this.contenders.current.sa.esn) return;
    this.followed = PROVEN - DOUBT;
    this.#isCertain = false;
  }
}

/** Packets that wait together, and what an event needs to know of each. */
class Lane {
  batch: Batch;
  readonly decapsulator: Decapsulator;
  readonly isLent: boolean;
  /** Differs from that of every other batch of any lane. */
  number = 0;
  /** Packets of the batch that have been opened. */
  ran = 0;
  readonly stream: (Stream | undefined)[];
  readonly frame: Float64Array;
  readonly seconds: Float64Array;
  readonly nanoseconds: Uint32Array;
  readonly hasTime: Uint8Array;
  readonly carrier: Carrier[];
  readonly src: string[];
  readonly dst: string[];
  /** Where the packet lay in the slab before it was opened. */
  readonly from: Uint32Array;
  /** The packet as it came: `wire[i][ipAt..ipEnd)`; ESP in it. */
  readonly wire: Uint8Array[];
  readonly ipAt: Uint32Array;
  readonly ipEnd: Uint32Array;
  readonly espAt: Uint32Array;
  readonly espEnd: Uint32Array;
  /** Had anything of its stream authenticated, it included? */
  readonly isProven: Uint8Array;
  readonly openedBy: (SaConfig | undefined)[];
  /** The SA that it is opened with, and where there is none, what is known instead. */
  readonly sa: (SecurityAssociation | undefined)[];
  readonly unknown: (Resolution | undefined)[];
  /** Bytes that are about to be overwritten, of packets that may be tried again. */
  #copies = new Uint8Array(0);
  #copied = 0;

  constructor(batch: Batch, streams: StreamTable<Stream>, engine: Engine, ports: readonly number[]) {
    const { capacity } = batch;
    this.batch = batch;
    this.isLent = batch instanceof LentBatch;
    this.decapsulator = new Decapsulator(streams, engine, capacity, ports);
    this.stream = new Array<Stream | undefined>(capacity).fill(undefined);
    this.frame = new Float64Array(capacity);
    this.seconds = new Float64Array(capacity);
    this.nanoseconds = new Uint32Array(capacity);
    this.hasTime = new Uint8Array(capacity);
    this.carrier = new Array<Carrier>(capacity).fill(Carrier.NONE);
    this.src = new Array<string>(capacity).fill('');
    this.dst = new Array<string>(capacity).fill('');
    this.from = new Uint32Array(capacity);
    this.wire = new Array<Uint8Array>(capacity).fill(NOTHING);
    this.ipAt = new Uint32Array(capacity);
    this.ipEnd = new Uint32Array(capacity);
    this.espAt = new Uint32Array(capacity);
    this.espEnd = new Uint32Array(capacity);
    this.isProven = new Uint8Array(capacity);
    this.openedBy = new Array<SaConfig | undefined>(capacity).fill(undefined);
    this.sa = new Array<SecurityAssociation | undefined>(capacity).fill(undefined);
    this.unknown = new Array<Resolution | undefined>(capacity).fill(undefined);
  }

  /** Keeps the bytes of packet `i`, which will be overwritten. */
  keepWire(i: number): void {
    const at = this.ipAt[i]!;
    const end = this.ipEnd[i]!;
    const to = this.#copied;
    if (to + end - at > this.#copies.length) {
      // What was kept before stays where it is, in the array that it is in.
      this.#copies = new Uint8Array(Math.max(COPIES, 2 * this.#copies.length, end - at));
      this.#copied = 0;
      this.keepWire(i);
      return;
    }
    this.#copies.set(this.wire[i]!.subarray(at, end), to);
    this.wire[i] = this.#copies;
    this.ipAt[i] = to;
    this.ipEnd[i] = to + end - at;
    this.espAt[i] = this.espAt[i]! - at + to;
    this.espEnd[i] = this.espEnd[i]! - at + to;
    this.#copied = to + end - at;
  }

  /** Puts packet `i` back into the batch as it came. */
  restore(i: number): void {
    const { batch } = this;
    const from = this.from[i]!;
    batch.slab.set(this.wire[i]!.subarray(this.ipAt[i]!, this.ipEnd[i]!), from);
    batch.offset[i] = from;
    batch.length[i] = this.ipEnd[i]! - this.ipAt[i]!;
    batch.verdict[i] = PASS;
  }

  /** Opens packets `from` to `to - 1`. */
  open(from: number, to: number): void {
    this.decapsulator.run(this.batch, from, to);
  }

  clear(): void {
    // The arrays that frames lay in may be large.
    for (let i = 0; i < this.batch.count; i++) this.wire[i] = NOTHING;
    this.batch.clear();
    this.ran = 0;
    this.#copied = 0;
  }
}

/** VXLAN, Geneve, GTP-U and Teredo. */
const CARRIER_PORTS: ReadonlySet<number> = new Set([8472, 4789, 6081, 2152, 3544]);
const NOTHING = new Uint8Array(0);
const COPIES = 1 << 16;

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
  readonly #streams = new StreamTable<Stream>();
  readonly #unopened = new SecondChance<Stream>(MOST_UNOPENED);
  readonly #sources = new SecondChance<Stream>(MOST_SOURCES);
  readonly #event = new EspEvent();
  /** Where packets wait: those of frames, and by depth those that came out of other ESP packets. */
  #lane: Lane;
  readonly #lanes: Lane[] = [];
  #depth = 0;
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
  /** What is known of the receiver of the last packet without a stream. */
  #stranger = { dst: '', isTold: false, hasSas: false };
  /** What is known of the SAs of the packet at hand, where that is none. */
  #unknown: Resolution | undefined;
  constructor({ evidence, engine, random, udpPorts, inPlace, sinks }: ReceiverOptions) {
    this.#evidence = evidence;
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

  /** SAs are gone: what comes from now on is opened with those that the capture then has, which begin windows of their own. */
  forget(places: readonly SaPlace[]): void {
    if (places.length === 0) return;
    this.flush();
    const isGone = isAtOneOf(places);
    for (const stream of this.#streams.entries()) {
      if (stream.contenders.configs.some(isGone)) this.#remove(stream);
    }
    this.#evidence.forget();
    for (const sink of this.#sinks) sink.forget?.(places);
  }

  #newLane(batch: Batch): Lane {
    const lane = new Lane(batch, this.#streams, this.#engine, this.#ports);
    lane.number = ++this.#batches;
    this.#lanes.push(lane);
    return lane;
  }

  /** `place` says where ESP lies. */
  #take(b: Uint8Array, at: number, end: number, info: FrameInfo, carrier: Carrier, place: EspPlace): void {
    const { espAt, espEnd, srcAt, dstAt, addressLen, cut } = place;
    const hasSpi = espEnd - espAt >= esp.HEADER_LEN;
    this.#unknown = undefined;
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
    lane.src[i] = stream ? stream.srcOf(b, srcAt) : formatAddress(b, srcAt, addressLen);
    lane.wire[i] = b;
    lane.ipAt[i] = at;
    lane.ipEnd[i] = last;
    lane.espAt[i] = espAt;
    lane.espEnd[i] = espEnd;
    if (stream) {
      lane.sa[i] = stream.contenders.current.sa;
      if (stream.hasOthers) lane.openedBy[i] = undefined;
      stream.used = true;
      lane.isProven[i] = stream.isStarted ? 1 : 0;
      if (stream.firstBatch === STARTING) stream.firstBatch = lane.number;
      if (lane.isLent && (isTried || stream.hasOthers)) lane.keepWire(i);
      if (isTried && stream.isStarted) this.#follow(stream, i);
      else if (isTried || this.watch) this.#run(lane);
    } else {
      lane.sa[i] = undefined;
      lane.dst[i] = formatAddress(b, dstAt, addressLen);
      lane.unknown[i] = this.#unknown;
      if (this.watch) this.#run(lane);
    }
  }

  /** Looks where a stream stands in which nothing has authenticated. @returns the stream of the packet's source */
  #begin(stream: Stream, b: Uint8Array, espAt: number, espEnd: number, srcAt: number): Stream {
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
  #follow(stream: Stream, i: number): void {
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
  #lookAgain(stream: Stream, i: number, verdict: number): Look {
    const lane = this.#lane;
    const { contenders } = stream;
    const { current } = contenders;
    const isOnly = contenders.configs.length === 1;
    const isClosed = verdict === BAD_ICV;
    // Of several SAs the one in use refuses a number first, as it does in a kernel. One with ESN alone may stand too low.
    if (REPLAYS.includes(verdict)) {
      if (!isOnly || !current.sa.esn) return 'follows';
    } else if (verdict === TOO_SHORT) {
      if (isOnly) return 'follows';
    } else if (!isClosed && verdict !== IMPLAUSIBLE) return 'follows';
    const { window } = current.sa;
    if (window.esn) current.high.standAt(window.topHi, window.topLo);
    return contenders.look(lane.wire[i]!, lane.espAt[i]!, lane.espEnd[i]!, isClosed);
  }

  /** A packet with low half `lo` says where the window of a stream stood; `i` is its place in the batch. */
  #start(stream: Stream, lo: number, i: number): void {
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

  #reopen(lane: Lane, i: number): void {
    lane.restore(i);
    lane.sa[i] = lane.stream[i]?.contenders.current.sa;
    this.#tell(lane, i);
    lane.open(i, i + 1);
  }

  /** Opens what waits in a lane. */
  #run(lane: Lane): void {
    const { batch, stream } = lane;
    const from = lane.ran;
    const to = batch.count;
    if (from === to) return;
    this.#tell(lane, to - 1);
    lane.open(from, to);
    lane.ran = to;
    const { verdict } = batch;
    for (let i = from; i < to; i++) {
      if (verdict[i] !== BAD_ICV) continue;
      const one = stream[i]!;
      if (one.isCertain) one.doubt();
      if (one.hasOthers) lane.openedBy[i] = this.#elsewhere(one, lane, i);
    }
  }

  #tell(lane: Lane, i: number): void {
    this.watch?.(lane.sa[i], lane.wire[i]!, lane.espAt[i]!, lane.espEnd[i]!);
  }

  /** Which SA, other than the receiver's own, opens packet `i`? */
  #elsewhere(stream: Stream, lane: Lane, i: number): SaConfig | undefined {
    const { candidates, others } = stream.resolution;
    stream.others ??= new Contenders(
      others.map(({ config }) => config).filter((one) => !candidates.some((own) => isSameSa(own, one))),
      this.trials,
    );
    const look = stream.others.look(lane.wire[i]!, lane.espAt[i]!, lane.espEnd[i]!);
    return look === 'unknown' ? undefined : stream.others.current.config;
  }

  /** Returns the packet's place in the batch, which is finished first when it has no room. */
  #push(b: Uint8Array, at: number, end: number, stream: Stream | undefined): number {
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
  #streamOf(b: Uint8Array, srcAt: number, dstAt: number, len: number, spi: number): Stream | undefined {
    const known = this.#streams.find(b, srcAt, dstAt, len, spi);
    if (known && !known.isShared) return known;
    const src = b.slice(srcAt, srcAt + len);
    const dst = b.slice(dstAt, dstAt + len);
    const resolution = this.#evidence.resolve(formatAddress(src), formatAddress(dst), spi);
    const { candidates, atReceiver, held } = resolution;
    if (candidates.length === 0) {
      this.#unknown = resolution;
      return known;
    }
    const isShared = candidates.every((config) => isAny(config.src));
    if (isShared && known) return known;
    // One state of a kernel is one window, wherever its packets come from.
    const isOfKernel = atReceiver === 'held' && held.every(({ sa }) => takesAnySource(sa));
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

  #addStream(
    contenders: Contenders,
    resolution: Resolution,
    src: Uint8Array,
    isShared: boolean,
    dst = contenders.current.config.dst,
    spi = contenders.current.config.spi,
  ): Stream {
    const stream = new Stream(contenders, resolution, dst, isShared);
    const kept = stream.isStarted ? this.#sources : this.#unopened;
    const gone = kept.makeRoom();
    if (gone.length > 0) this.flush();
    for (const one of gone) this.#remove(one);
    kept.add(stream);
    stream.index = this.#streams.add(stream, contenders.current.sa, src, dst, spi);
    return stream;
  }

  #remove(stream: Stream): void {
    this.#streams.remove(stream.index);
    stream.contenders.remove();
    stream.others?.remove();
    this.#unopened.delete(stream);
    this.#sources.delete(stream);
  }

  #emit(lane: Lane, i: number): void {
    const event = this.#event;
    event.place(lane, i);
    const stream = lane.stream[i];
    this.#judge(event, stream, lane, i);
    this.#count(event);
    for (let k = 0; k < this.#sinks.length; k++) this.#sinks[k]!.packet?.(event);
    if (event.tried === PASS && this.#mayCarry(event)) this.#lookInside(event);
  }

  /** May there be ESP in the packet that came out of this one? */
  #mayCarry({ bytes, at, end }: EspEvent): boolean {
    const isV4 = bytes[at]! >>> 4 === 4;
    const protocol = bytes[isV4 ? at + 9 : at + 6]!;
    if (protocol === tcp.PROTOCOL || protocol === icmp.PROTOCOL || protocol === icmp.PROTOCOL_V6)
      return false;
    if (protocol !== udp.PROTOCOL) return true;
    const udpAt = at + (isV4 ? ipv4.headerLen(bytes, at) : ipv6.HEADER_LEN);
    if (end - udpAt < udp.HEADER_LEN) return false;
    const [src, dst] = [u16(bytes, udpAt), u16(bytes, udpAt + 2)];
    return CARRIER_PORTS.has(dst) || this.#ports.includes(dst) || this.#ports.includes(src);
  }

  /** ESP in ESP: what came out is looked at like a frame, at once. */
  #lookInside(event: EspEvent): void {
    if (event.carrier.depth >= MOST_CARRIERS) return;
    const carrier = event.carrier.with('esp');
    const inner = event.bytes.slice(event.at, event.end);
    const info = this.#info;
    info.number = event.frame;
    info.seconds = event.seconds;
    info.nanoseconds = event.nanoseconds;
    info.hasTime = event.hasTime;
    info.originalLength = inner.length;
    const outer = this.#lane;
    this.#depth++;
    this.#lane = this.#lanes[this.#depth] ?? this.#newLane(new Batch({ capacity: 1, maxPacket: MAX_PACKET }));
    this.#finder.inside(inner, 0, inner.length, info, carrier);
    this.flush();
    this.#depth--;
    this.#lane = outer;
  }

  /** Says what the receiver makes of a packet, and how that is known. */
  #judge(event: EspEvent, stream: Stream | undefined, lane: Lane, i: number): void {
    const { tried } = event;
    event.verdict = tried;
    event.isUnopened = false;
    event.openedBy = undefined;
    if (!stream) {
      const known = this.#strangerAt(event.dst);
      const isHidden = lane.unknown[i]?.atReceiver === 'hidden';
      event.basis = known.isTold || isHidden ? 'told' : 'assumed';
      // What lies in ESP is for whoever that is meant for, and a list of SAs need not go so far.
      event.isUnopened = isHidden || (!known.isTold && (!known.hasSas || this.#depth > 0));
      if (isHidden && tried === NO_STATE) event.verdict = KEY_HIDDEN;
      return;
    }
    switch (stream.resolution.atReceiver) {
      case 'held':
        event.basis = 'told';
        if (stream.hasOthers) event.openedBy = lane.openedBy[i];
        return;
      case 'missing':
        event.basis = 'told';
        event.verdict = NO_STATE;
        event.openedBy = event.isOpened ? event.sa!.config : undefined;
        return;
      default:
        event.basis = 'assumed';
        event.isUnopened = !event.isOpened && lane.isProven[i] === 0;
    }
  }

  #strangerAt(dst: string) {
    if (this.#stranger.dst !== dst) {
      const evidence = this.#evidence;
      this.#stranger = { dst, isTold: evidence.heldBy(dst).length > 0, hasSas: evidence.hasSasTo(dst) };
    }
    return this.#stranger;
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

/** In place of the number of a batch: its first packet is about to be put into one. */
const STARTING = -1;
