/**
 * All that a finder may look at once the capture has been read.
 * @module
 */
import type { FrameNames } from '../../capture/frame-id.ts';
import type { KeylessSa } from '../../sa-text/to-sa.ts';
import type { XfrmStat } from '../../sa-text/xfrm-stat.ts';
import { formatAddress } from '../../wire/address.ts';
import type { Basis } from '../basis.ts';
import type { Evidence } from '../evidence.ts';
import { timeText } from '../packet-time.ts';
import type { Comparison } from '../places/compare.ts';
import type { ClearTraffic } from './clear.ts';
import type { ClearPods } from './finders/clear-traffic.ts';
import type { Finding, ReceiverReport, Severity } from './finding.ts';
import { MAX_FRAMES } from './finding.ts';
import type { FrameTimes } from './frame-times.ts';
import type { FurtherStreams } from './further.ts';
import type { InboundPolicies } from './inbound.ts';
import type { PathWatch } from './path.ts';
import type { OutboundPolicies } from './policies.ts';
import type { Stream } from './stream.ts';
import { type FindingCode, findingRow } from './table.ts';
import type { Tally } from './tally.ts';

/** What receivers are called that are too many to be told apart. */
export const OTHER_RECEIVERS = 'other receivers';

/** Counters of one node's kernel, at one time or at two. */
export interface StatText {
  /** Name or address of the node, where it was said. */
  readonly node: string | undefined;
  readonly file: string;
  readonly before?: XfrmStat;
  readonly after: XfrmStat;
}

/** Two packets with one IV under one key. */
export interface IvReuse {
  readonly stream: Stream;
  readonly tally: Tally;
}

export interface Case {
  readonly evidence: Evidence;
  /** Says for people which frame a number stands for. */
  readonly names: FrameNames;
  readonly streams: readonly Stream[];
  /** Those between two ends. */
  readonly between: (src: string, dst: string) => readonly Stream[];
  /** Streams that are not told apart: without an SA, and with one that opened nothing. */
  readonly strange: FurtherStreams;
  readonly closed: FurtherStreams;
  readonly receivers: readonly ReceiverReport[];
  /** Packets without SPI, by destination; those beyond a number of these under {@link OTHER_RECEIVERS}. */
  readonly headerErrors: ReadonlyMap<string, Tally>;
  readonly clear: ClearTraffic;
  /** What went by in the clear between pods of different nodes: worked out once, when it is first asked for. */
  readonly clearPods: () => readonly ClearPods[];
  readonly policies: OutboundPolicies;
  readonly inbound: InboundPolicies;
  readonly path: PathWatch;
  readonly ivReuse: ReadonlyMap<Stream, IvReuse>;
  readonly stats: readonly StatText[];
  readonly times: FrameTimes;
  /** What two places saw of the same ways, where there are captures of several. */
  readonly comparison: Comparison | undefined;
  /** Frames of the capture; 0 where there is none. */
  readonly frames: number;
  /** Frames that hold what is not looked into, by its name. */
  readonly notRead: ReadonlyMap<string, number>;
  /** Packets of ESP in ESP that no source has an SA for. */
  readonly nested: number;
  /** Packets of which fragments are missing. */
  readonly incomplete: number;
}

/** Looks for one thing. */
export type Finder = (c: Case) => Iterable<Finding>;

/** What is special about one finding. What is left out is null, or what its row in the table says. */
export interface About {
  /** The stream that it is about, from which ends, receiver, basis and evidence are taken where they are not given. */
  readonly stream?: Stream;
  /** What is counted, with its frames. */
  readonly tally?: Pick<Tally, 'count' | 'first' | 'last' | 'frames' | 'lastTime'>;
  readonly basis?: Basis;
  readonly node?: string | undefined;
  readonly src?: string;
  readonly dst?: string;
  readonly spi?: number;
  /** Where the receiver of {@link stream} is not known to count its packets, it is left out. */
  readonly counter?: string | null | undefined;
  readonly count?: number;
  readonly frames?: readonly number[];
  readonly evidence?: readonly string[];
  readonly severity?: Severity;
  readonly remedy?: string;
}

