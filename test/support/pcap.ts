/**
 * Capture files for tests, written by esplane's own writer.
 * @module
 */
import { PcapWriter } from '../../src/capture/pcap-writer.ts';

/** A pcap file of these frames, a second apart. */
export function pcapOf(frames: readonly Uint8Array[], linkType: number): Uint8Array {
  const parts: Uint8Array[] = [];
  const writer = new PcapWriter((bytes) => parts.push(bytes), { linkType });
  for (const [i, frame] of frames.entries()) {
    const meta = { seconds: 1_700_000_000 + i, nanoseconds: 0, interfaceId: 0, originalLength: frame.length };
    writer.frame(frame, 0, frame.length, meta);
  }
  writer.flush();
  return Buffer.concat(parts);
}
