/**
 * IP fragment reassembly (RFC 791 §3.2, RFC 8200 §4.5), for captures and for nodes: ESP is fragmented after it
 * is made, so it is put together before it is read (RFC 4303 §3.3.4).
 *
 * As Linux does (net/ipv4/inet_fragment.c, ip_fragment.c, net/ipv6/reassembly.c):
 * - A fragment inside a run that has already arrived is a duplicate, and ignored. Any other overlap drops the
 *   whole datagram, in IPv6 (RFC 5722) and in IPv4. Fragments of it that come later start anew.
 * - Two different ends, or data behind the end, drop the datagram.
 * - A congestion mark (CE) on one fragment marks the whole; marks of senders that do and do not know ECN do not
 *   mix (RFC 3168 §5.3).
 *
 * Unlike Linux, which refuses new datagrams when memory runs out, the oldest one makes room: in a capture,
 * datagrams that lost a fragment would block it otherwise.
 *
 * Fragments are copied and datagrams allocated here; packets that are whole never come here.
 * @module
 */
import { toHex } from '../base/bytes.ts';
import * as ipv4 from './ipv4.ts';
import * as ipv6 from './ipv6.ts';
import * as extensions from './ipv6-extensions.ts';

export interface ReassemblyOptions {
  /** Most bytes held, with {@link FRAGMENT_COST} for each fragment. Linux: 4 MiB a family. */
  readonly maxBytes?: number;
  /** Most datagrams in the making. */
  readonly maxDatagrams?: number;
  /** How long an IPv4 datagram may take, in ms. */
  readonly timeoutV4?: number;
  /** How long an IPv6 datagram may take, in ms (RFC 8200 §4.5: 60 s). */
  readonly timeoutV6?: number;
}

/** What became of fragments and datagrams so far. */
export interface ReassemblyStats {
  /** Datagrams put together. */
  completed: number;
  /** Datagrams dropped because a fragment was missing for too long. */
  timedOut: number;
  /** Datagrams dropped to make room. */
  evicted: number;
  /** Datagrams dropped because two fragments overlapped. */
  overlapping: number;
  /** Fragments ignored because all their bytes were there. */
  duplicates: number;
  /** Fragments that make no sense, and datagrams whose fragments contradict each other or are too long in all. */
  malformed: number;
}

/** What a fragment costs beyond its bytes, so that a flood of small ones is bounded too. */
export const FRAGMENT_COST = 256;

const CE = 3;

/** Puts fragments together. One owner: an instance belongs to one thread. */
export class Reassembler {
  readonly stats: ReassemblyStats = {
    completed: 0,
    timedOut: 0,
    evicted: 0,
    overlapping: 0,
    duplicates: 0,
    malformed: 0,
  };
  readonly #maxBytes: number;
  readonly #maxDatagrams: number;
  /** One table a family, each in the order of birth, which is the order of expiry too. */
  readonly #v4: Table;
  readonly #v6: Table;
  #bytes = 0;
  /** The latest time heard of. */
  #now = Number.NEGATIVE_INFINITY;

  constructor({
    maxBytes = 4 << 20,
    maxDatagrams = 1024,
    timeoutV4 = 30_000,
    timeoutV6 = 60_000,
  }: ReassemblyOptions = {}) {
    this.#maxBytes = maxBytes;
    this.#maxDatagrams = maxDatagrams;
    this.#v4 = { datagrams: new Map(), timeout: timeoutV4 };
    this.#v6 = { datagrams: new Map(), timeout: timeoutV6 };
  }

  /** Datagrams in the making. */
  get pending(): number {
    return this.#v4.datagrams.size + this.#v6.datagrams.size;
  }

  /** Bytes held for them, with {@link FRAGMENT_COST} for each fragment. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Is the IP packet in `b[at..end)` a fragment, to be given to {@link add}? Not when its headers are cut off,
   * and not a first IPv6 fragment that lacks some of its headers (RFC 8200 §4.5 has it dropped).
   */
  isFragment(b: Uint8Array, at = 0, end = b.length): boolean {
    if (at >= end) return false;
    if (b[at]! >>> 4 === 4) return end - at >= ipv4.HEADER_LEN && ipv4.isFragment(b, at);
    if (ipv6.checkHeader(b, at, end) || extensions.walk.run(b, at, end)) return false;
    return extensions.walk.fragmentAt >= 0 && extensions.isFragment(b, extensions.walk.fragmentAt);
  }

  /**
   * Takes one fragment, from the start of its IP header; the caller has checked an IPv4 header's checksum.
   * @param now ms, from any epoch
   * @returns the whole packet, when this fragment completed it: with the first fragment's header, put right
   */
  add(b: Uint8Array, at: number, end: number, now: number): Uint8Array | undefined {
    this.expire(now);
    if (!this.isFragment(b, at, end)) return this.#malformed();
    return b[at]! >>> 4 === 4 ? this.#addV4(b, at, end, now) : this.#addV6(b, at, end, now);
  }

