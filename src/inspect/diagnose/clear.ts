/**
 * Traffic in the clear, and whether it should be: packets between pods of different nodes that no ESP carries.
 *
 * A capture point on a node sees a packet before it is encrypted and after it was decrypted, too, and on every interface
 * that it passes where it listens on all of them. Such a copy is told from a leak by comparing it with what came out of
 * ESP. Copies come close together, so a table of fixed size will do.
 * @module
 */
import { formatAddress } from '../../wire/address.ts';
import type { EspEvent } from '../esp-event.ts';
import type { FrameTimes } from './frame-times.ts';
import type { InnerPacket } from './inner.ts';
import type { OutboundPolicies } from './policies.ts';
import type { Stream } from './stream.ts';
import { Tally } from './tally.ts';

/** Packets that are remembered: copies come within a few hundred frames. */
const RECENT = 1 << 16;
/** Entries with one hash: with so many, one that is still needed is not thrown out by chance. */
const WAYS = 4;
const PAIRS = 1 << 12;
/** Seconds within which a packet's second copy, and further ones, come. A packet that is sent again is no copy. */
const SOON = 1;
/** Flows that are told apart; a capture with more of them is no less clear. */
const MOST_FLOWS = 4096;
const MOST_PODS = 1 << 16;
/** Bytes of a packet that policies look at: the headers of IP, with options and extensions, and the ports. */
const LOOKED_AT = 128;

/** Packets in the clear from one address to another which policies answer alike. */
export interface ClearFlow {
  readonly src: string;
  readonly dst: string;
  /** See {@link OutboundPolicies.signature}. */
  readonly signature: string;
  /** Of the first packet. */
  readonly protocol: number;
  /** Its beginning, from the IP header. */
  readonly head: Uint8Array;
  readonly isFragment: boolean;
  /** Packets that a node has forwarded. */
  readonly tally: Tally;
  /** Packets that are as their sender made them, so that its node has yet to encrypt them. */
  readonly unsent: Tally;
  /** Of both the packets that are asked for: the same objects where these are all. */
  readonly asked: { readonly tally: Tally; readonly unsent: Tally };
  /** What its packets lay in: `VXLAN`; empty for nothing. */
  tunnel: string;
}

/** Inner addresses of one direction that ESP carried, in one stream; unauthenticated packets are in none. */
export interface CarriedPair {
  readonly src: string;
  readonly dst: string;
  /** Outer addresses. */
  readonly from: string;
  readonly to: string;
  readonly stream: Stream;
  readonly frame: number;
  packets: number;
  /** Of them those that are asked for. */
  asked: number;
}

export class ClearTraffic {
  /** Packets that were seen in the clear and in ESP. */
  readonly twice: Tally;
  readonly flows = new Map<string, ClearFlow>();
  /** Packets of flows beyond those that are told apart. */
  further = 0;
  /** Inner pairs that ESP carried, by `SRC > DST`: the first of each. */
  readonly carried = new Map<string, CarriedPair>();
  /** The same for each stream. */
  readonly carriedBy = new Map<string, CarriedPair>();
  /** The tunnel end behind which an inner address was. */
  readonly behind = new Map<string, string>();

  // The last packets that came out of ESP, and the last ones in the clear that had no match yet.
  readonly #decrypted = new PrintTable();
  readonly #clear = new PrintTable();
  readonly #tallyOf: (Tally | undefined)[] = new Array(RECENT);
  readonly #askedOf: (Tally | undefined)[] = new Array(RECENT);
  readonly #pairs = new Int32Array(PAIRS);
  readonly #pairOf: (CarriedPair | undefined)[] = new Array(PAIRS);
  readonly #policies: OutboundPolicies;
  readonly #times: FrameTimes;
  readonly #print = new Uint32Array(2);
  readonly #isAsked: (() => boolean) | undefined;

  /** @param isAsked is the packet that comes asked for? Absent where all are */
  constructor(policies: OutboundPolicies, times: FrameTimes, isAsked?: () => boolean) {
    this.#policies = policies;
    this.#times = times;
    this.#isAsked = isAsked;
    this.twice = new Tally(times);
  }

