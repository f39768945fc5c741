/**
 * All there is to say about one field.
 * @module
 */
import type { Protection } from '../../../inspect/explain/tree.ts';
import type { Place } from '../../model/places.ts';
import { Reference } from '../../parts/reference.tsx';
import { SaFacts } from '../../parts/sa-facts.tsx';

/** What ESP does for a field, in words. */
const PROTECTED: Readonly<Record<Protection, string>> = {
  none: 'Neither encrypted nor authenticated.',
  authenticated: 'Authenticated, not encrypted: everybody can read it, and nobody can change it unseen.',
  encrypted: 'Encrypted, not authenticated.',
  both: 'Encrypted and authenticated.',
  unknown: 'Only the SA could say.',
};

export function FieldCard({ place }: { readonly place: Place }) {
  const { field, at, end } = place;
  return (
    <article class="card" aria-label={field.label}>
      <h3>{field.label}</h3>
      <p>{field.meaning}</p>
      <dl class="facts">
        {field.text !== '' && (
          <>
            <dt>Value</dt>
            <dd>
              <output>{field.text}</output>
            </dd>
          </>
        )}
        {field.problem !== undefined && (
          <>
            <dt>Problem</dt>
            <dd>{field.problem}</dd>
          </>
        )}
        <dt>Bytes</dt>
        <dd>
          {at === end - 1 ? at : `${at} to ${end - 1}`}
          {field.bits && `, ${field.bits[1]} of its bits`}
        </dd>
        {(field.children.length === 0 || field.children[0]!.bits) && (
          <>
            <dt>Protection</dt>
            <dd>{PROTECTED[field.protection]}</dd>
          </>
        )}
        <dt>Wireshark</dt>
        <dd>
          <code>{field.id}</code>
        </dd>
        <dt>Read on</dt>
        <dd>
          <Reference text={field.reference} />
        </dd>
      </dl>
      {field.security && (
        <dl class="facts">
          <SaFacts security={field.security} />
        </dl>
      )}
    </article>
  );
}
