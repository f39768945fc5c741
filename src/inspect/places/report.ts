/**
 * What is known of several captures together: where they were taken, how their clocks differ, and what of each way came
 * from one place to the other. JSON of `esplane diagnose`, a contract that others rely on.
 * @module
 */
import type { Basis } from '../basis.ts';
import type { ComparedStream, Comparison } from './compare.ts';

export interface PlaceReport {
  /** Its captures: several of a ring. */
  readonly files: readonly string[];
  /** The node that it is at, by name or address, where it is known, and how. */
  readonly node: string | null;
  readonly basis: Basis | null;
}

export interface ClocksReport {
  /** Labels of the two places. */
  readonly one: string;
  readonly other: string;
  /** Seconds that the clock of `other` shows more. */
  readonly ahead: number;
  /** Spread of the packets, in seconds. */
  readonly margin: number;
  readonly packets: number;
  /** Seconds on the way; null where one direction alone was seen, and `ahead` has them in it. */
  readonly onTheWay: number | null;
}

/** Packets of one stream that two places saw. */
export interface WayReport {
  /** Of the IP packet around ESP. */
  readonly src: string;
  readonly dst: string;
  /** Null for packets that are no ESP. */
  readonly spi: number | null;
  /** Of those, the protocol number of the innermost packet; null for ESP. */
  readonly proto: number | null;
  /** Labels of the places. */
  readonly from: string;
  readonly to: string;
  /** How it is known which of them comes first; null where it is not known. */
  readonly basis: Basis | null;
  readonly both: number;
  /** Left `from`, and never came to `to`. */
  readonly lost: number;
  /** Of them those that are longer than all that came, and the shortest of these in bytes. */
  readonly lostLonger: number;
  readonly lostFrom: number | null;
  /** Longest that came, in bytes. */
  readonly longest: number;
  /** Came to `to`, and did not pass `from`. */
  readonly added: number;
  readonly twice: number;
  readonly reordered: number;
  /** Not judged: one of the places was not listening, or packets were too many. */
  readonly notJudged: number;
}

export interface PlacesReport {
  readonly places: readonly PlaceReport[];
  readonly clocks: readonly ClocksReport[];
  readonly ways: readonly WayReport[];
}

/** Ways that are listed, those with the most lost first. */
const MOST_WAYS = 1000;

/** What to call a place: its node, or its file. */
export function labelOf(comparison: Comparison, names: readonly string[], place: number): string {
  const { node, files } = comparison.places[place]!;
  if (node) return node.name;
  const more = files.length - 1;
  return more > 0 ? `${names[files[0]!]} and ${more} more` : names[files[0]!]!;
}

/** Says what was compared. @param names of the captures */
export function placesReport(comparison: Comparison, names: readonly string[]): PlacesReport {
  const label = (place: number) => labelOf(comparison, names, place);
  return {
    places: comparison.places.map(({ files, node }) => ({
      files: files.map((file) => names[file]!),
      node: node?.name ?? null,
      basis: node?.basis ?? null,
    })),
    clocks: comparison.clocks.map(({ one, other, ahead, margin, packets, onTheWay = null }) => ({
      one: label(one),
      other: label(other),
      ahead: rounded(ahead),
      margin: rounded(margin),
      packets,
      onTheWay: onTheWay === null ? null : rounded(onTheWay),
    })),
    ways: [...comparison.streams]
      .sort((a, b) => b.lost.count - a.lost.count || b.both - a.both)
      .slice(0, MOST_WAYS)
      .map((stream) => wayReport(stream, label)),
  };
}

function wayReport(stream: ComparedStream, label: (place: number) => string): WayReport {
  const { src, dst, spi, protocol, first, second, basis, both, lost, added, twice, reordered, longest } =
    stream;
  const { count, shortest } = stream.beyond;
  return {
    src,
    dst,
    spi: spi ?? null,
    proto: protocol ?? null,
    from: label(first),
    to: label(second),
    basis: basis ?? null,
    both,
    lost: lost.count,
    lostLonger: count,
    lostFrom: count > 0 ? shortest : null,
    longest,
    added: added.count,
    twice: twice.count,
    reordered: reordered.count,
    notJudged: stream.outside + stream.crowded,
  };
}

/** To microseconds. */
function rounded(seconds: number): number {
  return Math.round(seconds * 1e6) / 1e6;
}
