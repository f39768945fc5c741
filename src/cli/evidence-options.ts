/**
 * Everything that `esplane diagnose` can be told beside the capture, read from the files that the options name.
 *
 * Unlike the other commands it takes sources that contradict each other, because that may be what is wrong: of keys and
 * nodes that are given twice the last one counts, and the others are tried on what does not open.
 * @module
 */
import { InputError } from '../base/errors.ts';
import type { StatText } from '../inspect/diagnose/case.ts';
import type { Evidence } from '../inspect/diagnose/evidence.ts';
import { type ReadEvidence, readEvidence } from '../inspect/diagnose/evidence-texts.ts';
import type { CaptureSas } from '../sa-text/capture-sas.ts';
import { parseXfrmStat } from '../sa-text/xfrm-stat.ts';
import { readText } from './files.ts';
import { loadKeys, readNodes, readTexts, type SaOptions } from './sa-options.ts';

export interface EvidenceOptions extends SaOptions {
  readonly xfrmStat: readonly string[];
  readonly xfrmPolicy: readonly string[];
}

export interface LoadedEvidence extends ReadEvidence {
  readonly stats: readonly StatText[];
}

/**
 * Reads what the options name.
 * @param own SAs that the capture brings along
 * @throws {InputError} when an input cannot be used
 */
export async function loadEvidence(options: EvidenceOptions, own: CaptureSas): Promise<LoadedEvidence> {
  const read = readEvidence(
    {
      xfrmState: readTexts(options.xfrmState),
      espSa: readTexts(options.espSa),
      xfrmPolicy: readTexts(options.xfrmPolicy),
      // Where a capture brings its SAs along, nodes say whose addresses are pods'.
      cluster: { keys: await loadKeys(options), nodes: await readNodes(options.nodes) },
      version: options.cilium,
      udpPort: options.udpPort,
    },
    own,
  );
  return { ...read, stats: loadStats(options, read.evidence) };
}

/** `--xfrm-stat [NODE=]FILE`: of two files for one node the first is from before, the second from after. */
function loadStats({ xfrmStat, xfrmState }: EvidenceOptions, evidence: Evidence): StatText[] {
  const byNode = new Map<string, { node: string | undefined; files: string[] }>();
  for (const value of xfrmStat) {
    const [, node, file = value] = /^([\w.:-]+)=(.+)$/.exec(value) ?? [];
    const entry = byNode.get(node ?? '') ?? { node, files: [] };
    entry.files.push(file);
    byNode.set(node ?? '', entry);
  }
  return [...byNode.values()].map(({ node, files }) => {
    if (files.length > 2) {
      throw new InputError(
        { source: '--xfrm-stat' },
        `${files.length} files for ${node ?? 'one node'}`,
        'Give one, or two (before and after), and say whose they are: NODE=FILE.',
      );
    }
    // Without a name they are of the node whose states came first.
    const holder = evidence.states.find(({ file }) => file === xfrmState[0])?.holder;
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
