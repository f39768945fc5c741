/**
 * Bytes in named pieces, and what a step has changed about them: pieces that came, pieces that went, and, in those
 * that stayed, every byte that is another one now.
 * @module
 */
import type { Part } from './parts.ts';

/** A run of bytes that comes, goes and stays as one. */
export interface Piece {
  /** The same before and after where it is the same piece. */
  readonly name: string;
  readonly bytes: Uint8Array;
  /** What its bytes mean; they tile it, counted from its start. */
  readonly parts: readonly Part[];
}

/** Bytes `[at, end)` that are not what they were. */
export interface Change {
  readonly at: number;
  readonly end: number;
  readonly kind: 'added' | 'removed' | 'changed';
}

/** A part with a name of its own, for its address: the second `ip.ttl` is `ip.ttl~2`. */
export interface NamedPart extends Part {
  readonly name: string;
}

/** A packet, or as much of it as there is, with what its bytes mean. */
export interface Shown {
  readonly bytes: Uint8Array;
  /** They tile the bytes. */
  readonly parts: readonly NamedPart[];
  /** In ascending order. */
  readonly changes: readonly Change[];
}

/** Joins the pieces of both sides and marks what changed: `removed` and `changed` before, `added` and `changed` after. */
export function compare(before: readonly Piece[], after: readonly Piece[]): { before: Shown; after: Shown } {
  return { before: show(before, after, 'removed'), after: show(after, before, 'added') };
}

function show(pieces: readonly Piece[], others: readonly Piece[], alone: 'added' | 'removed'): Shown {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.bytes.length, 0));
  const parts: NamedPart[] = [];
  const counts = new Map<string, number>();
  const changes: Change[] = [];
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece.bytes, at);
    for (const part of piece.parts) {
      const count = (counts.get(part.id) ?? 0) + 1;
      counts.set(part.id, count);
      const name = count === 1 ? part.id : `${part.id}~${count}`;
      parts.push({ ...part, name, at: part.at + at, end: part.end + at });
    }
    const other = others.find(({ name }) => name === piece.name);
    if (other) changes.push(...differing(piece.bytes, other.bytes, at));
    else if (piece.bytes.length > 0) changes.push({ at, end: at + piece.bytes.length, kind: alone });
    at += piece.bytes.length;
  }
  return { bytes, parts, changes };
}

/** Runs of bytes that differ, counted from `from`. */
function differing(b: Uint8Array, other: Uint8Array, from: number): Change[] {
  if (b.length !== other.length) throw new RangeError('a piece that stays keeps its length');
  const runs: Change[] = [];
  for (let i = 0; i < b.length; i++) {
    if (b[i] === other[i]) continue;
    const at = i;
    while (i < b.length && b[i] !== other[i]) i++;
    runs.push({ at: from + at, end: from + i, kind: 'changed' });
  }
  return runs;
}
