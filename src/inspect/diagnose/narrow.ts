/**
 * A part of a diagnosis: findings, streams and receivers that a filter asks for. It is made of the whole, because packets
 * that were left out before would count as missing.
 * @module
 */
import { inPrefix, parseAddress } from '../../wire/address.ts';
import type { Names } from '../names.ts';
import type { FilterSpec } from '../packet-filter.ts';
import { compareMoments, readTime } from '../packet-time.ts';
import type { Diagnosis, Finding, StreamReport } from './finding.ts';

export interface NarrowOptions {
  readonly filter: FilterSpec;
  /** Codes of findings, one of which is wanted; none: all. */
  readonly codes: readonly string[];
  /** Do both addresses belong to one node? */
  readonly isSameNode: (a: string, b: string) => boolean;
  readonly names: Names;
  /** Has a stream a packet that is wanted? */
  readonly isKept: (stream: Pick<StreamReport, 'src' | 'dst' | 'spi'>) => boolean;
  /** The first frames of these streams: what is about several of them names one at most. */
  readonly frames: ReadonlySet<number>;
}

/** The part that is asked for, with how much was left out. */
export function narrow<D extends Diagnosis>(diagnosis: D, options: NarrowOptions): D {
  const { isSameNode, isKept, filter } = options;
  const streams = diagnosis.streams.filter(isKept);
  const receivers = diagnosis.receivers.filter(({ address }) =>
    streams.some(({ dst }) => isSameNode(dst, address)),
  );
  const wanted = diagnosis.findings.filter((finding) => isWanted(finding, options));
  const findings = wanted.slice(0, filter.count);
  const notes = diagnosis.notes.filter((note) => isWanted(note, options));
  return {
    ...diagnosis,
    ...{ streams, receivers, findings, notes },
    leftOut: {
      findings: diagnosis.findings.length - findings.length,
      notes: diagnosis.notes.length - notes.length,
      streams: diagnosis.streams.length - streams.length,
      receivers: diagnosis.receivers.length - receivers.length,
    },
  };
}

function isWanted(finding: Finding, { filter, codes, names, isKept, frames }: NarrowOptions): boolean {
  const { code, src, dst, spi, node } = finding;
  if (codes.length > 0 && !codes.includes(code) && filter.reasons.length === 0) return false;
  if (!isInTime(finding, filter)) return false;
  if (src !== null && dst !== null && spi !== null && isKept({ src, dst, spi })) return true;
  if (finding.frames.some((frame) => frames.has(frame))) return true;
  // What is about no packet that is wanted has no verdict.
  if (filter.verdicts.length + filter.reasons.length > 0) return codes.includes(code);
  if (filter.spis.length > 0 && !(spi !== null && filter.spis.includes(spi))) return false;
  const ends = [src, dst].filter((end) => end !== null);
  const { nodes, addresses, pods } = filter;
  if (
    nodes.length > 0 &&
    ![node, ...ends, ...ends.map((end) => names.node(end))].some((one) => nodes.includes(one ?? ''))
  )
    return false;
  if (
    addresses.length > 0 &&
    !ends.some((end) => addresses.some((range) => inPrefix(range, parseAddress(end) ?? NONE)))
  )
    return false;
  return pods.length === 0 || ends.some((end) => names.isOneOf(end, pods));
}

const NONE = new Uint8Array(0);

/** Lies any of it between the two moments? What has no time is in no span. */
function isInTime({ firstTime, lastTime }: Finding, { since, until }: FilterSpec): boolean {
  if (!since && !until) return true;
  const first = readTime(firstTime ?? '');
  const last = readTime(lastTime ?? '') ?? first;
  if (!first || !last) return false;
  return (!since || compareMoments(last, since) >= 0) && (!until || compareMoments(first, until) <= 0);
}
