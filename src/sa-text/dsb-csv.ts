/**
 * The data of a pcapng Decryption Secrets Block of type `ESPS`: SAs as CSV, so that one file holds packets and
 * keys (draft-ietf-opsawg-pcapng; Wireshark 4.6 and later read it by themselves).
 *
 * Ten columns, always; see `wireshark-sa.ts`. A line with the columns' names may come first and is passed over.
 * None is written: Wireshark, which reads the block as it reads its esp_sa table, would take it for a bad SA.
 *
 * A comment, which Wireshark passes over, takes SAs away. It names those before the block, so that others may take their
 * place in the same block, under the same SPI:
 *
 * ```text
 * # gone: "IPv4","10.0.1.1","10.0.2.1","0x00000003"
 * "IPv4","10.0.1.1","10.0.2.1","0x00000003","AES-GCM with 16 octet ICV [RFC4106]","0x41…04","NULL","","64-bit","0"
 * ```
 *
 * `# new` says that the SAs of the block were made just then: nothing was sent under them before.
 *
 * Another says which nodes there are: name, addresses, and the ranges of their pods. With it a capture tells pods from
 * other hosts:
 *
 * ```text
 * # CiliumNode: "node-1","10.0.1.1 192.168.0.1","10.0.1.0/24"
 * ```
 * @module
 */
import { InputError } from '../base/errors.ts';
import { linesOf } from '../base/lines.ts';
import { safeText } from '../base/safe-text.ts';
import type { CiliumNode } from '../cilium/nodes.ts';
import type { SaConfig, SaPlace } from '../ipsec/sa-config.ts';
import {
  type Address,
  formatAddress,
  formatPrefix,
  type Prefix,
  parseAddress,
  parsePrefix,
} from '../wire/address.ts';
import { joinFields, parseEspSaLine, splitFields } from './esp-sa.ts';
import { checkEntries } from './sa-limit.ts';
import type { ShowKeys } from './show-keys.ts';
import { COLUMNS, placesFromWireshark, placeToWireshark, toWireshark } from './wireshark-sa.ts';

const GONE = 'gone:';
const NODE = 'CiliumNode:';
/** Longest name of a node that is kept, in characters: Kubernetes has no longer one. */
const MAX_NAME = 253;

/** A node as a capture names it. */
export interface NamedNode {
  readonly name: string;
  /** Ends of tunnels; none is a pod's. */
  readonly addresses: readonly Address[];
  readonly podCidrs: readonly Prefix[];
}

/**
 * Writes the lines of a block.
 * @param note called with one line for each SA that is left out because Wireshark cannot take them
 */
export function writeDsbCsv(
  sas: readonly SaConfig[],
  { showKeys }: ShowKeys,
  note: (line: string) => void = () => {},
): string {
  let text = '';
  for (const sa of sas) {
    const { columns, remark } = toWireshark(sa, showKeys);
    if (columns) text += `${joinFields(columns)}\n`;
    else note(`${sa.origin}: ${remark}`);
  }
  return text;
}

/**
 * Reads the lines of a block.
 * @param source file name, for {@link SaConfig.origin} and errors
 * @throws {InputError} when a line cannot be used; the message never holds a key
 */
export function parseDsbCsv(text: string, source: string): SaConfig[] {
  const sas: SaConfig[] = [];
  for (const { number, text: whole } of linesOf(text, source)) {
    const line = whole.trim();
    if (line === '' || line.startsWith('#')) continue;
    const isHeader = number === 1 && splitFields(line)?.[0]?.toLowerCase() === COLUMNS[0].toLowerCase();
    if (isHeader) continue;
    for (const sa of parseEspSaLine(line, { source, line: number })) sas.push(sa);
    checkEntries(sas.length, source, number);
  }
  return sas;
}

/** Writes the lines that take SAs away. */
export function writeGone(places: readonly SaPlace[]): string {
  return places.map((place) => `# gone: ${joinFields(placeToWireshark(place))}\n`).join('');
}

/**
 * Reads which SAs a block takes away.
 * @throws {InputError} when such a line cannot be used
 */
export function parseGone(text: string, source: string): SaPlace[] {
  const places: SaPlace[] = [];
  for (const { number, text: line } of linesOf(text, source)) {
    const names = remark(line, GONE);
    if (names === undefined) continue;
    const place = { source, line: number };
    const fields = splitFields(names);
    if (fields?.length !== 4) {
      throw new InputError(
        place,
        'it is not said which SA is gone',
        'Write # gone: "Protocol","Src IP","Dest IP","SPI".',
      );
    }
    for (const one of placesFromWireshark(fields, place)) places.push(one);
    checkEntries(places.length, source, number);
  }
  return places;
}

/** The line that says that the SAs of a block are new. */
export const NEW_LINE = '# new\n';

/** Does a block say that its SAs are new? */
export function saysNew(text: string): boolean {
  return /^[ \t]*#[ \t]*new[ \t]*\r?$/m.test(text);
}

/** Writes the lines that name nodes. */
export function writeNodes(nodes: readonly CiliumNode[]): string {
  return nodes
    .map(({ name, ciliumAddresses, nodeAddresses, podCidrs }) => {
      const addresses = [...ciliumAddresses, ...nodeAddresses].map((address) => formatAddress(address));
      const fields = [name, addresses.join(' '), podCidrs.map(formatPrefix).join(' ')];
      return `# CiliumNode: ${joinFields(fields)}\n`;
    })
    .join('');
}

/**
 * Reads which nodes a block names. Their names are made safe to print.
 * @throws {InputError} when such a line cannot be used
 */
export function parseNodeLines(text: string, source: string): NamedNode[] {
  const nodes: NamedNode[] = [];
  for (const { number, text: line } of linesOf(text, source)) {
    const fields = remark(line, NODE);
    if (fields === undefined) continue;
    const [name, own, ranges, more] = splitFields(fields) ?? [];
    const addresses = words(own).map(parseAddress);
    const podCidrs = words(ranges).map(parsePrefix);
    const isUsable = name && ranges !== undefined && more === undefined && addresses.length > 0;
    if (!isUsable || !isWhole(addresses) || !isWhole(podCidrs)) {
      throw new InputError(
        { source, line: number },
        'it is not said which node, and where its pods are',
        'Write # CiliumNode: "Name","Address Address","Pod range Pod range".',
      );
    }
    checkEntries(nodes.length, source, number);
    nodes.push({ name: safeText(name.slice(0, MAX_NAME)), addresses, podCidrs });
  }
  return nodes;
}

/** What follows a word in a comment line, `# WORD …`; `undefined` in every other line. */
function remark(line: string, word: string): string | undefined {
  const trimmed = line.trim();
  if (!trimmed.startsWith('#')) return undefined;
  const text = trimmed.slice(1).trimStart();
  return text.startsWith(word) ? text.slice(word.length).trimStart() : undefined;
}

function words(text = ''): string[] {
  return text.split(' ').filter((word) => word !== '');
}

function isWhole<T>(list: (T | undefined)[]): list is T[] {
  return list.every((one) => one !== undefined);
}
