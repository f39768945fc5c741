/**
 * Authentic packets that the receiver drops for what is in them, and packets that do not fit their SA.
 * @module
 */
import { count } from '../../../base/count-text.ts';
import { dropRowOf } from '../../../ipsec/drop.ts';
import { type Case, countedAs, finding, streamName } from '../case.ts';
import type { Finding } from '../finding.ts';
import type { FindingCode } from '../table.ts';

const CODES = [
  ['dummy', 'dummy'],
  ['bad-padding', 'bad-padding'],
  ['not-ip', 'not-ip'],
  ['inner-short', 'inner-damaged'],
  ['inner-header', 'inner-damaged'],
  ['inner-truncated', 'inner-damaged'],
  ['iptfs-short', 'iptfs-refused'],
  ['iptfs-header', 'iptfs-refused'],
  ['iptfs-block', 'iptfs-refused'],
  ['selector-mismatch', 'selector-mismatch'],
  ['expired', 'expired'],
  ['timed-out', 'expired'],
  ['encap-mismatch', 'encap-mismatch'],
  ['in-direction', 'wrong-direction'],
] as const satisfies readonly (readonly [string, FindingCode])[];

export function* oddInside(c: Case): Generator<Finding> {
  const { streams, evidence } = c;
  for (const stream of streams) {
    if (stream.fate === 'gone') continue;
    const odd = stream.causes.get('odd-padding');
    if (odd) {
      yield finding(
        c,
        'odd-padding',
        `${streamName(stream, evidence)}: ${count(odd.count, 'authentic packet')} with padding that does not hold 1, 2, 3. Linux does not look at it.`,
        { stream, tally: odd, node: evidence.nameOf(stream.src) },
      );
    }
    const abandoned = stream.causes.get('iptfs-abandoned');
    if (abandoned) {
      const { counter } = dropRowOf('iptfs-abandoned');
      yield finding(
        c,
        'iptfs-abandoned',
        `${streamName(stream, evidence)}: ${count(abandoned.count, 'inner packet')} of which the rest did not come${countedAs(stream, counter ?? undefined)}; ${count(stream.inners, 'inner packet')} came out whole.`,
        { stream, tally: abandoned, counter },
      );
    }
    for (const [reason, code] of CODES) {
      const tally = stream.causes.get(reason);
      if (!tally) continue;
      const { counter, elsewhere, look } = dropRowOf(reason);
      const dropped = stream.isCounted ? `dropped${countedAs(stream, counter ?? elsewhere)}` : 'not opened';
      yield finding(
        c,
        code,
        `${streamName(stream, evidence)}: ${count(tally.count, 'packet')} ${dropped}. ${look}`,
        { stream, tally, counter, ...(reason === 'timed-out' && { basis: 'assumed' as const }) },
      );
    }
  }
}
