/**
 * What the packets say of Cilium's version: whether a key is used as it is, or derived for each tunnel.
 * @module
 */
import { type Case, count, finding, keyIdOf } from '../case.ts';
import type { Finding } from '../finding.ts';
import type { Stream } from '../stream.ts';
import { framesOf } from '../tally.ts';

export function* version(c: Case): Generator<Finding> {
  const byKey = new Map<number, Stream[]>();
  for (const stream of c.streams) {
    const { otherWay } = stream.resolution;
    if (stream.ok === 0 || !stream.possible.some((config) => otherWay.includes(config))) continue;
    const same = byKey.get(stream.spi);
    if (same) same.push(stream);
    else byKey.set(stream.spi, [stream]);
  }
  for (const [spi, streams] of byKey) {
    const packets = streams.reduce((sum, { ok }) => sum + ok, 0);
    const isDerived = streams.some(({ possible }) => possible.some(({ esn }) => esn));
    const what = isDerived
      ? 'derived for each tunnel, as Cilium from 1.17 on has it, and earlier ones with + after the key id'
      : 'as it is, not derived for each tunnel, as Cilium up to 1.16 has it without + after the key id';
    yield finding(
      c,
      'cilium-version',
      `${count(packets, 'packet')} open with ${keyIdOf(spi)} ${what}. So it is taken here, whatever --cilium says.`,
      { spi, count: packets, frames: framesOf(streams.map(({ all }) => all)) },
    );
  }
}
