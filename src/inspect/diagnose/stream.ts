/**
 * One stream: one direction of one tunnel under one SPI, and all that was seen of it.
 * @module
 */
import type { KeyMaterial } from '../../crypto/suite.ts';
import { dropRow } from '../../ipsec/drop.ts';
import type { SecurityAssociation } from '../../ipsec/sa.ts';
import type { SaConfig } from '../../ipsec/sa-config.ts';
import type { Aggregate } from '../aggregate.ts';
import type { Basis } from '../basis.ts';
import { seqText } from '../decrypt-json.ts';
import type { Resolution } from '../evidence.ts';
import type { StreamReport } from './finding.ts';
import type { FrameTimes } from './frame-times.ts';
import type { Guess } from './guesses.ts';
import { SenderMarks } from './salts.ts';
import { Tally } from './tally.ts';

/** Why a packet was dropped, as far as looking closer told. */
export type Cause =
  /** A copy of a packet that was accepted. */
  | 'replayed'
  /** Authentic, and left of the window. */
  | 'late'
  /** Authentic, with a number that another packet had. */
  | 'same-number'
  /** Authentic, and so far ahead that Linux takes the number for one of the past. */
  | 'far-ahead'
  /** Number 0. */
  | 'zero'
  /** A copy of an accepted packet that was altered. */
  | 'altered'
  /** Of them those that carry another number than the packet they are copies of. */
  | 'number-altered'
  /** Shorter than it was. */
  | 'truncated'
  /** Opens with another key: see {@link Stream.fits}. */
  | 'other-key'
  /** Not encrypted behind its IV: taken before the NIC that encrypts it. */
  | 'in-the-clear'
  /** Opens with no key at hand, and shows no likeness to a packet that does. */
  | 'no-key'
  /** No SA. */
  | 'no-state'
  | 'encap-mismatch'
  | 'in-direction'
  /** Refused by an inbound policy after its SA had let it through. */
  | PolicyDrop
  | 'expired'
  | 'timed-out'
  | 'not-captured'
  /** Authentic packets with odd insides. */
  | 'dummy'
  /** Of those that were accepted: padding that does not hold 1, 2, 3. */
  | 'odd-padding'
  | 'bad-padding'
  | 'not-ip'
  | 'inner-short'
  | 'inner-header'
  | 'inner-truncated'
  | 'iptfs-short'
  | 'iptfs-header'
  | 'iptfs-block'
  /** Of those that were accepted: an inner packet in the making was given up, or one is outside the selector. */
  | 'iptfs-abandoned'
  | 'selector-mismatch';

/** What inbound policies refuse packets for. */
export const POLICY_DROPS = ['in-no-policy', 'in-template-mismatch', 'in-policy-block'] as const;
export type PolicyDrop = (typeof POLICY_DROPS)[number];

/** A guess that opened packets. */
export interface Fit {
  readonly guess: Guess;
  readonly sa: SecurityAssociation;
  readonly tally: Tally;
}

const U32 = 2 ** 32;
const NOTHING: ReadonlyMap<number, number> = new Map();

/** Of a stream in which nothing opened. */
const NOT_KNOWN = { late: null, reordered: null, beyondWindow: null };

/** Names the two ends of streams. */
export function pairName(src: string, dst: string): string {
  return `${src} ${dst}`;
}

/** A key for maps: no other stream has the same ends and SPI. */
export function streamKey(src: string, dst: string, spi: number): string {
  return `${src} ${dst} ${spi}`;
}

export class Stream {
  /** Its place in the list of streams. */
  readonly id: number;
  readonly src: string;
  readonly dst: string;
  readonly spi: number;
  resolution: Resolution;
  readonly times: FrameTimes;
  /** Has it a packet that a filter asks for? */
  isKept = false;

