/**
 * What happened between two places that were both captured: packets that never came, that came twice, or in another order.
 * @module
 */
import { count, grouped } from '../../../base/count-text.ts';
import type { ComparedStream, Comparison } from '../../places/compare.ts';
import { labelOf } from '../../places/report.ts';
import { type Case, finding, keyIdOf } from '../case.ts';
import type { Finding } from '../finding.ts';
import { nameOfProtocol } from '../policies.ts';
import type { FindingCode } from '../table.ts';
import type { Tally } from '../tally.ts';
import { nodeBehind } from './clear-traffic.ts';

/** So few that are longer than all that came may be chance. */
const LEAST_BEYOND = 3;
/** Clocks that are further apart are said, in seconds. */
const APART = 0.001;

export function* ways(c: Case): Generator<Finding> {
  const { comparison } = c;
  if (!comparison) return;
  for (const stream of comparison.streams)
    if (stream.spi !== undefined) yield* waysOf(c, comparison, stream);
    else yield* clearWay(c, comparison, stream);
  yield* clocks(c, comparison);
}

function* waysOf(c: Case, comparison: Comparison, stream: ComparedStream): Generator<Finding> {
  const { evidence, names } = c;
  const { src, dst, spi, both, lost, added, twice, reordered } = stream;
  const label = (place: number) => labelOf(comparison, names.files, place);
  let { first, second, basis } = stream;
  let [gone, came] = [lost, added];
  // Where neither place is known to come first, the one that has all does.
  if (!basis && came.count > 0 && gone.count === 0) [first, second, gone, came] = [second, first, came, gone];
  if (!basis && (gone.count === 0 || came.count === 0)) basis = 'assumed';
  const [from, to] = [label(first), label(second)];
  const nats = stream.way.others.map((way) => `${way.src} > ${way.dst}`);
  const nat = nats.length > 0 ? `; elsewhere ${nats.slice(0, 2).join(', ')}, behind NAT` : '';
  const what = `${src} > ${dst}, ${keyIdOf(spi!)}${nat}`;
  const say = (code: FindingCode, text: string, tally: Tally, n = tally.count) =>
    finding(c, code, `${what}: ${text}`, {
      ...{ tally, src, dst, spi: spi!, count: n, node: evidence.nameOf(dst) },
      basis: basis === 'assumed' || !basis ? 'assumed' : 'seen',
      evidence: [...new Set([first, second].flatMap((place) => fileNames(c, comparison, place)))],
    });
  const sent = both + gone.count;
  const notJudged = stream.outside + stream.crowded;
  const rest =
    notJudged > 0
      ? ` ${count(notJudged, 'packet')} came while the other place was not listening, or were too many at once, and ${notJudged === 1 ? 'is' : 'are'} not judged.`
      : '';
  if (gone.count > 0 && !basis) {
    yield say(
      'lost-on-the-way',
      `${count(gone.count, 'packet')} ${gone.count === 1 ? 'was' : 'were'} seen at ${from} alone, and ${grouped(came.count)} at ${to} alone, of ${grouped(both + gone.count + came.count)}. Which of them comes first is not known: say it with --at NODE=FILE.${rest}`,
      gone,
    );
  } else if (gone.count > 0) {
    const { count: beyond, shortest } = gone === lost ? stream.beyond : { count: 0, shortest: 0 };
    if (both === 0) {
      yield say(
        'blocked-on-the-way',
        `all ${count(gone.count, 'packet')} left ${from}, and none came to ${to}${otherCame(comparison, stream)}.${rest}`,
        gone,
      );
    } else {
      const isHole = beyond >= LEAST_BEYOND;
      if (isHole)
        yield say(
          'mtu-hole',
          `${count(beyond, 'packet')} of ${grouped(shortest)} bytes and more left ${from} and never came to ${to}; all that came have at most ${grouped(stream.longest)} bytes.${rest}`,
          gone,
          beyond,
        );
      const others = gone.count - (isHole ? beyond : 0);
      if (others > 0)
        yield say(
          'lost-on-the-way',
          `${grouped(others)} of ${count(sent, 'packet')} left ${from} and never came to ${to}, as far as its capture shows.${isHole ? '' : rest}`,
          gone,
          others,
        );
    }
  }
  if (came.count > 0 && basis)
    yield say(
      'came-from-elsewhere',
      `${count(came.count, 'packet')} came to ${to} that ${from}'s capture does not have.`,
      came,
    );
  if (twice.count > 0)
    yield say(
      'duplicated-on-the-way',
      `${count(twice.count, 'packet')} left ${from} once and came to ${to} more than once.`,
      twice,
    );
  if (reordered.count > 0)
    yield say(
      'reordered-on-the-way',
      `${count(reordered.count, 'packet')} came to ${to} behind one that had left ${from} later.`,
      reordered,
    );
}

