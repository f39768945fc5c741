/**
 * All that a finder may look at once the capture has been read.
 * @module
 */

import type { XfrmStat } from '../../sa-text/xfrm-stat.ts';
import { formatAddress } from '../../wire/address.ts';
import type { ClearTraffic } from './clear.ts';
import type { Evidence } from './evidence.ts';
import type { Finding, ReceiverReport, Severity } from './finding.ts';
import { MAX_FRAMES } from './finding.ts';
import type { FurtherStreams } from './further.ts';
import type { PathWatch } from './path.ts';
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
  readonly path: PathWatch;
  readonly ivReuse: ReadonlyMap<Stream, IvReuse>;
  readonly stats: readonly StatText[];
  /** Packets of which fragments are missing. */
  readonly incomplete: number;
}

/** Looks for one thing. */
export type Finder = (c: Case) => Iterable<Finding>;

/** A finding by its row, with what is special about this case. */
export function finding(
  code: FindingCode,
  summary: string,
  frames: readonly number[],
  given: { readonly severity?: Severity; readonly remedy?: string } = {},
): Finding {
  const row = findingRow(code);
  return {
    code,
    severity: given.severity ?? row.severity,
    summary,
    frames: [...frames].sort((a, b) => a - b).slice(0, MAX_FRAMES),
    remedy: given.remedy ?? row.remedy,
  };
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

/** `1 packet`, `7 packets`, `1,234 packets` */
export function count(n: number, what: string): string {
  return `${grouped(n)} ${what}${n === 1 ? '' : 's'}`;
}

/** 1234567 as 1,234,567. */
export function grouped(n: number): string {
  return String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** `key id 3`, where the SPI can be one of Cilium's. */
export function keyIdOf(spi: number): string {
  return spi >= 1 && spi <= 15 ? `key id ${spi}` : `SPI 0x${spi.toString(16)}`;
}

/** `10.244.1.1 > 10.244.2.1` of a state. */
export function stateName({ src, dst, spi }: { src: Uint8Array; dst: Uint8Array; spi: number }): string {
  return `${formatAddress(src)} > ${formatAddress(dst)}, SPI 0x${spi.toString(16)}`;
}
