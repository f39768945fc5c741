/**
 * Several observers of one node as one.
 * @module
 */
import type { NodeObserver } from './node.ts';

const STAGES = ['intercepted', 'leaving', 'admitted', 'takenOut', 'decrypted', 'answered'] as const;

/** Tells each of them everything, in order. */
export function observers(...all: readonly NodeObserver[]): NodeObserver {
  const tell = (stage: (typeof STAGES)[number]): NodeObserver[typeof stage] => {
    return (node, batch) => {
      for (const one of all) one[stage]?.(node, batch);
    };
  };
  return Object.fromEntries(STAGES.map((stage) => [stage, tell(stage)]));
}
