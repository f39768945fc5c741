/**
 * What agents print of themselves, as far as it says something of encryption: `cilium-dbg bpf nodeid list`, `bpf ipcache
 * list`, `node list` and `encrypt status`, as tables or as JSON.
 * @module
 */
import { InputError } from '../../base/errors.ts';
import { parseXfrmStat, type XfrmStat } from '../../sa-text/xfrm-stat.ts';

/** An address, and the number by which the node knows whose it is. */
export interface NodeIdEntry {
  readonly id: number;
  readonly address: string;
}

/** `0x1a3f  10.244.2.1  3`; to 1.16 decimal, and several addresses with commas. In JSON `[{"ID": …, "Address": …}]`. */
export function parseNodeIds(text: string): NodeIdEntry[] {
  const entries: NodeIdEntry[] = [];
  for (const [, id, address] of text.matchAll(
    /"(?:ID|id)"[ \t]*:[ \t]*(\d{1,5})[ \t]*,\s{0,64}"(?:Address|address)"[ \t]*:[ \t]*"([^"\n]{2,45})"/g,
  ))
    entries.push({ id: Number(id), address: address! });
  if (entries.length > 0) return entries;
  for (const [, id = '', addresses = ''] of text.matchAll(
    /^[ \t]{0,64}(0x[0-9a-fA-F]{1,4}|\d{1,5})[ \t]{1,64}([0-9a-fA-F.:]{2,45}(?:,[ \t]{0,8}[0-9a-fA-F.:]{2,45}){0,16})/gm,
  )) {
    for (const address of addresses.split(/,\s*/)) entries.push({ id: Number(id), address });
  }
  return entries;
}

/** Entries of pods of one other node, by the key that packets to them are encrypted with. */
export interface IpcacheCount {
  /** Address of the node. */
  readonly endpoint: string;
  /** Cilium's key id; 0: in the clear. */
  readonly keyId: number;
  /** How many entries, and the first of them. */
  count: number;
  readonly first: string;
}

/** Identities below are reserved: nodes themselves, the world, health checks. Nothing to them is encrypted. */
const FIRST_POD_IDENTITY = 256;
/** What stands for no tunnel endpoint: pods here, and what is outside the cluster. */
const NO_ENDPOINTS: ReadonlySet<string> = new Set(['0.0.0.0', '::', '<nil>', 'invalid']);
/** Nodes times keys that are told apart; a node has one entry for each of its keys. */
const MOST_ENDPOINTS = 100_000;

/** `10.244.2.7/32   identity=4711 encryptkey=3 tunnelendpoint=172.18.0.3 flags=<none>`; in JSON the same in strings. */
export function parseIpcache(text: string): IpcacheCount[] {
  const counts = new Map<string, IpcacheCount>();
  for (const [, prefix = '', identity, key, endpoint = ''] of text.matchAll(
    /([0-9a-fA-F.:]{2,45}(?:\/\d{1,3})?)"?:?[\s["]{1,64}identity=(\d{1,10}) encryptkey=(\d{1,3}) tunnelendpoint=([^\s",\]]{1,45})/g,
  )) {
    if (Number(identity) < FIRST_POD_IDENTITY || NO_ENDPOINTS.has(endpoint)) continue;
    const name = `${endpoint} ${key}`;
    const known = counts.get(name);
    if (known) known.count++;
    else if (counts.size < MOST_ENDPOINTS)
      counts.set(name, { endpoint, keyId: Number(key), count: 1, first: prefix });
  }
  return [...counts.values()];
}

/** Names of the nodes that an agent knows, without their cluster: `kind/node-1`, or `"name": "kind/node-1"`. */
export function parseNodeList(text: string): string[] {
  const json = [...text.matchAll(/^[ \t]{0,16}\{?[ \t]{0,16}"name"[ \t]*:[ \t]*"([^"\n]{1,317})"/gm)];
  const found = json.length > 0 ? json : [...text.matchAll(/^([\w.-]{1,63}\/[\w.-]{1,253})[ \t]/gm)];
  return found.map(([, name]) => name!.replace(/^[^/]*\//, ''));
}

export interface EncryptStatus {
  readonly mode: 'IPsec' | 'Wireguard' | 'Disabled';
  readonly keysInUse?: number;
  readonly stat?: XfrmStat;
}

/** @returns `undefined` where it is none */
export function parseEncryptStatus(text: string): EncryptStatus | undefined {
  const mode =
    /^Encryption:[ \t]*(IPsec|Wireguard|Disabled)\b/im.exec(text)?.[1] ??
    /"mode"[ \t]*:[ \t]*"(IPsec|Wireguard|Disabled)"/i.exec(text)?.[1];
  if (mode === undefined) return undefined;
  const keys =
    /^Keys in use:[ \t]*(\d{1,9})/m.exec(text)?.[1] ?? /"keys-in-use"[ \t]*:[ \t]*(\d{1,9})/.exec(text)?.[1];
  const lower = mode.toLowerCase();
  const lines = text.replace(/"(Xfrm[A-Za-z]{2,40})"[ \t]*:[ \t]*(\d{1,20})[ \t]*,?/g, '\n$1: $2\n');
  return {
    mode: lower === 'ipsec' ? 'IPsec' : lower === 'wireguard' ? 'Wireguard' : 'Disabled',
    ...(keys !== undefined && { keysInUse: Number(keys) }),
    ...(/^[ \t]*Xfrm/m.test(lines) && { stat: parseXfrmStat(lines, '') }),
  };
}

/** Counters, or nothing where the text holds none. */
export function statOf(text: string, source: string): XfrmStat | undefined {
  try {
    return parseXfrmStat(text, source);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return undefined;
  }
}
