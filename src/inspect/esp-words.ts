/**
 * What became of an ESP packet, in a few words.
 * @module
 */
import { dropRow } from '../ipsec/drop.ts';
import type { EspEvent } from './esp-event.ts';

/** `ok`, `drop` or `unopened`: a field of `decrypt --json`. */
export function verdictName({ verdict, isUnopened }: EspEvent): 'ok' | 'drop' | 'unopened' {
  if (verdict === 0) return 'ok';
  return isUnopened ? 'unopened' : 'drop';
}

/** `dropped: bad-icv (XfrmInStateProtoError)`, or `not opened: bad-icv`, of a packet that did not pass. */
export function dropText({ verdict, isUnopened, openedBy }: EspEvent): string {
  const row = dropRow(verdict)!;
  if (isUnopened) return `not opened: ${row.reason}`;
  const by = openedBy ? `, opens with ${openedBy.origin}` : '';
  return `dropped: ${row.reason} (${row.counter ?? row.elsewhere}${by})`;
}
