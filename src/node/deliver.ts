/**
 * Hands out the packets of one batch, each to the link that it goes to, without copying them: a node's to its
 * pods, a switch's to its ports.
 * @module
 */
import type { Link } from '../link/link.ts';
import { type Batch, PASS } from '../wire/packet.ts';
import { TAKEN } from './verdict.ts';

/** Where packets go. */
export interface Outlet {
  readonly name: string;
  readonly link: Link;
  /** Whether the host that the node runs on is behind it: it drops what bears an address of its own. */
  readonly isHost?: boolean;
  /** Packets that the link took. */
  delivered: number;
  /** Packets that it did not take. */
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
   * Sends every packet `i` to `outlets[to[i]]`, in order; -1 stays. The caller has decided which packets go:
   * their verdicts do not count here, and are as before when it returns.
   * @returns how many packets the links took
   */
  run(batch: Batch, to: Int32Array, outlets: readonly (Outlet | undefined)[]): number {
    const { count, verdict } = batch;
    let delivered = 0;
    let first = 0;
    while (first < count && to[first]! < 0) first++;
    if (first === count) return 0;
    // A link sends what has passed, so its own packets pass and no others.
    for (let i = 0; i < count; i++) this.#verdicts[i] = verdict[i]!;
    verdict.fill(TAKEN, 0, count);
    for (let i = first; i < count; i++) {
      const outlet = to[i]!;
      if (outlet < 0 || isEarlier(to, first, i)) continue;
      let offered = 0;
      for (let k = i; k < count; k++) {
        if (to[k] !== outlet) continue;
        verdict[k] = PASS;
        offered++;
      }
      const target = outlets[outlet];
      const taken = target?.link.send(batch) ?? 0;
      if (target) {
        target.delivered += taken;
        target.refused += offered - taken;
      }
      delivered += taken;
      for (let k = i; k < count; k++) if (to[k] === outlet) verdict[k] = TAKEN;
    }
    for (let i = 0; i < count; i++) verdict[i] = this.#verdicts[i]!;
    return delivered;
  }
}

/** Does a packet before `i` go to the same link? */
function isEarlier(to: Int32Array, from: number, i: number): boolean {
  for (let k = from; k < i; k++) if (to[k] === to[i]) return true;
  return false;
}
