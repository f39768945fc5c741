/**
 * What was read of a capture, counted: drops by reason, and what went by beside ESP.
 * @module
 */
import { type DropRow, dropRow } from '../ipsec/drop.ts';
import type { Receiver } from './receiver.ts';

/** Drops for one reason. */
export interface DropCount {
  readonly row: DropRow;
  readonly count: number;
}

/** Drops, or packets that were not opened, by reason, most frequent first. */
export function dropCounts(counts: ReadonlyMap<number, number>): DropCount[] {
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([verdict, count]) => ({ row: dropRow(verdict)!, count }));
}

/** Frames without an ESP packet, by what they are, where there are any. */
export function besideCounts({ totals, reassembler }: Receiver): { what: string; count: number }[] {
  const { pending, stats } = reassembler;
  return [
    { what: 'without ESP', count: totals.other },
    { what: 'ICMP errors that send ESP back', count: totals.quotes },
    { what: 'NAT keepalives', count: totals.keepalives },
    { what: 'IKE', count: totals.ike },
    { what: 'not readable as IP', count: totals.broken },
    {
      what: 'packets of which fragments are missing',
      count: pending + stats.timedOut + stats.evicted,
    },
    { what: 'fragments that contradict others', count: stats.overlapping + stats.malformed },
    ...[...totals.notRead].map(([kind, count]) => ({ what: `of ${kind}, not looked into`, count })),
  ].filter(({ count }) => count > 0);
}
