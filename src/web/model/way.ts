/**
 * The way of a packet, step by step: where it is, what its bytes were before and are after, what that is, and why.
 *
 * Every byte comes from two nodes that really run (`way-network.ts`): out of their batches, their cipher and their
 * wire. Nothing is computed a second time; a step only says which of these bytes are there already.
 * @module
 */
import { seqText } from '../../inspect/decrypt-json.ts';
import type { WindowState } from '../../inspect/explain/security.ts';
import { payloadLength } from '../../ipsec/padding.ts';
import type { SaConfig } from '../../ipsec/sa-config.ts';
import * as esp from '../../wire/esp.ts';
import { type Part, partsOf, within } from './parts.ts';
import { compare, type NamedPart, type Piece, type Shown } from './pieces.ts';
import { type Fact, factsOf, type Row, rowsOf } from './way-facts.ts';
import { recordWay, type WayOptions, type WayRecord } from './way-network.ts';
import { type Words, wordsOf } from './way-words.ts';

/** Where the packet is. */
export const PLACES = ['client', 'node-1', 'wire', 'node-2', 'web'] as const;
export type Place = (typeof PLACES)[number];

/** The steps that there are, by what they are called in an address. Each mode has its own order of them. */
export type StepId =
  | 'send'
  | 'intercept'
  | 'wrap'
  | 'sa'
  | 'number'
  | 'trailer'
  | 'nonce'
  | 'aad'
  | 'seal'
  | 'outer'
  | 'wire'
  | 'unwrap'
  | 'spi'
  | 'window'
  | 'open'
  | 'moved'
  | 'inner'
  | 'delivered';

export interface WayStep extends Words {
  readonly id: StepId;
  readonly place: Place;
  readonly before: Shown;
  readonly after: Shown;
  readonly facts: readonly Fact[];
  /** Bytes that are worked with and lie nowhere in the packet as they are needed: the nonce, the AAD. */
  readonly rows: readonly Row[];
  /** The bytes after the step that it is about, where none of them is new: `[at, end)`. */
  readonly looksAt?: { readonly at: number; readonly end: number };
  /** The replay window, where the step looks at it or moves it. */
  readonly window?: WindowView;
}

/** A window and the number that is asked about, in decimal. */
export interface WindowView {
  readonly size: number;
  readonly number: string;
  readonly before: WindowState;
  readonly after: WindowState;
}

export interface Way {
  readonly options: WayOptions;
  readonly steps: readonly WayStep[];
  /** The SA that the packet takes, and the same one at its receiver. */
  readonly out: SaConfig;
  readonly into: SaConfig;
  readonly record: WayRecord;
}

/** Sends a packet, and takes its way apart. The same options give the same way. */
export function takeWay(options: WayOptions): Way {
  const record = recordWay(options);
  const moves = movesOf(record);
  const steps = moves.map(({ id, place, before, after }): WayStep => {
    const window = windowAt(id, record);
    const shown = compare(before, after);
    const looksAt = lookedAt(id, shown.after);
    return {
      id,
      place,
      ...wordsOf(id, record),
      ...shown,
      ...(looksAt && { looksAt }),
      facts: factsOf(id, record),
      rows: rowsOf(id, record),
      ...(window && { window }),
    };
  });
  return { options, steps, out: record.out.sa.config, into: record.into.sa.config, record };
}

/** Where a field first appears: the first step that has it, and its place in what is there after that step. */
export function stepOfField(
  steps: readonly WayStep[],
  name: string,
): { step: WayStep; part: NamedPart } | undefined {
  for (const step of steps) {
    const part = step.after.parts.find((candidate) => candidate.name === name);
    if (part) return { step, part };
  }
  return undefined;
}

