/**
 * Packets that the way damaged: altered, cut off, without a header, or only in this capture.
 * @module
 */
import { type Case, count, finding, streamName } from '../case.ts';
import type { Finding } from '../finding.ts';

export function* damage({ streams, evidence, headerErrors }: Case): Generator<Finding> {
  for (const stream of streams) {
    if (stream.fate === 'gone') continue;
    const where = streamName(stream, evidence);
    const altered = stream.causes.get('altered');
    if (altered) {
      const number = stream.countOf('number-altered');
      yield finding(
        'altered',
        `${where}: ${count(altered.count, 'packet')} with a wrong ICV (XfrmInStateProtoError) while others open with the same key${number > 0 ? `; ${number} of them have the IV of a good packet and another number` : ''}. The frames named include the good packets of the same IV or number.`,
        altered.frames,
      );
    }
    const truncated = stream.causes.get('truncated');
    if (truncated) {
      yield finding(
        'truncated',
        `${where}: ${count(truncated.count, 'packet')} cut off (XfrmInStateProtoError): shorter than the good packet of the same number, or too short for IV and ICV.`,
        truncated.frames,
      );
    }
    const snapped = stream.causes.get('not-captured');
    if (snapped) {
      yield finding(
        'not-captured',
        `${where}: of ${count(snapped.count, 'packet')} the capture has only the beginning.`,
        snapped.frames,
      );
    }
  }
  for (const [dst, { count: n, frames }] of headerErrors) {
    yield finding(
      'header-error',
      `To ${evidence.nameOf(dst)}: ${count(n, 'packet')} of ESP without SPI and sequence number (XfrmInHdrError).`,
      frames,
    );
  }
}
