/**
 * What is wrong, why, and what the receiving kernels count.
 * @module
 */
import { grouped } from '../../../base/count-text.ts';
import { countersHead } from '../../../inspect/diagnose/conclusion.ts';
import { encryptionText } from '../../../inspect/diagnose/encryption.ts';
import type { Diagnosis, Finding } from '../../../inspect/diagnose/finding.ts';
import { TableHead } from '../../parts/table-head.tsx';

/** Frames of a finding that are named, and streams in the table. */
const MOST_FRAMES = 8;
const MOST_STREAMS = 20;

interface DiagnosisProps {
  readonly diagnosis: Diagnosis;
  readonly onFrame: (frame: number) => void;
}

export function DiagnosisView({ diagnosis, onFrame }: DiagnosisProps) {
  const { conclusion, encryption, receivers, streams, findings, notes } = diagnosis;
  const isClean = conclusion.code === 'clean' && conclusion.basis === 'told';
  const sorted = [...streams].sort((a, b) => b.packets - b.ok - (a.packets - a.ok));
  return (
    <section aria-label="Diagnosis">
      <h2>Diagnosis</h2>
      {conclusion.summary !== '' && <p class={isClean ? 'notice good' : 'notice'}>{conclusion.summary}</p>}
      {encryption && <p class="notice">{encryptionText(encryption)}.</p>}
      {[...findings, ...notes].map((finding, i) => (
        <FindingCard key={`${i} ${finding.code}`} finding={finding} onFrame={onFrame} />
      ))}
      <h3>
        {countersHead(receivers)} <small>(/proc/net/xfrm_stat)</small>
      </h3>
      <dl class="facts own-counters">
        {receivers.map(({ node, address, judged, counters }) => (
          <div key={address}>
            <dt>{node === null ? address : `${node} (${address})`}</dt>
            <dd>
              {Object.entries(counters)
                .map(([counter, n]) => `${counter} ${grouped(n)}`)
                .join(', ') || (judged > 0 ? 'nothing' : 'not known')}
            </dd>
          </div>
        ))}
      </dl>
      <h3>Streams</h3>
      <div class="own-scroll" role="region" aria-label="Streams" tabIndex={0}>
        <table>
          <TableHead
            titles={['From', 'To', 'SPI', 'Packets', 'Ok', 'First', 'Last', 'Missing', 'Twice', 'Late']}
          />
          <tbody>
            {sorted.slice(0, MOST_STREAMS).map((s) => (
              <tr key={`${s.src} ${s.dst} ${s.spi}`}>
                <td>{s.src}</td>
                <td>{s.dst}</td>
                <td>0x{s.spi.toString(16)}</td>
                <td class="number">{grouped(s.packets)}</td>
                <td class="number">{grouped(s.ok)}</td>
                <td class="number">{s.seqFirst ?? ''}</td>
                <td class="number">{s.seqLast ?? ''}</td>
                <td class="number">{numberText(s.missing)}</td>
                <td class="number">{numberText(s.duplicates)}</td>
                <td class="number">{numberText(s.late)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {streams.length > MOST_STREAMS && (
        <p>And {grouped(streams.length - MOST_STREAMS)} more, with fewer drops.</p>
      )}
    </section>
  );
}

function numberText(n: number | null): string {
  return n === null ? '-' : grouped(n);
}

function FindingCard({ finding, onFrame }: { finding: Finding; onFrame: (frame: number) => void }) {
  const { code, severity, summary, frames, remedy } = finding;
  return (
    <article class={`card finding ${severity}`} aria-label={code}>
      <h3>
        {code} <small>{severity}</small>
      </h3>
      <p>{summary}</p>
      <p>To do: {remedy}</p>
      {frames.length > 0 && (
        <p class="row">
          Frames{' '}
          {frames.slice(0, MOST_FRAMES).map((frame) => (
            <button
              key={frame}
              type="button"
              aria-label={`Explain frame ${frame}`}
              onClick={() => onFrame(frame)}
            >
              {frame}
            </button>
          ))}
          {frames.length > MOST_FRAMES && '…'}
        </p>
      )}
    </article>
  );
}
