/**
 * Sequence numbers: late beyond the window, far ahead, zero, missing, nearly used up.
 * @module
 */
import { count, grouped } from '../../../base/count-text.ts';
import { formatAddress } from '../../../wire/address.ts';
import { type Case, countedAs, finding, ofState, stateName, streamName } from '../case.ts';
import type { Finding } from '../finding.ts';
import type { Stream } from '../stream.ts';
import { isReset, lateCounter, sideBySide } from './senders.ts';

const U32 = 2 ** 32;
/** From here on an SA without ESN should have been renewed: seven eighths. */
const NEAR_END = 0xe000_0000;
/** More packets in a second than any link carries: 400 Gbit/s of the shortest are 595 million. */
const MOST_A_SECOND = 1e9;
/** Linux has no wider window (`XFRMA_REPLAY_ESN_MAX`). */
const MAX_WINDOW = 4096;

export function* numbers(c: Case): Generator<Finding> {
  const { streams, evidence } = c;
  for (const stream of streams) {
    if (stream.fate === 'gone' || stream.fate === 'foreign' || stream.fate === 'unopened') continue;
    const where = streamName(stream, evidence);
    const late = stream.causes.get('late');
    if (late && !isReset(stream) && !sideBySide(stream.senders.all)) {
      const enough = stream.window - 1 + stream.beyondWindow;
      yield finding(
        c,
        'reordered-beyond-window',
        `${where}: ${count(late.count, 'packet')} came up to ${grouped(enough)} numbers late, the window is ${grouped(stream.window)}: dropped${countedAs(stream, lateCounter(stream))}. A window of ${grouped(windowFor(enough + 1))} would have been enough${enough + 1 > MAX_WINDOW ? `, and Linux has at most ${grouped(MAX_WINDOW)}` : ''}.`,
        { stream, tally: late, counter: lateCounter(stream) },
      );
    }
    const zero = stream.causes.get('zero');
    if (zero)
      yield finding(
        c,
        'number-zero',
        `${where}: ${count(zero.count, 'packet')} with number 0${countedAs(stream, 'XfrmInStateSeqError')}.`,
        { stream, tally: zero, counter: 'XfrmInStateSeqError' },
      );
    const ahead = stream.causes.get('far-ahead');
    if (ahead) {
      yield finding(
        c,
        'number-far-ahead',
        `${where}: ${count(ahead.count, 'authentic packet')} with numbers near 2^32 while the window ends at ${grouped(stream.highest)}: the receiver takes them for numbers below zero, and the ICV fails${countedAs(stream, 'XfrmInStateProtoError')}.`,
        { stream, tally: ahead, counter: 'XfrmInStateProtoError' },
      );
    }
    if (stream.missing > 0 && !isReset(stream)) {
      yield finding(
        c,
        'missing-numbers',
        `${where}: ${count(stream.missing, 'number')} between the first and the highest never came by (${count(stream.packets, 'packet')} did).${inARow(stream, c)}`,
        { stream, count: stream.missing, frames: isInARow(stream) ? [stream.widest.frame] : [] },
      );
    }
    if (isNearEnd(stream)) {
      const left = U32 - 1 - stream.highest;
      yield finding(
        c,
        'sequence-near-end',
        `${where}: the highest number is ${grouped(stream.highest)} of 4,294,967,295${timeLeft(stream, left)}.`,
        { stream, node: evidence.nameOf(stream.src), count: stream.packets, frames: [stream.lastFrame] },
      );
    }
  }
  for (const { sa, file } of evidence.states) {
    const used = sa.sequence?.oseq ?? 0;
    if (sa.esn || used < NEAR_END) continue;
    if (streams.some((one) => one.src === formatAddress(sa.src) && one.spi === sa.spi && isNearEnd(one)))
      continue;
    yield finding(
      c,
      'sequence-near-end',
      `${stateName(sa)}: ${file} says that ${grouped(used)} of 4,294,967,295 numbers are used.`,
      { ...ofState(sa, evidence), node: evidence.nameOf(formatAddress(sa.src)), basis: 'told' },
    );
  }
}

/** Is most of what is missing one gap, as when a path is dead for a while? */
function isInARow({ widest, missing }: Stream): boolean {
  return widest.count > 1 && widest.count * 2 > missing;
}

function inARow(stream: Stream, { names }: Case): string {
  if (!isInARow(stream)) return '';
  const { count: n, frame, seconds } = stream.widest;
  const after = seconds > 0 ? `, which came ${seconds.toFixed(3)} s after the one before it` : '';
  const jump = n > seconds * MOST_A_SECOND ? ' No link carries so many in between: the counter jumped.' : '';
  return ` Of them ${grouped(n)} are in a row, right before frame ${names.text(frame)}${after}.${jump}`;
}

function isNearEnd({ possible, highest }: Stream): boolean {
  return possible.length > 0 && possible.every((config) => !config.esn) && highest >= NEAR_END;
}

/** The window to set: a multiple of 32, as the kernel's bitmap has them, with a little to spare. */
function windowFor(numbers: number): number {
  let window = 32;
  while (window < numbers) window *= 2;
  return window;
}

function timeLeft({ firstTime, lastTime, highest, base }: Stream, left: number): string {
  if (left <= 0) return ': they are used up, and its sender drops all that follows (XfrmOutStateSeqError)';
  const seconds = lastTime - firstTime;
  if (seconds <= 0 || highest <= base) return '';
  const hours = left / ((highest - base) / seconds) / 3600;
  const text =
    hours < 1
      ? `${Math.ceil(hours * 60)} minutes`
      : hours < 48
        ? `${Math.floor(hours)} hours`
        : `${Math.floor(hours / 24)} days`;
  return `: at the rate of this capture that lasts ${text} more`;
}
