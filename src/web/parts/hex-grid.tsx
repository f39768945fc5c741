/**
 * Bytes as a grid of hexadecimal digits that can be hovered, focused, walked with the arrow keys and picked.
 * @module
 */
import { useRef, useState } from 'preact/hooks';
import { byteText } from '../model/places.ts';

/** Bytes in a group, which is a line on a phone and half a line elsewhere. */
const GROUP = 8;

/** Bytes `[at, end)`. */
export interface ByteRange {
  readonly at: number;
  readonly end: number;
}

interface HexGridProps {
  readonly bytes: Uint8Array;
  /** What the grid shows, for who cannot see it. */
  readonly label: string;
  /**
   * Classes of a byte: `encrypted`, `authenticated`, `both`, `none` or `unknown` for what ESP does for it, `changed`
   * for what is not as it was.
   */
  readonly classOf?: (at: number) => string;
  /** What a byte is, for who cannot see it: the name of its field. */
  readonly describe?: (at: number) => string;
  /** Bytes to light up, because the reader looks at them somewhere. */
  readonly lit?: ByteRange | undefined;
  /** The byte that has been picked. */
  readonly picked?: number | undefined;
  /** The reader looks at a byte, or at none. */
  readonly onLight?: (at: number | undefined) => void;
  /** The reader clicks a byte, or presses Enter on it. Left out, bytes cannot be picked. */
  readonly onPick?: (at: number, how: 'mouse' | 'keyboard') => void;
}

/** The grid. One byte takes the tab key; the arrow keys walk from there. */
export function HexGrid(props: HexGridProps) {
  const { bytes, label, classOf, describe, lit, picked, onLight, onPick } = props;
  const root = useRef<HTMLDivElement>(null);
  const [walker, setWalker] = useState(0);
  const tabStop = Math.min(picked ?? walker, bytes.length - 1);

  const walk = (event: KeyboardEvent) => {
    const cells = [...root.current!.querySelectorAll<HTMLElement>('[data-at]')];
    const at = Number((event.target as HTMLElement).dataset['at']);
    const columns = cells.findIndex((cell) => cell.offsetTop > cells[0]!.offsetTop);
    const to = target(event.key, at, columns < 0 ? cells.length : columns, cells.length);
    if (to === undefined) {
      if (!onPick || (event.key !== 'Enter' && event.key !== ' ')) return;
      onPick(at, 'keyboard');
    } else cells[to]!.focus();
    event.preventDefault();
  };

  const groups: number[] = [];
  for (let at = 0; at < bytes.length; at += GROUP) groups.push(at);
  return (
    <div
      ref={root}
      class={`hex${onPick ? ' pickable' : ''}`}
      role="grid"
      tabIndex={-1}
      aria-label={label}
      aria-readonly={!onPick}
      onKeyDown={walk}
      onMouseLeave={() => onLight?.(undefined)}
    >
      {groups.map((from) => (
        <div key={from} class="hex-group" role="row">
          <span class="hex-at" role="rowheader">
            {from.toString(16).padStart(4, '0')}
          </span>
          {[...bytes.subarray(from, from + GROUP)].map((_, i) => {
            const at = from + i;
            const isLit = lit !== undefined && at >= lit.at && at < lit.end;
            return (
              <span
                key={at}
                role="gridcell"
                data-at={at}
                class={`byte ${classOf?.(at) ?? ''}${isLit ? ' lit' : ''}${at === picked ? ' picked' : ''}`}
                tabIndex={at === tabStop ? 0 : -1}
                aria-label={`${byteText(bytes, at)}, byte ${at}${describe ? `, ${describe(at)}` : ''}`}
                aria-selected={at === picked}
                onMouseEnter={() => onLight?.(at)}
                onFocus={() => {
                  setWalker(at);
                  onLight?.(at);
                }}
                onBlur={() => onLight?.(undefined)}
                onClick={() => onPick?.(at, 'mouse')}
              >
                {byteText(bytes, at)}
              </span>
            );
          })}
        </div>
      ))}
    </div>
  );
}

/** Where a key leads to; `undefined` for other keys. */
function target(key: string, at: number, columns: number, count: number): number | undefined {
  const steps: Readonly<Record<string, number>> = {
    ArrowLeft: at - 1,
    ArrowRight: at + 1,
    ArrowUp: at - columns,
    ArrowDown: at + columns,
    Home: at - (at % columns),
    End: at - (at % columns) + columns - 1,
  };
  const to = steps[key];
  if (to === undefined) return undefined;
  if (key === 'End') return Math.min(to, count - 1);
  return to < 0 || to >= count ? at : to;
}
