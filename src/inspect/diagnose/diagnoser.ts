/**
 * Diagnoses a capture as it is read: what the receiving kernels would have counted, what happened in each stream, and
 * why. Memory does not grow with the capture: all tables have a fixed size, and streams beyond a bound are counted together.
 * @module
 */
import { u32 } from '../../base/bytes.ts';
import type { FrameInfo } from '../../capture/frame.ts';
import { type FrameNames, ONE_CAPTURE } from '../../capture/frame-id.ts';
import type { KeyMaterial } from '../../crypto/suite.ts';
import { DROP, dropRow } from '../../ipsec/drop.ts';
import { EspPlace } from '../../ipsec/esp-place.ts';
import { countsUp } from '../../ipsec/padding.ts';
import type { SaPlace } from '../../ipsec/sa-config.ts';
import { isAtOneOf } from '../../sa-text/sa-source.ts';
import { formatAddress, parseAddress } from '../../wire/address.ts';
import * as esp from '../../wire/esp.ts';
import * as icmp from '../../wire/icmp.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import { PASS } from '../../wire/packet.ts';
import type { EspEvent } from '../esp-event.ts';
import type { Evidence, Resolution } from '../evidence.ts';
import { type Carrier, type Quote, tunnelName } from '../find-esp.ts';
import type { Comparison } from '../places/compare.ts';
import { placesReport } from '../places/report.ts';
import type { Receiver } from '../receiver.ts';
import type { CaptureSink } from '../session.ts';
import { type Case, type IvReuse, OTHER_RECEIVERS, type StatText } from './case.ts';
import { CauseFinder, printOf } from './cause.ts';
import { ClearTraffic } from './clear.ts';
import { conclude } from './conclusion.ts';
import { encryptionOf } from './encryption.ts';
import { type ClearPods, clearPods } from './finders/clear-traffic.ts';
import { FINDERS } from './finders/index.ts';
import type { Diagnosis, Finding, FurtherReport } from './finding.ts';
import { FrameTimes } from './frame-times.ts';
import { FurtherStreams, MOST_OPENED, MOST_UNOPENED } from './further.ts';
import { InboundPolicies, type Ruling } from './inbound.ts';
import { InnerPacket } from './inner.ts';
import { PathWatch } from './path.ts';
import { OutboundPolicies } from './policies.ts';
import { type Received, receiverReports, settle } from './receivers.ts';
import { SeenIvs, SeenNumbers } from './seen.ts';
import { type PolicyDrop, pairName, Stream, streamKey } from './stream.ts';
import { rankOf } from './table.ts';
import { countOf, Tally } from './tally.ts';

/** Receivers of packets without SPI that are told apart. */
const MOST_RECEIVERS = 4096;
/** ESP, AH, IPComp. */
const NO_POLICY: ReadonlySet<number> = new Set([50, 51, 108]);
/** Different keys that nonces are compared under. */
const MOST_KEYS = 4096;

export class Diagnoser implements CaptureSink {
  readonly needsWire = true;
  readonly streams: Stream[] = [];
  /** What two places saw of the same ways: to be set where there are captures of several. It is finished first. */
  comparison: Comparison | undefined;
  /** Findings that other sources than packets and states make, to be among the others. */
  beside: readonly Finding[] = [];
  readonly #evidence: Evidence;
  readonly #stats: readonly StatText[];
  readonly #names: FrameNames;
  readonly #keeps: ((event: EspEvent) => boolean) | undefined;
  readonly #isAsked: () => boolean;
  readonly #byName = new Map<string, Stream>();
  readonly #seen = new SeenNumbers();
  readonly #ivs = new SeenIvs();
  readonly #keys: KeyMaterial[] = [];
  readonly #ivReuse = new Map<Stream, IvReuse>();
  readonly #headerErrors = new Map<string, Tally>();
  /** Times of frames, of those that are not handed on to it, too. */
  readonly times = new FrameTimes();
  /** Streams without an SA, and those with one in which nothing opened. */
  readonly #strange = new FurtherStreams(this.times);
  readonly #closed = new FurtherStreams(this.times);
  /** How many more streams get a record of their own: without an SA, unopened, opened. */
  readonly #room = { strange: MOST_UNOPENED, closed: MOST_UNOPENED, opened: MOST_OPENED };
  /** Streams by {@link pairName}. */
  readonly #byPair = new Map<string, Stream[]>();
  readonly #clear: ClearTraffic;
  readonly #policies: OutboundPolicies;
  readonly #inbound: InboundPolicies;
  readonly #path = new PathWatch(this.times);
  #receiver!: Receiver;
  #causes!: CauseFinder;
  readonly #inner = new InnerPacket();
  readonly #other = new InnerPacket();
  readonly #place = new EspPlace([]);
  #last: Stream | undefined;
  /** Packets of ESP in ESP that no source has an SA for. */
  #nested = 0;
  /** The last frame that was a fragment. */
  #fragmentFrame = 0;

