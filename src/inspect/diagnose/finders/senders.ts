/**
 * Who counts on an SA: a sender that began again, two senders at once, nonces that came twice.
 * @module
 */
import { count, grouped } from '../../../base/count-text.ts';
import { type Case, finding, streamName } from '../case.ts';
import type { Finding } from '../finding.ts';
import type { SenderMark } from '../salts.ts';
import type { Stream } from '../stream.ts';
import { countOf, framesOf, Tally } from '../tally.ts';

export function* senders(c: Case): Generator<Finding> {
  const { streams, evidence, ivReuse } = c;
  for (const { stream, tally } of ivReuse.values()) {
    yield finding(
      c,
      'iv-reused',
      `${streamName(stream, evidence)}: ${count(tally.count, 'packet')} with an IV that another packet has under the same key.`,
      { stream, tally, node: evidence.nameOf(stream.src) },
    );
  }
  for (const stream of streams) {
    if (stream.fate === 'gone') continue;
    const where = streamName(stream, evidence);
    const same = stream.causes.get('same-number') ?? new Tally(stream.times);
    const late = stream.causes.get('late') ?? new Tally(stream.times);
    const marks = stream.senders.all;
    const atOnce = sideBySide(marks);
    if (atOnce) {
      const frames =
        same.frames.length > 0
          ? same.frames
          : atOnce.flatMap(({ firstFrame, lastFrame }) => [firstFrame, lastFrame]);
      const numbers =
        same.count > 0
          ? ` ${count(same.count, 'number')} came twice with different contents, and the second was dropped.`
          : '';
      yield finding(
        c,
        'two-senders',
        `${where}: ${marks.length} counters side by side on one SA (their IVs differ by a constant), with ${marks.map(({ packets }) => grouped(packets)).join(' and ')} authentic packets.${numbers}`,
        {
          stream,
          frames,
          count: same.count,
          ...(same.count > 0 && { counter: 'XfrmInStateSeqError' }),
        },
      );
    } else if (isReset(stream)) {
      const dropped = countOf([same, late]);
      const before =
        marks.length > 1
          ? ` From frame ${c.names.text(marks.at(-1)!.firstFrame)} on its IVs are of a new counter.`
          : '';
      yield finding(
        c,
        'counter-reset',
        `${where}: ${count(dropped, 'authentic packet')} dropped with numbers that lie up to ${grouped(stream.beyondWindow + stream.window - 1)} below the highest (${grouped(stream.highest)}).${before} The sender restarted its counter and the receiver kept its window.`,
        { stream, count: dropped, frames: framesOf([late, same]), counter: lateCounter(stream) },
      );
    } else if (same.count > 0) {
      yield finding(
        c,
        'two-senders',
        `${where}: ${count(same.count, 'packet')} with a number that another authentic packet had.`,
        { stream, tally: same, counter: 'XfrmInStateSeqError' },
      );
    }
  }
}

/** The row that packets left of the window raise: under ESN their number is taken for one of the next 2^32. */
export function lateCounter({ possible }: Stream): string {
  return possible.some(({ esn }) => esn) ? 'XfrmInStateProtoError' : 'XfrmInStateSeqError';
}

/** Did the counter begin again, rather than some packets come late? */
export function isReset(stream: Stream): boolean {
  const late = stream.countOf('late') + stream.countOf('same-number');
  if (late === 0) return false;
  const marks = stream.senders.all;
  if (marks.length > 1) return sideBySide(marks) === undefined;
  if (marks.length === 1) return false;
  // IVs do not tell: then by nothing of the old counter coming any more.
  const first = Math.min(...framesOf([stream.tally('late'), stream.tally('same-number')]));
  return late >= 3 && stream.lastOkFrame < first;
}

/** Two counters that were in use at the same time. */
export function sideBySide(marks: readonly SenderMark[]): [SenderMark, SenderMark] | undefined {
  for (const [i, a] of marks.entries()) {
    for (const b of marks.slice(i + 1)) {
      if (a.firstFrame < b.lastFrame && b.firstFrame < a.lastFrame && a.packets > 1 && b.packets > 1)
        return [a, b];
    }
  }
  return undefined;
}
