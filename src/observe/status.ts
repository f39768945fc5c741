/**
 * What `cilium-dbg encrypt status` prints about a node (`cilium-dbg/cmd/encrypt_status.go`), as text and as JSON.
 *
 * As there, `Max Seq. Number` is the low word of the highest `oseq` of the states with reqid 1, whatever the high half is,
 * and its denominator is 2^32-1 up to 1.18 and 2^64-1 from 1.19 on. Errors come in the kernel's order; in Cilium they
 * come in no order at all.
 *
 * Cilium's other modes (Disabled, Wireguard, Ztunnel) cannot be: where IPsec is off, or not alone, a node does not start.
 * @module
 */
import { safeText } from '../base/safe-text.ts';
import { type CiliumVersion, isAtLeast } from '../cilium/version.ts';
import type { NodeStats, SaReport } from '../node/stats.ts';
import { XFRM_COUNTERS } from './xfrm-counters.ts';

/** Cilium's states, as opposed to those of others. */
const REQID = 1;
/** Columns that values are padded to. */
const COLUMNS = 26;

/** `models.EncryptionStatus`: what `-o json` prints. As in Go's JSON a count of 0 is left out. */
export interface EncryptionStatus {
  readonly ipsec?: {
    readonly 'decrypt-interfaces': readonly string[];
    readonly 'error-count'?: number;
    readonly 'keys-in-use'?: number;
    readonly 'max-seq-number': string;
    readonly 'xfrm-errors'?: Readonly<Record<string, number>>;
  };
  readonly mode: 'IPsec';
}

/** Of a node's figures those that count here. */
export type StatusFigures = Pick<NodeStats, 'keys' | 'xfrm'> & {
  readonly sas: readonly (Partial<Pick<SaReport, 'direction'>> & Pick<SaReport, 'reqid' | 'seqLo'>)[];
};

/**
 * @param interfaces that ESP comes in by
 * @param version whose output
 */
export function encryptionStatus(
  { sas, xfrm, keys }: StatusFigures,
  interfaces: readonly string[],
  version: CiliumVersion,
): EncryptionStatus {
  // From 1.19 on nothing is said about IPsec where there is no key.
  if (keys === 0 && isAtLeast(version, 19)) return { mode: 'IPsec' };
  const errors = XFRM_COUNTERS.flatMap(({ counter }): [string, number][] =>
    xfrm[counter] ? [[counter, xfrm[counter]]] : [],
  );
  const count = errors.reduce((sum, [, value]) => sum + value, 0);
  return {
    ipsec: {
      'decrypt-interfaces': interfaces,
      ...(count > 0 && { 'error-count': count }),
      ...(keys > 0 && { 'keys-in-use': keys }),
      'max-seq-number': maxSeqNumber(sas, version),
      ...(count > 0 && { 'xfrm-errors': Object.fromEntries(errors) }),
    },
    mode: 'IPsec',
  };
}

/** The text, with a newline at its end. */
export function statusText({ mode, ipsec }: EncryptionStatus): string {
  const lines = [`Encryption: ${padded(mode)}`];
  if (ipsec) {
    lines.push(
      `Decryption interface(s): ${safeText(ipsec['decrypt-interfaces'].join(', '))}`,
      `Keys in use: ${padded(ipsec['keys-in-use'] ?? 0)}`,
      `Max Seq. Number: ${ipsec['max-seq-number']}`,
      `Errors: ${padded(ipsec['error-count'] ?? 0)}`,
      ...Object.entries(ipsec['xfrm-errors'] ?? {}).map(
        ([name, value]) => `\t${safeText(name)}: ${padded(value)}`,
      ),
    );
  }
  return `${lines.join('\n')}\n`;
}

/** As Go writes it: two spaces, and the keys of maps sorted. */
export function statusJson({ ipsec, mode }: EncryptionStatus): string {
  const errors = ipsec?.['xfrm-errors'];
  const sorted = errors && Object.fromEntries(Object.entries(errors).sort(([a], [b]) => (a < b ? -1 : 1)));
  const status = ipsec ? { ipsec: { ...ipsec, ...(sorted && { 'xfrm-errors': sorted }) }, mode } : { mode };
  return `${JSON.stringify(status, null, 2)}\n`;
}

function maxSeqNumber(sas: StatusFigures['sas'], version: CiliumVersion): string {
  const most = sas.reduce(
    (max, { direction, reqid, seqLo }) =>
      direction === 'out' && reqid === REQID ? Math.max(max, seqLo) : max,
    0,
  );
  if (most === 0) return 'N/A';
  return `0x${most.toString(16)}/${isAtLeast(version, 19) ? '0xffffffffffffffff' : '0xffffffff'}`;
}

function padded(value: string | number): string {
  return String(value).padEnd(COLUMNS);
}