/**
 * Packets in the clear that one place alone has. What a network card cuts into pieces, or puts together, one place has as
 * other packets than the other: where both have some of their own, nothing is known to be lost.
 */
function* clearWay(c: Case, comparison: Comparison, stream: ComparedStream): Generator<Finding> {
  const { both, lost, added, basis, way, protocol, tunnel } = stream;
  // One place may not have been asked for this protocol.
  if (both === 0 || (lost.count === 0) === (added.count === 0)) return;
  if (basis && lost.count === 0) return;
  if (mayBeCarried(c, comparison, stream)) return;
  const [gone, here, there] =
    lost.count > 0 ? [lost, stream.first, stream.second] : [added, stream.second, stream.first];
  const label = (place: number) => labelOf(comparison, c.names.files, place);
  const what = `${nameOfProtocol(protocol!)} in ${tunnel === '' ? 'the clear' : `plain ${tunnel}`}`;
  yield finding(
    c,
    'lost-on-the-way',
    `${way.src} > ${way.dst}, ${what}: ${grouped(gone.count)} of ${count(both + gone.count, 'packet')} left ${label(here)} and never came to ${label(there)}, as far as its capture shows.`,
    {
      ...{ tally: gone, src: way.src, dst: way.dst, node: c.evidence.nameOf(way.dst) },
      basis: basis === 'assumed' || !basis ? 'assumed' : 'seen',
      evidence: [here, there].flatMap((place) => fileNames(c, comparison, place)),
    },
  );
}

/** May ESP carry such packets, so that those in the clear are copies of these? */
function mayBeCarried(c: Case, comparison: Comparison, { way, tunnel }: ComparedStream): boolean {
  const { evidence } = c;
  if (tunnel === '' && (evidence.knows(way.src) || evidence.knows(way.dst))) return false;
  const nodeOf = (address: string) => (tunnel === '' ? nodeBehind(c, address) : address);
  const [from, to] = [nodeOf(way.src), nodeOf(way.dst)];
  if (from === undefined || to === undefined) return comparison.streams.some(({ spi }) => spi !== undefined);
  return c.streams.some(({ src, dst }) => evidence.isSameNode(src, from) && evidence.isSameNode(dst, to));
}

/** What of the same nodes did come, which a router or firewall then lets through. */
function otherCame(comparison: Comparison, stream: ComparedStream): string {
  const others = comparison.streams.filter(({ way, both }) => way === stream.way && both > 0);
  const esp = others.filter(({ spi }) => spi !== undefined);
  const [same] = esp;
  if (same) return `, while ${count(same.both, 'packet')} of ${keyIdOf(same.spi!)} did`;
  const n = others.reduce((sum, { both }) => sum + both, 0);
  return n > 0 ? `, while ${count(n, 'packet')} without ESP did` : '';
}

function* clocks(c: Case, comparison: Comparison): Generator<Finding> {
  for (const { one, other, ahead, margin, packets, onTheWay } of comparison.clocks) {
    if (Math.abs(ahead) < Math.max(APART, 3 * margin)) continue;
    const [first, second] = [one, other].map((place) => labelOf(comparison, c.names.files, place)) as [
      string,
      string,
    ];
    const how =
      onTheWay === undefined
        ? 'and the time on the way is in that, since packets of one direction alone were seen'
        : `and packets take ${millis(onTheWay)} from one to the other`;
    yield finding(
      c,
      'clocks-differ',
      `The clock of ${second} is ${millis(Math.abs(ahead))} ${ahead > 0 ? 'ahead of' : 'behind'} that of ${first}, by ${count(packets, 'packet')} that both have, ± ${millis(margin)}, ${how}.`,
      { count: packets, evidence: [one, other].flatMap((place) => fileNames(c, comparison, place)) },
    );
  }
}

/** Names of a place's captures: the first ones. */
function fileNames({ names }: Case, comparison: Comparison, place: number): string[] {
  return comparison.places[place]!.files.slice(0, 2).map((file) => names.files[file]!);
}

/** Seconds for people: `350.012 ms`, `12.000 s`. */
function millis(seconds: number): string {
  return seconds < 10 ? `${(seconds * 1000).toFixed(3)} ms` : `${seconds.toFixed(3)} s`;
}
