/**
 * The last step to a pod: packets of one batch, each to the link of its pod, without copying them.
 * @module
 */
import type { Link } from '../link/link.ts';
import { type Batch, PASS } from '../wire/packet.ts';
import { TAKEN } from './verdict.ts';

/** A pod on this node. */
export interface Pod {
  readonly name: string;
  /** The node's end of the link to it. */
  readonly link: Link;
  /** Packets that its link took. */
  delivered: number;
  /** Packets that its link did not take. */
  refused: number;
}

export class Deliverer {
  /** The verdicts of a batch while its packets are handed out. */
  readonly #verdicts: Uint8Array;

  /** @param capacity packets in the largest batch */
  constructor(capacity: number) {
    this.#verdicts = new Uint8Array(capacity);
  }

  /**
   * Sends every packet to the pod that `pod` names by index, in order; -1 stays. Verdicts are as before when it
   * returns.
   * @returns how many packets the pods' links took
   */
  run(batch: Batch, pod: Int32Array, pods: readonly (Pod | undefined)[]): number {
    const { count, verdict } = batch;
    let delivered = 0;
    let first = 0;
    while (first < count && pod[first]! < 0) first++;
    if (first === count) return 0;
    // A link sends what has passed, so its own packets pass and no others.
    this.#verdicts.set(verdict);
    verdict.fill(TAKEN, 0, count);
    for (let i = first; i < count; i++) {
      const to = pod[i]!;
      if (to < 0 || isEarlier(pod, first, i)) continue;
      let offered = 0;
      for (let k = i; k < count; k++) {
        if (pod[k] !== to) continue;
        verdict[k] = PASS;
        offered++;
      }
      const target = pods[to];
      const taken = target?.link.send(batch) ?? 0;
      if (target) {
        target.delivered += taken;
        target.refused += offered - taken;
      }
      delivered += taken;
      for (let k = i; k < count; k++) if (pod[k] === to) verdict[k] = TAKEN;
    }
    for (let i = 0; i < count; i++) verdict[i] = this.#verdicts[i]!;
    return delivered;
  }
}

/** Has a packet before `i` the same pod? */
function isEarlier(pod: Int32Array, from: number, i: number): boolean {
  for (let k = from; k < i; k++) if (pod[k] === pod[i]) return true;
  return false;
}
