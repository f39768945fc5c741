/**
 * Is it encrypted? Counts what went by between nodes and between pods, in ESP and in the clear, without keys; where there
 * are keys, what they open says more. What is a leak, and what only looks so, the diagnosis finds; this adds what can be
 * told without keys: copies of encrypted packets, and ESP that is readable without a key.
 *
 * A filter leaves nothing out of this: where the packets that are asked for are fewer than all, both are counted. SPIs,
 * verdicts and reasons choose the rows that are shown, and no more.
 * @module
 */

import type { FrameInfo } from '../../capture/frame.ts';
import { type FrameNames, ONE_CAPTURE } from '../../capture/frame-id.ts';
import { formatAddress } from '../../wire/address.ts';
import { Diagnoser } from '../diagnose/diagnoser.ts';
import { InnerPacket } from '../diagnose/inner.ts';
import { isReadable } from '../diagnose/plain.ts';
import { pairName, streamKey } from '../diagnose/stream.ts';
import type { EspEvent } from '../esp-event.ts';
import type { Evidence } from '../evidence.ts';
import { type Carrier, tunnelName } from '../find-esp.ts';
import { Names } from '../names.ts';
import { type FilterSpec, NO_FILTER } from '../packet-filter.ts';
import type { CaptureSink } from '../session.ts';
import { PairChoice } from './choice.ts';
import { type ClearCount, Groups, noneInTheClear, Way } from './copies.ts';
import { type Counted, judge, type Readable } from './judge.ts';
import type { CheckReport, CheckSummary } from './report.ts';
import { ShownRows } from './shown-rows.ts';
import { AskedFrames } from './span.ts';

/** Pairs of nodes, of pods, and streams that are told apart here. */
const MOST_PAIRS = 1 << 16;
const RECENT = 1 << 12;

/** Packets in the clear from one pod to another, as {@link Checker} counts them. */
interface Flow extends ClearCount {
  readonly way: Way;
}

export interface CheckOptions {
  readonly evidence: Evidence;
  /** Of nodes and pods. */
  readonly names?: Names;
  readonly frameNames?: FrameNames;
  /** What is asked for, by time, number, node, pod and address; and by SPI, verdict and reason which rows are shown. */
  readonly filter?: FilterSpec;
  /** See {@link CheckSummary.hubble}. */
  readonly hubble?: readonly string[];
}

/** Both of its sinks take the frames of one session. */
export class Checker implements CaptureSink {
  readonly needsWire = true;
  readonly diagnoser: Diagnoser;
  readonly frames: AskedFrames;
  readonly #evidence: Evidence;
  readonly #names: Names;
  readonly #choice: PairChoice;
  readonly #hubble: readonly string[];
  readonly #rows: ShownRows | undefined;
  readonly #ways = new Map<string, Way>();
  readonly #flows = new Map<string, Flow>();
  readonly #groups = new Groups();
  readonly #readable = new Map<string, Readable & { readonly name: string }>();
  #last: (Readable & { readonly name: string }) | undefined;
  readonly #inner = new InnerPacket();
  readonly #hashes = new Int32Array(RECENT);
  readonly #recent: (Flow | 'other' | undefined)[] = new Array(RECENT);

