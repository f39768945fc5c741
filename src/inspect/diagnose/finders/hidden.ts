/**
 * What cannot be told, and why.
 * @module
 */
import { type Case, count, finding, keyIdOf, streamName } from '../case.ts';
import type { Finding } from '../finding.ts';

export function* hidden({ streams, evidence }: Case): Generator<Finding> {
  for (const stream of streams) {
    const where = streamName(stream, evidence);
    const frames = stream.all.frames.slice(0, 1);
    if (stream.fate === 'unread') {
      yield finding(
        'keys-hidden',
        `${where}: ${count(stream.packets, 'packet')} whose ICV, contents and cause of drops cannot be told; numbers and gaps are those on the wire.`,
        frames,
      );
    } else if (stream.fate === 'foreign') {
      yield finding(
        'no-evidence',
        `${where}: ${count(stream.packets, 'packet')} between ends that no source names.`,
        frames,
      );
    } else if (stream.fate === 'retired' && stream.resolution.candidates.length === 0) {
      yield finding(
        'no-evidence',
        `${where}: ${count(stream.packets, 'packet')} with ${keyIdOf(stream.spi)}, whose SA was deleted after the rotation; its key is not at hand, so they are not checked.`,
        frames,
      );
    }
  }
}
