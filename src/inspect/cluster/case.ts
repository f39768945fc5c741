/**
 * What a finder of clusters may look at, and how it says what it found.
 * @module
 */

import { grouped } from '../../base/count-text.ts';
import type { Basis } from '../basis.ts';
import type { Finding, Severity } from '../diagnose/finding.ts';
import { type FindingCode, findingRow } from '../diagnose/table.ts';
import type { Cluster } from './cluster.ts';
import type { ClusterConfig } from './config.ts';
import type { Dropped } from './drops.ts';
import type { Pairs } from './pairs.ts';

export interface ClusterCase {
  readonly cluster: Cluster;
  readonly pairs: Pairs;
  readonly config: ClusterConfig | undefined;
  /** What Hubble's flows say was dropped. */
  readonly drops: readonly Dropped[];
}

/** Looks for one thing. */
export type ClusterFinder = (c: ClusterCase) => Iterable<Finding>;

/** What is special about one finding. */
export interface About {
  readonly basis?: Basis;
  readonly severity?: Severity;
  readonly node?: string | null;
  readonly src?: string;
  readonly dst?: string;
  readonly spi?: number;
  readonly counter?: string;
  /** What the summary counts: pairs, packets, policies. */
  readonly count: number;
  readonly evidence: readonly string[];
  readonly remedy?: string;
}

/** A finding has no more places than this as its evidence. */
export const MOST_PLACES = 4;

export function clusterFinding(code: FindingCode, summary: string, about: About): Finding {
  const row = findingRow(code);
  const { basis = 'told', severity = row.severity, remedy = row.remedy } = about;
  return {
    code,
    severity,
    basis,
    node: about.node ?? null,
    src: about.src ?? null,
    dst: about.dst ?? null,
    spi: about.spi ?? null,
    counter: about.counter ?? null,
    count: about.count,
    first: null,
    last: null,
    firstTime: null,
    lastTime: null,
    frames: [],
    evidence: [...new Set(about.evidence)].slice(0, MOST_PLACES),
    summary,
    remedy,
  };
}

/** Names in a sentence; what is more is counted. */
const MOST_NAMES = 3;

/** `node-1`, `node-1 and node-2`, `node-1, node-2, node-3 and 7 more` */
export function namesOf(names: readonly string[]): string {
  const shown = names.slice(0, MOST_NAMES);
  const left = names.length - shown.length;
  if (left > 0) return `${shown.join(', ')} and ${grouped(left)} more`;
  return shown.length > 1 ? `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}` : (shown[0] ?? '');
}

/** `key id 3`, `key ids 3 and 4` */
export function keyIds(ids: readonly number[]): string {
  const names = ids.map((id) => (id === 0 ? 'other SPIs' : String(id)));
  if (ids.length === 1 && ids[0] === 0) return 'SPIs that are no key ids';
  return `key id${ids.length === 1 ? '' : 's'} ${namesOf(names)}`;
}

/** Findings of one code that are told one by one; the rest is summed up. */
const MOST_OF_ONE = 20;

/** The first findings of many, and one that counts the others. */
export function firstOf(findings: readonly Finding[]): Finding[] {
  if (findings.length <= MOST_OF_ONE) return [...findings];
  const rest = findings.slice(MOST_OF_ONE);
  const nodes = [...new Set(rest.flatMap(({ node }) => node ?? []))];
  const [one] = rest;
  return [
    ...findings.slice(0, MOST_OF_ONE),
    {
      ...one!,
      node: null,
      src: null,
      dst: null,
      spi: null,
      count: rest.reduce((sum, { count: n }) => sum + n, 0),
      summary: `The same of ${grouped(rest.length)} more: ${namesOf(nodes)}.`,
    },
  ];
}
