/**
 * Capture files for tests, written by esplane's own writer.
 * @module
 */
import type { FrameInfo, FrameSink } from '../../src/capture/frame.ts';
import { PcapWriter } from '../../src/capture/pcap-writer.ts';
import { LINK_RAW } from '../../src/wire/link-type.ts';

/** Times lie here, as those of real captures do: in seconds since 1970. */
export const START = 1_700_000_000;

/** What a reader tells of a frame that came `seconds` after {@link START}, to the microsecond. */
export function frameInfo(number: number, seconds: number, b: Uint8Array, linkType = LINK_RAW): FrameInfo {
  const micros = Math.round(seconds * 1e6);
  return {
    number,
    seconds: START + Math.floor(micros / 1e6),
    nanoseconds: (((micros % 1e6) + 1e6) % 1e6) * 1000,
    hasTime: true,
    interfaceId: 0,
    linkType,
    originalLength: b.length,
    byte: 0,
  };
}

/** Hands a raw IP packet to a sink as a frame of a capture. */
export function feedPacket(sink: FrameSink, number: number, seconds: number, packet: Uint8Array): void {
  sink.frame(packet, 0, packet.length, frameInfo(number, seconds, packet));
}

/** A pcap file of these frames, a second apart; `late` nanoseconds later than it would be. */
export function pcapOf(frames: readonly (Uint8Array | undefined)[], linkType: number, late = 0): Uint8Array {
  const parts: Uint8Array[] = [];
  const writer = new PcapWriter((bytes) => parts.push(bytes), { linkType });
  for (const [i, frame] of frames.entries()) {
    // Nothing came in that second.
    if (!frame) continue;
    const meta = {
      seconds: START + i,
      nanoseconds: late,
      interfaceId: 0,
      originalLength: frame.length,
    };
    writer.frame(frame, 0, frame.length, meta);
  }
  writer.flush();
  return Buffer.concat(parts);
}
