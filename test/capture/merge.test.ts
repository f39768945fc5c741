import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/base/errors.ts';
import { unpacked } from '../../src/capture/compression.ts';
import { decompress } from '../../src/capture/decompress.ts';
import { FrameNames, fileOf, frameId, MOST_FILES, numberOf } from '../../src/capture/frame-id.ts';
import { type MergeOptions, mergeCaptures } from '../../src/capture/merge.ts';
import * as made from './made.ts';

const { bytes, counting, int, pcapHeader, pcapRecord, recorder, section, iface, packet, options, block } =
  made;

/** Gives a file in pieces, in one buffer that is used again, and counts how many are being read. */
class Files {
  open = 0;
  most = 0;
  readonly #piece: number;

  constructor(piece = 64) {
    this.#piece = piece;
  }

  file(name: string, content: Uint8Array) {
    return { name, chunks: () => this.#chunks(content) };
  }

  async *#chunks(content: Uint8Array): AsyncGenerator<Uint8Array> {
    this.most = Math.max(this.most, ++this.open);
    try {
      const buffer = new Uint8Array(this.#piece);
      for (let at = 0; at < content.length; at += this.#piece) {
        const piece = content.subarray(at, at + this.#piece);
        buffer.fill(0xa5);
        buffer.set(piece);
        yield buffer.subarray(0, piece.length);
      }
    } finally {
      this.open--;
    }
  }
}

async function merged(
  contents: readonly Uint8Array[],
  more: Partial<MergeOptions> = {},
  files = new Files(),
) {
  const events: made.Event[] = [];
  const failures: string[] = [];
  const ends: number[] = [];
  const list = contents.map((content, i) => files.file(`f${i}`, content));
  const run = mergeCaptures(list, {
    sink: recorder(events),
    onFailure: (error, file) => failures.push(`${file} ${error.message}`),
    onEnd: (file) => ends.push(file),
    ...more,
  });
  for await (const _ of run);
  expect(files.open).toBe(0);
  const frames = events.filter((event) => 'frame' in event);
  return {
    events,
    frames,
    failures,
    ends,
    order: frames.map(({ number }) => [fileOf(number), numberOf(number)]),
  };
}

/** A pcap file with frames of these times in microseconds, each of which holds `len` bytes. */
function pcap(times: readonly number[], len = 20, order: made.Order = 'little'): Uint8Array {
  const records = times.map((t, i) =>
    pcapRecord(order, Math.floor(t / 1e6), t % 1e6, counting(len + (i % 7), i)),
  );
  return bytes(pcapHeader(order), ...records);
}

describe('mergeCaptures', () => {
  it('hands on frames by time, whatever the order of the files', async () => {
    const { order, frames, ends } = await merged([pcap([20, 40]), pcap([10, 30, 50], 20, 'big'), pcap([15])]);
    expect(order).toEqual([
      [1, 1],
      [2, 1],
      [0, 1],
      [1, 2],
      [0, 2],
      [1, 3],
    ]);
    expect(frames.map(({ nanoseconds }) => nanoseconds)).toEqual([10e3, 15e3, 20e3, 30e3, 40e3, 50e3]);
    expect(frames[0]!.frame).toBe('000102030405060708090a0b0c0d0e0f10111213');
    expect(ends.sort()).toEqual([0, 1, 2]);
  });

  it('takes the file that is named first where times are equal', async () => {
    const { order } = await merged([pcap([10, 10, 20]), pcap([10, 20])]);
    expect(order.map(([file]) => file)).toEqual([0, 0, 1, 0, 1]);
  });

  it('leaves the order within a file as it is', async () => {
    const { order } = await merged([pcap([10, 8, 30]), pcap([9, 20])]);
    expect(order).toEqual([
      [1, 1],
      [0, 1],
      [0, 2],
      [1, 2],
      [0, 3],
    ]);
  });

  it('is what sorting gives, for any files in order, cut in any pieces', async () => {
    const file = fc.array(fc.nat(30), { maxLength: 30 }).map((times) => times.sort((a, b) => a - b));
    await fc.assert(
      fc.asyncProperty(
        fc.array(file, { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 16, max: 300 }),
        async (files, piece) => {
          const { order, frames } = await merged(
            files.map((times) => pcap(times)),
            {},
            new Files(piece),
          );
          const expected = files
            .flatMap((times, f) => times.map((t, i) => ({ t, f, i: i + 1 })))
            .sort((a, b) => a.t - b.t || a.f - b.f || a.i - b.i);
          expect(order).toEqual(expected.map(({ f, i }) => [f, i]));
          for (const { frame, number } of frames) {
            const i = numberOf(number) - 1;
            expect(frame).toBe(Buffer.from(counting(20 + (i % 7), i)).toString('hex'));
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('opens the files of a ring one after the other', async () => {
    const files = new Files();
    const ring = Array.from({ length: 50 }, (_, i) => pcap([i * 100, i * 100 + 50, i * 100 + 99]));
    // tcpdump -W names them by their place, and comes round.
    const { order, ends } = await merged([...ring.slice(20), ...ring.slice(0, 20)], {}, files);
    expect(order.map(([file]) => file)).toEqual(
      Array.from({ length: 150 }, (_, i) => (Math.floor(i / 3) + 30) % 50),
    );
    expect(ends).toHaveLength(50);
    expect(files.most).toBeLessThanOrEqual(2);
  });

  it('compares times with what is added to them, and hands on those of the file', async () => {
    const { order, frames } = await merged([pcap([1_500_000, 3_000_000]), pcap([2_000_000])], {
      shifts: [0, -0.75],
    });
    expect(order.map(([file]) => file)).toEqual([1, 0, 0]);
    expect(frames[0]).toMatchObject({ seconds: 2, nanoseconds: 0 });
  });

  it('numbers interfaces through, of all files and sections', async () => {
    const nano = options('little', [9, bytes(9)]);
    const ng = bytes(
      section('little'),
      iface('little', 1),
      iface('little', 113, nano),
      packet('little', 1, 10_500n, counting(16)),
      section('big'),
      iface('big', 101),
      packet('big', 0, 12n, counting(16)),
    );
    const { events, frames } = await merged([ng, pcap([11])]);
    expect(frames.map(({ linkType, interfaceId }) => [linkType, interfaceId])).toEqual([
      [113, 1],
      [1, 2],
      [101, 3],
    ]);
    expect(frames[0]).toMatchObject({ seconds: 0, nanoseconds: 10_500 });
    expect(events.filter((event) => 'section' in event)).toHaveLength(1);
    expect(events.filter((event) => 'interface' in event)).toHaveLength(4);
  });

  it('hands on comments and secrets right before the frame that they stand before', async () => {
    const dsb = block('little', 10, int('little', 4, 0x45535053), int('little', 4, 4), counting(4));
    const ng = bytes(
      section('little'),
      iface('little', 1),
      packet('little', 0, 10n, counting(16), options('little', [1, bytes(0x68, 0x69)])),
      dsb,
      packet('little', 0, 30n, counting(16)),
      dsb,
    );
    const { events } = await merged([ng, pcap([20, 40])]);
    const kinds = events.map((event) => Object.keys(event)[0]);
    expect(kinds.slice(2)).toEqual([
      'comment',
      'frame',
      'interface',
      'frame',
      'secrets',
      'frame',
      'secrets',
      'frame',
    ]);
  });

  it('puts frames without a time behind the one before them', async () => {
    const simple = block('little', 3, int('little', 4, 16), counting(16));
    const ng = bytes(
      section('little'),
      iface('little', 1),
      simple,
      packet('little', 0, 20n, counting(16)),
      simple,
    );
    const { order } = await merged([pcap([10, 30]), ng]);
    expect(order).toEqual([
      [1, 1],
      [0, 1],
      [1, 2],
      [1, 3],
      [0, 2],
    ]);
  });

  it('reads damaged files up to the damage, and the others on', async () => {
    const whole = pcap([10, 30]);
    const { order, failures, ends } = await merged([
      pcap([20, 40]),
      whole.slice(0, whole.length - 3),
      counting(40),
      bytes(),
      pcapHeader('little'),
    ]);
    expect(order).toEqual([
      [1, 1],
      [0, 1],
      [0, 2],
    ]);
    expect(failures.map((line) => line.slice(0, 4)).sort()).toEqual(['1 f1', '2 f2', '3 f3']);
    expect(ends.sort()).toEqual([0, 4]);
  });

  it('reads packed files', async () => {
    const files = [pcap([10, 30]), gzipSync(pcap([20]))].map((content, i) => ({
      name: `f${i}`,
      chunks: () =>
        unpacked(
          (async function* () {
            yield new Uint8Array(content);
          })(),
          `f${i}`,
          () => decompress,
        ),
    }));
    const events: made.Event[] = [];
    const run = mergeCaptures(files, {
      sink: recorder(events),
      onFailure: (error) => {
        throw error;
      },
    });
    for await (const _ of run);
    const numbers = events.flatMap((event) => ('frame' in event ? [event.number] : []));
    expect(numbers).toEqual([frameId(0, 1), frameId(1, 1), frameId(0, 2)]);
  });

  it('closes all files when it is ended early', async () => {
    const files = new Files();
    const list = [pcap([10, 30, 50]), pcap([20, 40])].map((content, i) => files.file(`f${i}`, content));
    const run = mergeCaptures(list, { sink: { frame: () => {} }, onFailure: () => {} });
    let pieces = 0;
    for await (const _ of run) if (++pieces === 4) break;
    expect(files.open).toBe(0);
  });

  it('refuses more files than numbers can tell apart', async () => {
    const list = Array.from({ length: MOST_FILES + 1 }, () => new Files().file('f', bytes()));
    const run = mergeCaptures(list, { sink: { frame: () => {} }, onFailure: () => {} });
    await expect(run.next()).rejects.toThrow(InputError);
  });
});

describe('FrameNames', () => {
  it('names the file where there are several', () => {
    const names = new FrameNames(['a.pcap', 'b.pcap']);
    expect(names.text(frameId(1, 17))).toBe('17 of b.pcap');
    expect(names.list([frameId(0, 1), frameId(0, 2), frameId(1, 3)])).toBe('1, 2 of a.pcap; 3 of b.pcap');
    expect(new FrameNames(['a.pcap']).list([1, 2])).toBe('1, 2');
    expect(fileOf(frameId(MOST_FILES - 1, 2 ** 39))).toBe(MOST_FILES - 1);
    expect(numberOf(frameId(MOST_FILES - 1, 2 ** 39))).toBe(2 ** 39);
  });
});
