/**
 * A payload of IP-TFS in a capture (RFC 9347): what became of it, for the sinks of a receiver.
 * @module
 */
import { count } from '../base/count-text.ts';
import { dropRow } from '../ipsec/drop.ts';
import type { IptfsTaken } from '../ipsec/iptfs.ts';
import type { SecurityAssociation } from '../ipsec/sa.ts';
import type { Moment } from './packet-time.ts';

/** What {@link IptfsTaken} says, to keep. */
export type Aggregate = Omit<IptfsTaken, 'verdict'>;

/** Has the SA take the payload `b[at..end)`. Returns its verdict, and what came out. */
export function takePayload(
  sa: SecurityAssociation,
  [hi, lo]: readonly [number, number],
  b: Uint8Array,
  [at, end]: readonly [number, number],
  { seconds, nanoseconds }: Moment,
): { readonly verdict: number; readonly aggregate: Aggregate } {
  const { verdict, ...aggregate } = sa.iptfs.take(hi, lo, b, at, end, seconds * 1000 + nanoseconds / 1e6);
  return { verdict, aggregate };
}

/** `IP-TFS, 2 packets`; what is not usual about it comes behind. */
export function aggregateText(aggregate: Aggregate): string {
  const { inners, isHeld, padLength } = aggregate;
  const what = isHeld
    ? 'waits for an earlier number'
    : inners.length > 0
      ? count(inners.length, 'packet')
      : 'no whole packet';
  const held = isHeld && inners.length > 0 ? `, ${count(inners.length, 'packet')}` : '';
  const padding = padLength > 0 ? `, ${count(padLength, 'byte')} of padding` : '';
  const counted = countedBeside(aggregate);
  return `IP-TFS, ${what}${held}${padding}${counted.length > 0 ? ` (${counted.join(', ')})` : ''}`;
}

/** The counters that rose beside the verdict, once for each time: `XfrmInIptfsError`. */
export function countedBeside({ counted }: Aggregate): string[] {
  return counted.map((code) => dropRow(code)?.counter ?? '').filter((counter) => counter !== '');
}
