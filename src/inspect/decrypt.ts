/**
 * Decrypts the ESP packets of a capture, with the verdicts that the receiving kernels would have given.
 *
 * Frames come in one at a time, as a capture reader delivers them. What is ESP goes into a batch: copied, or left
 * where it lies, when that may be overwritten. A full batch goes through the same {@link Decapsulator} that a node
 * uses, and out come records in the capture's order.
 *
 * A capture starts in mid-stream. The first packet of a stream that authenticates therefore starts its window,
 * and finds the high half of its ESN, which is not on the wire ({@link HighHalf}). Later packets follow it as a
 * receiver does. While the start may still have been a replay of an earlier epoch, each packet is tried before it is
 * opened, and one that authenticates in a higher epoch starts the window again. Where the batch still holds all that
 * came since the first start, the packets of the earlier epoch get the verdict of the receiver.
 *
 * Nothing is kept for long that a packet without a key can cause: what never authenticated makes room, and an SA of any
 * source is one stream until a source authenticates.
 * @module
 */
import { u32 } from '../base/bytes.ts';
import type { RandomBytes } from '../base/rng.ts';
import type { FrameInfo, FrameSink } from '../capture/frame.ts';
import type { Engine } from '../crypto/engine.ts';
import { isAuthenticated } from '../crypto/suite.ts';
import { Decapsulator } from '../ipsec/decapsulate.ts';
import { dropCode } from '../ipsec/drop.ts';
import { EspPlace, espPorts } from '../ipsec/esp-place.ts';
import type { SecurityAssociation } from '../ipsec/sa.ts';
import type { SaConfig, SaPlace } from '../ipsec/sa-config.ts';
import { Sad } from '../ipsec/sad.ts';
import { isAtOneOf, type SaSource } from '../sa-text/sa-source.ts';
import { formatAddress, isAny } from '../wire/address.ts';
import { Batch, LentBatch, PASS } from '../wire/packet.ts';
import type { Reassembler } from '../wire/reassembly.ts';
import { type Contender, Contenders, Trials } from './contenders.ts';
import { Carrier, EspFinder, type FoundSink, type FrameTotals, noFrames, type Quote } from './find-esp.ts';
import { SearchBudget } from './high-half.ts';
import { SecondChance } from './second-chance.ts';

const BAD_ICV = dropCode('bad-icv');

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
export class EspRecord {
  /** 1-based number of the frame that completed the packet. */
  frame = 0;
  seconds = 0;
  nanoseconds = 0;
  hasTime = false;
  /** Addresses of the IP header around ESP. */
  src = '';
  dst = '';
  /** False where the packet is too short for SPI and number. */
  hasSpi = false;
  spi = 0;
  seqHi = 0;
  seqLo = 0;
  /** {@link PASS} or the row of the drop table. */
  verdict = PASS;
  /** Did an ICV vouch for it? Only where the verdict is {@link PASS}. */
  authenticated = false;
  /** The clear packet, `bytes[at..end)`, where the verdict is {@link PASS}. */
  bytes: Uint8Array = new Uint8Array(0);
  at = 0;
  end = 0;
  /** What carried the IP packet. */
  carrier = Carrier.NONE;
  /** The IP packet as it was on the wire, `wire[wireAt..wireEnd)`, where {@link DecryptOptions.keepWire} asks for it. */
  wire: Uint8Array = new Uint8Array(0);
  wireAt = 0;
  wireEnd = 0;
}

/** What became of the ESP packets, and what went by beside them. */
export interface DecryptTotals extends FrameTotals {
  esp: number;
  ok: number;
  /** Of them those that no ICV vouches for. */
  unauthenticated: number;
  /** Dropped, by row of the drop table. */
  dropped: Map<number, number>;
}

/** A stream of packets: one direction of one tunnel under one SPI. */
interface Stream {
  readonly contenders: Contenders;
  /** The one of them whose SA is in the SAD. */
  inSad: Contender;
  /** Its index there. */
  index: number;
  readonly src: string;
  readonly dst: string;
  /** It stands for every source that has not authenticated yet. */
  readonly isShared: boolean;
  /** Packets that followed each other since the stream started. */
  followed: number;
  /** Its window has moved while nothing was tried. */
  isAhead: boolean;
  /** The batch that has the last of its packets, and the one that has all since it started first. */
  batch: number;
  firstBatch: number;
  used: boolean;
}

