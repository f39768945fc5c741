/**
 * What a reader drops or pastes, and what it is: a capture, one packet in hexadecimal, or something that opens them.
 * The content says it; names and endings count for nothing.
 * @module
 */
import { decodeText } from '../../base/decode-text.ts';
import { InputError } from '../../base/errors.ts';
import { isCapture } from '../../capture/format.ts';
import { looksLikeManifest } from '../../cilium/manifest.ts';
import { KIND_NAMES, type Kind } from '../../inspect/files/kinds.ts';
import { HEAD, isBinary, recogniseText } from '../../inspect/files/recognise.ts';
import { parseHexDump } from '../../inspect/hex-dump.ts';

/** Kinds of texts that open ESP, or say more about it. */
export type TextKind = 'keys' | 'nodes' | 'xfrm-state' | 'xfrm-policy' | 'esp-sa';

/** What is looked at. */
export type Subject =
  | { readonly kind: 'capture'; readonly name: string; readonly blob: Blob }
  | { readonly kind: 'packet'; readonly name: string; readonly bytes: Uint8Array };

/** What opens it. */
export interface OpeningText {
  readonly kind: TextKind;
  readonly name: string;
  readonly text: string;
}

export type Piece = Subject | OpeningText;

/** 5,000 nodes as JSON are no longer. */
const MOST_TEXT = 64 << 20;
const EXPECTED =
  'Give a pcap or pcapng file, a packet in hexadecimal, keys, CiliumNodes, the text of `ip xfrm state`, or lines of esp_sa.';

/**
 * Looks at what was dropped or pasted. A file with keys and nodes yields two pieces.
 * @throws {InputError} when it is nothing of use here, or when a packet's digits cannot be read
 */
export async function piecesOf(name: string, blob: Blob): Promise<Piece[]> {
  const head = new Uint8Array(await blob.slice(0, HEAD).arrayBuffer());
  if (head.length === 0) throw new InputError({ source: name }, 'it is empty', EXPECTED);
  // What is no text goes to the reader of captures, which says what is wrong with it.
  if (isCapture(head) || isBinary(head)) return [{ kind: 'capture', name, blob }];
  if (blob.size > MOST_TEXT) {
    throw new InputError(
      { source: name },
      `a text of ${Math.round(blob.size / 1e6)} MB is too long`,
      EXPECTED,
    );
  }
  const text = decodeText(new Uint8Array(await blob.arrayBuffer()));
  const kinds = textKinds(text, name);
  if (kinds.length > 0) return kinds.map((kind) => ({ kind, name, text }));
  return [{ kind: 'packet', name, bytes: packetBytes(text, name) }];
}

/** What the lab uses, and as what. */
const USED: Readonly<Partial<Record<Kind, TextKind>>> = {
  keys: 'keys',
  nodes: 'nodes',
  'xfrm-state': 'xfrm-state',
  'xfrm-policy': 'xfrm-policy',
  'esp-sa': 'esp-sa',
  'dsb-csv': 'esp-sa',
  'tcpdump-secrets': 'esp-sa',
};

function textKinds(text: string, source: string): TextKind[] {
  const kinds = recogniseText(text);
  const used = kinds.flatMap((kind) => USED[kind] ?? []);
  const [other] = kinds;
  if (used.length > 0) return used;
  if (looksLikeManifest(text) && other !== 'flows') {
    throw new InputError(
      { source },
      'neither a Secret with keys nor CiliumNodes',
      'Give what kubectl printed: get secret cilium-ipsec-keys -o yaml, or get ciliumnodes -o json.',
    );
  }
  if (other === undefined) return [];
  const remedy = other === 'xfrm-stat' ? 'Use `esplane diagnose --xfrm-stat`.' : EXPECTED;
  throw new InputError({ source }, `this is ${KIND_NAMES[other]}, which the lab does not use`, remedy);
}

function packetBytes(text: string, source: string): Uint8Array {
  try {
    return parseHexDump(text, source);
  } catch (error) {
    // Mostly digits: a packet is meant, and the error says where it is wrong.
    const head = text.slice(0, HEAD).replace(/\s/g, '');
    const digits = head.match(/[0-9a-f]/gi)?.length ?? 0;
    if (!(error instanceof InputError) || (head !== '' && 5 * digits > 4 * head.length)) throw error;
    throw new InputError({ source }, 'this is nothing that the lab can read', EXPECTED);
  }
}
