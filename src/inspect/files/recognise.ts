/**
 * Tells files apart by what is in them. Names and endings count for nothing.
 * @module
 */
import { toHex } from '../../base/bytes.ts';
import { decodeText } from '../../base/decode-text.ts';
import { InputError } from '../../base/errors.ts';
import { compressionOf } from '../../capture/compression.ts';
import { isCapture } from '../../capture/format.ts';
import { looksLikeManifest } from '../../cilium/manifest.ts';
import { isTcpdumpSecrets } from '../../sa-text/tcpdump-secrets.ts';
import { parseHexDump } from '../hex-dump.ts';
import { type Container, type Kind, OTHER_CONTAINERS, type TextKind } from './kinds.ts';

/** Bytes from the beginning of a file that tell a capture, a container and a text apart. */
export const HEAD = 4096;

/** What a file is packed in, from its {@link HEAD}; `undefined` when in nothing that is unpacked here. */
export function containerOf(head: Uint8Array): Container | undefined {
  const compression = compressionOf(head);
  if (compression) return compression;
  const magic = toHex(head, 0, Math.min(4, head.length));
  // A zip begins with its first file, or, when it is empty, with its end.
  if (magic === '504b0304' || magic === '504b0506') return 'zip';
  if (head.length >= 512 && toHex(head, 257, 262) === '7573746172') return 'tar';
  return undefined;
}

/** The name of what a file is packed in that esplane does not unpack. */
export function otherContainerOf(head: Uint8Array): string | undefined {
  const magic = toHex(head, 0, Math.min(8, head.length));
  return OTHER_CONTAINERS.find((container) => magic.startsWith(container.magic))?.name;
}

/** Are there more control characters in it than in any text? UTF-16 has a mark. */
export function isBinary(head: Uint8Array): boolean {
  if ((head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff)) return false;
  let odd = 0;
  for (const byte of head) if (byte < 9 || (byte > 13 && byte < 32 && byte !== 27)) odd++;
  return 50 * odd > head.length;
}

/**
 * The kinds of a whole file.
 * @returns none when it is of no kind, and for containers: see {@link containerOf}
 */
export function recognise(bytes: Uint8Array): Kind[] {
  const head = bytes.subarray(0, HEAD);
  if (isCapture(head)) return ['capture'];
  if (containerOf(head) !== undefined || isBinary(head)) return [];
  const text = decodeText(bytes);
  const kinds = recogniseText(text);
  return kinds.length === 0 && isHex(text) ? ['packet'] : kinds;
}

/**
 * The kinds of a text. No expression here runs from line to line, or from one place to the end: of a million blank lines
 * each would be gone through from each.
 */
