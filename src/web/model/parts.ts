/**
 * What the bytes of a packet mean, as a flat list: the leaves of the tree that `explain` makes.
 * @module
 */
import { toHex } from '../../base/bytes.ts';
import { NobleEngine } from '../../crypto/noble.ts';
import { Evidence } from '../../inspect/evidence.ts';
import { explainBytes } from '../../inspect/explain/explain.ts';
import type { Field, Packet, Protection } from '../../inspect/explain/tree.ts';
import type { SaConfig } from '../../ipsec/sa-config.ts';
import { LINK_RAW } from '../../wire/link-type.ts';
import type { Stretch } from './segments.ts';

/** Some bytes with one meaning. */
export interface Part {
  /** Wireshark's name for the field, where it has one: `esp.seq`. */
  readonly id: string;
  readonly label: string;
  /** The layer it belongs to: `IPv4`, `ESP`. */
  readonly layer: string;
  readonly at: number;
  readonly end: number;
  /** The value, for people. */
  readonly text: string;
  readonly meaning: string;
  /** `RFC 4303 §2.2`; empty for bytes that no standard explains, such as a payload. */
  readonly reference: string;
  /** What ESP does for these bytes. */
  readonly protection: Protection;
}

const NO_CHANCE = () => {};

/** Explains an IP packet. With an SA, ESP in it is opened, which shows where its fields lie. */
export function partsOf(ip: Uint8Array, sa?: SaConfig): Part[] {
  const explained = explainBytes(ip, LINK_RAW, {
    engine: new NobleEngine(),
    random: NO_CHANCE,
    ...(sa && { evidence: new Evidence({ listed: [sa] }) }),
    // Keys of the lab are made from a seed and protect nothing.
    showKeys: true,
  });
  return leaves(explained.packet, ip);
}

/** The leaves of a tree. Fields that share a byte count as one. */
export function leaves(packet: Packet, bytes: Uint8Array): Part[] {
  const found: Part[] = [];
  const down = (field: Field, layer: string): void => {
    const { children } = field;
    if (children.length === 0 || children.some(({ bits }) => bits)) found.push(partOf(field, layer, bytes));
    else for (const child of children) down(child, layer);
  };
  for (const layer of packet.layers) down(layer, layer.label);
  return found;
}

/** The parts within `[at, end)`, counted from `at`. A part that only reaches into it is not there. */
export function within(parts: readonly Part[], at: number, end: number): Part[] {
  return parts
    .filter((part) => part.at >= at && part.end <= end)
    .map((part) => ({ ...part, at: part.at - at, end: part.end - at }));
}

/** What of a packet is drawn as one: the layers, and of ESP its parts. */
export function stretchesOf(parts: readonly Part[]): Stretch[] {
  const stretches: Stretch[] = [];
  for (const { id, label, layer, at, end, protection } of parts) {
    const isEsp = layer === 'ESP';
    const last = stretches.at(-1);
    if (last && !isEsp && last.label === layer) stretches[stretches.length - 1] = { ...last, end };
    else stretches.push({ id, label: isEsp ? label : layer, at, end, protection });
  }
  return stretches;
}

/** Words of `explain` that speak of where a field stands in its tree. Here it stands in a list. */
const OWN_WORDS: Readonly<Record<string, { readonly label: string; readonly meaning: string }>> = {
  'esp.contained_data': {
    label: 'Inner packet',
    meaning: 'The whole packet that is hidden: headers, ports and content.',
  },
  data: {
    label: 'Payload',
    meaning: 'What the program in the pod has to say. To IP and ESP it is just bytes.',
  },
};

function partOf(field: Field, layer: string, bytes: Uint8Array): Part {
  const { id, at, end, text, children, reference, protection } = field;
  const { label, meaning } = OWN_WORDS[id] ?? field;
  const shared = children.map((child) => `${child.label} ${child.text}`).join(', ');
  const said =
    id === 'data' ? asText(bytes.subarray(at, end)) : id === 'esp.icv' ? toHex(bytes, at, end) : undefined;
  return { id, label, layer, at, end, text: (said ?? text) || shared, meaning, reference, protection };
}

/** Bytes as quoted text, if all of them can be read. */
function asText(b: Uint8Array): string | undefined {
  return b.every((byte) => byte >= 0x20 && byte < 0x7f) ? `“${String.fromCharCode(...b)}”` : undefined;
}
