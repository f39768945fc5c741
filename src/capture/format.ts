/**
 * Captures, by their first four bytes.
 * @module
 */
import { u32 } from '../base/bytes.ts';

/** pcap in both byte orders, with micro- and nanoseconds and modified, pcapng, and snoop. */
const READ = [0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1, 0xa1b2cd34, 0x34cdb2a1, 0x0a0d0d0a, 0x736e6f6f];
/** Formats whose reader says that they have to be converted: Network Monitor, two versions. */
export const NETWORK_MONITOR: readonly number[] = [0x474d4255, 0x52545353];

/** Is it a capture, of any format? */
export function isCapture(head: Uint8Array): boolean {
  if (head.length < 4) return false;
  const magic = u32(head, 0);
  return READ.includes(magic) || NETWORK_MONITOR.includes(magic);
}
