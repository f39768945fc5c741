/** The order of merged captures is mergecap's. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { mergeCaptures } from '../../src/capture/merge.ts';
import { captureReader } from '../../src/capture/reader.ts';
import { bytes, counting, pcapHeader, pcapRecord } from '../capture/made.ts';
import { tempFolder } from '../support/cli.ts';
import { CAPTURES, needs, program, shared } from '../support/needs.ts';

const NANOSECONDS = 0xa1b23c4d;

/** Each frame as `TIME BYTES`. */
async function merged(files: readonly string[]): Promise<string[]> {
  const frames: string[] = [];
  const list = files.map((name) => ({
    name,
    async *chunks() {
      const file = readFileSync(name);
      for (let at = 0; at < file.length; at += 1000) yield new Uint8Array(file.subarray(at, at + 1000));
    },
  }));
  const run = mergeCaptures(list, {
    sink: {
      frame: (b, at, end, { seconds, nanoseconds }) =>
        frames.push(`${seconds}.${nanoseconds} ${toHex(b, at, end)}`),
    },
    onFailure: (error) => {
      throw error;
    },
  });
  for await (const _ of run);
  return frames;
}

function read(file: string): string[] {
  const frames: string[] = [];
  const reader = captureReader(file, {
    frame: (b, at, end, { seconds, nanoseconds }) =>
      frames.push(`${seconds}.${nanoseconds} ${toHex(b, at, end)}`),
  });
  reader.feed(readFileSync(file));
  reader.end();
  return frames;
}

function mergecap(files: readonly string[], folder: string): string[] {
  const all = join(folder, 'all.pcapng');
  execFileSync('mergecap', ['-w', all, ...files]);
  return read(all);
}

needs(
  [program('mergecap', 'wireshark-common'), program('editcap', 'wireshark-common'), shared('captures')],
  'merged captures, beside mergecap',
  () => {
    it('of different resolutions, with times that go back', async () => {
      const folder = tempFolder();
      let state = 7;
      const random = (n: number) => {
        state = (Math.imul(state, 1103515245) + 12345) >>> 0;
        return (state >>> 8) % n;
      };
      const files = [0, 1, 2, 3].map((f) => {
        const isNano = f % 2 === 1;
        const unit = isNano ? 1000 : 1;
        let t = 0;
        const records = Array.from({ length: 200 }, (_, i) => {
          t = Math.max(0, t + random(5) - (random(10) === 0 ? 3 : 0));
          // Of equal times mergecap takes the file that is named last.
          return pcapRecord('little', 1_700_000_000, (4 * t + f) * unit, counting(20 + f, i));
        });
        const magic = isNano ? { magic: NANOSECONDS } : {};
        const name = join(folder, `f${f}.pcap`);
        writeFileSync(name, bytes(pcapHeader('little', { ...magic, link: f === 2 ? 113 : 1 }), ...records));
        return name;
      });
      const frames = await merged(files);
      expect(frames).toHaveLength(800);
      expect(frames).toEqual(mergecap(files, folder));
    });

    it('of a ring, the capture that it was', async () => {
      const folder = tempFolder();
      const wire = `${CAPTURES}/native-v4/wire.pcap`;
      mkdirSync(join(folder, 'ring'));
      execFileSync('editcap', ['-F', 'pcap', '-c', '10', wire, join(folder, 'ring/w')]);
      const ring = readdirSync(join(folder, 'ring')).map((name) => join(folder, 'ring', name));
      expect(ring.length).toBeGreaterThan(2);
      expect(await merged(ring.reverse())).toEqual(read(wire));
    });
  },
);
