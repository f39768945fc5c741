/**
 * Bytes in labelled cells, row under row, every byte as wide as the next: so that what is XORed or joined stands in one
 * column.
 * @module
 */
import type { Row } from '../../model/way-facts.ts';

export function ByteRows({ rows }: { readonly rows: readonly Row[] }) {
  return (
    <div class="byte-rows">
      {rows.map(({ label, indent = 0, cells }) => (
        <div key={label} class="byte-row">
          <p>{label}</p>
          <div>
            {indent > 0 && <span style={{ '--bytes': indent }} />}
            {cells.map((cell) => (
              <span key={cell.label} class={`cell ${cell.kind}`} style={{ '--bytes': cell.hex.length / 2 }}>
                <code>{cell.hex.replace(/(..)(?=.)/g, '$1 ')}</code>
                <small>{cell.label}</small>
              </span>
            ))}
          </div>
        </div>
      ))}
    </div>
  );
}
