/**
 * Long packets: fragments, "too big", holes.
 * @module
 */

import { count } from '../../../base/count-text.ts';
import type { Quote } from '../../find-esp.ts';
import { type Case, finding, streamName } from '../case.ts';
import type { Finding } from '../finding.ts';
import { countOf, framesOf } from '../tally.ts';

/** One lost packet is no hole. */
const FEWEST = 2;

export function* path(c: Case): Generator<Finding> {
  const { path: watch, evidence, clear, incomplete } = c;
  for (const [stream, lengths] of watch.lengths) {
    const { gap, behind } = lengths;
    if (gap.length > stream.largest) {
      yield finding(
        c,
        'mtu-hole',
        `${streamName(stream, evidence)}: TCP inside still waits for ${count(gap.bytes, 'byte')} before ${count(behind.count, 'segment')} that came, though the sender sends again. ${count(stream.missing, 'number')} of this stream never came by, and no packet that did is longer than ${stream.largest} bytes. The path takes short ones only.`,
        { stream, tally: behind },
      );
    }
    const hole = lengths.hole();
    if (!hole || lengths.answered === 0 || hole.tally.count < FEWEST) continue;
    yield finding(
      c,
      'mtu-hole',
      `${streamName(stream, evidence)}: of the packets inside, those in ESP packets of up to ${lengths.answered} bytes are answered; ${count(hole.tally.count, 'longer one')}, of ${hole.shortest} bytes and more, never. The path takes less than ${hole.shortest} bytes.`,
      { stream, tally: hole.tally },
    );
  }
  for (const { from, src, dst, mtu, tally } of watch.tooBig) {
    const isPods = clear.behind.has(src) && !evidence.knows(src);
    yield finding(
      c,
      'too-big',
      `${from} says ${count(tally.count, 'time')} that packets of ${evidence.nameOf(src)} to ${evidence.nameOf(dst)} are longer than the ${mtu} bytes of its next link${isPods ? ' (packets of pods, before ESP)' : ''}.`,
      { tally, src, dst, node: evidence.nameOf(src) },
    );
  }
  for (const { quote, tally } of watch.unreachable.values()) {
    const { from, src, dst, spi } = quote;
    const sa = spi === undefined ? '' : ` (SPI 0x${spi.toString(16)})`;
    yield finding(
      c,
      'esp-unreachable',
      `${evidence.nameOf(from)} answers ${count(tally.count, 'ESP packet')} of ${evidence.nameOf(src)} to ${evidence.nameOf(dst)}${sa} with ${unreachableName(quote)}.`,
      { tally, src, dst, node: evidence.nameOf(from), ...(spi !== undefined && { spi }) },
    );
  }
  const fragments = [...watch.fragments];
  if (fragments.length === 0) return;
  const ways = fragments.map(([way, { longest }]) => `${way} in pieces of up to ${longest} bytes`).join('; ');
  const tallies = fragments.map(([, { tally }]) => tally);
  const what = `${count(countOf(tallies), 'fragment')} of ESP packets: ${ways}.`;
  if (incomplete > 0) {
    yield finding(c, 'fragments-missing', `${what} Of ${count(incomplete, 'packet')} some never came.`, {
      frames: framesOf(tallies),
      count: incomplete,
    });
  } else yield finding(c, 'fragmented', what, { frames: framesOf(tallies), count: countOf(tallies) });
}

/** By type and code (RFC 792, RFC 1812 §5.2.7, RFC 4443 §3). */
const UNREACHABLE: Readonly<Record<string, string>> = {
  '4 3 0': 'network unreachable',
  '4 3 1': 'host unreachable',
  '4 3 2': 'protocol unreachable: it has no ESP',
  '4 3 3': 'port unreachable: nothing there takes ESP in UDP',
  '4 3 9': 'network prohibited by a filter',
  '4 3 10': 'host prohibited by a filter',
  '4 3 13': 'prohibited by a filter',
  '6 1 0': 'no route to the destination',
  '6 1 1': 'prohibited by a filter',
  '6 1 3': 'address unreachable',
  '6 1 4': 'port unreachable: nothing there takes ESP in UDP',
  '6 4 1': 'unrecognized next header: it has no ESP',
};

function unreachableName({ isV6, type, code }: Quote): string {
  const what = UNREACHABLE[`${isV6 ? 6 : 4} ${type} ${code}`];
  return `ICMP type ${type} code ${code}${what ? `, ${what}` : ''}`;
}