  /**
   * What its packets count as: `known`, by their verdicts; `gone`, the receiver had no SA; `retired`, it had one, which
   * was deleted later; `unread`, it has one whose key is not shown; `unopened`, the receiver's own text is not at hand,
   * and no key at hand opened one; `unauthenticated`, its packets were opened, and no ICV vouches for any; `unencrypted`,
   * its packets were taken before they were encrypted; `foreign`, no source names the receiver.
   */
  fate: 'known' | 'gone' | 'retired' | 'unread' | 'unopened' | 'unauthenticated' | 'unencrypted' | 'foreign' =
    'known';
  /** What it counts as where streams are too many: without an SA, with one, with packets that opened. */
  kind: 'strange' | 'closed' | 'opened' = 'closed';
  /** The key that opened its packets, where there was a choice. */
  winner: KeyMaterial | undefined;
  /** Number of its key where nonces must not come twice, or -1. */
  key = -1;
  packets = 0;
  ok = 0;
  /** Packets that were opened, and that no ICV vouches for. */
  unauthenticated = 0;
  /** Packets whose inbound policy was asked, and is one of them only assumed to be the one that their receiver asks? */
  ruled = 0;
  isRulingAssumed = false;
  /** Of all three those that are asked for: see {@link Diagnoser}. */
  readonly asked = { packets: 0, ok: 0, unauthenticated: 0 };
  /** Packets by row of the drop table, 0 for accepted. */
  readonly verdicts = new Map<number, number>();
  /** Packets that came out of those in IP-TFS; -1 where none was. */
  inners = -1;
  readonly causes = new Map<Cause, Tally>();
  readonly fits: Fit[] = [];
  readonly all: Tally;
  /** Guesses that still may be tried, made when the first packet fails, and how many there were, if any were tried. */
  guesses: Guess[] | undefined;
  guessed: number | undefined;
  /** Packets that none of {@link fits} opened. */
  unfitting = 0;
  readonly senders = new SenderMarks();

  /** Accepted packets. */
  reordered = 0;
  duplicates = 0;
  late = 0;
  /** Packets that came, but damaged, and whose numbers are therefore not missing. */
  damaged = 0;
  beyondWindow = 0;
  /** Widest window of an SA that a late packet had. */
  window = 0;
  firstFrame = 0;
  lastFrame = 0;
  firstOkFrame = 0;
  lastOkFrame = 0;
  /** Seconds since 1970. */
  firstTime = 0;
  lastTime = 0;
  /** Largest IP packet around ESP, in bytes. */
  largest = 0;

  /** The most numbers that are missing in a row. */
  readonly widest = { count: 0, from: 0, to: 0, frame: 0, seconds: 0 };

  /** Few streams have one, and there may be many streams. */
  #beside: Map<number, number> | undefined;
  #base = -1;
  #lowest = { n: Number.POSITIVE_INFINITY, hi: 0, lo: 0 };
  #highest = { n: -1, hi: 0, lo: 0 };
  #arrived = 0;
  /** Of the packet before, in seconds since 1970. */
  #lastTime = 0;
  #unread: { lowest: number; highest: number; distinct: number; twice: number } | undefined;

  constructor(id: number, src: string, dst: string, spi: number, resolution: Resolution, times: FrameTimes) {
    this.times = times;
    this.all = new Tally(times);
    this.id = id;
    this.src = src;
    this.dst = dst;
    this.spi = spi;
    this.resolution = resolution;
  }

  /** Is what its receiver does with it told by that node's own text, or assumed? */
  get basis(): Exclude<Basis, 'seen'> {
    return this.resolution.atReceiver === 'unknown' ? 'assumed' : 'told';
  }

  /** The SAs that it may be of: the one that opened its packets, or what the sources say. */
  get possible(): readonly SaConfig[] {
    const { candidates, otherWay } = this.resolution;
    const { winner } = this;
    if (winner) return candidates.filter(({ keys }) => keys.equals(winner));
    return candidates.filter((config) => !otherWay.includes(config));
  }

  /** Is it known how the receiver counts its packets, as far as its SAs are? */
  get isCounted(): boolean {
    if (this.fate === 'retired') return this.resolution.candidates.length > 0;
    return this.fate === 'known' || this.fate === 'gone';
  }

  /** Highest authentic number, or -1. */
  get highest(): number {
    return this.#highest.n;
  }

  /** First accepted number, or -1. */
  get base(): number {
    return this.#base;
  }

