/**
 * The window, drawn: numbers in rows, those of the window on a band, seen ones filled.
 * @module
 */
import type { Cell, WindowEvent, WindowRun } from '../../model/window.ts';
import { rowsOf } from '../../model/window-grid.ts';
import { shown } from '../../model/window-text.ts';
import { useIsNarrow } from '../../parts/use-is-narrow.ts';

const CELL = 14;
/** Width of a digit of a label. */
const DIGIT = 7;

interface BitmapProps {
  readonly run: WindowRun;
  /** The event that is marked. */
  readonly event: WindowEvent | undefined;
  readonly label: string;
}

export function Bitmap({ run, event, label }: BitmapProps) {
  const isNarrow = useIsNarrow();
  const length = isNarrow ? 16 : run.settings.size > 64 ? 64 : 32;
  const rows = rowsOf(run, length, event?.packet?.number);
  const first = rows[0]!.first;
  const left = shown(rows.at(-1)!.first).length * DIGIT + 10;
  const width = left + length * CELL + 4;
  const height = rows.length * CELL + 4;
  const at = (number: number) => {
    const place = number - first;
    return place < 0 || place >= rows.length * length
      ? undefined
      : { x: left + (place % length) * CELL, y: 2 + Math.floor(place / length) * CELL };
  };
  const paths: Record<Cell | 'band', string> = {
    never: '',
    gone: '',
    seen: '',
    open: '',
    ahead: '',
    unknown: '',
    band: '',
  };
  for (const row of rows)
    for (const [k, cell] of row.cells.entries()) {
      const { x, y } = at(row.first + k)!;
      paths[cell] += shapeOf(cell, x, y);
      if (cell === 'seen' || cell === 'open') paths.band += `M${x} ${y}h${CELL}v${CELL}h-${CELL}z`;
    }
  const top = run.settings.size > 0 && run.top > 0 ? at(run.top) : undefined;
  const packet = event?.packet;
  const mark = packet && at(packet.number);
  return (
    <figure class="bitmap">
      <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label}>
        {rows.map((row, i) => (
          <text key={row.first} x={left - 8} y={2 + i * CELL + CELL - 3.5} text-anchor="end">
            {shown(row.first)}
          </text>
        ))}
        <path class="band" d={paths.band} />
        <path class="seen" d={paths.seen} />
        <path class="open" d={paths.open} />
        <path class="gone" d={paths.gone} />
        <path class="ahead" d={paths.ahead + paths.unknown} />
        {run.packets
          .filter(({ fate }) => fate === 'held')
          .map((one) => ({ one, place: at(one.number) }))
          .map(
            ({ one, place }) => place && <path key={one.id} class="waits" d={triangle(place.x, place.y)} />,
          )}
        {top && (
          <rect class="top-number" x={top.x + 0.5} y={top.y + 0.5} width={CELL - 1} height={CELL - 1} />
        )}
        {mark && (
          <path
            class={event.drop ? 'refused' : 'taken'}
            d={event.drop ? cross(mark.x, mark.y) : ring(mark.x, mark.y)}
          />
        )}
      </svg>
    </figure>
  );
}

/** What the marks of the picture mean. */
export function BitmapKey() {
  const middle = 3;
  const item = (name: string, d: string, text: string) => (
    <li key={name}>
      <svg class="bitmap" viewBox={`0 0 ${CELL + 2 * middle} ${CELL + 2 * middle}`} aria-hidden="true">
        {name !== 'gone' && name !== 'ahead' && (
          <path class="band" d={`M${middle} ${middle}h${CELL}v${CELL}h-${CELL}z`} />
        )}
        <path class={name} d={d} />
      </svg>
      {text}
    </li>
  );
  return (
    <ul class="key" aria-label="What the marks mean">
      {item('seen', shapeOf('seen', middle, middle), 'in the window, seen')}
      {item('open', shapeOf('open', middle, middle), 'in the window, not seen')}
      {item('top-number', `M${middle} ${middle}h${CELL}v${CELL}h-${CELL}z`, 'the highest that verified')}
      {item('gone', shapeOf('gone', middle, middle), 'left of the window: forgotten')}
      {item('ahead', shapeOf('ahead', middle, middle), 'ahead')}
      {item('waits', triangle(middle, middle), 'held back on the way')}
      {item('taken', ring(middle, middle), 'this packet, let through')}
      {item('refused', cross(middle, middle), 'this packet, refused')}
    </ul>
  );
}

function shapeOf(cell: Cell, x: number, y: number): string {
  switch (cell) {
    case 'seen':
      return `M${x + 2} ${y + 2}h10v10h-10z`;
    case 'open':
      return `M${x + 3} ${y + 3}h8v8h-8z`;
    case 'gone':
      return `M${x + 4} ${y + 7}h6`;
    case 'ahead':
    case 'unknown':
      return `M${x + 6} ${y + 6}h2v2h-2z`;
    case 'never':
      return '';
  }
}

function triangle(x: number, y: number): string {
  return `M${x + 7} ${y + 2.5}l4.5 8.5h-9z`;
}

function cross(x: number, y: number): string {
  return `M${x - 2} ${y - 2}l${CELL + 4} ${CELL + 4}m0 -${CELL + 4}l-${CELL + 4} ${CELL + 4}`;
}

function ring(x: number, y: number): string {
  const r = CELL / 2 + 3;
  return `M${x + CELL / 2 - r} ${y + CELL / 2}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
}