/** First and last field that a step is about which changes nothing; of fields with one id the first. */
const LOOKS_AT: Partial<Record<StepId, readonly [first: RegExp, last: RegExp]>> = {
  send: [/^data$/, /^data$/],
  sa: [/^ip(v6)?\.dst$/, /^ip(v6)?\.dst$/],
  aad: [/^esp\.spi$/, /^esp\.seq$/],
  wire: [/^esp\.spi$/, /^esp\.iv$/],
  spi: [/^esp\.spi$/, /^esp\.spi$/],
  window: [/^esp\.seq$/, /^esp\.seq$/],
  moved: [/^esp\.seq$/, /^esp\.seq$/],
};

function lookedAt(id: StepId, { parts }: Shown): WayStep['looksAt'] {
  const [first, last] = LOOKS_AT[id] ?? [];
  const from = parts.find((part) => first?.test(part.id));
  const to = parts.find((part) => last?.test(part.id));
  return from && to ? { at: from.at, end: to.end } : undefined;
}

interface Move {
  readonly id: StepId;
  readonly place: Place;
  readonly before: readonly Piece[];
  readonly after: readonly Piece[];
}

/** Cuts what was recorded into pieces, and says which of them each step has. */
function movesOf(r: WayRecord): Move[] {
  const { mode } = r.options;
  const { sa, sealed } = r.out;
  const { opened } = r.into;
  const { textAt, textLen, icvLen } = sealed;
  const textEnd = textAt + textLen;
  const outerAt = textAt - sa.before;
  const headAt = textAt - sa.espLen;
  const ivAt = headAt + esp.HEADER_LEN;
  const innerEnd = textAt + payloadLength(sealed.before, textAt, textLen);

  // What the bytes mean: the outer packet as a whole, and what is in it when it is clear.
  const whole = sealed.after.slice(outerAt, textEnd + icvLen);
  const wholeParts = partsOf(whole, sa.config);
  const cut = (b: Uint8Array, at: number, end: number, name: string, parts?: readonly Part[]): Piece => ({
    name,
    bytes: b.slice(at, end),
    parts: parts ?? within(wholeParts, at - outerAt, end - outerAt),
  });
  const plain = (piece: Piece): Piece => ({
    ...piece,
    parts: piece.parts.map((part) => ({ ...part, protection: 'none' })),
  });
  const clear = (bytes: Uint8Array, name = 'packet'): Piece => ({ name, bytes, parts: partsOf(bytes) });

  const sent = clear(r.sent);
  const taken = clear(r.intercepted.bytes);
  const inner = clear(sealed.before.slice(textAt, innerEnd));
  const head = cut(sealed.after, headAt, ivAt, 'head');
  const iv = cut(sealed.after, ivAt, textAt, 'iv');
  const trailer = cut(sealed.before, innerEnd, textEnd, 'trailer');
  const sealedText = [
    cut(sealed.after, textAt, innerEnd, 'packet'),
    cut(sealed.after, innerEnd, textEnd, 'trailer'),
    cut(sealed.after, textEnd, textEnd + icvLen, 'icv'),
  ];
  const outer = cut(sealed.after, outerAt, headAt, 'outer');
  const numbered = [plain(head), inner];
  const padded = [...numbered, plain(trailer)];
  const framed = [plain(head), plain(iv), inner, plain(trailer)];
  const closed = [head, iv, ...sealedText];
  const packet = [outer, ...closed];
  const carrier = carrierOf(r.out.bytes, whole.length);
  const wired = carrier ? [carrier, ...packet] : packet;

  // The receiver's own bytes from here on.
  const rOuterAt = opened.textAt - r.into.sa.before;
  const received = (b: Uint8Array, pieces: readonly Piece[]): Piece[] => {
    let at = rOuterAt;
    return pieces.map((piece) => {
      const from = at;
      at += piece.bytes.length;
      return { ...piece, bytes: b.slice(from, at) };
    });
  };
  const arrived = received(opened.before, packet);
  const open = received(opened.after, [
    outer,
    plain(head),
    plain(iv),
    inner,
    plain(trailer),
    plain(sealedText[2]!),
  ]);
  const out = open[3]!;
  const unwrapped = clear(opened.after.slice(r.into.at, opened.textAt + out.bytes.length));
  const delivered = clear(r.delivered);
  const off = (piece: Piece): Piece[] => {
    const n = piece.bytes.length - unwrapped.bytes.length;
    return [
      { name: 'carrier', bytes: piece.bytes.slice(0, n), parts: within(piece.parts, 0, n) },
      { ...unwrapped, parts: within(piece.parts, n, piece.bytes.length) },
    ];
  };

  const stay = (id: StepId, place: Place, pieces: readonly Piece[]): Move => ({
    id,
    place,
    before: pieces,
    after: pieces,
  });
  return [
    stay('send', 'client', [sent]),
    { id: 'intercept', place: 'node-1', before: [sent], after: [taken] },
    ...(mode === 'vxlan-in-esp' ? [wrapMove(taken, inner)] : []),
    stay('sa', 'node-1', [inner]),
    { id: 'number', place: 'node-1', before: [inner], after: numbered },
    { id: 'trailer', place: 'node-1', before: numbered, after: padded },
    { id: 'nonce', place: 'node-1', before: padded, after: framed },
    stay('aad', 'node-1', framed),
    { id: 'seal', place: 'node-1', before: framed, after: closed },
    { id: 'outer', place: 'node-1', before: closed, after: packet },
    ...(carrier ? [{ id: 'wrap', place: 'node-1', before: packet, after: wired } as const] : []),
    stay('wire', 'wire', wireOf(r.wire, wired)),
    ...(carrier ? [{ id: 'unwrap', place: 'node-2', before: wired, after: arrived } as const] : []),
    stay('spi', 'node-2', arrived),
    stay('window', 'node-2', arrived),
    { id: 'open', place: 'node-2', before: arrived, after: open },
    stay('moved', 'node-2', open),
    { id: 'inner', place: 'node-2', before: open, after: [out] },
    ...(mode === 'vxlan-in-esp'
      ? [{ id: 'unwrap', place: 'node-2', before: off(out), after: [unwrapped] } as const]
      : []),
    { id: 'delivered', place: 'web', before: [unwrapped], after: [delivered] },
  ];
}

