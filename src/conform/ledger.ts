/**
 * What another implementation made of the frames, beside what was expected: a row for each behaviour and verdict.
 * @module
 */
import { fromHex, toHex } from '../base/bytes.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import type { VerdictLine } from './folder.ts';
import { type EchoHosts, type EchoName, EchoReader } from './reference.ts';
import type { Rule } from './rules.ts';

/** What was seen of one frame. */
export interface Sight {
  /** In a word or two: `answered`, `silent`, a counter, … */
  readonly seen: string;
  /** Absent where this source does not tell. */
  readonly agrees?: boolean;
}

/** A row of the ledger. */
export interface LedgerRow {
  readonly behaviour: string;
  readonly says: string;
  readonly rfc: Rule;
  /** `accepted`, `passed`, or what counts the drop. */
  readonly expected: string;
  readonly frames: number;
  /** How many frames were seen how. */
  readonly seen: Readonly<Record<string, number>>;
  /** Numbers of those that differ. */
  readonly differing: readonly number[];
  /** How many of them this source tells nothing of. */
  readonly untold: number;
}

/** How it went. */
export interface LedgerSummary {
  readonly frames: number;
  readonly agree: number;
  readonly differ: number;
  /** Frames of which the source tells nothing. */
  readonly untold: number;
}

/** What is expected of a frame, in a word. */
export function expectedOf({ verdict, counter, elsewhere, reason }: VerdictLine): string {
  return verdict === 'dropped' ? (counter ?? elsewhere?.split(' ')[0] ?? reason ?? 'dropped') : verdict;
}

/** Makes the rows, in the order in which behaviours first came. @param sights one for each verdict; fewer where it ended early */
export function ledgerOf(verdicts: readonly VerdictLine[], sights: readonly Sight[]): LedgerRow[] {
  const rows = new Map<
    string,
    LedgerRow & { seen: Record<string, number>; differing: number[]; frames: number; untold: number }
  >();
  for (const [i, { seen, agrees }] of sights.entries()) {
    const line = verdicts[i]!;
    const { behaviour, says, rfc } = line;
    const expected = expectedOf(line);
    const name = `${behaviour}\n${expected}\n${rfc.sentence}`;
    let row = rows.get(name);
    if (!row) {
      row = { behaviour, says, rfc, expected, frames: 0, seen: {}, differing: [], untold: 0 };
      rows.set(name, row);
    }
    row.frames++;
    row.seen[seen] = (row.seen[seen] ?? 0) + 1;
    if (agrees === undefined) row.untold++;
    else if (!agrees) row.differing.push(line.frame);
  }
  return [...rows.values()];
}

/** Adds the rows up. */
export function summaryOf(rows: readonly LedgerRow[]): LedgerSummary {
  const sum = (of: (row: LedgerRow) => number) => rows.reduce((total, row) => total + of(row), 0);
  const frames = sum((row) => row.frames);
  const differ = sum((row) => row.differing.length);
  const untold = sum((row) => row.untold);
  return { frames, agree: frames - differ - untold, differ, untold };
}

/** Names of echoes as keys of maps. */
export function echoKey({ id, seq }: EchoName): string {
  return `${id} ${seq}`;
}

/**
 * Judges by echo replies: each tells that a frame with this request was accepted. What has no answer by nature is not told.
 * @param replies how many came, by {@link echoKey}
 */
export function judgeReplies(
  verdicts: readonly VerdictLine[],
  replies: ReadonlyMap<string, number>,
): Sight[] {
  const left = new Map(replies);
  const isAnswered = new Set<number>();
  // A request that was sent twice: the first that is to be answered gets the reply.
  const inTurn = [...verdicts].sort((a, b) => Number(b.answered) - Number(a.answered) || a.frame - b.frame);
  for (const { frame, echo } of inTurn) {
    const count = echo ? (left.get(echoKey(echo)) ?? 0) : 0;
    if (count === 0) continue;
    left.set(echoKey(echo!), count - 1);
    isAnswered.add(frame);
  }
  return verdicts.map((line) => sightOfReply(line, isAnswered.has(line.frame)));
}

/** What it says of a frame that it was answered, or not. */
export function sightOfReply({ answered, verdict, echo }: VerdictLine, isAnswered: boolean): Sight {
  const seen = isAnswered ? 'answered' : 'silent';
  if (isAnswered !== answered) return { seen, agrees: false };
  // Accepted and dropped behind ESP look alike, and so does what carries no request.
  return answered || (verdict === 'dropped' && echo !== null) ? { seen, agrees: true } : { seen };
}

/**
 * Judges by packets that the other implementation decrypted.
 * @param packets in hexadecimal, from the IP header on
 */
export function judgeDecrypted(
  verdicts: readonly VerdictLine[],
  packets: Iterable<string>,
  hosts: EchoHosts,
): Sight[] {
  const left = new Map<string, number>();
  for (const packet of packets) {
    const known = normalised(packet);
    left.set(known, (left.get(known) ?? 0) + 1);
  }
  const take = (packet: string) => {
    const count = left.get(packet) ?? 0;
    if (count > 0) left.set(packet, count - 1);
    return count > 0;
  };
  const sights = new Map<number, Sight>();
  for (const { frame, verdict, inner } of verdicts)
    if (verdict === 'accepted' && inner !== null && take(normalised(inner)))
      sights.set(frame, { seen: 'decrypted', agrees: true });
  // What is left came out unexpectedly: of frames that were to be dropped, or with other bytes.
  const reader = new EchoReader();
  const byEcho = new Map<string, number>();
  for (const [packet, count] of left) {
    const echo = reader.read(fromHex(packet) ?? new Uint8Array(0), hosts, 'request');
    if (echo && count > 0) byEcho.set(echoKey(echo), (byEcho.get(echoKey(echo)) ?? 0) + count);
  }
  return verdicts.map((line): Sight => {
    const known = sights.get(line.frame);
    if (known) return known;
    const name = line.echo && echoKey(line.echo);
    const count = name === null ? 0 : (byEcho.get(name) ?? 0);
    if (count > 0) {
      byEcho.set(name!, count - 1);
      return { seen: line.verdict === 'accepted' ? 'decrypted, other bytes' : 'decrypted', agrees: false };
    }
    return { seen: 'not decrypted', agrees: line.verdict !== 'accepted' };
  });
}

/** Without what a router on the way changes, and without what lies behind the packet. */
function normalised(packet: string): string {
  const b = fromHex(packet) ?? new Uint8Array(0);
  const isV4 = b.length >= ipv4.HEADER_LEN && b[0]! >>> 4 === 4;
  const isV6 = b.length >= ipv6.HEADER_LEN && b[0]! >>> 4 === 6;
  if (!isV4 && !isV6) return packet;
  const whole = isV4 ? ipv4.totalLength(b) : ipv6.HEADER_LEN + ipv6.payloadLength(b);
  const cut = b.slice(0, Math.max(isV4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN, whole));
  if (isV4) {
    ipv4.setTtl(cut, 0, 64);
    ipv4.fillChecksum(cut);
  } else ipv6.setHopLimit(cut, 0, 64);
  return toHex(cut);
}
