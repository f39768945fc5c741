/**
 * What the bytes are that the reader points at.
 * @module
 */
import type { NamedPart } from '../../model/pieces.ts';
import { Reference } from '../../parts/reference.tsx';

export function PartCard({ part }: { readonly part: NamedPart }) {
  const { id, layer, label, at, end, text, meaning, reference } = part;
  return (
    <article class="card way-card" aria-label={label}>
      <h3>
        {label} {layer !== label && <small>{layer}</small>}
      </h3>
      <p>
        <output>{text}</output>
      </p>
      <p>{meaning}</p>
      <p>
        <small>
          {at === end - 1 ? `byte ${at}` : `bytes ${at} to ${end - 1}`} · <code>{id}</code>
          {reference !== '' && ' · '}
        </small>
        <Reference text={reference} />
      </p>
    </article>
  );
}
