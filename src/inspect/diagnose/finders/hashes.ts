/**
 * Hashes that cilium-bugtool has put in the place of keys: do both ends of an SA have the same?
 * @module
 */

import { formatAddress } from '../../../wire/address.ts';
import type { Evidence, HeldSa } from '../../evidence.ts';
import { stateName } from '../case.ts';
import { streamKey } from '../stream.ts';

/** The states of both ends. */
export type BothEnds = readonly [HeldSa, HeldSa];

/** SAs of which both ends tell the hash of their key, in the order of the texts. */
export function bothEnds(evidence: Evidence): BothEnds[] {
  const byName = new Map<string, HeldSa[]>();
  for (const state of evidence.states) {
    if (state.sa.keyHash === undefined || state.holder === undefined) continue;
    const name = stateName(state.sa);
    const same = byName.get(name);
    if (same) same.push(state);
    else byName.set(name, [state]);
  }
  return [...byName.values()].flatMap(([one, ...rest]) => {
    const other = rest.find(({ holder }) => !evidence.isSameNode(holder!, one!.holder!));
    return other ? [[one!, other] as const] : [];
  });
}

export function haveSameHash([one, other]: BothEnds): boolean {
  return one.sa.keyHash === other.sa.keyHash;
}

/** The name of the stream that goes under an SA. */
export function streamOf([{ sa }]: BothEnds): string {
  return streamKey(formatAddress(sa.src), formatAddress(sa.dst), sa.spi);
}

/** Says that two ends have different keys. */
export function differentText(ends: BothEnds, evidence: Evidence): string {
  const [a, b] = ends.map(({ holder, file }) => `${evidence.nameOf(holder!)} (${file})`);
  return `the kernels of ${a} and ${b} hold different keys: their texts have different hashes in the place of the key`;
}

export function originsOf(ends: BothEnds): string[] {
  return ends.map(({ sa }) => sa.origin);
}
