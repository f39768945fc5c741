/**
 * The kernels' own counters beside what the capture explains.
 * @module
 */
import { count, grouped } from '../../../base/count-text.ts';
import { DROPS } from '../../../ipsec/drop.ts';
import { risen } from '../../../sa-text/xfrm-stat.ts';
import { type About, type Case, finding } from '../case.ts';
import type { Finding } from '../finding.ts';
import { refusedInClear } from './clear-traffic.ts';

/** What inbound policies refuse, of decrypted packets and of those in the clear. */
const POLICY_ROWS: ReadonlySet<string> = new Set(['XfrmInNoPols', 'XfrmInTmplMismatch', 'XfrmInPolBlock']);

export function* counters(c: Case): Generator<Finding> {
  const { stats, receivers, evidence } = c;
  const refused = refusedInClear(c);
  for (const { node, file, before, after } of stats) {
    if (
      node !== undefined &&
      !evidence.hasNode(node) &&
      !c.streams.some(({ src, dst }) => src === node || dst === node)
    ) {
      yield finding(
        c,
        'unknown-node',
        `${file} is said to be of ${node}, and no source and no packet of this capture names a node like that: its counters are compared with nothing.`,
        { node, count: 0, evidence: [file] },
      );
      continue;
    }
    const receiver = receivers.find(
      (one) => node === undefined || one.node === node || evidence.isSameNode(one.address, node),
    );
    const name = node ?? receiver?.node ?? receiver?.address ?? file;
    const rose = before ? risen(before, after) : after;
    const ours = receiver?.counters ?? {};
    const inClear = receiver && refused.get(evidence.nameOf(receiver.address));
    const isJudged = receiver !== undefined && c.inbound.fileOf(receiver.address) !== undefined;
    const rows = new Set([...rose.keys(), ...Object.keys(ours)]);
    for (const row of rows) {
      const there = rose.get(row) ?? 0;
      const here = ours[row] ?? 0;
      // Whether what was in the clear reached the node, is not seen: it explains a counter, and asks for none.
      const most = here + (inClear?.get(row) ?? 0);
      const about = (n: number): About => ({ node: name, counter: row, count: n, evidence: [file] });
      if (there < 0) {
        yield finding(
          c,
          'counters-differ',
          `${name}: ${row} fell by ${grouped(-there)} from one text to the other: the node was rebooted in between.`,
          about(Math.abs(there)),
        );
      } else if (row.startsWith('XfrmOut')) {
        if (there === 0) continue;
        const look = DROPS.find(({ counter }) => counter === row)?.look;
        yield finding(
          c,
          'sender-drops',
          `${name}: ${row} ${before ? 'rose by' : 'is'} ${grouped(there)} (${file}).${look ? ` ${look}` : ''}`,
          about(Math.abs(there)),
        );
      } else if (there > 0 && c.frames === 0) {
        const look = DROPS.filter(({ counter }) => counter === row).map((drop) => drop.look);
        yield finding(
          c,
          'kernel-drops',
          `${name}: ${row} ${before ? 'rose by' : 'is'} ${grouped(there)}${before ? '' : ' since it was booted'} (${file}).${look.length > 0 ? ` ${look.join(' Or: ')}` : ''}`,
          about(there),
        );
      } else if (there > most && POLICY_ROWS.has(row) && !isJudged) {
        yield finding(
          c,
          'counters-differ',
          `${name}: ${row} ${before ? 'rose by' : 'is'} ${grouped(there)} (${file}): an inbound policy refused packets, and the policies of this node are not at hand.`,
          {
            ...about(there),
            remedy:
              'Give --xfrm-policy, the whole text of `ip xfrm policy` of that node, beside its `ip -s xfrm state`.',
          },
        );
      } else if (there > most) {
        const since = before ? '' : ' since it was booted';
        yield finding(
          c,
          'counters-differ',
          `${name}: ${row} ${before ? 'rose by' : 'is'} ${grouped(there)}${since} (${file}), and this capture explains ${most === 0 ? 'none' : grouped(most)} of it.`,
          about(Math.abs(there)),
        );
      } else if (there < here) {
        yield finding(
          c,
          'counters-differ',
          `${name}: by this capture ${row} should have risen by ${grouped(here)}, and the kernel counted ${there === 0 ? 'nothing' : count(there, 'packet')} (${file}).`,
          about(Math.abs(there)),
        );
      }
    }
  }
}
