/**
 * The kinds of files that esplane can use, and what each is called.
 * @module
 */

/** What kinds are called, for people. One text may be of several of the kinds `xfrm-…`. */
export const KIND_NAMES = {
  capture: 'capture',
  packet: 'one packet',
  keys: "Cilium's keys",
  nodes: 'CiliumNodes',
  'xfrm-state': 'ip xfrm state',
  'xfrm-policy': 'ip xfrm policy',
  'xfrm-monitor': 'ip xfrm monitor',
  'xfrm-stat': '/proc/net/xfrm_stat',
  'esp-sa': "Wireshark's esp_sa",
  'tcpdump-secrets': "secrets of tcpdump's -E",
  'dsb-csv': 'secrets of a pcapng file (ESPS)',
  'encrypt-status': 'cilium-dbg encrypt status',
  'cilium-config': 'ConfigMap cilium-config',
  daemonset: "Cilium's DaemonSet",
  pods: 'Pods',
  endpoints: 'CiliumEndpoints',
  flows: "Hubble's flows",
  'boot-id': 'boot id',
  'node-ids': 'cilium-dbg bpf nodeid list',
  ipcache: 'cilium-dbg bpf ipcache list',
  'node-list': 'cilium-dbg node list',
  hostname: 'hostname',
} as const;

export type Kind = keyof typeof KIND_NAMES;

/** Kinds that are texts. */
export type TextKind = Exclude<Kind, 'capture' | 'packet'>;

/** What files are packed in. */
export type Container = 'zip' | 'tar' | 'gzip' | 'zstd';

/** What files are packed in that esplane does not unpack, by the first bytes in hexadecimal. */
export const OTHER_CONTAINERS: readonly { readonly name: string; readonly magic: string }[] = [
  { name: 'xz', magic: 'fd377a585a00' },
  { name: 'bzip2', magic: '425a68' },
  { name: 'lz4', magic: '04224d18' },
  { name: '7-Zip', magic: '377abcaf271c' },
  { name: 'RAR', magic: '526172211a07' },
];
