/**
 * A packet in a few pieces, and what ESP does for which of them: what the figures of RFC 4303 §3.1 show.
 * @module
 */
import type { Field, Packet } from '../../inspect/explain/tree.ts';

/** A piece of the frame. */
export interface Segment {
  /** Id of its first field. */
  readonly id: string;
  readonly label: string;
  readonly at: number;
  readonly end: number;
}

/** A run of pieces for which ESP does the same. */
export interface Bracket {
  readonly kind: 'encrypted' | 'authenticated' | 'neither';
  /** The first piece of the run, and the one behind its last. */
  readonly from: number;
  readonly to: number;
  /** Bytes in it. */
  readonly bytes: number;
}

/** Parts of ESP that are shown as one. */
const JOINED: Readonly<Record<string, { readonly id: string; readonly label: string }>> = {
  'esp.spi': { id: 'esp.spi', label: 'SPI, number' },
  'esp.seq': { id: 'esp.spi', label: 'SPI, number' },
  'esp.tfc': { id: 'esp.pad', label: 'Padding, trailer' },
  'esp.pad': { id: 'esp.pad', label: 'Padding, trailer' },
  'esp.pad_len': { id: 'esp.pad', label: 'Padding, trailer' },
  'esp.protocol': { id: 'esp.pad', label: 'Padding, trailer' },
};

interface Piece extends Segment {
  readonly fields: readonly Field[];
}

/** The frame's layers, ESP in its parts, and what ESP does for them. */
export function segmentsOf(packet: Packet): { segments: Segment[]; brackets: Bracket[] } {
  const pieces: Piece[] = [];
  for (const layer of packet.layers) {
    const fields = layer.id === 'esp' && layer.children.length > 0 ? layer.children : [layer];
    for (const field of fields) {
      const { id, label } = JOINED[field.id] ?? field;
      const last = pieces.at(-1);
      if (last?.id === id && last.end === field.at) {
        pieces[pieces.length - 1] = { ...last, end: field.end, fields: [...last.fields, field] };
      } else pieces.push({ id, label, at: field.at, end: field.end, fields: [field] });
    }
  }
  const brackets = [
    ...bracketsOf(
      pieces,
      'encrypted',
      ({ protection }) => protection === 'encrypted' || protection === 'both',
    ),
    ...bracketsOf(
      pieces,
      'authenticated',
      ({ protection }) => protection === 'authenticated' || protection === 'both',
    ),
    ...bracketsOf(pieces, 'neither', ({ protection }) => protection === 'none'),
  ];
  return { segments: pieces.map(({ fields: _, ...segment }) => segment), brackets };
}

function bracketsOf(
  pieces: readonly Piece[],
  kind: Bracket['kind'],
  has: (field: Field) => boolean,
): Bracket[] {
  const found: Bracket[] = [];
  for (const [i, piece] of pieces.entries()) {
    if (!piece.fields.every(has)) continue;
    const bytes = piece.end - piece.at;
    const last = found.at(-1);
    if (last?.to === i) found[found.length - 1] = { ...last, to: i + 1, bytes: last.bytes + bytes };
    else found.push({ kind, from: i, to: i + 1, bytes });
  }
  return found;
}
