/**
 * Hands out the packets of one batch, each to the link that it goes to, without copying them: a node's to its
 * pods, a switch's to its ports.
 * @module
 */
import type { Link } from '../link/link.ts';
import type { Batch } from '../wire/packet.ts';

/** Where packets go. */
export interface Outlet {
  readonly name: string;
  readonly link: Link;
  /** Whether the host that the node runs on is behind it: it drops what bears an address of its own. */
  readonly isHost?: boolean;
  /** Packets that the link took, and that it did not take. */
  delivered: number;
  refused: number;
  /** Packets of the batch at hand that have not been sent yet. */
  offered: number;
}

/**
 * Sends every packet that goes to a port (`batch.next`) to the outlet of this number, in order.
 * @returns how many packets the links took
 */
export function deliver(batch: Batch, outlets: readonly Outlet[]): number {
  const { count, next } = batch;
  for (let i = 0; i < count; i++) if (next[i]! >= 0) outlets[next[i]!]!.offered++;
  let delivered = 0;
  for (let i = 0; i < count; i++) {
    const port = next[i]!;
    if (port < 0 || outlets[port]!.offered === 0) continue;
    const outlet = outlets[port]!;
    const taken = outlet.link.send(batch, port);
    outlet.delivered += taken;
    outlet.refused += outlet.offered - taken;
    outlet.offered = 0;
    delivered += taken;
  }
  return delivered;
}
