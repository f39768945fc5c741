/**
 * Everything that `esplane diagnose` can be told beside the capture, read from the files that the options name.
 *
 * Unlike the other commands it takes sources that contradict each other, because that may be what is wrong: of keys and
 * nodes that are given twice the last one counts, and the others are tried on what does not open.
 * @module
 */
import { InputError } from '../base/errors.ts';
import type { CiliumKey } from '../cilium/keys.ts';
import type { CiliumNode } from '../cilium/nodes.ts';
import { ClusterPlan } from '../cilium/plan.ts';
import type { StatText } from '../inspect/diagnose/case.ts';
import { type ClusterText, Evidence } from '../inspect/diagnose/evidence.ts';
import { parseEspSa } from '../inspect/esp-sa.ts';
import type { SaSource } from '../inspect/sa-source.ts';
import { parseXfrmPolicy } from '../inspect/xfrm-policy.ts';
import { parseXfrmStat } from '../inspect/xfrm-stat.ts';
import { type KeylessSa, parseXfrmState } from '../inspect/xfrm-state.ts';
import { formatAddress } from '../wire/address.ts';
import { readText } from './files.ts';
import type { SaOptions } from './sa-options.ts';
import { bothWays, loadKeys, loadNodes } from './sa-options.ts';

export interface EvidenceOptions extends SaOptions {
  readonly xfrmStat: readonly string[];
  readonly xfrmPolicy: readonly string[];
}

export interface LoadedEvidence {
  readonly evidence: Evidence;
  readonly stats: readonly StatText[];
  readonly udpPorts: readonly number[];
  /** What is odd about the inputs but does not stop the work. */
  readonly warnings: readonly string[];
}

/**
 * Reads what the options name.
 * @param own SAs that the capture brings along
 * @throws {InputError} when an input cannot be used
 */
export async function loadEvidence(options: EvidenceOptions, own: SaSource): Promise<LoadedEvidence> {
  const warnings: string[] = [];
  const states = options.xfrmState.map((file) => {
    const keyless: KeylessSa[] = [];
    const sas = parseXfrmState(
      readText(file),
      file,
      (line) => warnings.push(line),
      (sa) => keyless.push(sa),
    );
    return { file, sas, keyless };
  });
  const listed = options.espSa.flatMap((file) => parseEspSa(readText(file), file)).flatMap(bothWays);
  const policies = options.xfrmPolicy.flatMap((file) => parseXfrmPolicy(readText(file), file));
  const { now, old } = await loadCluster(options);
  const evidence = new Evidence({
    states,
    policies,
    listed,
    own,
    cluster: now,
    old,
    ...(now.keys.length > 0 && {
      plan: new ClusterPlan(now.keys, now.nodes, { version: options.cilium, udpPort: options.udpPort }),
    }),
  });
  const udpPorts = new Set<number>();
  for (const { encap } of [...states.flatMap(({ sas }) => sas), ...listed]) {
    if (encap) udpPorts.add(encap.sport).add(encap.dport);
  }
  if (options.udpPort !== undefined) udpPorts.add(options.udpPort);
  return { evidence, stats: loadStats(options, evidence), udpPorts: [...udpPorts], warnings };
}

async function loadCluster(options: EvidenceOptions): Promise<{ now: ClusterText; old: ClusterText }> {
  const keys = new Map<string, CiliumKey>();
  const nodes = new Map<string, CiliumNode>();
  const old: { keys: CiliumKey[]; nodes: CiliumNode[] } = { keys: [], nodes: [] };
  for (const key of (await loadKeys(options)).flat()) {
    const slot = `${key.id} ${key.scope ? formatAddress(key.scope) : ''}`;
    const before = keys.get(slot);
    if (before && !before.material.equals(key.material)) old.keys.push(before);
    keys.set(slot, key);
  }
  for (const node of (await loadNodes(options)).flat()) {
    const before = nodes.get(node.name);
    if (before) old.nodes.push(before);
    nodes.set(node.name, node);
  }
  return { now: { keys: [...keys.values()], nodes: [...nodes.values()] }, old };
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