export function recogniseText(text: string): TextKind[] {
  const flows =
    /^[ \t]*\{[ \t]*"(?:flow|node_name|time)"[ \t]*:/.test(text) && /"flow"[ \t]*:[ \t]*\{/.test(text);
  if (flows) return ['flows'];
  if (looksLikeManifest(text)) {
    const kinds = manifestKinds(text);
    if (kinds.length > 0) return kinds;
  }
  const xfrm = xfrmKinds(text);
  if (xfrm.length > 0) return xfrm;
  const table = tableKind(text);
  if (table) return [table];
  if (/^Encryption:[ \t]*(?:IPsec|Wireguard|Disabled)\b/im.test(text)) return ['encrypt-status'];
  if (/^NODE ID[ \t]+IP ADDRESS/m.test(text)) return ['node-ids'];
  if (/^IP PREFIX\/ADDRESS[ \t]+IDENTITY/m.test(text)) return ['ipcache'];
  if (/^Name[ \t]+IPv4 Address[ \t]+Endpoint CIDR/m.test(text)) return ['node-list'];
  // What may be a key is not looked at closer: the reader of keys says what is wrong with it.
  if (/^[ \t]*(?:[+-]?\d{1,4}\+?[ \t]+)?(?:rfc\d{4}|hmac|cbc|cmac|xcbc)\(\S*\)[ \t]/m.test(text))
    return ['keys'];
  if (/^(?:\d{1,4}\+?[ \t]+)?(?:digest_null|cipher_null)[ \t]/m.test(text)) return ['keys'];
  if (/^\s{0,64}[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\s{0,64}$/i.test(text)) return ['boot-id'];
  return [];
}

/** Lines from the beginning of a table among which its first row is looked for. */
const MOST_COMMENTS = 1000;

/** A table of Wireshark begins with a row, or the names of its columns, and one of tcpdump with a secret; comments may come before. */
function tableKind(text: string): TextKind | undefined {
  let at = 0;
  for (let lines = 0; lines < MOST_COMMENTS && at < text.length; lines++) {
    const newline = text.indexOf('\n', at);
    const end = newline < 0 ? text.length : newline;
    const line = text.slice(at, Math.min(end, at + HEAD)).trim();
    if (/^#\s?(?:gone:|new$|CiliumNode:)/.test(line) || /^"?Protocol"?\s?,\s?"?Src IP"?/i.test(line))
      return 'dsb-csv';
    if (isTcpdumpSecrets(line)) return 'tcpdump-secrets';
    if (line !== '' && !line.startsWith('#'))
      return /^"?(?:IPv4|IPv6|Any)"?\s?,[^,]*,[^,]*,/i.test(line) ? 'esp-sa' : undefined;
    at = end + 1;
  }
  return undefined;
}

/** White space and what quotes in mail and Markdown are made of, then what `ip -ts` and `all-nsid` print before an entry. */
const MARGIN = '[ \\t>*_`|.]{0,64}(?:\\[[^\\]\\n]{1,64}\\][ \\t]*){0,4}';
const EVENT_WITH_PAIR = 'Deleted|Updated|Expired';
const PAIR = `^${MARGIN}(?:(${EVENT_WITH_PAIR})[ \\t]+)?src[ \\t]+(\\S+)[ \\t]+dst[ \\t]+(\\S+)`;
const EVENT = new RegExp(
  `^${MARGIN}(?:Flushed (?:state|policy)\\b|(?:acquire|report) proto |Async event[ \\t]+\\(|Mapping change \\S+ -> )`,
  'm',
);
const STAT = /^[ \t]*Xfrm[A-Za-z]{2,40}[ \t]+\d{1,20}[ \t\r]*$/m;
/** Characters in which an entry says what it is. */
const BEGINNING = 400;

/** What the texts of `ip xfrm` and `/proc/net/xfrm_stat` in it are. */
function xfrmKinds(text: string): TextKind[] {
  const kinds = new Set<TextKind>();
  for (const match of text.matchAll(new RegExp(PAIR, 'gm'))) {
    const [, event, src = '', dst = ''] = match;
    const entry = text.slice(match.index + match[0].length, match.index + BEGINNING);
    const ofEvent = /^[^\n]*\sprotocol\s/.test(entry);
    const isPolicy = src.includes('/') || dst.includes('/') || /^[ \t]*(?:dir|socket)[ \t]/.test(entry);
    if (ofEvent || !/\b(?:proto|dir|socket)[ \t]+[a-z]/.test(entry)) continue;
    if (event !== undefined) kinds.add('xfrm-monitor');
    else kinds.add(isPolicy ? 'xfrm-policy' : 'xfrm-state');
    if (kinds.size === 3) break;
  }
  if (EVENT.test(text)) kinds.add('xfrm-monitor');
  if (STAT.test(text)) kinds.add('xfrm-stat');
  return [...kinds];
}

/** JSON that is longer is not parsed to find out what it is. */
const MOST_JSON = 64 << 20;

/** What the Kubernetes objects in a text are, or the JSON of `cilium-dbg -o json`. */
function manifestKinds(text: string): TextKind[] {
  const json = parsedJson(text);
  if (json !== undefined) {
    const dbg = dbgJsonKind(json);
    if (dbg) return [dbg];
  }
  const kinds = new Set(json === undefined ? yamlKinds(text) : jsonKinds(json));
  const found: TextKind[] = [];
  if (kinds.has('Secret')) found.push('keys');
  if (kinds.has('CiliumNode')) found.push('nodes');
  if (kinds.has('DaemonSet') && /\bcilium-agent\b/.test(text)) found.push('daemonset');
  if (kinds.has('Pod')) found.push('pods');
  if (kinds.has('CiliumEndpoint')) found.push('endpoints');
  // Other ConfigMaps have neither; the data alone is one, too.
  const isConfig = /^[ \t]*"?enable-ipsec"?[ \t]*:|[{,][ \t]*"enable-ipsec"[ \t]*:/m.test(text);
  if ((kinds.size === 0 || kinds.has('ConfigMap')) && isConfig) found.push('cilium-config');
  return found;
}

function parsedJson(text: string): unknown {
  if (text.length > MOST_JSON || !/^\s{0,64}[{[]/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // YAML in flow style, or damaged: its reader says where
  }
}

function dbgJsonKind(json: unknown): TextKind | undefined {
  const first: unknown = Array.isArray(json) ? json[0] : json;
  if (typeof first !== 'object' || first === null) return undefined;
  if (Array.isArray(json)) {
    if ('ID' in first && 'Address' in first) return 'node-ids';
    return 'primary-address' in first ? 'node-list' : undefined;
  }
  const { mode } = first as { mode?: unknown };
  return mode === 'IPsec' || mode === 'Wireguard' || mode === 'Disabled' ? 'encrypt-status' : undefined;
}

/** Kinds of the objects, those in lists included. Items of a `PodList` do not repeat theirs. */
function jsonKinds(json: unknown): string[] {
  return (Array.isArray(json) ? json : [json]).flatMap((object: unknown): string[] => {
    if (typeof object !== 'object' || object === null) return [];
    const { kind, items } = object as { kind?: unknown; items?: unknown };
    const own = typeof kind === 'string' ? [kind.replace(/List$/, '')] : [];
    return Array.isArray(items) ? [...own, ...jsonKinds(items.slice(0, 1000))] : own;
  });
}

/**
 * Kinds of the objects in YAML: where the object is a list, those of its items. Deeper ones are references to other
 * objects.
 */
function yamlKinds(text: string): string[] {
  const kinds: { readonly indent: number; readonly kind: string }[] = [];
  for (const [, indent = '', kind = ''] of text.matchAll(
    /^((?:[ ]|- ){0,8})["']?kind["']?[ \t]*:[ \t]*["']?(\w+)/gm,
  )) {
    kinds.push({ indent: indent.length, kind: kind.replace(/List$/, '') });
    if (kinds.length > MOST_KINDS) break;
  }
  const top = kinds.filter(({ indent }) => indent === 0);
  const isList = top.length === 0 || top.some(({ kind }) => kind === '');
  const item = Math.min(...kinds.filter(({ indent }) => indent > 0).map(({ indent }) => indent));
  const inItems = isList ? kinds.filter(({ indent }) => indent === item) : [];
  const inFlow = [...text.slice(0, HEAD).matchAll(/[{,]\s{0,64}["']?kind["']?\s{0,8}:\s{0,8}["']?(\w+)/g)];
  return [...top, ...inItems].map(({ kind }) => kind).concat(inFlow.map(([, kind = '']) => kind));
}

/** Kinds that are looked at in one text: references in a long list are many. */
const MOST_KINDS = 100_000;

/** Are the digits of a packet in it, and of one long enough for an IP header? */
export function isHex(text: string): boolean {
  try {
    return parseHexDump(text, '').length >= 20;
  } catch (error) {
    if (error instanceof InputError) return false;
    throw error;
  }
}