  /** Numbers between the first and the highest that never came. */
  get missing(): number {
    if (this.#base >= 0) return Math.max(0, this.#highest.n - this.#base + 1 - this.#arrived - this.damaged);
    return this.isUnread ? (this.#missingOnWire ?? 0) : 0;
  }

  get #missingOnWire(): number | null {
    const unread = this.#unread;
    return unread ? Math.max(0, unread.highest - unread.lowest + 1 - unread.distinct) : null;
  }

  /** Is it known by its headers alone: without keys, or with one that was guessed? */
  get isUnread(): boolean {
    const { atReceiver } = this.resolution;
    return this.ok === 0 && (this.fits.length > 0 || atReceiver === 'hidden' || atReceiver === 'other-key');
  }

  tally(cause: Cause): Tally {
    let tally = this.causes.get(cause);
    if (!tally) {
      tally = new Tally(this.times);
      this.causes.set(cause, tally);
    }
    return tally;
  }

  countOf(cause: Cause): number {
    return this.causes.get(cause)?.count ?? 0;
  }

  /**
   * Its SA was made under way, and its sender had another one until then: number 1 must come by.
   * @param time when that other one was last used, in seconds since 1970
   */
  beginAnew(time: number): void {
    this.#base = 1;
    this.#arrived = this.#unread?.distinct ?? 0;
    this.#lastTime = time;
  }

  /** Takes the verdict of a packet. */
  count(verdict: number): void {
    this.verdicts.set(verdict, (this.verdicts.get(verdict) ?? 0) + 1);
  }

  /** Takes what came out of an accepted payload of IP-TFS. */
  takeOut({ inners, counted }: Aggregate, frame: number): void {
    this.inners = Math.max(0, this.inners) + inners.length;
    for (const code of counted) {
      this.countBeside(code);
      this.tally(dropRow(code)!.reason as Cause).add(frame);
    }
  }

  /** What was counted beside the verdicts of accepted packets, in IP-TFS: rows of the drop table. */
  get beside(): ReadonlyMap<number, number> {
    return this.#beside ?? NOTHING;
  }

  countBeside(code: number): void {
    this.#beside ??= new Map();
    this.#beside.set(code, (this.#beside.get(code) ?? 0) + 1);
  }

  /** Takes the number of an accepted packet. @param isNew false for one that was accepted before (no window) */
  accept(hi: number, lo: number, isNew: boolean): void {
    const n = hi * U32 + lo;
    const { widest } = this;
    if (this.#base < 0) this.#base = n;
    const first = this.#highest.n < 0 ? this.#base : this.#highest.n + 1;
    if (n - first > widest.count) {
      const seconds = this.lastTime - this.#lastTime;
      Object.assign(widest, { count: n - first, from: first, to: n, frame: this.lastFrame, seconds });
    }
    this.#lastTime = this.lastTime;
    if (n < this.#lowest.n) this.#lowest = { n, hi, lo };
    if (n > this.#highest.n) this.#highest = { n, hi, lo };
    else if (isNew) this.reordered++;
    this.#arrive(n, isNew);
  }

  #arrive(n: number, isNew: boolean): void {
    if (!isNew || n < this.#base) return;
    this.#arrived++;
    if (n >= this.widest.from && n < this.widest.to) this.widest.count--;
  }

  /** Takes the number of an authentic packet that came too late. @returns how far below the highest it was */
  arriveLate(hi: number, lo: number): number {
    const n = hi * U32 + lo;
    if (n < this.#lowest.n) this.#lowest = { n, hi, lo };
    if (this.#base >= 0) this.#arrive(n, true);
    return this.#highest.n - n;
  }

  /** Takes the number of a packet that cannot be opened. */
  read(lo: number, isNew: boolean): void {
    const unread = this.#unread;
    if (!unread) this.#unread = { lowest: lo, highest: lo, distinct: 1, twice: 0 };
    else {
      unread.lowest = Math.min(unread.lowest, lo);
      unread.highest = Math.max(unread.highest, lo);
      if (isNew) unread.distinct++;
      else unread.twice++;
    }
  }

  report(): StreamReport {
    const { src, dst, spi, packets, ok, basis, isCounted } = this;
    const unread = this.#unread;
    const isRead = this.#highest.n >= 0;
    const { missing, duplicates, late, reordered, beyondWindow } = isRead
      ? this
      : { ...NOT_KNOWN, missing: this.#missingOnWire, duplicates: unread?.twice ?? null };
    return {
      src,
      dst,
      spi,
      packets,
      ok: this.fate === 'gone' ? 0 : ok,
      ...(this.unauthenticated > 0 && { unauthenticated: this.unauthenticated }),
      ...(this.inners >= 0 && { inners: this.inners }),
      basis,
      judged: isCounted,
      seqFirst: isRead ? seqText(this.#lowest.hi, this.#lowest.lo) : unread ? String(unread.lowest) : null,
      seqLast: isRead ? seqText(this.#highest.hi, this.#highest.lo) : unread ? String(unread.highest) : null,
      missing,
      duplicates,
      late,
      reordered,
      beyondWindow,
    };
  }
}
