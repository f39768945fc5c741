/**
 * Which packets are replies: remembers who spoke first, as connection tracking does, in a table that forgets.
 *
 * Four places for each hash; of these the one that was asked for longest ago is used again. A connection that was
 * forgotten begins anew.
 * @module
 */
import * as icmp from '../wire/icmp.ts';
import * as tcp from '../wire/tcp.ts';
import { isIcmpError } from './flow-packet.ts';
import { AT, type FlowRows, HAS, REASON } from './flow-rows.ts';

const WAYS = 4;
const ADDRESS = 16;

export class Connections {
  readonly #sets: number;
  /** A second hash of each connection, 0 for a free place. */
  readonly #tag: Uint32Array;
  /** 1 where the end with the smaller address and port spoke first, 2 where the other did. */
  readonly #first: Uint8Array;
  readonly #usedAt: Uint32Array;
  #turn = 0;

  /** @param places connections that are remembered; a power of two */
  constructor(places: number) {
    this.#sets = places / WAYS;
    this.#tag = new Uint32Array(places);
    this.#first = new Uint8Array(places);
    this.#usedAt = new Uint32Array(places);
  }

  /** What a packet is to its connection, as one node sees it: one of {@link REASON}. */
  see({ view, bytes }: FlowRows, rowAt: number): number {
    const has = view.getUint16(rowAt + AT.HAS);
    if ((has & HAS.IP) === 0) return REASON.UNKNOWN;
    const protocol = bytes[rowAt + AT.PROTOCOL]!;
    const isIcmp = protocol === icmp.PROTOCOL || protocol === icmp.PROTOCOL_V6;
    if (isIcmp && isIcmpError(protocol, bytes[rowAt + AT.FLAGS]!)) return REASON.RELATED;
    const sport = view.getUint16(rowAt + AT.SPORT);
    const dport = view.getUint16(rowAt + AT.DPORT);
    const isUp = isBelow(bytes, rowAt + AT.SRC, sport, rowAt + AT.DST, dport);
    const low = rowAt + (isUp ? AT.SRC : AT.DST);
    const high = rowAt + (isUp ? AT.DST : AT.SRC);
    let h = 0x811c_9dc5;
    let g = 0x9e37_79b9;
    for (let k = 0; k < ADDRESS; k++) {
      h = Math.imul(h ^ bytes[low + k]!, 0x0100_0193);
      h = Math.imul(h ^ bytes[high + k]!, 0x0100_0193);
      g = Math.imul((g << 5) ^ (g >>> 3) ^ bytes[high + k]!, 0x85eb_ca6b);
      g = Math.imul((g << 5) ^ (g >>> 3) ^ bytes[low + k]!, 0xc2b2_ae35);
    }
    const ports = isUp ? (sport << 16) | dport : (dport << 16) | sport;
    const other = (view.getUint16(rowAt + AT.NODE) << 8) | protocol;
    h = mix(Math.imul(h ^ ports, 0x0100_0193) ^ other);
    g = mix(Math.imul(g ^ other, 0xc2b2_ae35) ^ ports) >>> 0 || 1;
    const opens = protocol === tcp.PROTOCOL && (bytes[rowAt + AT.FLAGS]! & (tcp.SYN | tcp.ACK)) === tcp.SYN;
    return this.#look((h >>> 0) % this.#sets, g, isUp ? 1 : 2, opens);
  }

  #look(set: number, tag: number, side: number, opens: boolean): number {
    this.#turn = (this.#turn + 1) >>> 0;
    let oldest = set * WAYS;
    for (let at = set * WAYS; at < (set + 1) * WAYS; at++) {
      if (this.#tag[at] === tag) {
        this.#usedAt[at] = this.#turn;
        const reason = opens ? REASON.NEW : this.#first[at] === side ? REASON.ESTABLISHED : REASON.REPLY;
        if (opens) this.#first[at] = side;
        return reason;
      }
      if (this.#usedAt[at]! < this.#usedAt[oldest]!) oldest = at;
    }
    this.#tag[oldest] = tag;
    this.#first[oldest] = side;
    this.#usedAt[oldest] = this.#turn;
    return REASON.NEW;
  }
}

function isBelow(b: Uint8Array, at: number, port: number, thanAt: number, thanPort: number): boolean {
  for (let k = 0; k < ADDRESS; k++) {
    const difference = b[at + k]! - b[thanAt + k]!;
    if (difference !== 0) return difference < 0;
  }
  return port <= thanPort;
}

function mix(h: number): number {
  const x = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  return x ^ (x >>> 13);
}
