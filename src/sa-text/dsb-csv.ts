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
 * `# UDP ports of ESP: 4501 4502` names ports beside 4500 on which SAs of the block run.
 *
 * Another says which nodes there are: name, addresses, and the ranges of their pods. With it a capture tells pods from
 * other hosts:
 *
 * ```text
 * # CiliumNode: "node-1","10.0.1.1 192.168.0.1","10.0.1.0/24"
 * ```
 * @module
 */
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
import { PORT_ESP } from '../wire/udp.ts';
import { joinFields, RowReader, type SaRows, splitFields } from './esp-sa.ts';
import { Unusable } from './omission.ts';
import { checkEntries } from './sa-limit.ts';
import type { ShowKeys } from './show-keys.ts';
import { COLUMNS, placesFromWireshark, placeToWireshark, toWireshark } from './wireshark-sa.ts';

const GONE = 'gone:';
const NODE = 'CiliumNode:';
const NEW = 'new';
const PORTS = 'UDP ports of ESP:';
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
 * @param note called with one line for each SA that is left out because Wireshark cannot take it, or whose ICV the lines
 * cannot have checked
 */
export function writeDsbCsv(
  sas: readonly SaConfig[],
  { showKeys }: ShowKeys,
  note: (line: string) => void = () => {},
): string {
  let text = '';
  for (const sa of sas) {
    const { columns, remark, isUnchecked } = toWireshark(sa, showKeys);
    if (columns) text += `${joinFields(columns)}\n`;
    else note(`${sa.origin}: ${remark}`);
    if (isUnchecked)
      note(`${sa.origin}: its ICV has no name in Wireshark: with these lines it is not checked`);
  }
  return text;
}

/** What a block says. */
export interface Block extends SaRows {
  /** The SAs that it takes away. */
  readonly gone: readonly SaPlace[];
  /** The nodes that it names; the names are safe to print. */
  readonly nodes: readonly NamedNode[];
  /** Had its SAs just been made? */
  readonly isNew: boolean;
  /** UDP ports of its SAs, beside 4500. */
  readonly udpPorts: readonly number[];
}

/**
 * Reads the lines of a block. One that cannot be used never refuses the others.
 * @param source file name, for {@link SaConfig.origin} and errors
 * @throws {InputError} when block or line is too long, or there are too many of them
 */
export function readBlock(text: string, source: string): Block {
  const rows = new RowReader(source);
  const gone: SaPlace[] = [];
  const nodes: NamedNode[] = [];
  const udpPorts: number[] = [];
  let isNew = false;
  for (const { number, text: whole } of linesOf(text, source)) {
    const line = whole.trim();
    const taken = remark(line, GONE);
    const node = remark(line, NODE);
    const ports = remark(line, PORTS);
    if (remark(line, NEW) === '') isNew = true;
    if (taken !== undefined) rows.try(number, () => gone.push(...readGone(taken)), 'what it takes away');
    else if (node !== undefined) rows.try(number, () => nodes.push(readNode(node)), 'the node');
    else if (ports !== undefined) rows.try(number, () => udpPorts.push(...readPorts(ports)), 'the line');
    else if (number > 1 || !isHeader(line)) rows.take(line, number);
    checkEntries(Math.max(gone.length, nodes.length, udpPorts.length), source, number);
  }
  return { ...rows.end(), gone, nodes, isNew, udpPorts };
}

function isHeader(line: string): boolean {
  return splitFields(line)?.[0]?.toLowerCase() === COLUMNS[0].toLowerCase();
}

/** Writes the line that names the UDP ports of SAs beside 4500; nothing where they have none. */
export function writePorts(sas: readonly SaConfig[]): string {
  const ports = new Set(sas.flatMap(({ encap }) => (encap ? [encap.sport, encap.dport] : [])));
  ports.delete(PORT_ESP);
  return ports.size === 0 ? '' : `# ${PORTS} ${[...ports].join(' ')}\n`;
}

function readPorts(text: string): number[] {
  const ports = words(text).map((word) => (/^\d{1,5}$/.test(word) ? Number(word) : 0));
  if (ports.length > 0 && ports.every((port) => port > 0 && port <= 0xffff)) return ports;
  throw new Unusable('it names no UDP ports', { remedy: 'Write # UDP ports of ESP: 4501 4502.' });
}

/** Writes the lines that take SAs away. */
export function writeGone(places: readonly SaPlace[]): string {
  return places.map((place) => `# gone: ${joinFields(placeToWireshark(place))}\n`).join('');
}

function readGone(names: string): SaPlace[] {
  const fields = splitFields(names);
  if (fields?.length === 4) return placesFromWireshark(fields);
  throw new Unusable('it is not said which SA is gone', {
    remedy: 'Write # gone: "Protocol","Src IP","Dest IP","SPI".',
  });
}

/** The line that says that the SAs of a block are new. */
export const NEW_LINE = '# new\n';

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

function readNode(text: string): NamedNode {
  const [name, own, ranges, more] = splitFields(text) ?? [];
  const addresses = words(own).map(parseAddress);
  const podCidrs = words(ranges).map(parsePrefix);
  const isUsable = name && ranges !== undefined && more === undefined && addresses.length > 0;
  if (!isUsable || !isWhole(addresses) || !isWhole(podCidrs)) {
    throw new Unusable('it is not said which node, and where its pods are', {
      remedy: 'Write # CiliumNode: "Name","Address Address","Pod range Pod range".',
    });
  }
  return { name: safeText(name.slice(0, MAX_NAME)), addresses, podCidrs };
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