  /**
   * @param stats counters of kernels, to compare with
   * @param names of frames, where there are several captures
   * @param keeps asked of packets until one of their stream is wanted: {@link Stream.isKept}
   * @param isAsked is what comes from this frame asked for? All is judged, and `asked` beside each figure counts it
   */
  constructor(
    evidence: Evidence,
    stats: readonly StatText[] = [],
    names: FrameNames = ONE_CAPTURE,
    keeps?: (event: EspEvent) => boolean,
    isAsked?: () => boolean,
  ) {
    this.#keeps = keeps;
    this.#isAsked = isAsked ?? (() => true);
    this.#evidence = evidence;
    this.#names = names;
    this.#stats = stats;
    this.#policies = new OutboundPolicies(evidence.policies);
    this.#inbound = new InboundPolicies(evidence);
    this.#clear = new ClearTraffic(this.#policies, this.times, isAsked);
  }

  attach(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#causes = new CauseFinder(this.#evidence, receiver.trials, this.#seen);
  }

  /** The capture has taken SAs away: what follows under their SPIs is a stream of its own. */
  forget(places: readonly SaPlace[]): void {
    const isGone = isAtOneOf(places);
    for (const [name, { src, dst, spi }] of this.#byName) {
      if (isGone({ src: parseAddress(src)!, dst: parseAddress(dst)!, spi })) this.#byName.delete(name);
    }
    this.#last = undefined;
  }

  /** The diagnosis of everything so far. Call once, after the last frame. */
  finish(): Diagnosis {
    this.#receiver.flush();
    this.#path.finish(this.#receiver.lastFrame);
    return this.#diagnose(true);
  }

  /** The diagnosis so far, while more is to come: what still waits for an answer is no finding yet. It has no `encryption`. */
  peek(): Diagnosis {
    this.#receiver.flush();
    return this.#diagnose(false);
  }

