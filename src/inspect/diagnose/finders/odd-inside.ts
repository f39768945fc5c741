/**
 * Authentic packets that the receiver drops for what is in them, and packets that do not fit their SA.
 * @module
 */
import { dropRowOf } from '../../../ipsec/drop.ts';
import { type Case, count, finding, streamName } from '../case.ts';
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
] as const satisfies readonly (readonly [string, FindingCode])[];

export function* oddInside({ streams, evidence }: Case): Generator<Finding> {
  for (const stream of streams) {
    if (stream.fate === 'gone') continue;
    for (const [reason, code] of CODES) {
      const tally = stream.causes.get(reason);
      if (!tally) continue;
      const { counter, elsewhere, look } = dropRowOf(reason);
      const counted = counter ?? elsewhere ?? '';
      yield finding(
        code,
        `${streamName(stream, evidence)}: ${count(tally.count, 'packet')} dropped (${counted}). ${look}`,
        tally.frames,
      );
    }
  }
}
