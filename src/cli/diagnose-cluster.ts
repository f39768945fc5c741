/**
 * `esplane diagnose` without a capture: what the texts of a cluster's nodes tell.
 * @module
 */
import { grouped } from '../base/count-text.ts';
import type { CiliumNode } from '../cilium/nodes.ts';
import type { ClusterConfig } from '../inspect/cluster/config.ts';
import type { FlowDrops } from '../inspect/cluster/drops.ts';
import { type ClusterDiagnosis, judgeCluster } from '../inspect/cluster/judge.ts';
import type { ClusterReader } from '../inspect/cluster/reader.ts';
import { parseEncryptStatus } from '../inspect/cluster/texts.ts';
import { byOwnBootIds, historyOfTexts } from '../inspect/cluster-texts.ts';
import { Evidence } from '../inspect/evidence.ts';
import type { TextKind } from '../inspect/files/kinds.ts';
import type { NamedText } from '../sa-text/sa-texts.ts';
import { parseXfrmStat } from '../sa-text/xfrm-stat.ts';
import { type EvidenceOptions, statFiles } from './evidence-options.ts';
import { readText } from './files.ts';
import type { GivenFiles } from './given-files.ts';
import { warn } from './output.ts';
import { loadKeys, readNodes, readTexts } from './sa-options.ts';

type Given = Pick<GivenFiles<EvidenceOptions>, 'options' | 'texts' | 'nameOf' | 'bootIds'>;

/**
 * Judges what is given.
 * @param reader what the nodes of a collection say, already read
 * @param drops what Hubble's flows say, likewise
 * @throws {InputError} when an input cannot be used
 */
export async function diagnoseTexts(
  reader: ClusterReader,
  given: Given,
  drops: FlowDrops,
): Promise<ClusterDiagnosis> {
  const { options, texts, nameOf, bootIds } = given;
  const keys = await loadKeys(options);
  const history = historyOfTexts({ keys, nodes: await readNodes(options.nodes) });
  const { now, old } = byOwnBootIds(history, bootIds);
  know(reader, now.nodes);
  for (const text of readTexts(options.xfrmState)) if (text.text.trim() !== '') reader.states(text);
  for (const text of readTexts(options.xfrmPolicy ?? [])) reader.policies(text);
  takeStats(reader, options);
  for (const { source, text } of texts.get('encrypt-status') ?? []) {
    const status = parseEncryptStatus(text);
    if (status && !status.stat) reader.named(source, '', status);
  }
  for (const warning of reader.warnings) warn(warning);
  if (reader.moreWarnings > 0) warn(`and ${grouped(reader.moreWarnings)} more like it`);
  if (options.espSa.length > 0) warn('SAs of --esp-sa are for opening packets, and there is no capture');
  return judgeCluster({
    reader,
    evidence: new Evidence({ cluster: now, old }),
    nameOf,
    versions: await versionsOf(texts),
    config: await configOf(texts),
    drops: drops.all,
  });
}

/** Says which addresses are of one node, before states of unknown nodes are read. */
function know(reader: ClusterReader, nodes: readonly CiliumNode[]): void {
  const nodeOf = new Map<number, number>();
  for (const [i, { ciliumAddresses, nodeAddresses }] of nodes.entries())
    for (const address of [...ciliumAddresses, ...nodeAddresses]) nodeOf.set(reader.addresses.of(address), i);
  reader.know((address) => nodeOf.get(address));
}

/** `--xfrm-stat [NODE=]FILE`. Without a name they are of the only node whose states are at hand. */
function takeStats(reader: ClusterReader, options: EvidenceOptions): void {
  for (const { node, files } of statFiles(options)) {
    const read = files.map((file) => parseXfrmStat(readText(file), file));
    const last = read.length - 1;
    const stat = { file: files[last]!, ...(last > 0 && { before: read[0]! }), after: read[last]! };
    const withStates = reader.nodes.flatMap(({ states }, i) => (states > 0 ? [i] : []));
    const only = node === undefined && withStates.length === 1 ? withStates[0] : undefined;
    reader.stat(only ?? reader.named(files[last]!, node ?? ''), stat);
  }
}

/** Releases of Cilium by node, as its pods have them. */
async function versionsOf(texts: ReadonlyMap<TextKind, readonly NamedText[]>): Promise<Map<string, string>> {
  const lists = texts.get('pods') ?? [];
  if (lists.length === 0) return new Map();
  const { parsePods } = await import('../cilium/pods.ts');
  const pods = lists.flatMap(({ text, source }) => parsePods(text, source));
  return new Map(pods.flatMap(({ node, agent }) => (agent === undefined ? [] : [[node, agent] as const])));
}

async function configOf(
  texts: ReadonlyMap<TextKind, readonly NamedText[]>,
): Promise<ClusterConfig | undefined> {
  const maps = texts.get('cilium-config') ?? [];
  if (maps.length === 0) return undefined;
  // Loaded when wanted: the readers of Kubernetes objects take longer to start than a small text to judge.
  const { readClusterConfig } = await import('../inspect/cluster/config.ts');
  for (const { text, source } of maps) {
    const found = readClusterConfig(text, source);
    if (found) return found;
  }
  return undefined;
}
