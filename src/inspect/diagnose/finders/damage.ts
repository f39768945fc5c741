/**
 * Packets that the way damaged: altered, cut off, without a header, or only in this capture.
 * @module
 */
import { count } from '../../../base/count-text.ts';
import { type Case, countedAs, finding, streamName } from '../case.ts';
import type { Finding } from '../finding.ts';

const BAD_ICV = 'XfrmInStateProtoError';

export function* damage(c: Case): Generator<Finding> {
  const { streams, evidence, headerErrors } = c;
  for (const stream of streams) {
    if (stream.fate === 'gone') continue;
    const where = streamName(stream, evidence);
    const altered = stream.causes.get('altered');
    if (altered) {
      const number = stream.countOf('number-altered');
      yield finding(
        c,
        'altered',
        `${where}: ${count(altered.count, 'packet')} with a wrong ICV${countedAs(stream, BAD_ICV)} while others open with the same key${number > 0 ? `; ${number} of them have the IV of a good packet and another number` : ''}. The frames named include the good packets of the same IV or number.`,
        { stream, tally: altered, counter: BAD_ICV },
      );
    }
    const truncated = stream.causes.get('truncated');
    if (truncated && stream.ok > 0) {
      yield finding(
        c,
        'truncated',
        `${where}: ${count(truncated.count, 'packet')} cut off${countedAs(stream, BAD_ICV)}: shorter than the good packet of the same number, or too short for IV and ICV.`,
        { stream, tally: truncated, counter: BAD_ICV },
      );
    }
    const snapped = stream.causes.get('not-captured');
    if (snapped) {
      yield finding(
        c,
        'not-captured',
        `${where}: of ${count(snapped.count, 'packet')} the capture has only the beginning.`,
        { stream, tally: snapped },
      );
    }
  }
  for (const [dst, tally] of headerErrors) {
    const isTold = evidence.heldBy(dst).length > 0;
    const counter = isTold || evidence.knows(dst) ? 'XfrmInHdrError' : undefined;
    const how = counter ? ` (${isTold ? '' : 'would count as '}${counter})` : '';
    yield finding(
      c,
      'header-error',
      `To ${evidence.nameOf(dst)}: ${count(tally.count, 'packet')} of ESP without SPI and sequence number${how}.`,
      { tally, dst, node: evidence.nameOf(dst), counter },
    );
  }
}
