/**
 * What the SA does for a packet, in the words of `esplane explain`: terms and their descriptions, for a list of facts.
 * @module
 */
import type { EspSecurity } from '../../inspect/explain/security.ts';
import { HIDDEN_KEY } from '../../sa-text/show-keys.ts';

export function SaFacts({ security }: { readonly security: EspSecurity }) {
  const { lookup, sequence, window, nonce, aad } = security;
  return (
    <>
      <dt>SA</dt>
      <dd>{lookup}</dd>
      {sequence && (
        <>
          <dt>Number</dt>
          <dd>
            <output>{sequence.full}</output>. {sequence.how}
          </dd>
        </>
      )}
      {window && (
        <>
          <dt>Window</dt>
          <dd>{window.how}</dd>
        </>
      )}
      {nonce && (
        <>
          <dt>Nonce</dt>
          <dd>
            salt {nonce.salt === HIDDEN_KEY ? '(not shown)' : <output>{nonce.salt}</output>} ‖ IV{' '}
            <output>{nonce.iv}</output>
          </dd>
        </>
      )}
      {aad && (
        <>
          <dt>AAD</dt>
          <dd>
            {aad.parts.map(({ label, bytes }, i) => (
              <span key={label}>
                {i > 0 && ' ‖ '}
                {label} <output>{bytes}</output>
              </span>
            ))}
          </dd>
        </>
      )}
    </>
  );
}
