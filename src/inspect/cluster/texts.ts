/**
 * What agents print of themselves, as far as it says something of encryption: `cilium-dbg bpf nodeid list`, `bpf ipcache
 * list`, `node list` and `encrypt status`, as tables or as JSON.
 * @module
 */

import { decodeText } from '../../base/decode-text.ts';
import { InputError } from '../../base/errors.ts';
import { type AddressIds, NO_ADDRESS } from '../../sa-text/address-ids.ts';
import { BLANK, DIGITS, NEWLINE } from '../../sa-text/entry-bytes.ts';
import { parseXfrmStat, type XfrmStat } from '../../sa-text/xfrm-stat.ts';
import { isAny } from '../../wire/address.ts';
import { Grown } from './columns.ts';

/**
 * Numbers of nodes by address: `0x1a3f  10.244.2.1  3`; to 1.16 decimal, and several addresses with commas. In JSON
 * `[{"ID": …, "Address": …}]`.
 * @returns by the number of an address: the node's id, 0 for none
 */
export function parseNodeIds(b: Uint8Array, addresses: AddressIds): Uint16Array {
  const ids = new Grown((n) => new Uint16Array(n));
  const put = (address: number, id: number) => {
    if (address === NO_ADDRESS || id > 0xffff) return;
    ids.reserve(address + 1);
    ids.array[address] = id;
  };
  if (b[0] === BRACKET) {
    for (const [, id, address] of decodeText(b).matchAll(
      /"(?:ID|id)"[ \t]*:[ \t]*(\d{1,5})[ \t]*,\s{0,64}"(?:Address|address)"[ \t]*:[ \t]*"([^"\n]{2,45})"/g,
    ))
      put(addresses.ofText(address!), Number(id));
    return ids.array;
  }
  for (let at = 0; at < b.length; ) {
    const newline = b.indexOf(NEWLINE, at);
    const end = newline < 0 ? b.length : newline;
    let i = at;
    while (b[i] === BLANK) i++;
    const isHex = b[i] === 48 && b[i + 1] === 120;
    if (isHex) i += 2;
    const from = i;
    let id = 0;
    for (
      let digit = DIGITS[b[i]!] ?? -1;
      digit >= 0 && i < from + 5 && (isHex || digit < 10);
      digit = DIGITS[b[i]!] ?? -1
    ) {
      id = id * (isHex ? 16 : 10) + digit;
      i++;
    }
    // Addresses with commas between them.
    while (i > from && (b[i] === BLANK || b[i] === COMMA) && i < end) {
      while (b[i] === BLANK || b[i] === COMMA) i++;
      const start = i;
      while (i < end && i < start + MOST_ADDRESS && isOfAddress(b[i]!)) i++;
      const isSpi = !hasSign(b, start, i);
      if (i === start || isSpi) break;
      put(addresses.ofBytes(b, start, i), id);
    }
    at = end + 1;
  }
  return ids.array;
}

/** Is there a dot or colon, as in every address? */
function hasSign(b: Uint8Array, at: number, end: number): boolean {
  for (let i = at; i < end; i++) if (b[i] === 46 || b[i] === 58) return true;
  return false;
}

/** Entries of pods of other nodes, by node and by the key that packets to them are encrypted with: in columns. */
export interface IpcacheCounts {
  /** Addresses of the nodes, by number. */
  readonly endpoints: Int32Array;
  /** Cilium's key ids; 0: in the clear. */
  readonly keyIds: Uint8Array;
  /** How many entries. */
  readonly counts: Uint32Array;
  /** The first entry without a key, for people; empty where there is none. */
  readonly firstClear: string;
}

/** Identities below are reserved: nodes themselves, the world, health checks. Nothing to them is encrypted. */
const FIRST_POD_IDENTITY = 256;
/** Nodes times keys that are told apart; a node has one entry for each of its keys. */
const MOST_ENDPOINTS = 100_000;

