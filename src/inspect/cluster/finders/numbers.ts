/**
 * Numbers and windows of states: counters that began again, or near their end, packets that were refused, windows.
 * @module
 */

import { count, grouped } from '../../../base/count-text.ts';
import type { Finding } from '../../diagnose/finding.ts';
import { type ClusterCase, clusterFinding, firstOf, namesOf } from '../case.ts';
import type { Ends } from '../pairs.ts';
import { RECEIVER, SENDER } from '../sa-table.ts';
import { endsOf, originsOf, placeOf } from './keys.ts';

const U32 = 2 ** 32;
/** From here on an SA without ESN should have been renewed: seven eighths. */
const NEAR_END = 0xe000_0000;
/** A window that hardly more than one packet of reordering fits into. */
const NARROW = 32;

export function* numbers(c: ClusterCase): Generator<Finding> {
  const { cluster, pairs } = c;
  const { table } = cluster.reader;
  const reset: Finding[] = [];
  const nearEnd: Finding[] = [];
  /** By receiver: packets that it refused, and an SA that shows it. */
  const refused = new Map<
    number,
    { failed: number; other: number; sas: number; worst: Ends; most: number; isAgreed: boolean }
  >();
  /** Windows of receivers, and how many SAs have them. */
  const windows = new Map<number, { count: number; first: number; nodes: Set<number> }>();
  const differing = new Set(pairs.differing.map(({ sent }) => sent));
  for (let sa = 0; sa < table.size; sa++) {
    const ends = { sent: sa, received: sa };
    if (table.nodeOf(sa, SENDER) >= 0 && !table.hasEsn(sa, SENDER) && table.numberOf(sa, SENDER) >= NEAR_END)
      nearEnd.push(ofNearEnd(c, sa));
    if (table.nodeOf(sa, RECEIVER) < 0) continue;
    const node = cluster.nodeOfFacts(table.nodeOf(sa, RECEIVER));
    const window = table.windowOf(sa, RECEIVER);
    const same = windows.get(window);
    if (same) {
      same.count++;
      same.nodes.add(node);
    } else windows.set(window, { count: 1, first: sa, nodes: new Set([node]) });
    const all = table.refusedOf(sa, RECEIVER);
    if (all === 0) continue;
    const sent = table.nodeOf(sa, SENDER) >= 0 ? table.numberOf(sa, SENDER) : undefined;
    const received = table.numberOf(sa, RECEIVER);
    if (sent !== undefined && sent < received && !differing.has(sa) && received < NEAR_END) {
      reset.push(
        clusterFinding(
          'counter-reset',
          `${placeOf(c, ends)}: ${cluster.nameOf(node)} has received up to number ${grouped(received)} and refused ${count(all, 'packet')}, while ${nameAt(c, sa, SENDER)} has sent up to ${grouped(sent)}: it counts anew, and all is dropped until it is past ${grouped(received)}.`,
          {
            node: nameAt(c, sa, SENDER),
            ...endsOf(c, ends),
            count: all,
            counter: 'XfrmInStateProtoError',
            evidence: originsOf(c, ends),
          },
        ),
      );
      continue;
    }
    if (differing.has(sa)) continue;
    const failed = table.failedOf(sa, RECEIVER);
    const one = refused.get(node);
    const isAgreed =
      sent !== undefined && table.hasHash(sa, SENDER) && table.isSameKey(sa, SENDER, sa, RECEIVER);
    if (!one) refused.set(node, { failed, other: all - failed, sas: 1, worst: ends, most: all, isAgreed });
    else {
      one.failed += failed;
      one.other += all - failed;
      one.sas++;
      one.isAgreed &&= isAgreed;
      if (all > one.most) {
        one.most = all;
        one.worst = ends;
      }
    }
  }
  yield* firstOf(reset);
  yield* firstOf(nearEnd);
  yield* firstOf(
    [...refused]
      .sort(([, a], [, b]) => b.failed + b.other - a.failed - a.other)
      .map(([node, { failed, other, sas, worst, isAgreed }]) => {
        const parts = [
          ...(failed > 0
            ? [`${grouped(failed)} whose ICV was wrong or whose number was beyond the window (failed)`]
            : []),
          ...(other > 0 ? [`${grouped(other)} whose number had come before (replay)`] : []),
        ];
        return clusterFinding(
          'packets-refused',
          `${cluster.nameOf(node)}: under ${count(sas, 'state')} packets were refused since they were made: ${parts.join(', and ')}. ${isAgreed ? 'Both ends hold the same key, so they' : 'What the other end holds is not told: it may be another key, or they'} were altered, late, sent twice, or made up; most under ${placeOf(c, worst)}.`,
          {
            node: cluster.nameOf(node),
            ...endsOf(c, worst),
            count: failed + other,
            counter: failed > 0 ? 'XfrmInStateProtoError' : 'XfrmInStateSeqError',
            evidence: originsOf(c, worst),
          },
        );
      }),
  );
  yield* ofWindows(c, windows);
}

function nameAt({ cluster }: ClusterCase, sa: number, side: typeof SENDER | typeof RECEIVER): string {
  return cluster.nameOf(cluster.nodeOfFacts(cluster.reader.table.nodeOf(sa, side)));
}

function ofNearEnd(c: ClusterCase, sa: number): Finding {
  const { table } = c.cluster.reader;
  const used = table.numberOf(sa, SENDER);
  const ends = { sent: sa, received: -1 };
  const end =
    used >= U32 - 1
      ? 'they are used up, and the kernel drops all that follows (XfrmOutStateSeqError)'
      : `${grouped(U32 - 1 - used)} are left`;
  return clusterFinding(
    'sequence-near-end',
    `${placeOf(c, ends)}: ${grouped(used)} of 4,294,967,295 numbers are used, without ESN: ${end}.`,
    { node: nameAt(c, sa, SENDER), ...endsOf(c, ends), count: 0, evidence: originsOf(c, ends) },
  );
}

/** Windows that differ from those of most SAs, and narrow ones. */
function* ofWindows(
  c: ClusterCase,
  windows: ReadonlyMap<
    number,
    { readonly count: number; readonly first: number; readonly nodes: ReadonlySet<number> }
  >,
): Generator<Finding> {
  const [most] = [...windows].sort(([, a], [, b]) => b.count - a.count);
  if (!most) return;
  const [usual] = most;
  for (const [window, { count: n, first, nodes }] of windows) {
    if (window >= usual || window > NARROW || usual <= NARROW) continue;
    const names = [...nodes].map((node) => c.cluster.nameOf(node));
    yield clusterFinding(
      'window-differs',
      `${count(n, 'state')} of ${namesOf(names)} ${n === 1 ? 'has' : 'have'} a replay window of ${window}, and most others one of ${grouped(usual)}: ${window === 0 ? 'packets that come twice are taken twice' : 'packets that come a little late are dropped'}.`,
      {
        node: names.length === 1 ? names[0]! : null,
        ...endsOf(c, { sent: first, received: first }),
        count: n,
        evidence: originsOf(c, { sent: -1, received: first }),
      },
    );
  }
}
