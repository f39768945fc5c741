/**
 * What the texts of a cluster's nodes tell without a packet: every pair of nodes each way, and what each node says of itself.
 * @module
 */
import { count, grouped } from '../../base/count-text.ts';
import type { Conclusion, Diagnosis, Finding } from '../diagnose/finding.ts';
import { rankOf } from '../diagnose/table.ts';
import { type ClusterCase, namesOf } from './case.ts';
import { Cluster, type ClusterContext } from './cluster.ts';
import type { ClusterConfig } from './config.ts';
import type { Dropped } from './drops.ts';
import { config } from './finders/config.ts';
import { counters } from './finders/counters.ts';
import { flowDrops } from './finders/drops.ts';
import { keys } from './finders/keys.ts';
import { missing } from './finders/missing.ts';
import { bootIds, ipcache, marks, policies, unheard } from './finders/nodes.ts';
import { numbers } from './finders/numbers.ts';
import { strangers } from './finders/strangers.ts';
import { type Matrix, matrixOf } from './matrix.ts';
import { Pairs } from './pairs.ts';

const FINDERS = [
  keys,
  missing,
  bootIds,
  numbers,
  counters,
  flowDrops,
  policies,
  marks,
  unheard,
  ipcache,
  config,
  strangers,
];

/** What the texts tell. The rest of the form is that of a capture's diagnosis. */
export interface ClusterDiagnosis extends Diagnosis {
  readonly cluster: Matrix;
}

export interface JudgeOptions extends ClusterContext {
  readonly config?: ClusterConfig | undefined;
  readonly drops?: readonly Dropped[];
}

/** Judges what was read. */
export function judgeCluster(options: JudgeOptions): ClusterDiagnosis {
  const cluster = new Cluster(options);
  const pairs = new Pairs(cluster);
  const c: ClusterCase = { cluster, pairs, config: options.config, drops: options.drops ?? [] };
  const all = FINDERS.flatMap((find) => [...find(c)]).sort(byImportance);
  const findings = all.filter(({ severity }) => severity !== 'info');
  return {
    conclusion: conclude(c, findings),
    encryption: null,
    receivers: [],
    streams: [],
    findings,
    notes: all.filter(({ severity }) => severity === 'info'),
    cluster: matrixOf(c),
  };
}

function byImportance(a: Finding, b: Finding): number {
  const severities = ['error', 'warning', 'info'];
  return (
    severities.indexOf(a.severity) - severities.indexOf(b.severity) ||
    rankOf(a.code) - rankOf(b.code) ||
    b.count - a.count
  );
}

/** What can be said of the whole. */
function conclude(c: ClusterCase, findings: readonly Finding[]): Conclusion {
  const { cluster, pairs } = c;
  const counts = pairs.counts();
  const say = (code: Conclusion['code'], ...sentences: string[]): Conclusion => ({
    code,
    basis: counts.unjudged === 0 && counts.pairs > 0 ? 'told' : 'assumed',
    packets: 0,
    judged: 0,
    summary: ['There is no capture: only the texts were checked.', ...sentences]
      .filter((sentence) => sentence !== '')
      .join(' '),
  });
  const same =
    pairs.agreeing > 0
      ? `Both ends of ${grouped(pairs.agreeing)} of ${count(pairs.compared, 'SA')} hold the same key, in ${grouped(counts.fine + counts.rotation)} of ${count(counts.pairs, 'direction')} between ${count(cluster.size, 'node')}.`
      : '';
  const left = counts.unjudged > 0 || counts.pairs === 0 ? unjudged(c) : '';
  if (findings.length > 0) return say('findings', same, left);
  if (pairs.compared === 0) return say('unchecked', left);
  const fine = 'Nothing is wrong as far as the texts tell; they do not tell what is lost on the way.';
  return say(left === '' ? 'clean' : 'partial', same, left, fine);
}

/** What could not be judged, and what to give. */
function unjudged({ cluster, pairs }: ClusterCase): string {
  if (cluster.size === 0)
    return 'No text tells of a node: give a sysdump, or `ip -s xfrm state` of the nodes.';
  const without = cluster.nodes.filter((_, node) => !cluster.hasStates(node)).map(({ name }) => name);
  const { unjudged: n } = pairs.counts();
  if (without.length > 0)
    return `${n > 0 ? `${count(n, 'direction')} could not be judged: the` : 'The'} states of ${namesOf(without)} are not at hand: give \`ip -s xfrm state\` of ${without.length === 1 ? 'it' : 'them'}, or a sysdump.`;
  if (cluster.size === 1)
    return `Only the states of ${cluster.nameOf(0)} are at hand: give those of the other nodes, to compare keys.`;
  return `${count(n, 'direction')} could not be judged: the texts show neither keys nor their hashes. Run \`ip -s xfrm state\` as root, without \`nokeys\`.`;
}
