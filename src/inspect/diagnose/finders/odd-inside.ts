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
  ['selector-mismatch', 'selector-mismatch'],
  ['expired', 'expired'],
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
    for (const [reason, code] of CODES) {
      const tally = stream.causes.get(reason);
      if (!tally) continue;
      const { counter, elsewhere, look } = dropRowOf(reason);
      const dropped = stream.isCounted ? `dropped${countedAs(stream, counter ?? elsewhere)}` : 'not opened';
      yield finding(
        c,
        code,
        `${streamName(stream, evidence)}: ${count(tally.count, 'packet')} ${dropped}. ${look}`,
        { stream, tally, counter },
      );
    }
  }
}
