/**
 * Traffic in the clear, and whether it should be: packets between pods of different nodes that no ESP carries.
 *
 * A capture point on a node sees a packet before it is encrypted and after it was decrypted, too. Such a copy is told
 * from a leak by comparing it with what came out of ESP. Copies come close together, so a table of fixed size will do.
 * @module
 */
import { formatAddress } from '../../wire/address.ts';
import type { EspRecord } from '../decrypt.ts';
import type { InnerPacket } from './inner.ts';
import { Tally } from './tally.ts';

/** Packets that are remembered: copies come within a few hundred frames. */
const RECENT = 1 << 16;
/** Entries with one hash: with so many, one that is still needed is not thrown out by chance. */
const WAYS = 4;
const PAIRS = 1 << 12;
/** Flows that are told apart; a capture with more of them is no less clear. */
const MOST_FLOWS = 4096;
const MOST_PODS = 1 << 16;

/** Packets in the clear from one address to another. */
export interface ClearFlow {
  readonly src: string;
  readonly dst: string;
  readonly tally: Tally;
  isInVxlan: boolean;
}

/** Inner addresses of one direction that ESP carried. */
export interface CarriedPair {
  readonly src: string;
  readonly dst: string;
  /** Outer addresses. */
  readonly from: string;
  readonly to: string;
  readonly frame: number;
}

export class ClearTraffic {
  /** Packets that were seen in the clear and in ESP. */
  readonly twice = new Tally();
  readonly flows = new Map<string, ClearFlow>();
  /** Inner pairs that ESP carried, by `SRC > DST`. */
  readonly carried = new Map<string, CarriedPair>();
  /** The tunnel end behind which an inner address was. */
  readonly behind = new Map<string, string>();

  // The last packets that came out of ESP, and the last ones in the clear that had no match yet.
  readonly #decrypted = new PrintTable();
  readonly #clear = new PrintTable();
  readonly #flowOf: (ClearFlow | undefined)[] = new Array(RECENT);
  readonly #pairs = new Int32Array(PAIRS);
  readonly #print = new Uint32Array(2);

  /** Takes a packet in the clear. */
  addClear(packet: InnerPacket, frame: number): void {
    packet.print(this.#print);
    const [a, b] = this.#print as unknown as [number, number];
    const twin = this.#decrypted.take(a, b);
    if (twin > 0) {
      this.twice.also(twin);
      this.twice.add(frame);
      return;
    }
    const flow = this.#flow(packet);
    if (!flow) return;
    flow.tally.add(frame);
    this.#flowOf[this.#clear.put(a, b, frame)] = flow;
  }

  /** Takes a packet that came out of ESP. */
  addDecrypted(packet: InnerPacket, record: EspRecord): void {
    this.#note(packet, record);
    packet.print(this.#print);
    const [a, b] = this.#print as unknown as [number, number];
    const at = this.#clear.find(a, b);
    if (at >= 0) {
      const frame = this.#clear.take(a, b);
      this.#flowOf[at]?.tally.remove(frame);
      this.twice.also(frame);
      this.twice.add(record.frame);
    } else this.#decrypted.put(a, b, record.frame);
  }

  /** Remembers who talks to whom, and behind which tunnel end; a pair that was there just now is passed over. */
  #note(packet: InnerPacket, record: EspRecord): void {
    const hash = packet.pair() | 0;
    const at = hash & (PAIRS - 1);
    if (this.#pairs[at] === hash) return;
    this.#pairs[at] = hash;
    const { b, srcAt, dstAt, addressLen } = packet;
    const src = formatAddress(b, srcAt, addressLen);
    const dst = formatAddress(b, dstAt, addressLen);
    const key = `${src} > ${dst}`;
    if (this.carried.has(key) || this.carried.size >= MOST_PODS) return;
    this.carried.set(key, { src, dst, from: record.src, to: record.dst, frame: record.frame });
    this.behind.set(src, record.src);
    this.behind.set(dst, record.dst);
  }

  #flow({ b, srcAt, dstAt, addressLen, isInVxlan }: InnerPacket): ClearFlow | undefined {
    const src = formatAddress(b, srcAt, addressLen);
    const dst = formatAddress(b, dstAt, addressLen);
    const key = `${src} > ${dst}`;
    let flow = this.flows.get(key);
    if (!flow) {
      if (this.flows.size >= MOST_FLOWS) return undefined;
      flow = { src, dst, tally: new Tally(), isInVxlan };
      this.flows.set(key, flow);
    }
    flow.isInVxlan ||= isInVxlan;
    return flow;
  }
}

/** Packets by two hashes, in buckets; in a full bucket the oldest makes room. */
class PrintTable {
  readonly #first = new Uint32Array(RECENT);
  readonly #second = new Uint32Array(RECENT);
  /** 0 where there is none. */
  readonly #frame = new Float64Array(RECENT);

  /** @returns its place */
  put(a: number, b: number, frame: number): number {
    const from = bucketOf(a);
    let at = from;
    for (let i = from + 1; i < from + WAYS; i++) if (this.#frame[i]! < this.#frame[at]!) at = i;
    this.#first[at] = a;
    this.#second[at] = b;
    this.#frame[at] = frame;
    return at;
  }

  /** Its place, or -1. */
  find(a: number, b: number): number {
    const from = bucketOf(a);
    for (let at = from; at < from + WAYS; at++) {
      if (this.#frame[at]! > 0 && this.#first[at] === a && this.#second[at] === b) return at;
    }
    return -1;
  }

  /** Takes it out. @returns its frame, or 0 */
  take(a: number, b: number): number {
    const at = this.find(a, b);
    if (at < 0) return 0;
    const frame = this.#frame[at]!;
    this.#frame[at] = 0;
    return frame;
  }
}

function bucketOf(hash: number): number {
  return (hash % (RECENT / WAYS)) * WAYS;
}
