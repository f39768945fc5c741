/**
 * What Hubble says was dropped for the sake of encryption.
 * @module
 */
import { count } from '../../../base/count-text.ts';
import type { Finding } from '../../diagnose/finding.ts';
import type { FindingCode } from '../../diagnose/table.ts';
import { type ClusterCase, clusterFinding, firstOf } from '../case.ts';
import type { DropName } from '../drops.ts';

const SAID: Readonly<Record<DropName, { readonly code: FindingCode; readonly what: string }>> = {
  UNENCRYPTED_TRAFFIC: {
    code: 'unencrypted-dropped',
    what: 'in the clear, as strict mode asks for',
  },
  NO_NODE_ID: {
    code: 'no-node-id',
    what: 'as it has no id for the node at the other end, so that no mark leads to a state',
  },
};

export function flowDrops({ drops }: Pick<ClusterCase, 'drops'>): Finding[] {
  const sorted = [...drops].sort((a, b) => b.count - a.count);
  return firstOf(
    sorted.map(({ node, reason, count: n, src, dst, first, last, source }) => {
      const { code, what } = SAID[reason];
      const when = first === '' ? '' : first === last ? `, at ${first}` : `, from ${first} to ${last}`;
      const ends = src === '' || dst === '' ? '' : `; one of them ${src} > ${dst}`;
      const finding = clusterFinding(
        code,
        `${node === '' ? 'A node' : node} dropped ${count(n, 'packet')} ${what} (Hubble: ${reason}${when})${ends}.`,
        { node: node === '' ? null : node, count: n, evidence: [source] },
      );
      return { ...finding, firstTime: epochOf(first), lastTime: epochOf(last) };
    }),
  );
}

/** Seconds since 1970. @param time ISO 8601, or empty */
function epochOf(time: string): string | null {
  return time === '' ? null : (Date.parse(time) / 1000).toFixed(6);
}
