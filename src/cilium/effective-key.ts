/**
 * Which key two nodes use between them while they may not yet, or no longer, have the same ones.
 * @module
 */
import { MAX_KEY_ID } from './keys.ts';

/**
 * The key id that a node takes for a peer (Cilium `get_min_encrypt_key`): the older of the two that they use, because
 * both ends have that one.
 *
 * It holds for ids that are one step apart: an operator rotates again only when the first rotation has come everywhere.
 * @param local what this node sends with, 0 to 15
 * @param peer what the peer says it has, 0 to 15
 * @returns 0 when one of them has none
 */
export function effectiveKeyId(local: number, peer: number): number {
  // After 15 comes 1, which is then the newer one.
  if (peer === MAX_KEY_ID) return local === 1 ? MAX_KEY_ID : local;
  if (local === MAX_KEY_ID) return peer === 1 ? MAX_KEY_ID : peer;
  return Math.min(local, peer);
}
