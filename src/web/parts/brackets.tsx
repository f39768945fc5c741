/**
 * The packet from left to right, with brackets under it: what is encrypted, what is authenticated, and what is neither.
 * @module
 */
import type { Bracket, Segment } from '../model/segments.ts';
import type { ByteRange } from './hex-grid.tsx';

interface BracketsProps {
  readonly segments: readonly Segment[];
  readonly brackets: readonly Bracket[];
  readonly lit?: ByteRange | undefined;
  readonly onLight?: (range: ByteRange | undefined) => void;
}

const ROWS: readonly Bracket['kind'][] = ['encrypted', 'authenticated', 'neither'];

export function Brackets({ segments, brackets, lit, onLight }: BracketsProps) {
  // Wider for more bytes, and never too narrow for its name.
  const columns = segments.map(({ at, end }) => `minmax(min-content, ${Math.ceil(Math.sqrt(end - at))}fr)`);
  return (
    <figure class="brackets" tabIndex={0} aria-label="The packet, and what ESP does for which part of it">
      <div style={{ gridTemplateColumns: columns.join(' ') }} onMouseLeave={() => onLight?.(undefined)}>
        {segments.map(({ id, label, at, end }, i) => (
          <div
            key={`${id} ${at}`}
            class={`segment${lit && lit.at < end && at < lit.end ? ' lit' : ''}`}
            style={{ gridColumn: String(i + 1) }}
            onMouseEnter={() => onLight?.({ at, end })}
          >
            {label} <small>{end - at}</small>
          </div>
        ))}
        {brackets.map(({ kind, from, to, bytes }) => (
          <div
            key={`${kind} ${from}`}
            class={`bracket ${kind}`}
            style={{ gridColumn: `${from + 1} / ${to + 1}`, gridRow: String(ROWS.indexOf(kind) + 2) }}
          >
            {kind} <small>{bytes}</small>
          </div>
        ))}
      </div>
    </figure>
  );
}