  #diagnose(isWhole: boolean): Diagnosis {
    const c = this.#case();
    const all = [...FINDERS.flatMap((find) => [...find(c)]), ...this.beside].sort(byImportance);
    const further = this.#further();
    const findings = all.filter(({ severity }) => severity !== 'info');
    return {
      conclusion: conclude(c, findings),
      encryption: isWhole ? encryptionOf(c, c.clearPods()) : null,
      ...(further && { further }),
      ...(c.comparison && placesReport(c.comparison, this.#names.files)),
      receivers: c.receivers,
      streams: this.streams.map((stream) => stream.report()),
      findings,
      notes: all.filter(({ severity }) => severity === 'info'),
    };
  }

  /** All that findings are made of, instead of {@link finish}. Call once, after the last frame. */
  finishCase(): Case {
    this.#receiver.flush();
    this.#path.finish(this.#receiver.lastFrame);
    return this.#case();
  }

  #case(): Case {
    const received: Received = {
      evidence: this.#evidence,
      streams: this.streams,
      strange: this.#strange,
      closed: this.#closed,
      headerErrors: this.#headerErrors,
    };
    settle(received, this.#byPair);
    const { pending, stats } = this.#receiver.reassembler;
    const receivers = receiverReports(received);
    let pods: readonly ClearPods[] | undefined;
    const c: Case = {
      ...received,
      names: this.#names,
      receivers,
      between: (src, dst) => this.#byPair.get(pairName(src, dst)) ?? [],
      clear: this.#clear,
      clearPods: () => (pods ??= clearPods(c)),
      policies: this.#policies,
      inbound: this.#inbound,
      path: this.#path,
      ivReuse: this.#ivReuse,
      stats: this.#stats,
      times: this.times,
      comparison: this.comparison,
      frames: this.#receiver.totals.frames,
      notRead: this.#receiver.totals.notRead,
      nested: this.#nested,
      incomplete: pending + stats.timedOut + stats.evicted,
    };
    return c;
  }

  packet(event: EspEvent): void {
    const { frame } = event;
    const isOver = event.verdict === DROP['timed-out'];
    const verdict = isOver ? event.verdict : event.tried;
    this.times.note(frame, event);
    // ESP in ESP that no source has an SA for is for another receiver, and makes no stream here.
    if (event.isUnopened && !event.stream && event.carrier.kinds().includes('esp')) {
      this.#nested++;
      return;
    }
    if (!event.hasSpi) {
      if (verdict === DROP['header-error']) this.#headerError(event.dst).add(frame);
      return;
    }
    const stream = this.#streamOf(event);
    if (!stream) return;
    if (this.#keeps && !stream.isKept) stream.isKept = this.#keeps(event);
    const isAsked = this.#isAsked();
    if (isAsked) {
      stream.asked.packets++;
      if (verdict === PASS) stream.asked[event.authenticated ? 'ok' : 'unauthenticated']++;
    }
    if (stream.packets++ === 0) {
      stream.firstFrame = frame;
      stream.firstTime = event.seconds + event.nanoseconds / 1e9;
    }
    stream.lastFrame = frame;
    stream.lastTime = event.seconds + event.nanoseconds / 1e9;
    stream.all.add(frame);
    stream.largest = Math.max(stream.largest, event.ipEnd - event.ipAt);
    if (verdict === PASS && !event.authenticated) this.#open(stream, event);
    else if (verdict === PASS) this.#accept(stream, event);
    else if (isOver) stream.tally('timed-out').add(frame);
    else {
      const before = stream.countOf('other-key');
      this.#causes.look(stream, event);
      // The receiver refuses what another key opens. It may be its own that opens the rest.
      const isUnknown = stream.resolution.atReceiver === 'other-key' && event.isUnopened;
      if (isUnknown && stream.countOf('other-key') === before) {
        stream.count(DROP['key-hidden']);
        return;
      }
    }
    stream.count(verdict === PASS ? this.#admit(stream, event) : verdict);
  }

  /** What the receiver's inbound policies make of a packet that its SA has let through. @returns PASS or the row */
  #admit(stream: Stream, event: EspEvent): number {
    const { resolution } = stream;
    if (this.#inbound.isEmpty || event.verdict !== PASS || resolution.atReceiver !== 'held') return PASS;
    let verdict = PASS;
    let isRuled = true;
    event.eachPacket((b, at, end) => {
      const ruling = this.#rule(stream, event, b, at, end);
      if (!ruling) isRuled = false;
      if (!ruling || ruling.verdict === PASS) return;
      if (ruling.isAssumed) stream.isRulingAssumed = true;
      stream.tally(dropRow(ruling.verdict)!.reason as PolicyDrop).add(event.frame);
      if (event.aggregate) stream.countBeside(ruling.verdict);
      else verdict = ruling.verdict;
    });
    if (isRuled) stream.ruled++;
    return verdict;
  }

  #rule(stream: Stream, event: EspEvent, b: Uint8Array, at: number, end: number): Ruling | undefined {
    const place = this.#place;
    const kind = place.find(b, at, end);
    // ESP goes on to the next SA before a policy is asked, and so do AH and IPComp.
    if (kind === 'broken' || NO_POLICY.has(b[place.protocolAt]!)) return undefined;
    const { srcAt, dstAt, addressLen } = place;
    return this.#inbound.judge({
      ...{ b, at, isFragment: kind === 'fragment', node: stream.dst },
      src: b.slice(srcAt, srcAt + addressLen),
      dst: b.slice(dstAt, dstAt + addressLen),
      path: [...event.around, event.sa!.config],
    });
  }