  /**
   * Drops the datagrams whose time is over. {@link add} does it too; call it when nothing arrives. When the clock was set
   * back, what seems to come from the future counts from now on.
   */
  expire(now: number): void {
    if (now < this.#now) {
      for (const table of [this.#v4, this.#v6])
        for (const datagram of table.datagrams.values()) if (datagram.born > now) datagram.born = now;
    }
    this.#now = now;
    for (const table of [this.#v4, this.#v6]) {
      for (const datagram of table.datagrams.values()) {
        if (now - datagram.born < table.timeout) break;
        this.#forget(datagram);
        this.stats.timedOut++;
      }
    }
  }

  #addV4(b: Uint8Array, at: number, end: number, now: number): Uint8Array | undefined {
    if (ipv4.check(b, at, end)) return this.#malformed();
    const from = at + ipv4.headerLen(b, at);
    let to = at + ipv4.totalLength(b, at);
    const more = ipv4.moreFragments(b, at);
    if (more) to -= (to - from) & 7; // as Linux: only whole blocks of 8 bytes count
    const offset = ipv4.fragmentOffset(b, at);
    const protocol = ipv4.protocol(b, at);
    const key = `${toHex(b, at + ipv4.SRC_AT, at + ipv4.HEADER_LEN)}/${protocol}/${ipv4.id(b, at)}`;

    if (offset + to - from > ipv4.MAX_LEN) return this.#malformed();
    const datagram = this.#find(this.#v4, key, now);
    const head = offset === 0 ? b.slice(at, from) : undefined;
    const piece = { at: offset, bytes: b.slice(from, to), more, ecn: ipv4.ecn(b, at), head };
    if (!this.#take(datagram, piece)) return undefined;
    return this.#finish(datagram, ipv4.MAX_LEN, (packet, ecn) => {
      ipv4.setTotalLength(packet, 0, packet.length);
      ipv4.setFragmentField(packet, 0, ipv4.fragmentField(packet) & ipv4.DF);
      ipv4.setTos(packet, 0, ipv4.tos(packet) | ecn);
      ipv4.fillChecksum(packet);
    });
  }

  #addV6(b: Uint8Array, at: number, end: number, now: number): Uint8Array | undefined {
    if (ipv6.check(b, at, end)) return this.#malformed();
    const to = at + ipv6.HEADER_LEN + ipv6.payloadLength(b, at);
    const { walk } = extensions;
    // Once more, now that the packet's own end is known.
    if (walk.run(b, at, to) || walk.fragmentAt < 0) return this.#malformed();
    const header = walk.fragmentAt;
    const from = header + extensions.FRAGMENT_LEN;
    const more = extensions.moreFragments(b, header);
    const offset = extensions.fragmentOffset(b, header);
    const key = `${toHex(b, at + ipv6.SRC_AT, at + ipv6.HEADER_LEN)}/${extensions.fragmentId(b, header)}`;

    // RFC 8200 §4.5: both drop the fragment alone.
    if (more && ((to - from) & 7) !== 0) return this.#malformed();
    if (offset + to - from > ipv6.MAX_PAYLOAD) return this.#malformed();
    const datagram = this.#find(this.#v6, key, now);
    const head = offset === 0 ? b.slice(at, header) : undefined;
    // The last header before the fragment header now names what the fragment header named.
    if (head) head[walk.fragmentNextAt - at] = b[header]!;
    const piece = { at: offset, bytes: b.slice(from, to), more, ecn: ipv6.ecn(b, at), head };
    if (!this.#take(datagram, piece)) return undefined;
    return this.#finish(datagram, ipv6.HEADER_LEN + ipv6.MAX_PAYLOAD, (packet, ecn) => {
      ipv6.setPayloadLength(packet, 0, packet.length - ipv6.HEADER_LEN);
      ipv6.setTrafficClass(packet, 0, ipv6.trafficClass(packet) | ecn);
    });
  }

  #malformed(): undefined {
    this.stats.malformed++;
    return undefined;
  }

  #find(table: Table, key: string, now: number): Datagram {
    const known = table.datagrams.get(key);
    if (known) return known;
    if (this.pending >= this.#maxDatagrams) this.#evictOldest();
    const made = new Datagram(table, key, now);
    table.datagrams.set(key, made);
    return made;
  }

  /** Returns whether the piece is now part of a datagram that still lives. */
  #take(datagram: Datagram, piece: Piece): boolean {
    const verdict = datagram.add(piece);
    if (verdict === 'duplicates') {
      this.stats.duplicates++;
      return false;
    }
    if (verdict !== 'taken') {
      this.stats[verdict]++;
      this.#forget(datagram);
      return false;
    }
    const cost = piece.bytes.length + (piece.head?.length ?? 0) + FRAGMENT_COST;
    datagram.cost += cost;
    this.#bytes += cost;
    while (this.#bytes > this.#maxBytes) this.#evictOldest();
    return datagram.table.datagrams.has(datagram.key);
  }

  #finish(
    datagram: Datagram,
    maxLen: number,
    putRight: (packet: Uint8Array, ecn: number) => void,
  ): Uint8Array | undefined {
    const head = datagram.head;
    if (!head || !datagram.isComplete) return undefined;
    this.#forget(datagram);
    const ecn = mergeEcn(datagram.ecnSeen);
    if (head.length + datagram.len > maxLen || ecn < 0) return this.#malformed();
    const packet = new Uint8Array(head.length + datagram.len);
    packet.set(head);
    datagram.copyTo(packet, head.length);
    putRight(packet, ecn);
    this.stats.completed++;
    return packet;
  }

  #evictOldest(): void {
    const [v4] = this.#v4.datagrams.values();
    const [v6] = this.#v6.datagrams.values();
    const oldest = v4 && v6 ? (v4.born <= v6.born ? v4 : v6) : (v4 ?? v6);
    if (!oldest) return;
    this.#forget(oldest);
    this.stats.evicted++;
  }

  #forget(datagram: Datagram): void {
    datagram.table.datagrams.delete(datagram.key);
    this.#bytes -= datagram.cost;
  }
}