export interface DecryptOptions {
  /** Name of the capture, for errors. */
  readonly source: string;
  readonly sas: SaSource;
  readonly engine: Engine;
  /** SAs that never send need it all the same. */
  readonly random: RandomBytes;
  /** UDP ports that carry ESP beside 4500. A list with 4500 in it may grow while the capture is read. */
  readonly udpPorts?: readonly number[];
  /**
   * Frames may be overwritten: they are decrypted where they lie, and nothing is copied. Their bytes are then the
   * decryptor's until {@link CaptureDecryptor.release}. Counts for nothing beside {@link keepWire}.
   */
  readonly inPlace?: boolean;
  /** Gets every ESP packet, in the capture's order. */
  readonly onPacket: (record: EspRecord) => void;
  /** Gets every ESP packet before it is opened, with the window as it then is if {@link CaptureDecryptor.flush} came just before. */
  readonly onAdmit?: (admission: Admission) => void;
  /**
   * Gets every IP packet without ESP, `b[at..end)`, borrowed. It comes at once: earlier ESP packets may still wait in
   * the batch. `carrierVni` is the VNI of the VXLAN packet around it, or -1.
   */
  readonly onOther?: (b: Uint8Array, at: number, end: number, info: FrameInfo, carrierVni: number) => void;
  /** Gets every fragment of an IP packet, in the same way, before it is put together with the others. */
  readonly onFragment?: (b: Uint8Array, at: number, end: number, info: FrameInfo) => void;
  /** Gets every ICMP error that sends back an ESP packet; the packet that holds it goes to {@link onOther} too. */
  readonly onQuote?: (quote: Quote, info: FrameInfo) => void;
  /** Keeps each ESP packet as it was on the wire for {@link EspRecord.wire}: a failed decryption leaves nothing of it. */
  readonly keepWire?: boolean;
}

/** An ESP packet that is about to be opened. The bytes are borrowed; they may be those of a reassembled packet. */
export interface Admission {
  readonly bytes: Uint8Array;
  /** Where the IP header around ESP starts. */
  readonly at: number;
  readonly espAt: number;
  readonly espEnd: number;
  /** The SA that it will be opened with. */
  readonly sa: SecurityAssociation | undefined;
  /** All SAs that the sources know for its stream, and that may still be the right one. */
  readonly candidates: readonly SaConfig[];
}

export class CaptureDecryptor implements FrameSink {
  readonly totals: DecryptTotals = {
    ...noFrames(),
    esp: 0,
    ok: 0,
    unauthenticated: 0,
    dropped: new Map(),
  };

  readonly #options: DecryptOptions;
  readonly #sad = new Sad('source');
  /** By index in the SAD. */
  readonly #streams: (Stream | undefined)[] = [];
  /** The batch, when packets stay where they lie. */
  readonly #lent: LentBatch | undefined;
  #batch: Batch;
  /** Copies of the batch's packets, slot for slot. */
  #wire: Uint8Array = new Uint8Array(0);
  readonly #wireLen = new Uint32Array(BATCH);
  readonly #decapsulator: Decapsulator;
  readonly #finder: EspFinder;
  /** Where the packet at hand lies. */
  #place = new EspPlace([]);
  readonly #record = new EspRecord();
  readonly #trials: Trials;
  readonly #unopened = new SecondChance<Stream>(MOST_UNOPENED);
  readonly #sources = new SecondChance<Stream>(MOST_SOURCES);
  /** Counts batches. */
  #batchNumber = 1;
  /** Does the batch have packets without an SA? */
  #hasStrangers = false;

  // What a record needs to know of each packet of the batch.
  readonly #stream: (Stream | undefined)[] = new Array<Stream | undefined>(BATCH).fill(undefined);
  readonly #frame = new Float64Array(BATCH);
  readonly #seconds = new Float64Array(BATCH);
  readonly #nanoseconds = new Uint32Array(BATCH);
  readonly #hasTime = new Uint8Array(BATCH);
  readonly #carrier: Carrier[] = new Array<Carrier>(BATCH).fill(Carrier.NONE);
  readonly #addressLen = new Uint8Array(BATCH);
  /** Source and destination of packets without a stream, as they were: decapsulation may overwrite them. */
  readonly #addresses = new Uint8Array(BATCH * 32);

