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

/** A layer or a field, with what ESP does for it. */
export type Stretch = Pick<Field, 'id' | 'label' | 'at' | 'end' | 'protection'>;

interface Piece extends Segment {
  readonly stretches: readonly Stretch[];
}

/** The frame's layers, ESP in its parts, and what ESP does for them. */
export function segmentsOf(packet: Packet): { segments: Segment[]; brackets: Bracket[] } {
  return joinStretches(
    packet.layers.flatMap((layer) =>
      layer.id === 'esp' && layer.children.length > 0 ? layer.children : [layer],
    ),
  );
}

/** Segments of stretches that tile a packet, and what ESP does for them. */
export function joinStretches(stretches: readonly Stretch[]): { segments: Segment[]; brackets: Bracket[] } {
  const pieces: Piece[] = [];
  for (const stretch of stretches) {
    const { id, label } = JOINED[stretch.id] ?? stretch;
    const last = pieces.at(-1);
    if (last?.id === id && last.end === stretch.at) {
      pieces[pieces.length - 1] = {
        ...last,
        end: stretch.end,
        stretches: [...last.stretches, stretch],
      };
    } else pieces.push({ id, label, at: stretch.at, end: stretch.end, stretches: [stretch] });
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
  return { segments: pieces.map(({ stretches: _, ...segment }) => segment), brackets };
}

function bracketsOf(
  pieces: readonly Piece[],
  kind: Bracket['kind'],
  has: (stretch: Stretch) => boolean,
): Bracket[] {
  const found: Bracket[] = [];
  for (const [i, piece] of pieces.entries()) {
    if (!piece.stretches.every(has)) continue;
    const bytes = piece.end - piece.at;
    const last = found.at(-1);
    if (last?.to === i) found[found.length - 1] = { ...last, to: i + 1, bytes: last.bytes + bytes };
    else found.push({ kind, from: i, to: i + 1, bytes });
  }
  return found;
}