interface Table {
  readonly datagrams: Map<string, Datagram>;
  readonly timeout: number;
}

/** One fragment, as IPv4 and IPv6 have it in common. */
interface Piece {
  /** Where it belongs in the payload. */
  readonly at: number;
  readonly bytes: Uint8Array;
  /** Is another one to follow? */
  readonly more: boolean;
  readonly ecn: number;
  /** The headers before the payload, from the first fragment only. */
  readonly head: Uint8Array | undefined;
}

/** Bytes without a hole, in the pieces in which they came. */
interface Run {
  readonly at: number;
  end: number;
  readonly pieces: Uint8Array[];
}

/** What is there of one datagram's payload. */
class Datagram {
  readonly table: Table;
  readonly key: string;
  born: number;
  /** The first fragment's headers, once it is there. */
  head: Uint8Array | undefined;
  /** Where the payload ends, as far as we know; for certain once {@link #hasLast}. */
  len = 0;
  /** What its fragments count against the memory limit. */
  cost = 0;
  /** A bit for each ECN value seen: 1 << value. */
  ecnSeen = 0;
  /** In order, and apart: only a fragment at the very end joins the run before it, as in Linux. */
  readonly #runs: Run[] = [];
  #hasLast = false;
  #have = 0;

  constructor(table: Table, key: string, born: number) {
    this.table = table;
    this.key = key;
    this.born = born;
  }

  /** Without overlaps, as many bytes as the payload has are all of them. */
  get isComplete(): boolean {
    return this.#hasLast && this.#have === this.len;
  }

  /** Takes a piece, or says which counter it goes to. */
  add({ at, bytes, more, ecn, head }: Piece): 'taken' | 'duplicates' | 'overlapping' | 'malformed' {
    const end = at + bytes.length;
    if (bytes.length === 0 || (this.#hasLast && end > this.len)) return 'malformed';
    if (!more) {
      if (end < this.len) return 'malformed'; // some bytes lie behind this end
      this.#hasLast = true;
    }
    this.len = Math.max(this.len, end);

    const i = this.#firstEndingBehind(at);
    const next = this.#runs[i];
    if (next && next.at < end) return at >= next.at && end <= next.end ? 'duplicates' : 'overlapping';
    const last = this.#runs.at(-1);
    if (last && last.end === at) {
      last.pieces.push(bytes);
      last.end = end;
    } else {
      this.#runs.splice(i, 0, { at, end, pieces: [bytes] });
    }
    this.#have += bytes.length;
    this.ecnSeen |= 1 << ecn;
    if (head) this.head = head;
    return 'taken';
  }

  copyTo(packet: Uint8Array, at: number): void {
    let to = at;
    for (const run of this.#runs) {
      for (const piece of run.pieces) {
        packet.set(piece, to);
        to += piece.length;
      }
    }
  }

  /** Index of the first run that ends behind `at`; binary search, for up to 8191 runs. */
  #firstEndingBehind(at: number): number {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#runs[middle]!.end > at) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** The mark to add to the whole, or -1 when the marks contradict each other (RFC 3168 §5.3). */
function mergeEcn(seen: number): number {
  const notCapable = (seen & 1) !== 0;
  if (notCapable && seen !== 1) return -1;
  // A mark alone adds nothing to what the header says already.
  return (seen & (1 << CE)) !== 0 ? CE : 0;
}
