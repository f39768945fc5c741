/**
 * Capture files for tests, written by esplane's own writer.
 * @module
 */
import { PcapWriter } from '../../src/capture/pcap-writer.ts';

/** A pcap file of these frames, a second apart; `late` nanoseconds later than it would be. */
export function pcapOf(frames: readonly (Uint8Array | undefined)[], linkType: number, late = 0): Uint8Array {
  const parts: Uint8Array[] = [];
  const writer = new PcapWriter((bytes) => parts.push(bytes), { linkType });
  for (const [i, frame] of frames.entries()) {
    // Nothing came in that second.
    if (!frame) continue;
    const meta = {
      seconds: 1_700_000_000 + i,
      nanoseconds: late,
      interfaceId: 0,
      originalLength: frame.length,
    };
    writer.frame(frame, 0, frame.length, meta);
  }
  writer.flush();
  return Buffer.concat(parts);
}
