/**
 * What the path does to long packets: fragments of ESP, ICMP that says "too big", and holes, where long packets vanish
 * without a word while short ones pass.
 *
 * A hole shows inside the tunnel: echo requests that are answered, and not; TCP segments that are acknowledged, and sent
 * again and again. What is short passes, what is long does not.
 *
 * Behind the hole long packets are not there to be seen. There it shows in what TCP lacks: a short segment comes, its
 * receiver says that what is before it has not come, and that stays so, while ESP numbers go missing.
 * @module
 */
import { u16, u32 } from '../../base/bytes.ts';
import * as icmp from '../../wire/icmp.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as tcp from '../../wire/tcp.ts';
import type { Quote } from '../find-esp.ts';
import type { FrameTimes } from './frame-times.ts';
import type { InnerPacket } from './inner.ts';
import { fingerprint } from './seen.ts';
import type { Stream } from './stream.ts';
import { Tally } from './tally.ts';

const SLOTS = 1 << 12;
/** Where a segment comes so often, those that are missing before it were sent as often. */
const ROUNDS = 3;
/** The same is shown by so many seconds in which so many ESP numbers go missing: Linux sends again four times in them. */
const LONG = 3;
const LOST = 3;

/** A message of a router that a packet was too long. */
export interface TooBig {
  readonly from: string;
  /** Of the packet that was too long. */
  readonly src: string;
  readonly dst: string;
  readonly mtu: number;
  readonly tally: Tally;
}

/** ICMP errors that say of ESP packets that they do not get there. */
export interface Unreachable {
  readonly quote: Quote;
  readonly tally: Tally;
}

/** Long packets of one stream. Lengths are of the IP packet around ESP, in bytes. */
export class Lengths {
  /** The longest that was answered. */
  answered = 0;
  /** Frames of what was not answered, or was sent again, by length. */
  readonly stuck = new Map<number, Tally>();
  /** Segments that came, and before which bytes are missing for good. */
  readonly behind: Tally;
  /** Most bytes that are missing before one of them, and how long the packet around ESP would be that had them all. */
  gap = { bytes: 0, length: 0 };

  readonly #times: FrameTimes;

  constructor(times: FrameTimes) {
    this.#times = times;
    this.behind = new Tally(times);
  }

  /** Packets longer than any that was answered, and never answered themselves. */
  hole(): { shortest: number; tally: Tally } | undefined {
    const tally = new Tally(this.#times);
    let shortest = Number.POSITIVE_INFINITY;
    for (const [length, { frames, count }] of this.stuck) {
      if (length <= this.answered) continue;
      shortest = Math.min(shortest, length);
      for (const frame of frames) tally.also(frame);
      tally.count += count;
    }
    return tally.count > 0 ? { shortest, tally } : undefined;
  }
}

/** Something that waits for an answer. */
interface Waiting {
  key: number;
  length: number;
  frame: number;
  stream: Stream;
  /** TCP: its first number, and the one from which on it is acknowledged. */
  from: number;
  upTo: number;
  sent: number;
  /** TCP: bytes before it that its receiver still waits for. */
  lacks: number;
  /** When it came, in seconds since 1970, and how many ESP numbers were missing by then. */
  since: number;
  missing: number;
}

export class PathWatch {
  readonly #tooBig = new Map<string, TooBig>();
  readonly lengths = new Map<Stream, Lengths>();
  /** By who says so, of which packets, and what. */
  readonly unreachable = new Map<string, Unreachable>();
  /** Fragments of ESP packets by `SRC > DST`, and the longest of them. */
  readonly fragments = new Map<string, { longest: number; readonly tally: Tally }>();
  /** Echo requests, and by flow the longest TCP segment, that have no answer yet. */
  readonly #waiting: (Waiting | undefined)[] = new Array(SLOTS);
  readonly #times: FrameTimes;

  constructor(times: FrameTimes) {
    this.#times = times;
  }

  /** What routers said. */
  get tooBig(): Iterable<TooBig> {
    return this.#tooBig.values();
  }

