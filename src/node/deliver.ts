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
  /** Packets that the link took. */
  delivered: number;
  /** Packets that it did not take. */
  refused: number;
}

/**
 * Sends every packet that goes to a port (`batch.next`) to the outlet of this number, in order.
 * @returns how many packets the links took
 */
export function deliver(batch: Batch, outlets: readonly (Outlet | undefined)[]): number {
  const { count, next } = batch;
  let delivered = 0;
  for (let i = 0; i < count; i++) {
    const port = next[i]!;
    if (port < 0 || isEarlier(next, i)) continue;
    const outlet = outlets[port];
    if (!outlet) continue;
    let offered = 0;
    for (let k = i; k < count; k++) if (next[k] === port) offered++;
    const taken = outlet.link.send(batch, port);
    outlet.delivered += taken;
    outlet.refused += offered - taken;
    delivered += taken;
  }
  return delivered;
}

/** Does a packet before `i` go to the same port? */
function isEarlier(next: Int32Array, i: number): boolean {
  for (let k = 0; k < i; k++) if (next[k] === next[i]) return true;
  return false;
}
