/**
 * A whole sysdump judged in this process, as `esplane diagnose` does it without a capture.
 * @module
 */
import { type SysdumpCluster, sysdump } from '../../scripts/sysdump/layout.ts';
import type { CiliumKey } from '../../src/cilium/keys.ts';
import { parseNodes } from '../../src/cilium/nodes.ts';
import { parsePods } from '../../src/cilium/pods.ts';
import { readClusterConfig } from '../../src/inspect/cluster/config.ts';
import { type ClusterDiagnosis, judgeCluster } from '../../src/inspect/cluster/judge.ts';
import { ClusterReader } from '../../src/inspect/cluster/reader.ts';
import { type ClusterText, Evidence } from '../../src/inspect/evidence.ts';
import { gather } from '../../src/inspect/files/gather.ts';
import { nodeNames } from '../../src/inspect/files/names.ts';
import { memoryFile } from '../../src/inspect/files/walk.ts';

/** @param known the Secret, and earlier keys and nodes */
export async function judgeSysdump(
  cluster: SysdumpCluster,
  known: { readonly keys?: readonly CiliumKey[]; readonly old?: Partial<ClusterText> } = {},
): Promise<ClusterDiagnosis> {
  const reader = new ClusterReader();
  const { texts } = await gather([memoryFile('s.zip', sysdump(cluster))], {
    onNode: (node) => reader.node(node),
    onDamage: (error) => {
      throw error;
    },
  });
  const nodes = (texts.get('nodes') ?? []).flatMap(({ text, source }) => parseNodes(text, source, () => {}));
  const pods = (texts.get('pods') ?? []).flatMap(({ text, source }) => parsePods(text, source));
  const [map] = texts.get('cilium-config') ?? [];
  return judgeCluster({
    reader,
    evidence: new Evidence({
      cluster: { keys: known.keys ?? [], nodes },
      old: { keys: [], nodes: [], ...known.old },
    }),
    nameOf: nodeNames(pods, nodes),
    versions: new Map(),
    config: map && readClusterConfig(map.text, map.source),
  });
}
