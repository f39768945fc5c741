import { describe, expect, it } from 'vitest';
import { EsplaneError } from '../../src/base/errors.ts';
import { PcapWriter } from '../../src/capture/pcap-writer.ts';
import { captureReader } from '../../src/capture/reader.ts';
import { bytes, counting, frames, pcapHeader, pcapRecord, readAll, Sink } from './made.ts';

const META = { seconds: 1_795_394_867, nanoseconds: 120_034_567, interfaceId: 0, originalLength: 1500 };

describe('PcapWriter', () => {
  it.each([
    ['us', 0xa1b2c3d4, 120_034],
    ['ns', 0xa1b23c4d, 120_034_567],
  ] as const)('writes %s, little-endian', (resolution, magic, fraction) => {
    const sink = new Sink();
    const writer = new PcapWriter(sink.write, { linkType: 101, resolution });
    const room = bytes(0xa5, counting(5), 0xa5);
    writer.frame(room, 1, 6, META);
    writer.frame(room, 1, 1, { ...META, seconds: 0xffff_ffff, nanoseconds: 0, originalLength: 0 });
    writer.flush();
    expect(sink.file).toEqual(
      bytes(
        pcapHeader('little', { magic, snap: 262_144, link: 101 }),
        pcapRecord('little', META.seconds, fraction, counting(5), 1500),
        pcapRecord('little', 0xffff_ffff, 0, counting(0)),
      ),
    );
  });

  it('makes a file without frames', () => {
    const sink = new Sink();
    new PcapWriter(sink.write, { linkType: 1 }).flush();
    expect(readAll(sink.file)).toEqual([{ interface: { linkType: 1, snapLength: 262_144 } }]);
  });

  it('writes times that do not fit as the nearest that do', () => {
    const sink = new Sink();
    const writer = new PcapWriter(sink.write, { linkType: 1 });
    for (const seconds of [-1, 2 ** 32]) writer.frame(counting(1), 0, 1, { ...META, seconds });
    writer.flush();
    expect(frames(sink.file).map((f) => f.seconds)).toEqual([0, 2 ** 32 - 1]);
  });

  it('cuts a frame to the snap length, which readers insist on', () => {
    const sink = new Sink();
    const writer = new PcapWriter(sink.write, { linkType: 1 });
    writer.frame(new Uint8Array(300_000), 0, 300_000, { ...META, originalLength: 300_000 });
    writer.flush();
    const [frame] = frames(sink.file);
    expect([frame?.originalLength, frame?.frame.length]).toEqual([300_000, 2 * 262_144]);
  });

  it('is a sink for a reader, and refuses interfaces of another link type', () => {
    const sink = new Sink();
    const writer = new PcapWriter(sink.write, { linkType: 1, resolution: 'us' });
    const file = bytes(pcapHeader('big'), pcapRecord('big', 7, 8, counting(9), 60));
    const reader = captureReader('made', writer);
    reader.feed(file);
    reader.end();
    writer.flush();
    expect(frames(sink.file)).toEqual(frames(file));
    const other = captureReader('made', writer);
    expect(() => other.feed(pcapHeader('big', { link: 113 }))).toThrow(EsplaneError);
  });
});
