/**
 * What the kernels count, `/proc/net/xfrm_stat`: rows that rose, and what they mean.
 * @module
 */
import { grouped } from '../../../base/count-text.ts';
import { DROPS } from '../../../ipsec/drop.ts';
import { risen } from '../../../sa-text/xfrm-stat.ts';
import type { Finding } from '../../diagnose/finding.ts';
import { type ClusterCase, clusterFinding, firstOf, namesOf } from '../case.ts';
import { PAIR } from '../pairs.ts';
import type { NodeStat } from '../reader.ts';
import { RECEIVER } from '../sa-table.ts';

interface Row {
  readonly node: string;
  readonly stat: NodeStat;
  /** How much it rose between two readings, or what it is where there is one. */
  readonly rose: number;
  readonly now: number;
}

export function* counters(c: ClusterCase): Generator<Finding> {
  const isExplained = explained(c);
  const rows = new Map<string, Row[]>();
  const fell: Finding[] = [];
  for (const { name, facts } of c.cluster.nodes) {
    const stat = facts?.stat;
    if (!stat) continue;
    const rose = stat.before ? risen(stat.before, stat.after) : stat.after;
    for (const [row, n] of rose) {
      const now = stat.after.get(row) ?? 0;
      if (n < 0)
        fell.push(
          clusterFinding(
            'counters-differ',
            `${name}: ${row} fell by ${grouped(-n)} from one text to the other: the node was rebooted in between.`,
            { node: name, counter: row, count: -n, evidence: [stat.file] },
          ),
        );
      else if (n > 0 || now > 0) {
        const one = { node: name, stat, rose: n, now };
        const same = rows.get(row);
        if (same) same.push(one);
        else rows.set(row, [one]);
      }
    }
  }
  yield* firstOf(fell);
  for (const [row, all] of rows) {
    const isOut = row.startsWith('XfrmOut');
    const looks = DROPS.filter(({ counter }) => counter === row).map(({ look }) => look);
    const look = looks.length > 0 ? ` ${looks.join(' Or: ')}` : '';
    const rising = all.filter(({ rose }) => rose > 0).sort((a, b) => b.rose - a.rose);
    const since = (one: Row, rose: number, now: number) =>
      one.stat.before
        ? `rose by ${grouped(rose)} while the sysdump was made, to ${grouped(now)}`
        : `is ${grouped(rose)} since ${rising.length > MOST_ALONE ? 'they were' : 'it was'} booted`;
    const code = isOut ? 'sender-drops' : 'kernel-drops';
    if (rising.length <= MOST_ALONE) {
      for (const one of rising) {
        const why = isExplained(one.node, row) ? ' What is said above explains it.' : look;
        yield clusterFinding(code, `${one.node}: ${row} ${since(one, one.rose, one.now)}.${why}`, {
          node: one.node,
          counter: row,
          count: one.rose,
          evidence: [one.stat.file],
        });
      }
    } else if (rising.length > 0) {
      const [rose, now] = [
        rising.reduce((sum, one) => sum + one.rose, 0),
        rising.reduce((sum, one) => sum + one.now, 0),
      ];
      const most = namesOf(rising.map((one) => `${one.node} (${grouped(one.rose)})`));
      const why = rising.every(({ node }) => isExplained(node, row))
        ? ' What is said above explains it.'
        : look;
      yield clusterFinding(
        code,
        `${grouped(rising.length)} nodes: ${row} ${since(rising[0]!, rose, now)}, most on ${most}.${why}`,
        { counter: row, count: rose, evidence: rising.map(({ stat }) => stat.file) },
      );
    }
    const still = all.filter(({ rose, stat }) => rose === 0 && stat.before !== undefined);
    if (still.length === 0) continue;
    const total = still.reduce((sum, { now }) => sum + now, 0);
    yield clusterFinding(
      'counted-before',
      `${row} is ${grouped(total)} on ${still.length === 1 ? still[0]!.node : `${grouped(still.length)} nodes (${namesOf(still.map(({ node }) => node))})`} since ${still.length === 1 ? 'it was' : 'they were'} booted, and did not rise while the sysdump was made.`,
      {
        node: still.length === 1 ? still[0]!.node : null,
        counter: row,
        count: total,
        evidence: still.map(({ stat }) => stat.file),
      },
    );
  }
}

/** Nodes whose rise of one row is told of each. */
const MOST_ALONE = 3;

/** Rows that keys, states and refused packets explain, by node. */
function explained({ cluster, pairs }: ClusterCase): (node: string, row: string) => boolean {
  const known = new Set<string>();
  for (let from = 0; from < pairs.size; from++) {
    for (let to = 0; to < pairs.size; to++) {
      const verdict = pairs.verdict(from, to);
      const name = cluster.nameOf(to);
      if (verdict === PAIR.differ)
        known.add(`${name} XfrmInStateProtoError`).add(`${name} XfrmInStateSeqError`);
      if (verdict === PAIR.noReceiver || verdict === PAIR.outOfStep) known.add(`${name} XfrmInNoStates`);
    }
  }
  const { table } = cluster.reader;
  for (let sa = 0; sa < table.size; sa++) {
    const refused = table.nodeOf(sa, RECEIVER) < 0 ? 0 : table.refusedOf(sa, RECEIVER);
    if (refused === 0) continue;
    const name = cluster.nameOf(cluster.nodeOfFacts(table.nodeOf(sa, RECEIVER)));
    const failed = table.failedOf(sa, RECEIVER);
    if (failed > 0) known.add(`${name} XfrmInStateProtoError`);
    if (refused > failed) known.add(`${name} XfrmInStateSeqError`);
  }
  return (node, row) => known.has(`${node} ${row}`);
}
