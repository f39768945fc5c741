/**
 * What cannot be told, and why.
 * @module
 */
import { count } from '../../../base/count-text.ts';
import { type Case, finding, keyIdOf, streamName } from '../case.ts';
import type { Finding } from '../finding.ts';

export function* hidden(c: Case): Generator<Finding> {
  const { streams, evidence } = c;
  for (const stream of streams) {
    const where = streamName(stream, evidence);
    const about = { stream, tally: stream.all, frames: stream.all.frames.slice(0, 1) };
    if (stream.fate === 'unread') {
      yield finding(
        c,
        'keys-hidden',
        `${where}: ${count(stream.packets, 'packet')} whose ICV, contents and cause of drops cannot be told; numbers and gaps are those on the wire.`,
        about,
      );
    } else if (stream.fate === 'unopened' && stream.resolution.candidates.length === 0) {
      yield finding(
        c,
        'no-evidence',
        `${where}: ${count(stream.packets, 'packet')} for which no source at hand has an SA.`,
        about,
      );
    } else if (stream.fate === 'foreign') {
      yield finding(
        c,
        'no-evidence',
        `${where}: ${count(stream.packets, 'packet')} between ends that no source names.`,
        about,
      );
    } else if (stream.fate === 'retired' && stream.resolution.candidates.length === 0) {
      yield finding(
        c,
        'no-evidence',
        `${where}: ${count(stream.packets, 'packet')} with ${keyIdOf(stream.spi)}, whose SA was deleted after the rotation; its key is not at hand, so they are not checked.`,
        about,
      );
    }
  }
}