  /** No ICV vouches for it, so it says nothing of what the receiver does, nor of its numbers. */
  #open(stream: Stream, event: EspEvent): void {
    const { frame, seqHi, seqLo } = event;
    stream.unauthenticated++;
    const before = this.#seen.get(stream.id, seqHi, seqLo);
    stream.read(seqLo, before === undefined);
    this.#seen.put(stream.id, seqHi, seqLo, frame, printOf(event), event.espEnd - event.espAt);
    this.#lookInside(stream, event);
  }

  #accept(stream: Stream, event: EspEvent): void {
    const { frame, seqHi, seqLo, wire, espAt } = event;
    if (stream.ok++ === 0) {
      this.#move(stream, 'opened');
      stream.firstOkFrame = frame;
      if (stream.resolution.candidates.length === 0) this.#resolve(stream);
      const before = this.#evidence.isMadeUnderWay(stream.resolution) && this.#predecessor(stream);
      if (before) stream.beginAnew(before.lastTime);
    }
    if (!stream.winner && stream.resolution.candidates.length > 1) {
      stream.winner = event.sa?.config.keys;
      stream.key = this.#keyOf(stream.winner);
    }
    stream.lastOkFrame = frame;
    const trailerAt = event.textEnd - esp.TRAILER_LEN;
    if (event.authenticated && !countsUp(event.bytes, trailerAt - event.bytes[trailerAt]!, trailerAt))
      stream.tally('odd-padding').add(frame);
    const print = printOf(event);
    // Without a window a number may come again: only the last one counts.
    const before = this.#seen.get(stream.id, seqHi, seqLo);
    if (before) {
      stream.duplicates++;
      const cause = before.print === print ? 'replayed' : 'same-number';
      stream.tally(cause).also(before.frame);
      stream.tally(cause).add(frame);
    }
    stream.accept(seqHi, seqLo, before === undefined);
    this.#seen.put(stream.id, seqHi, seqLo, frame, print, event.espEnd - espAt);
    // AES-GCM and its like: a nonce that comes twice gives the key stream away.
    if (stream.key >= 0) {
      const ivHi = u32(wire, espAt + esp.HEADER_LEN);
      const ivLo = u32(wire, espAt + esp.HEADER_LEN + 4);
      stream.senders.add(ivHi, ivLo, seqHi, seqLo, frame);
      const twin = this.#ivs.put(stream.key, ivHi, ivLo, frame, print);
      if (twin > 0) {
        let reuse = this.#ivReuse.get(stream);
        if (!reuse) {
          reuse = { stream, tally: new Tally(this.times) };
          this.#ivReuse.set(stream, reuse);
        }
        reuse.tally.also(twin);
        reuse.tally.add(frame);
      }
    }
    this.#lookInside(stream, event);
  }

  /** What came out of ESP. */
  #lookInside(stream: Stream, event: EspEvent): void {
    const inner = this.#inner;
    const { aggregate } = event;
    if (aggregate) {
      stream.takeOut(aggregate, event.frame);
      // How long the packet around ESP is says nothing of how long one inside is.
      for (const packet of aggregate.inners)
        if (inner.read(packet, 0, packet.length)) this.#clear.addDecrypted(inner, stream, event);
    } else if (inner.read(event.bytes, event.at, event.end)) {
      this.#clear.addDecrypted(inner, stream, event);
      this.#path.addInner(inner, stream, event.ipEnd - event.ipAt, event.frame);
    }
  }

  quote(quote: Quote, info: FrameInfo): void {
    this.times.note(info.number, info);
    this.#path.addQuote(quote, info.number);
  }

  other(b: Uint8Array, at: number, end: number, info: FrameInfo, carrier: Carrier): void {
    const packet = this.#other;
    this.times.note(info.number, info);
    if (!packet.read(b, at, end, tunnelName(carrier))) return;
    if (packet.protocol === icmp.PROTOCOL || packet.protocol === icmp.PROTOCOL_V6) {
      this.#path.addIcmp(packet, info.number, formatAddress);
    }
    // What was put together just now went by as fragments, each of which was looked at.
    if (info.number !== this.#fragmentFrame || packet.tunnel !== '')
      this.#clear.addClear(packet, info.number, info.seconds + info.nanoseconds / 1e9);
  }

  /** The header of IPv4 names the protocol in every fragment; ESP in IPv6 fragments is seen once it is whole. */
  fragment(b: Uint8Array, at: number, end: number, info: FrameInfo): void {
    this.#fragmentFrame = info.number;
    this.times.note(info.number, info);
    if (b[at]! >>> 4 !== 4 || ipv4.protocol(b, at) !== esp.PROTOCOL) {
      if (this.#other.read(b, at, end))
        this.#clear.addClear(this.#other, info.number, info.seconds + info.nanoseconds / 1e9);
      return;
    }
    this.#path.addFragment(
      formatAddress(b, at + ipv4.SRC_AT, 4),
      formatAddress(b, at + ipv4.DST_AT, 4),
      Math.min(end - at, ipv4.totalLength(b, at)),
      info.number,
    );
  }

  /** The stream of a packet, or `undefined` where there are too many: the packet is counted then. */
  #streamOf(event: EspEvent): Stream | undefined {
    const { src, dst, spi, tried: verdict, frame } = event;
    const last = this.#last;
    if (last && last.spi === spi && last.src === src && last.dst === dst) return last;
    const name = streamKey(src, dst, spi);
    let stream = this.#byName.get(name);
    if (!stream) {
      const evidence = this.#evidence;
      const resolution = evidence.resolve(src, dst, spi);
      const kind =
        verdict === PASS && event.authenticated ? 'opened' : isStrange(resolution) ? 'strange' : 'closed';
      if (this.#room[kind] <= 0) {
        const further = kind === 'strange' ? this.#strange : this.#closed;
        further.add(name, evidence.knows(dst) ? dst : undefined, verdict, frame, this.#isAsked());
        return undefined;
      }
      stream = new Stream(this.streams.length, src, dst, spi, resolution, this.times);
      stream.kind = kind;
      this.#room[kind]--;
      stream.key = this.#keyOf(stream.resolution.candidates[0]?.keys);
      this.streams.push(stream);
      this.#byName.set(name, stream);
      const pair = pairName(src, dst);
      const same = this.#byPair.get(pair);
      if (same) same.push(stream);
      else this.#byPair.set(pair, [stream]);
    }
    this.#last = stream;
    return stream;
  }

  #move(stream: Stream, kind: Stream['kind']): void {
    this.#room[stream.kind]++;
    stream.kind = kind;
    this.#room[kind]--;
  }

  #headerError(dst: string): Tally {
    const known = this.#headerErrors.get(dst);
    if (known) return known;
    const name = this.#headerErrors.size < MOST_RECEIVERS ? dst : OTHER_RECEIVERS;
    const tally = this.#headerErrors.get(name) ?? new Tally(this.times);
    this.#headerErrors.set(name, tally);
    return tally;
  }

  #further(): FurtherReport | undefined {
    const all = [this.#strange, this.#closed];
    const streams = all.reduce((sum, one) => sum + one.streams.count, 0);
    return streams > 0 ? { streams, packets: countOf(all.map(({ tally }) => tally)) } : undefined;
  }

  /** What the sender used for this receiver until it came to this stream. */
  #predecessor({ src, dst, spi }: Stream): Stream | undefined {
    return this.#byPair.get(pairName(src, dst))?.findLast((one) => one.ok > 0 && one.spi !== spi);
  }

  /** The SA came after the first packets did. */
  #resolve(stream: Stream): void {
    stream.resolution = this.#evidence.resolve(stream.src, stream.dst, stream.spi);
    stream.key = this.#keyOf(stream.resolution.candidates[0]?.keys);
  }

  /** A number for a key with nonces, the same for equal keys; -1 for others. */
  #keyOf(keys: KeyMaterial | undefined): number {
    if (keys?.suite.saltLen !== 4) return -1;
    const known = this.#keys.findIndex((one) => one.equals(keys));
    if (known >= 0) return known;
    return this.#keys.length < MOST_KEYS ? this.#keys.push(keys) - 1 : -1;
  }
}

/** Does no source at hand have an SA for it, or did the capture? */
function isStrange({ candidates, held, others, former }: Resolution): boolean {
  return candidates.length + held.length + others.length + former.length === 0;
}

function byImportance(a: Finding, b: Finding): number {
  const severities = ['error', 'warning', 'info'];
  return (
    severities.indexOf(a.severity) - severities.indexOf(b.severity) ||
    rankOf(a.code) - rankOf(b.code) ||
    (a.frames[0] ?? 0) - (b.frames[0] ?? 0)
  );
}
