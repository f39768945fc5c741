/**
 * Everything that a command can be told beside the capture, read from the files that the options name.
 *
 * Sources may contradict each other, because that may be what is wrong: of keys and nodes that are given twice the last
 * one counts, and `diagnose` tries the others on what does not open.
 * @module
 */
import { InputError } from '../base/errors.ts';
import type { CiliumNode } from '../cilium/nodes.ts';
import type { ClusterEvidence, ClusterOptions, ClusterTexts, OwnBootId } from '../inspect/cluster-texts.ts';
import type { StatText } from '../inspect/diagnose/case.ts';
import type { Evidence } from '../inspect/evidence.ts';
import { type ReadEvidence, readEvidence } from '../inspect/evidence-texts.ts';
import type { CaptureSas } from '../sa-text/capture-sas.ts';
import type { NamedText } from '../sa-text/sa-texts.ts';
import { parseXfrmStat } from '../sa-text/xfrm-stat.ts';
import { readText } from './files.ts';
import { loadKeys, loadNodes, readNodes, readTexts, type SaOptions } from './sa-options.ts';

export interface EvidenceOptions extends SaOptions {
  readonly xfrmStat?: readonly string[];
  readonly xfrmPolicy?: readonly string[];
}

export interface LoadedEvidence extends ReadEvidence {
  readonly stats: readonly StatText[];
}

/** Boot ids that the nodes of a collection say of themselves, by name. */
export type BootIds = (name: string) => OwnBootId | undefined;

/**
 * Reads what the options name for a diagnosis.
 * @param own SAs that the capture brings along
 * @throws {InputError} when an input cannot be used
 */
export async function loadEvidence(
  options: EvidenceOptions,
  own: CaptureSas,
  bootIds?: BootIds,
): Promise<LoadedEvidence> {
  const read = await readOptions(options, own, {
    bootIds,
    xfrmPolicy: readTexts(options.xfrmPolicy ?? []),
    // Where a capture brings its SAs along, nodes say whose addresses are pods'.
    nodes: await readNodes(options.nodes),
  });
  return { ...read, stats: loadStats(options, read.evidence) };
}

/**
 * Reads what the options name, to open packets with. It may be nothing: a capture may bring its own SAs.
 * @param own SAs that the capture brings along
 * @throws {InputError} when an input cannot be used
 */
export async function loadOpening(
  options: SaOptions,
  own: CaptureSas,
  bootIds?: BootIds,
): Promise<ReadEvidence> {
  if (options.udpPort !== undefined && options.keys.length === 0)
    throw new InputError({ source: '--udp-port' }, 'is for the SAs of --keys', 'Give --keys and --nodes.');
  // Without keys nodes open nothing, and have names.
  const nodes = options.keys.length > 0 ? await loadNodes(options) : await readNodes(options.nodes);
  return readOptions(options, own, { bootIds, nodes, needsKeys: true });
}

async function readOptions(
  options: SaOptions,
  own: CaptureSas,
  given: {
    readonly nodes: readonly CiliumNode[][];
    readonly xfrmPolicy?: readonly NamedText[];
    readonly needsKeys?: boolean;
    readonly bootIds?: BootIds | undefined;
  },
): Promise<ReadEvidence> {
  const { nodes, xfrmPolicy = [], needsKeys = false, bootIds } = given;
  const xfrmState = readTexts(options.xfrmState);
  const espSa = readTexts(options.espSa);
  const { cilium: version, udpPort } = options;
  const keys = await loadKeys(options);
  const cluster = await clusterOf({ keys, nodes }, { version, udpPort, needsKeys, bootIds });
  return readEvidence({ xfrmState, espSa, xfrmPolicy, needsKeys, cluster, udpPort }, own);
}

async function clusterOf(texts: ClusterTexts, options: ClusterOptions): Promise<ClusterEvidence | undefined> {
  if (texts.keys.length + texts.nodes.length === 0) return undefined;
  const { clusterEvidence } = await import('../inspect/cluster-texts.ts');
  return clusterEvidence(texts, options);
}

/** Counters of one node: one file, or two, from before and from after. */
export interface StatFiles {
  /** As it was said. */
  readonly node: string | undefined;
  readonly files: readonly string[];
}

/**
 * Takes `--xfrm-stat [NODE=]FILE` apart: of two files for one node the first is from before, the second from after.
 * @throws {InputError} there are more
 */
export function statFiles({ xfrmStat = [] }: Pick<EvidenceOptions, 'xfrmStat'>): StatFiles[] {
  const byNode = new Map<string, { node: string | undefined; files: string[] }>();
  for (const value of xfrmStat) {
    const [, node, file = value] = /^([\w.:-]+)=(.+)$/.exec(value) ?? [];
    const entry = byNode.get(node ?? '') ?? { node, files: [] };
    entry.files.push(file);
    byNode.set(node ?? '', entry);
  }
  for (const { node, files } of byNode.values()) {
    if (files.length > 2) {
      throw new InputError(
        { source: '--xfrm-stat' },
        `${files.length} files for ${node ?? 'one node'}`,
        'Give one, or two (before and after), and say whose they are: NODE=FILE.',
      );
    }
  }
  return [...byNode.values()];
}

function loadStats(options: EvidenceOptions, evidence: Evidence): StatText[] {
  return statFiles(options).map(({ node, files }) => {
    // Without a name they are of the node whose states came first.
    const holder = evidence.states.find(({ file }) => file === options.xfrmState[0])?.holder;
    const texts = files.map((file) => parseXfrmStat(readText(file), file));
    const name = node ?? (holder === undefined ? undefined : evidence.nameOf(holder));
    const last = texts.length - 1;
    return {
      node: name,
      file: files[last]!,
      ...(last > 0 && { before: texts[0]! }),
      after: texts[last]!,
    };
  });
}
