/**
 * What the packets say of Cilium's version: whether a key is used as it is, or derived for each tunnel.
 * @module
 */
import { count } from '../../../base/count-text.ts';
import { keyUse } from '../../key-use.ts';
import { type Case, finding, keyIdOf } from '../case.ts';
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
    yield finding(
      c,
      'cilium-version',
      `${count(packets, 'packet')} open with ${keyIdOf(spi)} ${keyUse(isDerived)}. So it is taken here, whatever --cilium says.`,
      { spi, count: packets, frames: framesOf(streams.map(({ all }) => all)) },
    );
  }
}
