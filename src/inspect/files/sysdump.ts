/**
 * Where things are in what `cilium sysdump` and `cilium-bugtool` collect.
 *
 * ```text
 * cilium-sysdump-20261129-101112.zip
 *   cilium-sysdump-20261129-101112/
 *     ciliumnodes-20261129-101112.yaml, cilium-configmap-….yaml, cilium-daemonset-….yaml, k8s-pods-….yaml, …
 *     cilium-bugtool-cilium-abcde-20261129-101112/           unpacked by cilium-cli; where that failed, as .tar.gz
 *       cmd/ip--s-xfrm-state.md, cmd/hostname.md, …
 * cilium-bugtool-20261129-101112.123+0000-UTC-42.tar.gz      what cilium-bugtool itself writes in a pod
 *   cilium-bugtool-20261129-101112.123+0000-UTC-42/cmd/…
 * ```
 *
 * The name of a file in `cmd` is its command with `-` for each blank and each slash (`bugtool/cmd/root.go`, the same from
 * 1.0 to 1.20). Commands of the agent begin with `cilium-dbg`, up to 1.14 with `cilium`.
 * @module
 */

/** What one node says, by the command that printed it. */
export type NodeTextKind =
  | 'xfrm-state'
  | 'xfrm-policy'
  /** Counters at the beginning of the collection, … */
  | 'xfrm-stat'
  /** … and at its end. Older bugtools read them once. */
  | 'xfrm-stat-later'
  | 'boot-id'
  | 'hostname'
  | 'node-ids'
  | 'ipcache'
  | 'encrypt-status'
  | 'node-list';

/** A file of a node. */
export interface NodePlace {
  /** The same for all files of a node in one collection. */
  readonly node: string;
  /** The Cilium pod that ran the commands, where its name is told. */
  readonly pod: string | undefined;
  readonly kind: NodeTextKind;
}

/** Commands as file names. Those of the agent may end with `-H HOST`. */
const COMMANDS: readonly (readonly [RegExp, NodeTextKind])[] = [
  [/^ip(?:--s)*-xfrm-state(?:-list)?$/, 'xfrm-state'],
  [/^ip(?:--s)*-xfrm-policy(?:-list)?$/, 'xfrm-policy'],
  [/^cat--proc-net-xfrm_stat$/, 'xfrm-stat'],
  [/^cat--u--proc-net-xfrm_stat$/, 'xfrm-stat-later'],
  [/^cat--proc-sys-kernel-random-boot_id$/, 'boot-id'],
  [/^hostname$/, 'hostname'],
  [/^cilium(?:-dbg)?-(?:bpf-)?nodeid-list(?:--[oH]-.*)?$/, 'node-ids'],
  [/^cilium(?:-dbg)?-bpf-ipcache-list(?:--[oH]-.*)?$/, 'ipcache'],
  [/^cilium(?:-dbg)?-encrypt-status(?:--[oH]-.*)?$/, 'encrypt-status'],
  [/^cilium(?:-dbg)?-node-list(?:--[oH]-.*)?$/, 'node-list'],
];

/** `--k8s-mode`: commands of several pods in one folder. */
const IN_POD = /^kubectl-exec-(.+?)(?:--c-.+?)?--n-.+?----(.+)$/;
const BUGTOOL = /(?:^|-)cilium-bugtool-/;
/** Folder or archive of a pod, named by cilium-cli. */
const OF_POD = /^cilium-bugtool-(?!\d{8}-)(.+)-(\d{8}-\d{6})(?:\.t(?:ar(?:\.(?:gz|zst))?|gz|zst))?$/;
/** What `--archive-prefix` puts first is the name of the pod. */
const PREFIXED = /^(.+)-cilium-bugtool-\d{8}-\d{6}/;
/** Files of a sysdump without a word on IPsec, and long ones among them. */
const BESIDE = /^(?:logs|gops|metrics|cniconf|hubble-observe)-.+-\d{8}-\d{6}(?:-\w+)?\.(?:log|txt)$/;

/**
 * Says what a file in a collection is, by its name. To be asked for entries of archives and folders.
 * @param path names on the way to it, the given file's first
 * @returns `beside` for files of a collection that are of no use here; `undefined` where the content has to say it
 */
export function placeOf(path: readonly string[]): NodePlace | 'beside' | undefined {
  const name = path.at(-1) ?? '';
  const folders = path.slice(0, -1);
  const [, execPod, execCommand] = IN_POD.exec(name) ?? [];
  const command = (execCommand ?? name).replace(/\.(?:md|txt|json)$/, '');
  const kind = COMMANDS.find(([pattern]) => pattern.test(command))?.[1];
  const inBugtool = folders.some((folder) => BUGTOOL.test(folder));
  if (kind === undefined || folders.length === 0) {
    return inBugtool || BESIDE.test(name) ? 'beside' : undefined;
  }
  const place = folders.at(-1) === 'cmd' ? folders.slice(0, -1) : folders;
  const pods = folders.flatMap((folder) => {
    const base = folder.replace(/^.*\//, '');
    return OF_POD.exec(base)?.[1] ?? PREFIXED.exec(base)?.[1] ?? [];
  });
  const pod = execPod ?? pods.at(-1);
  return { node: [...place, ...(execPod === undefined ? [] : [execPod])].join('/'), pod, kind };
}

/** Manifests of a sysdump that are read, with the time at the end of their names. */
const MANIFEST =
  /^(?:ciliumnodes|ciliumendpoints|cilium-configmap|cilium-daemonset|k8s-pods)-(\d{8}-\d{6})\.yaml$/;

/** Of which collection a file is. */
export interface Collected {
  /** When the sysdump was made, `YYYYMMDD-hhmmss`: the same in the names of all its files. */
  readonly at: string;
  /** What it is of the sysdump: one node's folder or archive, or a file. */
  readonly part: string;
  /** Where that is. */
  readonly place: string;
}

/**
 * The sysdump that a file is from; `undefined` where its names do not say.
 * @param path names on the way to it, the given file's first
 */
export function collectedOf(path: readonly string[]): Collected | undefined {
  const of = path.findIndex((name) => OF_POD.test(name));
  const index = of >= 0 ? of : path.length - 1;
  const part = path[index] ?? '';
  const at = of >= 0 ? OF_POD.exec(part)?.[2] : MANIFEST.exec(part)?.[1];
  if (at === undefined) return undefined;
  return {
    at,
    part: part.replace(/\.t(?:ar(?:\.(?:gz|zst))?|gz|zst)$/, ''),
    place: path.slice(0, index + 1).join('/'),
  };
}

/** With this begins the line that says that a command failed. */
export const FAILED = "> Error while running '";

/**
 * The output of a command without what `cilium-bugtool --enable-markdown` puts around it, and without the line that says
 * that the command failed.
 */
export function commandOutput(text: string): string {
  let output = text;
  if (/^# [^\n]{1,1000}\n\r?\n```\r?\n/.test(output)) {
    const from = output.indexOf('\n', output.indexOf('\n```') + 1) + 1;
    const to = output.lastIndexOf('\n```');
    output = output.slice(from, Math.max(from, to + 1));
  }
  const failure = output.lastIndexOf(FAILED);
  const isLast = failure >= 0 && /^[^\n]*\n*$/.test(output.slice(failure));
  return isLast && (failure === 0 || output[failure - 1] === '\n') ? output.slice(0, failure) : output;
}
