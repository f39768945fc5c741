/**
 * Several observers of one node as one.
 * @module
 */
import type { NodeObserver } from './node.ts';

/** Tells each of them everything, in order. */
export function observers(...all: readonly NodeObserver[]): NodeObserver {
  return {
    intercepted: (node, batch) => {
      for (const one of all) one.intercepted?.(node, batch);
    },
    leaving: (node, batch) => {
      for (const one of all) one.leaving?.(node, batch);
    },
    admitted: (node, batch) => {
      for (const one of all) one.admitted?.(node, batch);
    },
    decrypted: (node, batch) => {
      for (const one of all) one.decrypted?.(node, batch);
    },
    answered: (node, batch) => {
      for (const one of all) one.answered?.(node, batch);
    },
  };
}