  /** The long packets of a stream. */
  of(stream: Stream): Lengths {
    let lengths = this.lengths.get(stream);
    if (!lengths) {
      lengths = new Lengths(this.#times);
      this.lengths.set(stream, lengths);
    }
    return lengths;
  }

  /** Takes a fragment of an ESP packet. */
  addFragment(src: string, dst: string, length: number, frame: number): void {
    const name = `${src} > ${dst}`;
    let seen = this.fragments.get(name);
    if (!seen) {
      if (this.fragments.size >= SLOTS) return;
      seen = { longest: 0, tally: new Tally(this.#times) };
      this.fragments.set(name, seen);
    }
    seen.longest = Math.max(seen.longest, length);
    seen.tally.add(frame);
  }

  /** Takes an ICMP error that sends back an ESP packet. */
  addQuote(quote: Quote, frame: number): void {
    const { isV6, type, code, from, src, dst, spi } = quote;
    const isOne = isV6
      ? type === icmp.V6_UNREACHABLE || (type === icmp.V6_PARAMETER_PROBLEM && code === icmp.V6_NEXT_HEADER)
      : type === icmp.UNREACHABLE && code !== icmp.FRAGMENTATION_NEEDED;
    if (!isOne) return;
    const name = `${from} ${src} ${dst} ${spi} ${type} ${code}`;
    let seen = this.unreachable.get(name);
    if (!seen) {
      if (this.unreachable.size >= SLOTS) return;
      seen = { quote, tally: new Tally(this.#times) };
      this.unreachable.set(name, seen);
    }
    seen.tally.add(frame);
  }

  /** Takes a packet that came out of ESP. @param length of the IP packet around ESP */
  addInner(packet: InnerPacket, stream: Stream, length: number, frame: number): void {
    if (packet.isFragment) return;
    const { b, protocol, payloadAt, end } = packet;
    if (protocol === icmp.PROTOCOL || protocol === icmp.PROTOCOL_V6) {
      if (icmp.check(b, payloadAt, end)) return;
      const type = icmp.type(b, payloadAt);
      if (type === icmp.ECHO_REQUEST || type === icmp.V6_ECHO_REQUEST)
        this.#echo(packet, stream, length, frame);
      else if (type === icmp.ECHO_REPLY || type === icmp.V6_ECHO_REPLY) this.#reply(packet);
    } else if (protocol === tcp.PROTOCOL && !tcp.check(b, payloadAt, end)) {
      this.#segment(packet, stream, length, frame);
    }
  }

  /** Takes ICMP that is not in ESP. @param format makes an address readable */
  addIcmp(
    packet: InnerPacket,
    frame: number,
    format: (b: Uint8Array, at: number, len: number) => string,
  ): void {
    const { b, protocol, payloadAt, end, addressLen } = packet;
    if (end - payloadAt < icmp.HEADER_LEN + ipv4.HEADER_LEN) return;
    const type = icmp.type(b, payloadAt);
    const isV4 =
      protocol === icmp.PROTOCOL &&
      type === icmp.UNREACHABLE &&
      icmp.code(b, payloadAt) === icmp.FRAGMENTATION_NEEDED;
    const isV6 = protocol === icmp.PROTOCOL_V6 && type === icmp.V6_PACKET_TOO_BIG;
    if (!isV4 && !isV6) return;
    const quoteAt = payloadAt + icmp.HEADER_LEN;
    const srcAt = quoteAt + (isV4 ? 12 : 8);
    if (srcAt + 2 * addressLen > end) return;
    const mtu = isV4 ? u16(b, payloadAt + 6) : u32(b, payloadAt + 4);
    const from = format(b, packet.srcAt, addressLen);
    const src = format(b, srcAt, addressLen);
    const dst = format(b, srcAt + addressLen, addressLen);
    const name = `${src} > ${dst} ${mtu}`;
    let message = this.#tooBig.get(name);
    if (!message) {
      if (this.#tooBig.size >= SLOTS) return;
      message = { from, src, dst, mtu, tally: new Tally(this.#times) };
      this.#tooBig.set(name, message);
    }
    message.tally.add(frame);
  }

  /** Call at the end: what still waits was not answered. @param lastFrame requests right before the end prove nothing */
  finish(lastFrame: number): void {
    for (const one of this.#waiting) {
      if (!one) continue;
      const isRequest = one.sent === 0;
      // What its receiver speaks of, and what is before it not: it came, and the others were lost before this place.
      if (one.lacks > 0 && one.stream.missing > 0) this.#lack(one);
      else if (isRequest ? one.frame < lastFrame : one.sent > 1) this.#stick(one);
    }
    this.#waiting.fill(undefined);
  }

  #echo(packet: InnerPacket, stream: Stream, length: number, frame: number): void {
    const key = fingerprint(packet.b, packet.payloadAt + 4, packet.payloadAt + 8, packet.pair());
    const before = this.#wait(key, length, frame, stream);
    if (before && before.sent === 0 && before.key !== key) this.#stick(before);
  }

  #reply(packet: InnerPacket): void {
    const key = fingerprint(packet.b, packet.payloadAt + 4, packet.payloadAt + 8, packet.pair(true));
    const one = this.#waiting[key % SLOTS];
    if (one?.key !== key) return;
    this.#answer(one);
    this.#waiting[key % SLOTS] = undefined;
  }

  #segment(packet: InnerPacket, stream: Stream, length: number, frame: number): void {
    const { b, payloadAt, end } = packet;
    const ports = packet.word(0);
    const backward = Math.imul(packet.pair(true) ^ ((ports << 16) | (ports >>> 16)), 0x9e37_79b1) >>> 0;
    const mine = Math.imul(packet.pair() ^ ports, 0x9e37_79b1) >>> 0;
    if (tcp.flags(b, payloadAt) & tcp.ACK) {
      const sent = this.#waiting[backward % SLOTS];
      if (sent?.key === backward && sent.sent > 0) {
        const next = tcp.ack(b, payloadAt);
        if (((next - sent.upTo) | 0) >= 0) {
          this.#answer(sent);
          this.#waiting[backward % SLOTS] = undefined;
        } else sent.lacks = Math.max(0, (sent.from - next) | 0);
      }
    }
    const dataLen = end - payloadAt - tcp.headerLen(b, payloadAt);
    if (dataLen <= 0) return;
    const from = tcp.seq(b, payloadAt);
    const upTo = (from + dataLen) >>> 0;
    const one = this.#waiting[mine % SLOTS];
    if (one?.key === mine && one.sent > 0) {
      // The same segment again; a longer one that is still under way takes its place.
      if (one.upTo === upTo && one.length === length) {
        one.sent++;
        one.frame = frame;
      } else if (length > one.length) this.#wait(mine, length, frame, stream, from, upTo);
    } else this.#wait(mine, length, frame, stream, from, upTo);
  }

  /** @returns what had its place. */
  #wait(key: number, length: number, frame: number, stream: Stream, from = 0, upTo = 0): Waiting | undefined {
    const before = this.#waiting[key % SLOTS];
    const { lastTime: since, missing } = stream;
    const sent = from === upTo ? 0 : 1;
    this.#waiting[key % SLOTS] = { key, length, frame, stream, from, upTo, sent, lacks: 0, since, missing };
    return before;
  }

  #answer({ stream, length }: Waiting): void {
    const lengths = this.of(stream);
    lengths.answered = Math.max(lengths.answered, length);
  }

  #lack({ stream, length, frame, from, upTo, sent, lacks, since, missing }: Waiting): void {
    const isLong = stream.lastTime - since >= LONG && stream.missing - missing >= LOST;
    if (sent < ROUNDS && !isLong) return;
    const lengths = this.of(stream);
    lengths.behind.add(frame);
    if (lacks > lengths.gap.bytes) lengths.gap = { bytes: lacks, length: length - (upTo - from) + lacks };
  }

  #stick({ stream, length, frame, sent }: Waiting): void {
    const { stuck } = this.of(stream);
    let tally = stuck.get(length);
    if (!tally) {
      if (stuck.size >= SLOTS) return;
      tally = new Tally(this.#times);
      stuck.set(length, tally);
    }
    tally.add(frame);
    tally.count += Math.max(0, sent - 1);
  }
}