  constructor({
    evidence,
    names = new Names(evidence),
    frameNames = ONE_CAPTURE,
    filter = NO_FILTER,
    hubble = [],
  }: CheckOptions) {
    this.#hubble = hubble;
    this.frames = new AskedFrames(filter);
    this.#evidence = evidence;
    this.#names = names;
    this.#choice = new PairChoice(filter, names, evidence);
    const rows = new ShownRows(filter, this.#choice);
    this.#rows = rows.isOn ? rows : undefined;
    const isAsked = this.frames.isOn ? () => this.frames.isAsked : undefined;
    this.diagnoser = new Diagnoser(evidence, [], frameNames, undefined, isAsked);
  }

  /** What is to be given to the session. */
  get sinks(): readonly CaptureSink[] {
    return [this.diagnoser, this];
  }

  /** That there is one has ESP packets come before the next frame does: copies are told by what is beside them. */
  begin(_b: Uint8Array, _at: number, _end: number, info: FrameInfo): void {
    this.frames.begin(info);
  }

  packet(event: EspEvent): void {
    const { src, dst, seconds, nanoseconds, ipAt, ipEnd } = event;
    this.#way(src, dst)?.addEsp(ipEnd - ipAt, seconds + nanoseconds / 1e9);
    if (this.frames.isAsked)
      this.#rows?.packet(event, this.#evidence.nameOf(src), this.#evidence.nameOf(dst));
    if (event.isOpened || !event.hasSpi) return;
    const stream = this.#readableOf(streamKey(src, dst, event.spi));
    if (!stream) return;
    stream.packets++;
    if (!isReadable(event.wire, event.espAt, event.espEnd)) return;
    stream.readable++;
    if (this.frames.isAsked) stream.asked++;
  }

  other(b: Uint8Array, at: number, end: number, info: FrameInfo, carrier: Carrier): void {
    const packet = this.#inner;
    if (!packet.read(b, at, end, tunnelName(carrier)) || packet.isFirstHop) return;
    const flow = this.#flowOf(packet);
    if (!flow) return;
    const seconds = info.seconds + info.nanoseconds / 1e9;
    const group = this.#groups.add(packet, flow, seconds, this.frames.isAsked);
    if (group) flow.way.addClear(group, packet.end - packet.at, seconds);
  }

  fragment(b: Uint8Array, at: number, end: number, info: FrameInfo): void {
    const packet = this.#inner;
    if (!packet.read(b, at, end) || packet.isFirstHop) return;
    const flow = this.#flowOf(packet);
    if (flow) this.#groups.add(packet, flow, info.seconds + info.nanoseconds / 1e9, this.frames.isAsked);
  }

  /** Call once, after the last frame, and instead of the diagnoser's own end. */
  finish(): CheckReport {
    if (this.frames.isOver) for (const way of this.#ways.values()) way.late(this.frames.last);
    const counted: Counted = { ways: this.#ways, flows: this.#flows, readable: this.#readable };
    const report = judge(this.diagnoser.finishCase(), counted, {
      names: this.#names,
      choice: this.#choice,
      frames: this.frames,
    });
    const whole = { ...report, summary: { ...report.summary, hubble: this.#hubble } };
    return this.#rows?.of(whole) ?? whole;
  }

  #way(src: string, dst: string): Way | undefined {
    const key = pairName(this.#evidence.nameOf(src), this.#evidence.nameOf(dst));
    let way = this.#ways.get(key);
    if (!way && this.#ways.size < MOST_PAIRS) {
      way = new Way();
      this.#ways.set(key, way);
    }
    return way;
  }

  #readableOf(name: string): Readable | undefined {
    if (this.#last?.name === name) return this.#last;
    let one = this.#readable.get(name);
    if (!one) {
      if (this.#readable.size >= MOST_PAIRS) return undefined;
      one = { name, packets: 0, readable: 0, asked: 0 };
      this.#readable.set(name, one);
    }
    this.#last = one;
    return one;
  }

  /** The flow of a packet between pods whose nodes differ, by the lists of nodes. */
  #flowOf(packet: InnerPacket): Flow | undefined {
    const hash = packet.pair();
    const at = hash & (RECENT - 1);
    let flow = this.#hashes[at] === hash ? this.#recent[at] : undefined;
    if (flow === undefined) {
      flow = this.#newFlow(packet) ?? 'other';
      this.#hashes[at] = hash;
      this.#recent[at] = flow;
    }
    return flow === 'other' ? undefined : flow;
  }

  #newFlow({ b, srcAt, dstAt, addressLen }: InnerPacket): Flow | undefined {
    const evidence = this.#evidence;
    const src = formatAddress(b, srcAt, addressLen);
    const dst = formatAddress(b, dstAt, addressLen);
    const key = pairName(src, dst);
    const known = this.#flows.get(key);
    if (known) return known;
    if (this.#flows.size >= MOST_PAIRS || evidence.knows(src) || evidence.knows(dst)) return undefined;
    const from = evidence.nodeOfPod(b.subarray(srcAt, srcAt + addressLen));
    const to = evidence.nodeOfPod(b.subarray(dstAt, dstAt + addressLen));
    if (from === undefined || to === undefined || evidence.isSameNode(from, to)) return undefined;
    const way = this.#way(from, to);
    if (!way) return undefined;
    const flow = { way, ...noneInTheClear() };
    this.#flows.set(key, flow);
    return flow;
  }
}
