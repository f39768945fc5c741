/**
 * One end of a TCP conversation, as small as it can be: it opens, exchanges one request and one answer, closes, and
 * sends again what was not acknowledged. Enough to see what a network does to TCP.
 *
 * **Not** done: options, windows, congestion control, keeping what came out of order.
 * @module
 */
import { equalBytes } from '../base/bytes.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as tcp from '../wire/tcp.ts';
import { type Flow, reverse, tcpPacket } from './traffic.ts';

/** Bytes of data in one segment, unless told otherwise. */
const SEGMENT = 1000;

interface Unacknowledged {
  /** The number after its last one; SYN and FIN count one each. */
  readonly end: number;
  readonly packet: Uint8Array;
}

export interface TcpEndOptions {
  /** From this end to the other. */
  readonly flow: Flow;
  /** First sequence number. */
  readonly first: number;
  readonly role: 'client' | 'server';
  /** What this end has to say: the client's request, the server's answer. */
  readonly say: Uint8Array;
  /** What it waits for before it goes on. */
  readonly expect: Uint8Array;
  /** Most bytes of data in one segment. */
  readonly segment?: number;
}

export class TcpEnd {
  readonly flow: Flow;
  /** Segments sent again. */
  resent = 0;
  readonly #isClient: boolean;
  readonly #say: Uint8Array;
  readonly #expect: Uint8Array;
  readonly #segment: number;
  /** What has come so far. */
  readonly #heard: Uint8Array;
  #heardLen = 0;
  /** Next number to send, and next number to come. */
  #next: number;
  #peerNext = 0;
  #isOpen = false;
  #hasSpoken = false;
  #hasClosed = false;
  #peerHasClosed = false;
  #waiting: Unacknowledged[] = [];

  constructor({ flow, first, role, say, expect, segment = SEGMENT }: TcpEndOptions) {
    this.flow = flow;
    this.#next = first >>> 0;
    this.#isClient = role === 'client';
    this.#say = say;
    this.#expect = expect;
    this.#segment = segment;
    this.#heard = new Uint8Array(expect.length);
  }

  /** Has everything been said, heard as it should be, and both sides closed? */
  get isDone(): boolean {
    return (
      this.#hasClosed &&
      this.#peerHasClosed &&
      this.#waiting.length === 0 &&
      this.#heardLen === this.#expect.length &&
      equalBytes(this.#heard, this.#expect)
    );
  }

  /** The client's first segment. */
  open(): Uint8Array[] {
    return [this.#send(tcp.SYN)];
  }

  /** Is this IP packet for this end? It must be a whole one. */
  isFor(packet: Uint8Array): boolean {
    const at = upperAt(packet, tcp.PROTOCOL);
    if (at < 0 || tcp.check(packet, at)) return false;
    const isV6 = packet[0]! >>> 4 === 6;
    const [srcAt, len] = isV6 ? [ipv6.SRC_AT, ipv6.ADDRESS_LEN] : [ipv4.SRC_AT, ipv4.ADDRESS_LEN];
    const { src, srcPort, dstPort } = reverse(this.flow);
    return (
      tcp.srcPort(packet, at) === srcPort &&
      tcp.dstPort(packet, at) === dstPort &&
      equalBytes(packet.subarray(srcAt, srcAt + len), src)
    );
  }

  /** Takes a segment for this end. Returns what it sends in answer. */
  take(packet: Uint8Array): Uint8Array[] {
    const at = upperAt(packet, tcp.PROTOCOL);
    const flags = tcp.flags(packet, at);
    const seq = tcp.seq(packet, at);
    const data = packet.subarray(at + tcp.headerLen(packet, at));
    if (flags & tcp.ACK) this.#acknowledged(tcp.ack(packet, at));
    if (flags & tcp.SYN && !this.#isOpen) {
      this.#isOpen = true;
      this.#peerNext = (seq + 1) >>> 0;
      // RFC 9293 §3.5: SYN, SYN and ACK, ACK.
      return this.#isClient ? [this.#acknowledge(), ...this.#speak()] : [this.#send(tcp.SYN | tcp.ACK)];
    }
    const len = data.length + (flags & (tcp.FIN | tcp.SYN) ? 1 : 0);
    if (len === 0) return this.#isOpen ? this.#proceed() : [];
    // Not what is due: an old one, or one before its time. Say what is.
    if (!this.#isOpen || seq !== this.#peerNext) return this.#isOpen ? [this.#acknowledge()] : [];
    this.#peerNext = (this.#peerNext + len) >>> 0;
    this.#heard.set(data.subarray(0, this.#heard.length - this.#heardLen), this.#heardLen);
    this.#heardLen += data.length;
    if (flags & tcp.FIN) this.#peerHasClosed = true;
    const answers = this.#proceed();
    return answers.length > 0 ? answers : [this.#acknowledge()];
  }

  /** What has not been acknowledged, to be sent again. */
  resend(): Uint8Array[] {
    this.resent += this.#waiting.length;
    return this.#waiting.map(({ packet }) => packet.slice());
  }

  /** What it is time for now: the answer, or closing. */
  #proceed(): Uint8Array[] {
    if (this.#heardLen < this.#expect.length || this.#hasClosed) return [];
    if (!this.#hasSpoken) return this.#speak();
    // The client closes when it has heard all, the server after it.
    if (this.#isClient || this.#peerHasClosed) {
      this.#hasClosed = true;
      return [this.#send(tcp.FIN | tcp.ACK)];
    }
    return [];
  }

  #speak(): Uint8Array[] {
    this.#hasSpoken = true;
    const packets: Uint8Array[] = [];
    for (let at = 0; at < this.#say.length; at += this.#segment) {
      packets.push(this.#send(tcp.ACK | tcp.PSH, this.#say.subarray(at, at + this.#segment)));
    }
    return packets;
  }

  #send(flags: number, data?: Uint8Array): Uint8Array {
    const packet = tcpPacket(this.flow, {
      seq: this.#next,
      ack: flags & tcp.ACK ? this.#peerNext : 0,
      flags,
      ...(data && { data }),
    });
    this.#next = (this.#next + (data?.length ?? 0) + (flags & (tcp.SYN | tcp.FIN) ? 1 : 0)) >>> 0;
    this.#waiting.push({ end: this.#next, packet: packet.slice() });
    return packet;
  }

  #acknowledge(): Uint8Array {
    return tcpPacket(this.flow, { seq: this.#next, ack: this.#peerNext, flags: tcp.ACK });
  }

  #acknowledged(ack: number): void {
    this.#waiting = this.#waiting.filter(({ end }) => ((end - ack) | 0) > 0);
  }
}

/** Where the message of `protocol` starts in a whole IP packet, or -1 when it carries something else. */
export function upperAt(packet: Uint8Array, protocol: number): number {
  if (packet[0]! >>> 4 === 6) return ipv6.nextHeader(packet) === protocol ? ipv6.HEADER_LEN : -1;
  return ipv4.protocol(packet) === protocol ? ipv4.headerLen(packet) : -1;
}
