/**
 * Texts that do not belong together: a node that was collected twice, counters of a node that nothing else names.
 * @module
 */
import type { Finding } from '../../diagnose/finding.ts';
import { type ClusterCase, clusterFinding, firstOf, namesOf } from '../case.ts';

export function* strangers({ cluster }: ClusterCase): Generator<Finding> {
  if (cluster.again.length > 0) {
    const names = [...new Set(cluster.again)];
    yield clusterFinding(
      'collected-twice',
      `${namesOf(names)} ${names.length === 1 ? 'was' : 'were'} collected more than once: of each state the one that was made last counts, and of the rest what came last. Of two sysdumps give one.`,
      { node: names.length === 1 ? names[0]! : null, count: names.length, evidence: [] },
    );
  }
  const others = cluster.nodes.filter(({ cilium, facts }) => cilium || (facts && facts.states > 0));
  if (others.length === 0) return;
  yield* firstOf(
    cluster.nodes.flatMap(({ name, cilium, facts }) => {
      if (cilium || !facts?.isOnlyNamed) return [];
      return [
        clusterFinding(
          'unknown-node',
          `${facts.source} is said to be of ${name}, and no other text names a node like that.`,
          { node: name, count: 0, evidence: [facts.source] },
        ),
      ];
    }),
  );
}
