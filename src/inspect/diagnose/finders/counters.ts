/**
 * The kernels' own counters beside what the capture explains.
 * @module
 */
import { DROPS } from '../../../ipsec/drop.ts';
import { risen } from '../../../sa-text/xfrm-stat.ts';
import { type Case, count, finding, grouped } from '../case.ts';
import type { Finding } from '../finding.ts';

export function* counters({ stats, receivers, evidence }: Case): Generator<Finding> {
  for (const { node, file, before, after } of stats) {
    const receiver = receivers.find(
      (one) => node === undefined || one.node === node || evidence.isSameNode(one.address, node),
    );
    const name = node ?? receiver?.node ?? receiver?.address ?? file;
    const rose = before ? risen(before, after) : after;
    const ours = receiver?.counters ?? {};
    const rows = new Set([...rose.keys(), ...Object.keys(ours)]);
    for (const row of rows) {
      const there = rose.get(row) ?? 0;
      const here = ours[row] ?? 0;
      if (there < 0) {
        yield finding(
          'counters-differ',
          `${name}: ${row} fell by ${grouped(-there)} from one text to the other: the node was rebooted in between.`,
          [],
        );
      } else if (row.startsWith('XfrmOut')) {
        if (there === 0) continue;
        const look = DROPS.find(({ counter }) => counter === row)?.look;
        yield finding(
          'sender-drops',
          `${name}: ${row} ${before ? 'rose by' : 'is'} ${grouped(there)} (${file}).${look ? ` ${look}` : ''}`,
          [],
        );
      } else if (there > here) {
        const since = before ? '' : ' since it was booted';
        yield finding(
          'counters-differ',
          `${name}: ${row} ${before ? 'rose by' : 'is'} ${grouped(there)}${since} (${file}), and this capture explains ${here === 0 ? 'none' : grouped(here)} of it.`,
          [],
        );
      } else if (there < here) {
        yield finding(
          'counters-differ',
          `${name}: by this capture ${row} should have risen by ${grouped(here)}, and the kernel counted ${there === 0 ? 'nothing' : count(there, 'packet')} (${file}).`,
          [],
        );
      }
    }
  }
}
