/**
 * What a node drops, by the node at the other end: the kernel has one figure for all of them. Only drops come here, and
 * counting one allocates nothing once its peer is known.
 * @module
 */
import { dropRow } from '../ipsec/drop.ts';

/** Verdicts are bytes. */
const VERDICTS = 256;
/** Drops whose peer is not known, and those of peers that are gone. */
const UNKNOWN = '';

export type DropDirection = 'in' | 'out';

/** Drops of one kind at one node. */
export interface PeerDropReport {
  /** The node at the other end; null where it is not known, and for those that are gone. */
  readonly peer: string | null;
  readonly direction: DropDirection;
  readonly reason: string;
  /** Row of `/proc/net/xfrm_stat`; null for drops outside xfrm. */
  readonly counter: string | null;
  readonly count: number;
}

type Counts = Readonly<Record<DropDirection, Float64Array>>;

export class PeerDropCounters {
  readonly #byPeer = new Map<string, Counts>();

  /** Counts a packet with this verdict. @param peer `undefined` where it is not known */
  count(peer: string | undefined, direction: DropDirection, verdict: number): void {
    this.#of(peer ?? UNKNOWN)[direction][verdict]!++;
  }

  /** Forgets the names of all other peers. Their drops go on counting without a name, so that sums never fall. */
  keep(peers: ReadonlySet<string>): void {
    for (const [peer, counts] of this.#byPeer) {
      if (peer === UNKNOWN || peers.has(peer)) continue;
      const rest = this.#of(UNKNOWN);
      for (const direction of ['in', 'out'] as const)
        counts[direction].forEach((count, verdict) => {
          rest[direction][verdict]! += count;
        });
      this.#byPeer.delete(peer);
    }
  }

  /** What is not 0. */
  report(): PeerDropReport[] {
    const drops: PeerDropReport[] = [];
    for (const [peer, counts] of this.#byPeer)
      for (const direction of ['in', 'out'] as const)
        counts[direction].forEach((count, verdict) => {
          const row = dropRow(verdict);
          if (count > 0 && row)
            drops.push({
              peer: peer === UNKNOWN ? null : peer,
              direction,
              reason: row.reason,
              counter: row.counter,
              count,
            });
        });
    return drops;
  }

  #of(peer: string): Counts {
    let counts = this.#byPeer.get(peer);
    if (!counts) {
      counts = { in: new Float64Array(VERDICTS), out: new Float64Array(VERDICTS) };
      this.#byPeer.set(peer, counts);
    }
    return counts;
  }
}
