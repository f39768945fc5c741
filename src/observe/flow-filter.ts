/**
 * Which flows are wanted: the cheap filters of `hubble observe`. Flows that no filter wants are never written down.
 * @module
 */
import { inPrefix, type Prefix } from '../wire/address.ts';
import { AT, type FlowRows, HAS, POINT } from './flow-rows.ts';

/** All that is given must hold; of several prefixes, one. */
export interface FlowFilter {
  readonly encrypted?: boolean;
  readonly verdict?: 'FORWARDED' | 'DROPPED';
  readonly from?: readonly Prefix[];
  readonly to?: readonly Prefix[];
}

/** Is the row at `rowAt` wanted? */
export function isWanted(filter: FlowFilter, { view, bytes }: FlowRows, rowAt: number): boolean {
  const { encrypted, verdict, from, to } = filter;
  const has = view.getUint16(rowAt + AT.HAS);
  if (encrypted !== undefined && encrypted !== ((has & HAS.ENCRYPTED) !== 0)) return false;
  if (verdict !== undefined && (verdict === 'DROPPED') !== (bytes[rowAt + AT.POINT] === POINT.DROP))
    return false;
  const len = (has & HAS.IP) === 0 ? 0 : (has & HAS.IPV6) === 0 ? 4 : 16;
  return isIn(from, bytes, rowAt + AT.SRC, len) && isIn(to, bytes, rowAt + AT.DST, len);
}

function isIn(prefixes: readonly Prefix[] | undefined, b: Uint8Array, at: number, len: number): boolean {
  if (!prefixes || prefixes.length === 0) return true;
  if (len === 0) return false;
  for (let k = 0; k < prefixes.length; k++) if (inPrefix(prefixes[k]!, b, at, len)) return true;
  return false;
}
