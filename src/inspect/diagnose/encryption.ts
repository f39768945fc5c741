/**
 * How much of what pods of different nodes said to each other was in ESP: the sentence that nothing needs to be wrong for.
 * @module
 */
import { count, grouped } from '../../base/count-text.ts';
import type { Case } from './case.ts';
import type { ClearPods } from './finders/clear-traffic.ts';
import type { EncryptionReport } from './finding.ts';
import { countOf } from './tally.ts';

/** Pairs of pods that are listed, those with most packets; others are only counted. */
const MOST_PAIRS = 1000;

/** @returns null where no packet between pods of different nodes came out of ESP or was in the clear */
export function encryptionOf(c: Case, inClear: readonly ClearPods[]): EncryptionReport | null {
  const { clear, evidence, streams, strange, closed } = c;
  const carried = [...clear.carriedBy.values()].filter(
    ({ src, dst, from, to }) =>
      !evidence.knows(src) && !evidence.knows(dst) && !evidence.isSameNode(from, to),
  );
  const leaked = inClear.reduce((sum, { flow, isAtPod }) => sum + (isAtPod ? 0 : flow.tally.count), 0);
  if (carried.length + leaked === 0) return null;
  const pairs = carried
    .sort((a, b) => b.packets - a.packets)
    .slice(0, MOST_PAIRS)
    .map(({ src, dst, from, to, stream, packets }) => {
      const suite = stream.possible[0]?.keys.suite;
      return {
        src,
        dst,
        from: evidence.nameOf(from),
        to: evidence.nameOf(to),
        spi: stream.spi,
        suite: suite?.name ?? null,
        keyBits: suite ? suite.keyLen * 8 : null,
        icvBits: suite ? suite.icvLen * 8 : null,
        packets,
      };
    });
  const unopened =
    streams.reduce((sum, { packets, ok, unauthenticated }) => sum + packets - ok - unauthenticated, 0) +
    countOf([strange.tally, closed.tally]);
  return {
    esp: carried.reduce((sum, { packets }) => sum + packets, 0),
    clear: leaked,
    unopened,
    unauthenticated: streams.reduce((sum, { unauthenticated }) => sum + unauthenticated, 0),
    pairs,
  };
}

/** `46 of 46 packets between pods of different nodes were in ESP, 0 in the clear`, and how many packets it does not count. */
export function encryptionText({
  esp,
  clear,
  unopened,
  unauthenticated,
}: Omit<EncryptionReport, 'pairs'>): string {
  const others = (n: number, what: string) =>
    n > 0 ? `; ${count(n, 'ESP packet')} ${n === 1 ? 'was' : 'were'} ${what}` : '';
  const rest =
    others(unopened, 'not opened') + others(unauthenticated, 'opened unauthenticated, and may be forged');
  return `${grouped(esp)} of ${count(esp + clear, 'packet')} between pods of different nodes ${esp === 1 ? 'was' : 'were'} in ESP, ${grouped(clear)} in the clear${rest}`;
}
