/**
 * Sysdumps for tests, as cilium-cli and cilium-bugtool write them (`cilium-cli/sysdump`, `bugtool/cmd` of 1.18): names of
 * files, lists without kinds of their items, keys replaced by their hashes.
 * @module
 */
import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import { type Files, gzip, tar, zip } from './archives.ts';

export interface SysdumpNode {
  readonly name: string;
  /** By command. */
  readonly commands: Readonly<Record<string, string>>;
}

export interface SysdumpCluster {
  readonly nodes: readonly SysdumpNode[];
  /** CiliumNodes, as kubectl prints them in JSON. */
  readonly ciliumNodes: readonly object[];
  /** Tag of the agent's image. */
  readonly version?: string;
  readonly config?: Readonly<Record<string, string>>;
}

const TIME = '20261129-101112';

/** `bugtool/cmd/root.go`, `writeCmdToFile`. */
export function fileOf(command: string): string {
  return `${command.replaceAll('/', ' ').replaceAll(' ', '-')}.md`;
}

/** `bugtool/utils/ipsec.go`, `HashEncryptionKeys`. */
export function hashKeys(text: string): string {
  return text
    .split('\n')
    .map((line) => {
      const match = /(auth|enc|aead|comp)(.*[ \t](0[xX][0-9a-fA-F]+))?/.exec(line);
      if (!match) return line;
      const key = match[3];
      if (key === undefined) return '[redacted]';
      const at = match.index + match[0].length - key.length;
      const hash = createHash('sha256').update(key).digest('hex');
      return `${line.slice(0, at)}[hash:${hash}]${line.slice(at + key.length)}`;
    })
    .join('\n');
}

/** What `cilium-bugtool` puts into its archive. */
export function bugtoolFiles({ commands }: SysdumpNode): Files {
  const all = { 'uname -a': 'Linux\n', 'ps auxfw': 'USER PID\n', ...commands };
  return Object.entries(all).map(([command, text]) => [
    `cmd/${fileOf(command)}`,
    command.includes('xfrm state') ? hashKeys(text) : text,
  ]);
}

/** The archive of one pod. */
export function bugtool(node: SysdumpNode): Uint8Array {
  const folder = `cilium-bugtool-${TIME}.123+0000-UTC-42`;
  return gzip(tar(bugtoolFiles(node).map(([name, text]) => [`${folder}/${name}`, text])));
}

export const podOf = ({ name }: SysdumpNode) =>
  `cilium-${createHash('md5').update(name).digest('hex').slice(0, 5)}`;

/** Files of a sysdump, in the order of cilium-cli's zip. */
export function sysdumpFiles(cluster: SysdumpCluster, { packed = false } = {}): Files {
  const { nodes, ciliumNodes, version, config } = cluster;
  const top = `cilium-sysdump-${TIME}`;
  const list = (kind: string, items: readonly object[], apiVersion = 'v1') =>
    stringify(
      {
        apiVersion,
        // The kinds of items are not repeated, and keys are in their order.
        items: items.map((item) => ({ ...item, apiVersion: undefined, kind: undefined })),
        kind,
        metadata: { resourceVersion: '1' },
      },
      { lineWidth: 0, indentSeq: false },
    );
  const pods = nodes.map((node) => ({
    metadata: { labels: { 'k8s-app': 'cilium' }, name: podOf(node), namespace: 'kube-system' },
    spec: { containers: [{ name: 'cilium-agent' }], hostNetwork: true, nodeName: node.name },
    status: { podIP: '192.0.2.1' },
  }));
  const agent = { image: `quay.io/cilium/cilium:${version}@sha256:00`, name: 'cilium-agent' };
  const envoy = { image: 'quay.io/cilium/cilium-envoy:v1.34.4-1@sha256:00', name: 'cilium-envoy' };
  const daemonset = {
    metadata: { name: 'cilium' },
    spec: { template: { spec: { containers: [envoy, agent] } } },
  };
  const files: (readonly [string, string | Uint8Array])[] = [];
  for (const node of nodes) {
    const name = `cilium-bugtool-${podOf(node)}-${TIME}`;
    if (packed) files.push([`${top}/${name}.tar.gz`, bugtool(node)]);
    else files.push(...bugtoolFiles(node).map(([file, text]) => [`${top}/${name}/${file}`, text] as const));
  }
  if (config) {
    const map = { apiVersion: 'v1', data: config, kind: 'ConfigMap', metadata: { name: 'cilium-config' } };
    files.push([`${top}/cilium-configmap-${TIME}.yaml`, stringify(map)]);
  }
  if (version)
    files.push([`${top}/cilium-daemonset-${TIME}.yaml`, list('DaemonSetList', [daemonset], 'apps/v1')]);
  return [
    ...files,
    [`${top}/ciliumnodes-${TIME}.yaml`, list('CiliumNodeList', ciliumNodes, 'cilium.io/v2')],
    [`${top}/k8s-pods-${TIME}.yaml`, list('PodList', pods)],
    [`${top}/k8s-pods-${TIME}.txt`, 'NAMESPACE   NAME   READY\n'],
    [`${top}/logs-${podOf(nodes[0]!)}-cilium-agent-${TIME}.log`, 'level=info msg="src 1 dst 2"\n'],
    [`${top}/cilium-sysdump.log`, '🔍 Collecting Kubernetes nodes\n'],
  ];
}

/** A whole sysdump. */
export function sysdump(cluster: SysdumpCluster, options?: { readonly packed?: boolean }): Uint8Array {
  return zip(sysdumpFiles(cluster, options));
}
