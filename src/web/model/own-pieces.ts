/**
 * What a reader drops or pastes, and what it is: a capture, one packet in hexadecimal, or something that opens them.
 * The content says it; names and endings count for nothing.
 * @module
 */
import { u32 } from '../../base/bytes.ts';
import { InputError } from '../../base/errors.ts';
import { looksLikeManifest } from '../../cilium/manifest.ts';
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

/** What each kind is called. */
export const KIND_NAMES: Readonly<Record<Piece['kind'], string>> = {
  capture: 'capture',
  packet: 'one packet',
  keys: "Cilium's keys",
  nodes: 'CiliumNodes',
  'xfrm-state': 'ip xfrm state',
  'xfrm-policy': 'ip xfrm policy',
  'esp-sa': "Wireshark's esp_sa",
};

/** Bytes that tell a capture from a text. */
const HEAD = 4096;
/** 5,000 nodes as JSON are no longer. */
const MOST_TEXT = 64 << 20;
/** As they stand at the start of pcap (both byte orders, micro- and nanoseconds) and pcapng. */
const MAGIC = [0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1, 0x0a0d0d0a];
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
  if ((head.length >= 4 && MAGIC.includes(u32(head, 0))) || isBinary(head)) {
    return [{ kind: 'capture', name, blob }];
  }
  if (blob.size > MOST_TEXT) {
    throw new InputError(
      { source: name },
      `a text of ${Math.round(blob.size / 1e6)} MB is too long`,
      EXPECTED,
    );
  }
  const text = await blob.text();
  const kinds = textKinds(text, name);
  if (kinds.length > 0) return kinds.map((kind) => ({ kind, name, text }));
  return [{ kind: 'packet', name, bytes: packetBytes(text, name) }];
}

/** No expression here may run from line to line: of a million blank lines each would be gone through from each. */
function textKinds(text: string, source: string): TextKind[] {
  if (/^[ \t]*src \S+ dst \S+/m.test(text)) {
    if (/^[ \t]*proto esp spi\b/m.test(text)) return ['xfrm-state'];
    if (/^[ \t]*dir (?:in|out|fwd)\b/m.test(text)) return ['xfrm-policy'];
  }
  if (looksLikeManifest(text)) {
    const kinds: TextKind[] = [];
    if (/\bkind["']?\s*:\s*["']?Secret\b/.test(text)) kinds.push('keys');
    if (/\bkind["']?\s*:\s*["']?CiliumNode(?:List)?\b/.test(text)) kinds.push('nodes');
    if (kinds.length > 0) return kinds;
    throw new InputError(
      { source },
      'neither a Secret with keys nor CiliumNodes',
      'Give what kubectl printed: get secret cilium-ipsec-keys -o yaml, or get ciliumnodes -o json.',
    );
  }
  if (/^[ \t]*"?(?:IPv4|IPv6)"?[ \t]*,/im.test(text)) return ['esp-sa'];
  if (/^[^"#\n]*\b(?:rfc4106|hmac|cbc)\(/m.test(text)) return ['keys'];
  if (/^Xfrm\w+[ \t]+\d+[ \t]*$/m.test(text)) {
    throw new InputError(
      { source },
      'this is /proc/net/xfrm_stat, and the lab compares no counters',
      'Use `esplane diagnose --xfrm-stat`.',
    );
  }
  return [];
}

function packetBytes(text: string, source: string): Uint8Array {
  try {
    return parseHexDump(text, source);
  } catch (error) {
    // Mostly digits: somebody means a packet, and wants to know where it is wrong.
    const head = text.slice(0, HEAD).replace(/\s/g, '');
    const digits = head.match(/[0-9a-f]/gi)?.length ?? 0;
    if (!(error instanceof InputError) || (head !== '' && 5 * digits > 4 * head.length)) throw error;
    throw new InputError({ source }, 'this is nothing that the lab can read', EXPECTED);
  }
}

function isBinary(b: Uint8Array): boolean {
  let odd = 0;
  for (const byte of b) if (byte < 9 || (byte > 13 && byte < 32)) odd++;
  return 50 * odd > b.length;
}