  constructor(options: DecryptOptions) {
    this.#options = options;
    this.#trials = new Trials(options.engine, options.random, new SearchBudget());
    const ports = espPorts(options.udpPorts);
    const { onOther, onFragment } = options;
    const sink: FoundSink = {
      esp: (b, at, end, info, carrier, place) => {
        this.#place = place;
        this.#takeEsp(b, at, end, info, carrier);
      },
      ...(onOther && {
        other: (b, at, end, info, carrier) => onOther(b, at, end, info, carrier.vni),
      }),
      ...(options.onQuote && { quote: options.onQuote }),
      ...(onFragment && { fragment: (b, at, end, info) => onFragment(b, at, end, info) }),
    };
    this.#finder = new EspFinder({ udpPorts: ports, sink }, this.totals);
    this.#lent = options.inPlace && !options.keepWire ? new LentBatch(BATCH) : undefined;
    // Slots of an ordinary size lie close together, which caches like; a longer packet brings larger ones.
    this.#batch = this.#lent ?? new Batch({ capacity: BATCH, maxPacket: USUAL_PACKET });
    this.#decapsulator = new Decapsulator(this.#sad, options.engine, BATCH, ports);
    if (options.keepWire) this.#wire = new Uint8Array(this.#batch.slab.length);
  }

  /** Takes the next frame of the capture. */
  frame(b: Uint8Array, at: number, end: number, info: FrameInfo): void {
    this.#finder.frame(b, at, end, info);
  }

  get reassembler(): Reassembler {
    return this.#finder.reassembler;
  }

  /** The memory of frames is about to be used again. */
  release(): void {
    this.flush();
  }

  /** Finishes what is still in the batch. Call after the last frame, and before reading results so far. */
  flush(): void {
    const batch = this.#batch;
    if (batch.count === 0) return;
    this.#decapsulator.run(batch);
    for (let i = 0; i < batch.count; i++) this.#emit(i);
    batch.clear();
    this.#batchNumber++;
    this.#hasStrangers = false;
  }

  /** SAs are gone: what comes from now on is opened with those that the source then has, which begin windows of their own. */
  forget(places: readonly SaPlace[]): void {
    if (places.length === 0) return;
    this.flush();
    const isGone = isAtOneOf(places);
    for (const stream of this.#streams) {
      if (stream && isGone(stream.inSad.config)) this.#remove(stream);
    }
  }