/** A finding by its row, with what is special about this case. */
export function finding(
  { evidence, times }: Pick<Case, 'evidence' | 'times'>,
  code: FindingCode,
  summary: string,
  about: About,
): Finding {
  const row = findingRow(code);
  const { stream, tally } = about;
  const frames = [...(about.frames ?? tally?.frames ?? [])].sort((a, b) => a - b).slice(0, MAX_FRAMES);
  const total = about.count ?? tally?.count ?? frames.length;
  const basis = about.basis ?? (row.basis === 'sa' ? (stream?.basis ?? 'assumed') : row.basis);
  const counter = stream && !stream.isCounted ? null : (about.counter ?? null);
  const first = (tally?.first || frames[0]) ?? null;
  const last = (tally?.last || (total <= frames.length ? frames.at(-1) : undefined)) ?? null;
  const timeOf = (frame: number | null) => {
    const time = frame === null ? undefined : times.of(frame);
    return time ? timeText(time) : null;
  };
  const lastTime = last === tally?.last && tally?.lastTime.isKnown ? timeText(tally.lastTime) : timeOf(last);
  return {
    code,
    severity: about.severity ?? row.severity,
    basis,
    node: about.node ?? (stream ? evidence.nameOf(stream.dst) : null),
    src: about.src ?? stream?.src ?? null,
    dst: about.dst ?? stream?.dst ?? null,
    spi: about.spi ?? stream?.spi ?? null,
    counter,
    count: total,
    first,
    last,
    firstTime: timeOf(first),
    lastTime,
    frames,
    evidence:
      about.evidence ?? (row.basis === 'sa' && stream ? sourcesOf(stream, evidence) : ['the capture']),
    summary,
    remedy: about.remedy ?? row.remedy,
  };
}

/** Sources that are named beside a finding. */
const MOST_SOURCES = 4;

/** Where the SAs of a stream are from. */
export function sourcesOf({ dst, resolution, possible }: Stream, evidence: Evidence): string[] {
  const { atReceiver, held } = resolution;
  const sources =
    held.length > 0
      ? held.map(({ sa }) => sa.origin)
      : atReceiver === 'missing'
        ? evidence.heldBy(dst).map(({ file }) => file)
        : possible.map(({ origin }) => origin);
  return [...new Set(['the capture', ...sources])].slice(0, MOST_SOURCES);
}

/** ` (XfrmInNoStates)` where the receiver counts it, or would as far as it is known; empty where that is not known. */
export function countedAs(stream: Stream, counter: string | undefined): string {
  if (!counter || !stream.isCounted) return '';
  return stream.basis === 'told' ? ` (${counter})` : ` (would count as ${counter})`;
}

/** `node-1 > node-2 (10.244.1.1 > 10.244.2.1, SPI 0x3)` */
export function streamName(
  { src, dst, spi }: Pick<Stream, 'src' | 'dst' | 'spi'>,
  evidence: Evidence,
): string {
  const id = `SPI 0x${spi.toString(16)}`;
  const [from, to] = [evidence.nameOf(src), evidence.nameOf(dst)];
  return from === src && to === dst ? `${src} > ${dst}, ${id}` : `${from} > ${to} (${src} > ${dst}, ${id})`;
}

/** `key id 3`, where the SPI can be one of Cilium's. */
export function keyIdOf(spi: number): string {
  return spi >= 1 && spi <= 15 ? `key id ${spi}` : `SPI 0x${spi.toString(16)}`;
}

/** What a finding is about that a state of a kernel's text shows, and no packet. */
export function ofState(sa: KeylessSa, evidence: Evidence): About {
  const [src, dst] = [formatAddress(sa.src), formatAddress(sa.dst)];
  return { src, dst, spi: sa.spi, node: evidence.nameOf(dst), count: 0, evidence: [sa.origin] };
}

/** `10.244.1.1 > 10.244.2.1` of a state. */
export function stateName({ src, dst, spi }: { src: Uint8Array; dst: Uint8Array; spi: number }): string {
  return `${formatAddress(src)} > ${formatAddress(dst)}, SPI 0x${spi.toString(16)}`;
}
