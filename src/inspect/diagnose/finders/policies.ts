/**
 * Decrypted packets that the receiver's inbound policies refuse.
 * @module
 */
import { count } from '../../../base/count-text.ts';
import { dropRowOf } from '../../../ipsec/drop.ts';
import { type Case, countedAs, finding, sourcesOf, streamName } from '../case.ts';
import type { Finding } from '../finding.ts';
import { POLICY_DROPS } from '../stream.ts';

export function* policies(c: Case): Generator<Finding> {
  const { streams, evidence, inbound } = c;
  for (const stream of streams) {
    for (const reason of POLICY_DROPS) {
      const tally = stream.causes.get(reason);
      if (!tally) continue;
      const { counter, look } = dropRowOf(reason);
      const isAssumed = stream.isRulingAssumed;
      const proviso = isAssumed
        ? ' That is so if their destination is behind the node: the policy `dir fwd` is asked then, and `dir in` if it is the node itself.'
        : '';
      const file = inbound.fileOf(stream.dst);
      yield finding(
        c,
        'policy-refuses',
        `${streamName(stream, evidence)}: ${count(tally.count, 'packet')} decrypted and then dropped${countedAs(stream, counter ?? undefined)}. ${look}${proviso}`,
        {
          ...{ stream, tally, counter },
          basis: isAssumed ? 'assumed' : stream.basis,
          evidence: [...sourcesOf(stream, evidence), ...(file === undefined ? [] : [file])],
        },
      );
    }
  }
}