  /** Takes a packet in the clear. */
  addClear(packet: InnerPacket, frame: number, seconds: number): void {
    packet.print(this.#print);
    const [a, b] = this.#print as unknown as [number, number];
    const twin = this.#decrypted.match(a, b, seconds);
    if (twin > 0) {
      this.twice.also(twin);
      this.twice.add(frame);
      return;
    }
    const isAsked = this.#isAsked?.() ?? true;
    const flow = this.#flow(packet);
    if (!flow) {
      if (isAsked) this.further++;
      return;
    }
    const kind = packet.isFirstHop ? 'unsent' : 'tally';
    const tally = flow[kind];
    const asked = isAsked && flow.asked[kind] !== tally ? flow.asked[kind] : undefined;
    tally.add(frame);
    asked?.add(frame);
    const at = this.#clear.put(a, b, frame, seconds);
    this.#tallyOf[at] = tally;
    this.#askedOf[at] = asked;
  }

  /** Takes a packet that came out of ESP. */
  addDecrypted(packet: InnerPacket, stream: Stream, event: EspEvent): void {
    const { frame } = event;
    const seconds = event.seconds + event.nanoseconds / 1e9;
    if (event.authenticated) this.#note(packet, stream, frame);
    else this.#noteUnauthenticated(packet, stream);
    packet.print(this.#print);
    const [a, b] = this.#print as unknown as [number, number];
    let twins = 0;
    for (;;) {
      const at = this.#clear.find(a, b, twins === 0 ? Number.POSITIVE_INFINITY : SOON, seconds);
      if (at < 0) break;
      const twin = this.#clear.remove(at);
      this.#tallyOf[at]?.remove(twin);
      this.#askedOf[at]?.remove(twin);
      this.twice.also(twin);
      if (twins++ > 0) this.twice.count++;
    }
    if (twins > 0) this.twice.add(frame);
    this.#decrypted.put(a, b, frame, seconds, twins > 0);
  }

  /** Counts who talks to whom, and remembers behind which tunnel ends they are. */
  #note(packet: InnerPacket, stream: Stream, frame: number): void {
    const hash = packet.pair() ^ Math.imul(stream.id + 1, 0x9e37_79b1);
    const at = hash & (PAIRS - 1);
    const last = this.#pairOf[at];
    const asked = (this.#isAsked?.() ?? true) ? 1 : 0;
    if (last && this.#pairs[at] === hash) {
      last.packets++;
      last.asked += asked;
      return;
    }
    const { b, srcAt, dstAt, addressLen } = packet;
    const src = formatAddress(b, srcAt, addressLen);
    const dst = formatAddress(b, dstAt, addressLen);
    const name = `${src} > ${dst}`;
    const key = `${name} ${stream.id}`;
    let pair = this.carriedBy.get(key);
    if (!pair) {
      if (this.carriedBy.size >= MOST_PODS) return;
      pair = { src, dst, from: stream.src, to: stream.dst, stream, frame, packets: 0, asked: 0 };
      this.carriedBy.set(key, pair);
      if (!this.carried.has(name)) this.carried.set(name, pair);
      this.behind.set(src, stream.src);
      this.behind.set(dst, stream.dst);
    }
    pair.packets++;
    pair.asked += asked;
    this.#pairs[at] = hash;
    this.#pairOf[at] = pair;
  }

  /** Unauthenticated, so it may be forged: it says where pods are only as long as no authentic packet does. */
  #noteUnauthenticated({ b, srcAt, dstAt, addressLen }: InnerPacket, { src, dst }: Stream): void {
    for (const [at, node] of [
      [srcAt, src],
      [dstAt, dst],
    ] as const) {
      const pod = formatAddress(b, at, addressLen);
      if (this.behind.size < MOST_PODS && !this.behind.has(pod)) this.behind.set(pod, node);
    }
  }

  #flow(packet: InnerPacket): ClearFlow | undefined {
    const { b, srcAt, dstAt, addressLen, protocol, tunnel } = packet;
    const src = formatAddress(b, srcAt, addressLen);
    const dst = formatAddress(b, dstAt, addressLen);
    const signature = this.#policies.signature(packet);
    const key = `${src} > ${dst} ${signature}`;
    let flow = this.flows.get(key);
    if (!flow) {
      if (this.flows.size >= MOST_FLOWS) return undefined;
      const tallies = () => ({ tally: new Tally(this.#times), unsent: new Tally(this.#times) });
      const all = tallies();
      flow = {
        ...{ src, dst, signature, protocol, tunnel, isFragment: packet.isFragment },
        head: b.slice(packet.at, Math.min(packet.end, packet.at + LOOKED_AT)),
        ...all,
        asked: this.#isAsked ? tallies() : all,
      };
      this.flows.set(key, flow);
    }
    if (flow.tunnel === '') flow.tunnel = tunnel;
    return flow;
  }
}

/** Packets by two hashes, in buckets; in a full bucket the oldest makes room. */
class PrintTable {
  readonly #first = new Uint32Array(RECENT);
  readonly #second = new Uint32Array(RECENT);
  /** 0 where there is none. */
  readonly #frame = new Float64Array(RECENT);
  readonly #seconds = new Float64Array(RECENT);
  /** Has a copy of it come? */
  readonly #isMatched = new Uint8Array(RECENT);

  /** @returns its place */
  put(a: number, b: number, frame: number, seconds: number, isMatched = false): number {
    const from = bucketOf(a);
    let at = from;
    for (let i = from + 1; i < from + WAYS; i++) if (this.#frame[i]! < this.#frame[at]!) at = i;
    this.#first[at] = a;
    this.#second[at] = b;
    this.#frame[at] = frame;
    this.#seconds[at] = seconds;
    this.#isMatched[at] = isMatched ? 1 : 0;
    return at;
  }

  /** The place of one that came at most `within` seconds before or after, or -1. */
  find(a: number, b: number, within: number, seconds: number): number {
    const from = bucketOf(a);
    for (let at = from; at < from + WAYS; at++) {
      if (this.#frame[at]! <= 0 || this.#first[at] !== a || this.#second[at] !== b) continue;
      if (Math.abs(this.#seconds[at]! - seconds) <= within) return at;
    }
    return -1;
  }

  /** Finds what a packet is a copy of: the first copy whenever it comes, further ones soon. @returns its frame, or 0 */
  match(a: number, b: number, seconds: number): number {
    const from = bucketOf(a);
    for (let at = from; at < from + WAYS; at++) {
      if (this.#frame[at]! <= 0 || this.#first[at] !== a || this.#second[at] !== b) continue;
      if (this.#isMatched[at] === 1 && Math.abs(this.#seconds[at]! - seconds) > SOON) continue;
      this.#isMatched[at] = 1;
      return this.#frame[at]!;
    }
    return 0;
  }

  /** Takes it out. @returns its frame */
  remove(at: number): number {
    const frame = this.#frame[at]!;
    this.#frame[at] = 0;
    return frame;
  }
}

function bucketOf(hash: number): number {
  return (hash % (RECENT / WAYS)) * WAYS;
}
