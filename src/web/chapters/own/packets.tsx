/**
 * The packets as a table, a page at a time. Each leads to its explanation.
 * @module
 */

import { useState } from 'preact/hooks';
import { grouped } from '../../../base/count-text.ts';
import type { OwnRow } from '../../model/own-messages.ts';
import { TableHead } from '../../parts/table-head.tsx';

/** Rows of a page. */
const PAGE = 25;

interface PacketsProps {
  readonly rows: readonly OwnRow[];
  /** Dropped packets beyond the rows. */
  readonly dropped: readonly OwnRow[];
  /** How many there are in all; `undefined` while they are counted. */
  readonly esp: number | undefined;
  /** Was there anything to open them with? */
  readonly isOpen: boolean;
  /** The frame that is being looked at. */
  readonly current: number | undefined;
  readonly onFrame: (frame: number) => void;
}

export function Packets({ rows, dropped, esp, isOpen, current, onFrame }: PacketsProps) {
  const [isFiltered, setFiltered] = useState(false);
  const [wanted, setPage] = useState(0);
  const all = isFiltered ? [...rows.filter(({ verdict }) => verdict === 'drop'), ...dropped] : rows;
  const pages = Math.max(1, Math.ceil(all.length / PAGE));
  const page = Math.min(wanted, pages - 1);
  const shown = all.slice(page * PAGE, (page + 1) * PAGE);
  const isCapped = esp !== undefined && esp > rows.length;
  return (
    <section aria-label="Packets">
      <h2>Packets</h2>
      {isCapped && (
        <p>
          Showing the first {grouped(rows.length)} of {grouped(esp)} packets, and of those behind them{' '}
          {grouped(dropped.length)} that were dropped. The JSON lines have them all.
        </p>
      )}
      <div class="row">
        <button type="button" aria-disabled={page === 0} onClick={() => setPage(Math.max(0, page - 1))}>
          ← Earlier
        </button>
        <span aria-live="polite">
          {all.length === 0
            ? 'none'
            : `${grouped(page * PAGE + 1)} to ${grouped(page * PAGE + shown.length)} of ${grouped(all.length)}`}
        </span>
        <button
          type="button"
          aria-disabled={page === pages - 1}
          onClick={() => setPage(Math.min(pages - 1, page + 1))}
        >
          Later →
        </button>
        {isOpen && (
          <label>
            <input
              type="checkbox"
              checked={isFiltered}
              onChange={(event) => {
                setFiltered(event.currentTarget.checked);
                setPage(0);
              }}
            />{' '}
            only dropped ones
          </label>
        )}
      </div>
      <div class="own-scroll" role="region" aria-label="Table of packets" tabIndex={0}>
        <table class="own-packets">
          <TableHead
            titles={['Frame', 'Time', 'From', 'To', 'SPI', 'Number', 'Verdict', 'Inside, or why not']}
          />
          <tbody>
            {shown.map((row, i) => (
              <tr key={`${row.frame} ${i}`} class={row.frame === current ? 'current' : undefined}>
                <td class="number">
                  <button
                    type="button"
                    aria-label={`Explain frame ${row.frame}`}
                    aria-pressed={row.frame === current}
                    onClick={() => onFrame(row.frame)}
                  >
                    {row.frame}
                  </button>
                </td>
                <td class="number">{row.time ?? ''}</td>
                <td>{row.src}</td>
                <td>{row.dst}</td>
                <td>{row.spi === null ? 'none' : `0x${row.spi.toString(16)}`}</td>
                <td class="number">{row.seq ?? ''}</td>
                <td class={row.verdict}>{VERDICTS[row.verdict]}</td>
                <td>{insideOf(row)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

/** A sign beside the colour. */
const VERDICTS: Readonly<Record<OwnRow['verdict'], string>> = {
  ok: '✓ ok',
  drop: '✗ drop',
  closed: 'closed',
};

function insideOf({ inner, reason, counter, overlay, carrier }: OwnRow): string {
  const carried = carrier === null ? '' : ` (came in VXLAN ${carrier})`;
  if (inner !== null) return `${inner}${overlay === null ? '' : ` (VXLAN ${overlay})`}${carried}`;
  return `${reason ?? ''}${counter === null ? '' : ` (${counter})`}${carried}`;
}