  /** `#place` says where ESP lies. */
  #takeEsp(b: Uint8Array, at: number, end: number, info: FrameInfo, carrier: Carrier): void {
    const place = this.#place;
    const { espAt, espEnd, srcAt, dstAt, addressLen } = place;
    const hasSpi = espEnd - espAt >= 8;
    let stream = hasSpi ? this.#streamOf(b, srcAt, dstAt, addressLen, u32(b, espAt)) : undefined;
    if (stream) {
      stream.used = true;
      if (!place.cut && !isCertain(stream)) stream = this.#look(stream, b);
    }
    this.#tell(b, at, espAt, espEnd, stream);
    this.#push(b, at, end, info, carrier, stream);
    if (stream) {
      stream.batch = this.#batchNumber;
      if (stream.firstBatch === STARTING) stream.firstBatch = this.#batchNumber;
    } else this.#hasStrangers = true;
  }

  /**
   * Looks which SA the packet at `#place` is of, and moves the window there where a capture has to.
   * @returns its stream: another one where a source has just shown itself
   */
  #look(stream: Stream, b: Uint8Array): Stream {
    const { espAt, espEnd, srcAt, addressLen } = this.#place;
    const { contenders } = stream;
    const lo = u32(b, espAt + 4);
    const { high, sa } = stream.inSad;
    if (stream.isAhead || (high.isStarted && contenders.configs.length > 1)) {
      this.#finish(stream);
      high.moveTo(sa.window.topHi, sa.window.topLo);
      stream.isAhead = false;
      // Of several SAs the one in use refuses a number first, as it does in a kernel.
      if (contenders.configs.length > 1 && sa.window.check(sa.window.inferHigh(lo), lo) !== PASS)
        return stream;
    }
    // A packet that authenticates takes what is not checked out of the engine.
    if (sa.isUnchecked) this.#finish(stream);
    const look = contenders.look(b, espAt, espEnd);
    if (look === 'unknown') return stream;
    const { current } = contenders;
    if (current !== stream.inSad) {
      this.#finish(stream);
      this.#sad.remove(stream.index);
      this.#streams[stream.index] = undefined;
      stream.index = this.#sad.add(current.sa);
      stream.inSad = current;
      this.#streams[stream.index] = stream;
    }
    // A source that nothing vouches for does not get a stream.
    if (look === 'unchecked') return stream;
    if (stream.isShared) {
      const own = this.#addStream(contenders.forSource(b.slice(srcAt, srcAt + addressLen)), false);
      contenders.reset();
      this.#start(own, lo);
      return own;
    }
    if (look === 'starts') this.#start(stream, lo);
    else stream.followed++;
    return stream;
  }

  /** The packet at hand says where the window of a stream stood. */
  #start(stream: Stream, lo: number): void {
    const { high, sa } = stream.inSad;
    if (stream.firstBatch !== this.#batchNumber) this.#finish(stream);
    if (stream.firstBatch === NEVER) {
      stream.firstBatch = STARTING;
      this.#unopened.delete(stream);
    }
    stream.followed = 0;
    sa.window.startBefore(high.hi, lo);
  }

  /** Gives verdicts to the packets of a stream that wait. */
  #finish(stream: Stream): void {
    if (stream.batch === this.#batchNumber) this.flush();
  }

  #tell(b: Uint8Array, at: number, espAt: number, espEnd: number, stream: Stream | undefined): void {
    const { onAdmit } = this.#options;
    if (!onAdmit) return;
    const sa = stream && this.#sad.sas[stream.index];
    onAdmit({ bytes: b, at, espAt, espEnd, sa, candidates: stream?.contenders.configs ?? [] });
  }

  /** Puts a packet into the batch. Without a stream, `#place` says where its addresses lie. */
  #push(
    b: Uint8Array,
    at: number,
    end: number,
    info: FrameInfo,
    carrier: Carrier,
    stream: Stream | undefined,
  ): void {
    // Nothing longer than an IP packet is ESP by its length fields; link-layer padding may go.
    const last = Math.min(end, at + MAX_PACKET);
    const i = this.#put(b, at, last);
    if (this.#options.keepWire) {
      this.#wireLen[i] = last - at;
      this.#wire.set(b.subarray(at, last), i * this.#batch.slotSize);
    }
    this.#stream[i] = stream;
    this.#frame[i] = info.number;
    this.#seconds[i] = info.seconds;
    this.#nanoseconds[i] = info.nanoseconds;
    this.#hasTime[i] = info.hasTime ? 1 : 0;
    this.#carrier[i] = carrier;
    if (stream && !stream.isShared) return;
    const { srcAt, dstAt, addressLen } = this.#place;
    this.#addressLen[i] = addressLen;
    this.#addresses.set(b.subarray(srcAt, srcAt + addressLen), i * 32);
    this.#addresses.set(b.subarray(dstAt, dstAt + addressLen), i * 32 + 16);
  }

  /** Returns the packet's index in the batch, which is finished first when it has no room. */
  #put(b: Uint8Array, at: number, end: number): number {
    const lent = this.#lent;
    let i = lent ? lent.lend(b, at, end) : this.#batch.push(b, at, end);
    if (i >= 0) return i;
    this.flush();
    i = lent ? lent.lend(b, at, end) : this.#batch.push(b, at, end);
    if (i >= 0) return i;
    this.#batch = new Batch({ capacity: BATCH, maxPacket: MAX_PACKET });
    if (this.#options.keepWire) this.#wire = new Uint8Array(this.#batch.slab.length);
    return this.#batch.push(b, at, end);
  }

  /** The stream of a packet, made when this is its first; `undefined` when no source knows an SA for it. */
  #streamOf(b: Uint8Array, srcAt: number, dstAt: number, len: number, spi: number): Stream | undefined {
    const index = this.#sad.lookup(b, srcAt, dstAt, len, spi, 0);
    const known = this.#streams[index];
    if (known && !known.isShared) return known;
    const src = b.slice(srcAt, srcAt + len);
    const candidates = this.#options.sas.find(src, b.slice(dstAt, dstAt + len), spi);
    if (candidates.length === 0) return known;
    const isShared = candidates.every((config) => isAny(config.src));
    if (isShared && known) return known;
    // Packets of the stream that came when there was no SA wait in the batch, and must not find this one.
    if (this.#hasStrangers || known) this.flush();
    const any = new Uint8Array(len);
    const configs = candidates.map((config) => ({ ...config, src: isShared ? any : src }));
    return this.#addStream(new Contenders(configs, this.#trials), isShared);
  }

  #addStream(contenders: Contenders, isShared: boolean): Stream {
    const inSad = contenders.current;
    const { src, dst } = inSad.config;
    const stream: Stream = {
      contenders,
      inSad,
      index: -1,
      src: formatAddress(src),
      dst: formatAddress(dst),
      isShared,
      followed: 0,
      isAhead: false,
      batch: NEVER,
      firstBatch: NEVER,
      used: true,
    };
    const kept = inSad.high.isStarted ? this.#sources : this.#unopened;
    const gone = kept.makeRoom();
    if (gone.length > 0) this.flush();
    for (const one of gone) this.#remove(one);
    kept.add(stream);
    stream.index = this.#sad.add(inSad.sa);
    this.#streams[stream.index] = stream;
    return stream;
  }

  #remove(stream: Stream): void {
    this.#sad.remove(stream.index);
    this.#streams[stream.index] = undefined;
    stream.contenders.remove();
    this.#unopened.delete(stream);
    this.#sources.delete(stream);
  }

  #emit(i: number): void {
    const batch = this.#batch;
    const { spi, seqHi, seqLo, isEsp } = this.#decapsulator;
    const record = this.#record;
    const { totals } = this;
    const verdict = batch.verdict[i]!;
    const stream = this.#stream[i];
    totals.esp++;
    if (verdict === PASS) {
      totals.ok++;
      if (!isAuthenticated(stream!.inSad.sa.suite)) totals.unauthenticated++;
    } else {
      totals.dropped.set(verdict, (totals.dropped.get(verdict) ?? 0) + 1);
      if (verdict === BAD_ICV && stream && isCertain(stream)) doubt(stream);
    }
    const isOwn = stream !== undefined && !stream.isShared;
    record.frame = this.#frame[i]!;
    record.seconds = this.#seconds[i]!;
    record.nanoseconds = this.#nanoseconds[i]!;
    record.hasTime = this.#hasTime[i] === 1;
    record.src = isOwn ? stream.src : formatAddress(this.#addresses, i * 32, this.#addressLen[i]!);
    record.dst = isOwn ? stream.dst : formatAddress(this.#addresses, i * 32 + 16, this.#addressLen[i]!);
    record.hasSpi = isEsp[i] === 1;
    record.spi = spi[i]!;
    record.seqHi = seqHi[i]!;
    record.seqLo = seqLo[i]!;
    record.verdict = verdict;
    record.authenticated = verdict === PASS && isAuthenticated(stream!.inSad.sa.suite);
    record.bytes = batch.slab;
    record.at = batch.offset[i]!;
    record.end = record.at + batch.length[i]!;
    record.carrier = this.#carrier[i]!;
    if (this.#options.keepWire) {
      record.wire = this.#wire;
      record.wireAt = i * batch.slotSize;
      record.wireEnd = record.wireAt + this.#wireLen[i]!;
    }
    this.#options.onPacket(record);
  }
}

/** Numbers of no batch: a stream that never started, and one whose first packet is about to be put into a batch. */
const NEVER = 0;
const STARTING = -1;

/** Is there nothing to try on the packets of a stream? */
function isCertain({ contenders, inSad, followed }: Stream): boolean {
  if (contenders.isUnchecked) return true;
  if (!inSad.high.isStarted || contenders.configs.length > 1) return false;
  return !inSad.sa.esn || followed >= PROVEN;
}

/** A packet did not authenticate: those after it are tried again, for a while. */
function doubt(stream: Stream): void {
  if (!stream.inSad.sa.esn) return;
  stream.followed = PROVEN - DOUBT;
  stream.isAhead = true;
}
