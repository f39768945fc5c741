/**
 * What came to the receiver of a window run, for a capture file: in the order in which it came, replays and forged
 * packets as they were.
 * @module
 */
import { LINK_RAW } from '../../wire/link-type.ts';
import type { PageFrame } from '../packets/page-packet.ts';
import type { WindowRun } from './window.ts';

/** A packet a millisecond, from the first of January 2026 on. */
const FIRST_SECOND = Date.UTC(2026, 0, 1) / 1000;

export function arrivedFrames(run: WindowRun): PageFrame[] {
  return run.events
    .filter(({ guess }) => guess !== undefined)
    .map(({ packet }, i) => ({
      bytes: packet!.bytes,
      info: {
        number: i + 1,
        seconds: FIRST_SECOND + Math.floor(i / 1000),
        nanoseconds: (i % 1000) * 1_000_000,
        hasTime: true,
        interfaceId: 0,
        linkType: LINK_RAW,
        originalLength: packet!.bytes.length,
        byte: 0,
      },
    }));
}
