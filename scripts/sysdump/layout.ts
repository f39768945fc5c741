/**
 * Sysdumps as `cilium sysdump` and `cilium-bugtool` write them (`cilium-cli/sysdump`, `bugtool/cmd` and `bugtool/utils` of
 * cilium/cilium): names of files, lists of objects, keys replaced by their hashes. What a release did not collect yet, its
 * sysdump does not have:
 *
 * | from | what |
 * |---|---|
 * | 1.11 | `ip -s xfrm policy`, before `ip xfrm policy` |
 * | 1.15 | commands of the agent begin with `cilium-dbg`, before with `cilium` |
 * | 1.16 | boot id, node ids, and the counters a second time at the end of the collection |
 * @module
 */
import { hash } from 'node:crypto';
import { stringify } from 'yaml';
import { type Files, gzip, tar, zip } from './archives.ts';

export interface SysdumpNode {
  readonly name: string;
  /** Outputs by command, with keys as the kernel prints them. */
  readonly commands: Readonly<Record<string, string>>;
  /** Their keys are hashes already. */
  readonly isHashed?: boolean;
}

/** A pod of the cluster, other than Cilium's own. */
export interface SysdumpPod {
  readonly name: string;
  readonly node: string;
  readonly ip: string;
  readonly identity?: number;
}

export interface SysdumpCluster {
  readonly nodes: readonly SysdumpNode[];
  /** CiliumNodes, as kubectl prints them in JSON. */
  readonly ciliumNodes: readonly object[];
  /** Tag of the agent's image. */
  readonly version?: string;
  readonly config?: Readonly<Record<string, string>>;
  readonly pods?: readonly SysdumpPod[];
}

export interface SysdumpOptions {
  /** bugtool archives stay packed, as where cilium-cli could not unpack them. */
  readonly packed?: boolean;
  /** When it was collected: `YYYYMMDD-hhmmss`. */
  readonly time?: string;
}

const TIME = '20261129-101112';

/** What can be told of a node; absent what cannot. All texts with a newline at their end. */
export interface NodeOutputs {
  readonly hostname: string;
  readonly bootId: string;
  /** `ip -s xfrm state`. */
  readonly states: string;
  /** `ip xfrm policy`, and with `-s`. */
  readonly policies: { readonly short?: string; readonly long?: string };
  /** `/proc/net/xfrm_stat` at the beginning and the end of the collection. */
  readonly stat: string;
  readonly statLater: string;
  readonly encryptStatus: string;
  readonly nodeList: string;
  readonly nodeIds?: string;
  readonly ipcache?: string;
}

/** What the bugtool of a release collects of that, by command. */
export function commandsOf(outputs: NodeOutputs, minor: number): Record<string, string> {
  const { policies, nodeIds, ipcache } = outputs;
  const agent = minor >= 15 ? 'cilium-dbg' : 'cilium';
  const long = minor >= 11 ? policies.long : undefined;
  return {
    'cat /proc/net/xfrm_stat': minor >= 16 ? outputs.stat : outputs.statLater,
    hostname: outputs.hostname,
    ...(long !== undefined
      ? { 'ip -s xfrm policy': long }
      : policies.short !== undefined && { 'ip xfrm policy': policies.short }),
    'ip -s xfrm state': outputs.states,
    ...(minor >= 16 && { 'cat /proc/sys/kernel/random/boot_id': outputs.bootId }),
    [`${agent} encrypt status`]: outputs.encryptStatus,
    ...(ipcache !== undefined && { [`${agent} bpf ipcache list`]: ipcache }),
    [`${agent} node list`]: outputs.nodeList,
    ...(minor >= 16 && nodeIds !== undefined && { [`${agent} bpf nodeid list`]: nodeIds }),
    ...(minor >= 16 && { 'cat -u /proc/net/xfrm_stat': outputs.statLater }),
  };
}

/** `bugtool/cmd/root.go`, `writeCmdToFile`. */
export function fileOf(command: string): string {
  return `${command.replaceAll('/', ' ').replaceAll(' ', '-')}.md`;
}

/** `bugtool/utils/ipsec.go`: the key with its `0x` is hashed as text. A line that has no key in hexadecimal is gone. */
export function hashKeys(text: string): string {
  return text
    .split('\n')
    .map((line) => {
      const match = /(auth|enc|aead|comp)(.*[ \t](0[xX][0-9a-fA-F]+))?/.exec(line);
      if (!match) return line;
      const key = match[3];
      if (key === undefined) return '[redacted]';
      const at = match.index + match[0].length - key.length;
      return `${line.slice(0, at)}[hash:${hashOf(key)}]${line.slice(at + key.length)}`;
    })
    .join('\n');
}

/** @param key with its `0x` */
export function hashOf(key: string): string {
  return hash('sha256', key, 'hex');
}

/** What `cilium-bugtool` puts into its archive. */
export function bugtoolFiles({ commands, isHashed = false }: SysdumpNode): Files {
  const all = { 'uname -a': 'Linux\n', 'ps auxfw': 'USER PID\n', ...commands };
  return Object.entries(all).map(([command, text]) => [
    `cmd/${fileOf(command)}`,
    command.includes('xfrm state') && !isHashed ? hashKeys(text) : text,
  ]);
}

/** The archive of one pod, as cilium-bugtool itself writes it. */
export function bugtool(node: SysdumpNode, time = TIME): Uint8Array {
  const folder = `cilium-bugtool-${time}.123+0000-UTC-42`;
  return gzip(tar(bugtoolFiles(node).map(([name, text]) => [`${folder}/${name}`, text])));
}

/** Letters of the names that Kubernetes makes up. */
const LETTERS = 'bcdfghjklmnpqrstvwxz2456789';

