import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/base/clock.ts';
import { PcapngWriter } from '../../src/capture/pcapng-writer.ts';
import { captureReader } from '../../src/capture/reader.ts';
import { type CaptureOptions, capture } from '../../src/link/capture.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { LINK_RAW } from '../../src/wire/link-type.ts';
import { batchOf, numbered, numberOf } from '../support/frames.ts';

/** Sends 1 and 2 at 1000.25 ms, receives 3 at 2000 ms, sends 4 into a full queue. Returns what was recorded. */
function recorded(options?: CaptureOptions) {
  const clock = new VirtualClock(1000.25);
  const { a, b } = memoryPair(clock, { queue: 2 });
  const chunks: Uint8Array[] = [];
  const file = new PcapngWriter((bytes) => chunks.push(bytes));
  file.interface({ linkType: LINK_RAW, snapLength: 0, name: 'other' });
  file.interface({ linkType: LINK_RAW, snapLength: 0, name: 'wire' });
  const link = capture(a, clock, file, options);
  link.receive(() => {});
  b.receive(() => {});
  const batch = batchOf([numbered(9), numbered(1), numbered(2), numbered(4)]);
  batch.drop(0, 3);
  expect(link.send(batch)).toBe(2);
  clock.run(2000);
  b.send(batchOf([numbered(3, 77)]));
  clock.run();
  file.flush();
  const frames: unknown[] = [];
  const reader = captureReader('test', {
    frame: (bytes, at, end, info) =>
      frames.push([
        numberOf(bytes.subarray(at, end)),
        end - at,
        info.originalLength,
        info.seconds,
        info.nanoseconds,
        info.interfaceId,
      ]),
  });
  for (const chunk of chunks) reader.feed(chunk);
  reader.end();
  return frames;
}

const SENT = [
  [1, 60, 60, 1, 250_000, 1],
  [2, 60, 60, 1, 250_000, 1],
];
const RECEIVED = [[3, 77, 77, 2, 0, 1]];

describe('capture', () => {
  it('records both directions with the time of its clock; what was not taken is not recorded', () => {
    expect(recorded({ interfaceId: 1 })).toEqual([...SENT, ...RECEIVED]);
  });

  it('records one direction alone', () => {
    expect(recorded({ interfaceId: 1, only: 'sent' })).toEqual(SENT);
    expect(recorded({ interfaceId: 1, only: 'received' })).toEqual(RECEIVED);
  });

  it('records a received frame before its receiver changes it', () => {
    const clock = new VirtualClock();
    const { a, b } = memoryPair(clock);
    const seen: number[] = [];
    const link = capture(a, clock, { frame: (bytes, at) => seen.push(bytes[at]!) });
    link.receive((batch) => batch.view(0).fill(0));
    b.send(batchOf([numbered(1)]));
    clock.run();
    expect(seen).toEqual([0x45]);
  });
});