/** The packet in VXLAN: what was put before it is the carrier. */
function wrapMove(packet: Piece, wrapped: Piece): Move {
  const n = wrapped.bytes.length - packet.bytes.length;
  const carrier: Piece = {
    name: 'carrier',
    bytes: wrapped.bytes.slice(0, n),
    parts: within(wrapped.parts, 0, n),
  };
  const rest: Piece = {
    name: packet.name,
    bytes: wrapped.bytes.slice(n),
    parts: within(wrapped.parts, n, wrapped.bytes.length),
  };
  return { id: 'wrap', place: 'node-1', before: [packet], after: [carrier, rest] };
}

/** What lies before the ESP packet as the node sends it, if anything does. */
function carrierOf(left: Uint8Array, packetLen: number): Piece | undefined {
  const n = left.length - packetLen;
  return n > 0 ? { name: 'carrier', bytes: left.slice(0, n), parts: within(partsOf(left), 0, n) } : undefined;
}

/** The frame from the wire itself, in the pieces that the node sent. */
function wireOf(wire: Uint8Array, pieces: readonly Piece[]): Piece[] {
  let at = 0;
  return pieces.map((piece) => {
    const from = at;
    at += piece.bytes.length;
    return { ...piece, bytes: wire.slice(from, at) };
  });
}

function windowAt(id: StepId, r: WayRecord): WindowView | undefined {
  if (id !== 'window' && id !== 'moved') return undefined;
  const { sa, windowBefore, windowAfter, number } = r.into;
  const now = id === 'moved' ? windowAfter : windowBefore;
  return { size: sa.window.size, number: seqText(number.hi, number.lo), before: windowBefore, after: now };
}
