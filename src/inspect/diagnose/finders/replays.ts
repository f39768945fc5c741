/**
 * Packets that came twice.
 * @module
 */
import { count } from '../../../base/count-text.ts';
import { type Case, finding, streamName } from '../case.ts';
import type { Finding } from '../finding.ts';

export function* replays(c: Case): Generator<Finding> {
  const { streams, evidence } = c;
  for (const stream of streams) {
    const tally = stream.causes.get('replayed');
    if (!tally || stream.fate === 'gone') continue;
    const takes = stream.possible.some(({ replayWindow }) => replayWindow === 0);
    yield finding(
      c,
      'replayed',
      `${streamName(stream, evidence)}: ${count(tally.count, 'packet')} whose number, IV and ICV are those of an accepted packet. ${
        takes
          ? 'The receiver has no replay window, so it took them again.'
          : 'Dropped: XfrmInStateSeqError, or XfrmInStateProtoError where ESN took the number for one of the next 2^32.'
      }`,
      { stream, tally, ...(!takes && { counter: 'XfrmInStateSeqError' }) },
    );
  }
}
