/**
 * What became of a capture, in a few figures.
 * @module
 */
import { grouped } from '../../../base/count-text.ts';
import type { OwnResult, OwnRow } from '../../model/own-messages.ts';
import { TableHead } from '../../parts/table-head.tsx';

interface SummaryProps {
  readonly name: string;
  readonly result: OwnResult;
  /** The first packet, as an example where none opens. */
  readonly first: OwnRow | undefined;
}

export function Summary({ name, result, first }: SummaryProps) {
  const { frames, esp, ok, hasSas, drops, beside, warnings } = result;
  return (
    <section aria-label="Summary">
      <h2>{name}</h2>
      <p role="status">
        {count(frames, 'frame')}, {count(esp, 'ESP packet')}
        {hasSas && `: ${grouped(ok)} decrypted, ${grouped(esp - ok)} dropped`}.
      </p>
      {advice(result, first) && <p class="notice">{advice(result, first)}</p>}
      {warnings.map((warning) => (
        <p key={warning} class="notice">
          {warning}.
        </p>
      ))}
      {drops.length > 0 && (
        <div class="own-scroll losses" role="region" aria-label="Drops by reason" tabIndex={0}>
          <table>
            <TableHead titles={['Dropped', 'Reason', 'Linux counts', 'Where to look']} />
            <tbody>
              {drops.map(({ reason, counter, look, count: n }) => (
                <tr key={reason}>
                  <td class="number">{grouped(n)}</td>
                  <td>{reason}</td>
                  <td>
                    <code>{counter}</code>
                  </td>
                  <td>{look}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {beside.length > 0 && (
        <p>Other frames: {beside.map(({ what, count: n }) => `${grouped(n)} ${what}`).join(', ')}.</p>
      )}
    </section>
  );
}

/** What to do where there is nothing to see. */
function advice(
  { frames, esp, ok, hasSas, drops }: OwnResult,
  first: OwnRow | undefined,
): string | undefined {
  if (frames === 0) return 'It holds no frames.';
  if (esp === 0) return 'None of its frames is ESP, so there is nothing to decrypt.';
  if (!hasSas) {
    return 'There is nothing to open ESP with yet: add keys and nodes, the text of ip xfrm state, or a line of esp_sa.';
  }
  if (ok > 0 || !first) return undefined;
  const stream = `${first.src} > ${first.dst}${first.spi === null ? '' : `, SPI 0x${first.spi.toString(16)}`}`;
  return `What you gave opens none of these packets. The first is frame ${first.frame} (${stream}): ${drops[0]!.reason === 'no-state' ? 'no SA is for these addresses and this SPI' : `${first.reason}`}.`;
}

function count(n: number, what: string): string {
  return `${grouped(n)} ${what}${n === 1 ? '' : 's'}`;
}