const POD_NAMES = LETTERS.length ** 5;
/** Without a factor of {@link POD_NAMES}, so that nodes with the same name but for their numbers have different pods. */
const BETWEEN_NODES = 7_654_321;

/** The Cilium pod of a node. */
export function podOf({ name }: Pick<SysdumpNode, 'name'>): string {
  const [, base = name, index = '0'] = /^(.*?)(\d{1,6})$/.exec(name) ?? [];
  const first = Number.parseInt(hash('md5', base, 'hex').slice(0, 8), 16);
  let number = (first + Number(index) * BETWEEN_NODES) % POD_NAMES;
  let letters = '';
  for (; letters.length < 5; number = Math.floor(number / LETTERS.length))
    letters += LETTERS[number % LETTERS.length];
  return `cilium-${letters}`;
}

/** Objects as the printers of Kubernetes write them: keys in their order, and of items of a list no kind. */
export function manifest(kind: string, items: readonly object[], apiVersion = 'v1'): string {
  return stringify(
    {
      apiVersion,
      items: items.map((item) => ({ ...item, apiVersion: undefined, kind: undefined })),
      kind,
      metadata: { resourceVersion: '1' },
    },
    { lineWidth: 0, indentSeq: false, aliasDuplicateObjects: false },
  );
}

/** Files of a sysdump, in the order of cilium-cli's zip. */
export function sysdumpFiles(cluster: SysdumpCluster, options: SysdumpOptions = {}): Files {
  return [...cluster.nodes.flatMap((node) => nodeFiles(node, options)), ...clusterFiles(cluster, options)];
}

/** Those of one node. */
export function nodeFiles(node: SysdumpNode, { packed = false, time = TIME }: SysdumpOptions = {}): Files {
  const folder = `cilium-sysdump-${time}/cilium-bugtool-${podOf(node)}-${time}`;
  if (packed) return [[`${folder}.tar.gz`, bugtool(node, time)]];
  return bugtoolFiles(node).map(([file, text]) => [`${folder}/${file}`, text] as const);
}

/** Those of the cluster. */
export function clusterFiles(
  cluster: Omit<SysdumpCluster, 'nodes'> & { readonly nodes: readonly { readonly name: string }[] },
  { time = TIME }: SysdumpOptions = {},
): Files {
  const { nodes, ciliumNodes, version, config, pods } = cluster;
  const top = `cilium-sysdump-${time}`;
  const files: (readonly [string, string])[] = [];
  if (config) {
    const map = { apiVersion: 'v1', data: config, kind: 'ConfigMap', metadata: { name: 'cilium-config' } };
    files.push([`${top}/cilium-configmap-${time}.yaml`, stringify(map)]);
  }
  const agent = { image: `quay.io/cilium/cilium:${version}@sha256:00`, name: 'cilium-agent' };
  const envoy = { image: 'quay.io/cilium/cilium-envoy:v1.34.4-1@sha256:00', name: 'cilium-envoy' };
  const daemonset = {
    metadata: { name: 'cilium' },
    spec: { template: { spec: { containers: [envoy, agent] } } },
  };
  if (version)
    files.push([`${top}/cilium-daemonset-${time}.yaml`, manifest('DaemonSetList', [daemonset], 'apps/v1')]);
  if (pods) {
    const list = manifest('CiliumEndpointList', pods.map(endpoint), 'cilium.io/v2');
    files.push([`${top}/ciliumendpoints-${time}.yaml`, list]);
  }
  const addresses = new Map(ciliumNodes.map(nodeAddress));
  const own = nodes.map((node) => podObject(podOf(node), node.name, addresses.get(node.name), true));
  const others = (pods ?? []).map(({ name, node, ip }) => podObject(name, node, ip, false));
  return [
    ...files,
    [`${top}/ciliumnodes-${time}.yaml`, manifest('CiliumNodeList', ciliumNodes, 'cilium.io/v2')],
    [`${top}/k8s-pods-${time}.yaml`, manifest('PodList', [...own, ...others])],
    [`${top}/k8s-pods-${time}.txt`, 'NAMESPACE   NAME   READY\n'],
    [`${top}/logs-${podOf(nodes[0]!)}-cilium-agent-${time}.log`, 'level=info msg="src 1 dst 2"\n'],
    [`${top}/cilium-sysdump.log`, '🔍 Collecting Kubernetes nodes\n'],
  ];
}

/** A pod: of Cilium itself, or another. */
export function podObject(name: string, node: string, ip: string | undefined, isCilium: boolean): object {
  return {
    metadata: {
      ...(isCilium && { labels: { 'k8s-app': 'cilium' } }),
      name,
      namespace: isCilium ? 'kube-system' : 'default',
    },
    spec: {
      containers: [{ name: isCilium ? 'cilium-agent' : 'app' }],
      ...(isCilium && { hostNetwork: true }),
      nodeName: node,
    },
    status: { podIP: ip, podIPs: [{ ip }] },
  };
}

/** The name and the address of a CiliumNode. */
function nodeAddress(object: object): [string, string | undefined] {
  const { metadata, spec } = object as {
    metadata: { name: string };
    spec: { addresses: { type: string; ip: string }[] };
  };
  return [metadata.name, spec.addresses.find(({ type }) => type === 'InternalIP')?.ip];
}

function endpoint({ name, ip, identity }: SysdumpPod): object {
  const family = ip.includes(':') ? 'ipv6' : 'ipv4';
  return {
    metadata: { name, namespace: 'default' },
    status: {
      ...(identity !== undefined && { identity: { id: identity } }),
      networking: { addressing: [{ [family]: ip }] },
      state: 'ready',
    },
  };
}

/** A whole sysdump. */
export function sysdump(cluster: SysdumpCluster, options?: SysdumpOptions): Uint8Array {
  return zip(sysdumpFiles(cluster, options));
}