/**
 * `10.244.2.7/32   identity=4711 encryptkey=3 tunnelendpoint=172.18.0.3 flags=<none>`, a line each; in JSON the same in
 * strings. A thousand nodes have ten million of them, so that only digits are read of most, and no text is made.
 * @param addresses numbers for the endpoints
 */
export function parseIpcache(b: Uint8Array, addresses: AddressIds): IpcacheCounts {
  const counts = new Map<number, { endpoint: number; keyId: number; count: number }>();
  let last: { endpoint: number; keyId: number; count: number } | undefined;
  let firstClear = '';
  let lastName = -1;
  let value = 0;
  const number = (from: number): number => {
    let i = from;
    value = 0;
    for (; b[i]! >= 48 && b[i]! <= 57 && i < from + MOST_DIGITS; i++) value = value * 10 + b[i]! - 48;
    return i === from ? -1 : i;
  };
  for (let at = b.indexOf(EQUALS); at >= 0; at = b.indexOf(EQUALS, at + 1)) {
    if (!isAt(b, at + 1 - IDENTITY.length, IDENTITY)) continue;
    const start = at + 1 - IDENTITY.length;
    const identity = number(at + 1);
    if (identity < 0 || value < FIRST_POD_IDENTITY || !isAt(b, identity, ENCRYPT_KEY)) continue;
    const key = number(identity + ENCRYPT_KEY.length);
    const keyId = value;
    if (key < 0 || !isAt(b, key, ENDPOINT)) continue;
    const from = key + ENDPOINT.length;
    let to = from;
    while (isOfAddress(b[to]!) && to < from + MOST_ADDRESS) to++;
    const endpoint = to === from ? NO_ADDRESS : addresses.ofBytes(b, from, to);
    at = to - 1;
    if (endpoint === NO_ADDRESS || isAny(addresses.thing(endpoint))) continue;
    const name = endpoint * 256 + (keyId & 0xff);
    if (name !== lastName) {
      last = counts.get(name);
      lastName = name;
    }
    if (last) last.count++;
    else if (counts.size < MOST_ENDPOINTS) {
      last = { endpoint, keyId, count: 1 };
      counts.set(name, last);
      if (keyId === 0 && firstClear === '') firstClear = wordBefore(b, start);
    }
  }
  const all = [...counts.values()];
  return {
    endpoints: Int32Array.from(all, ({ endpoint }) => endpoint),
    keyIds: Uint8Array.from(all, ({ keyId }) => keyId),
    counts: Uint32Array.from(all, ({ count }) => count),
    firstClear,
  };
}

/** The address or range before a place, for people. */
function wordBefore(b: Uint8Array, place: number): string {
  let end = place;
  const least = Math.max(0, place - MOST_BLANKS);
  while (end > least && (DIGITS[b[end - 1]!] ?? -1) < 0) end--;
  let from = end;
  while (from > 0 && from > end - MOST_ADDRESS - 4 && (isOfAddress(b[from - 1]!) || b[from - 1] === 47))
    from--;
  return String.fromCharCode(...b.subarray(from, end));
}

function isAt(b: Uint8Array, at: number, bytes: Uint8Array): boolean {
  if (at < 0) return false;
  for (let i = 0; i < bytes.length; i++) if (b[at + i] !== bytes[i]) return false;
  return true;
}

function isOfAddress(code: number): boolean {
  return (code >= 48 && code <= 58) || code === 46 || (code >= 97 && code <= 102);
}

const encoder = new TextEncoder();
const EQUALS = 61;
const COMMA = 44;
/** Begins a list in JSON. */
const BRACKET = 0x5b;
const IDENTITY = encoder.encode('identity=');
const ENCRYPT_KEY = encoder.encode(' encryptkey=');
const ENDPOINT = encoder.encode(' tunnelendpoint=');
const MOST_DIGITS = 10;
const MOST_ADDRESS = 45;
/** Between an address and its identity. */
const MOST_BLANKS = 256;

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
