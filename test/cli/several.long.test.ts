/**
 * Several captures that are made to cost much: twice as many frames, or files, take about twice the time, and little more
 * memory.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { putU16, putU32 } from '../../src/base/bytes.ts';
import { PcapWriter } from '../../src/capture/pcap-writer.ts';
import { LINK_RAW } from '../../src/wire/link-type.ts';
import { MAIN, tempFolder } from '../support/cli.ts';
import { START } from '../support/pcap.ts';
import { address, ipv4Packet } from '../support/sa.ts';

const folder = tempFolder();
const N = 30_000;
const FILES = 150;
const MOST_RATIO = 2.6;
/** What twice as much may take more, in MiB: tables that grew, and garbage that was not collected. */
const MOST_MORE = 96;
const RUNS = 2;

interface Frame {
  readonly micros: number;
  readonly bytes: Uint8Array;
}

/** An ESP packet that opens with no key. It is used again for the next one. */
const ESP = ipv4Packet(120, { src: address('10.0.1.1'), dst: address('10.0.2.1'), protocol: 50 });

/** @param id tells packets apart */
function esp(id: number, change: (b: Uint8Array) => void = () => {}): Uint8Array {
  const b = ESP.slice();
  putU32(b, 20, 3);
  putU32(b, 24, id);
  for (let at = 28; at < b.length; at += 4) putU32(b, at, Math.imul(id + at, 0x9e37_79b1));
  change(b);
  return b;
}

function clear(id: number): Uint8Array {
  const pods = { src: address('10.0.1.10'), dst: address('10.0.2.20'), ttl: 63 };
  return ipv4Packet(100 + (id % 900), { ...pods, id: id & 0xffff });
}

function write(name: string, frames: Iterable<Frame>): string {
  const parts: Uint8Array[] = [];
  const writer = new PcapWriter((bytes) => void parts.push(bytes), { linkType: LINK_RAW });
  for (const { micros, bytes } of frames) {
    const seconds = START + Math.floor(micros / 1e6);
    const nanoseconds = (micros % 1e6) * 1000;
    writer.frame(bytes, 0, bytes.length, {
      seconds,
      nanoseconds,
      interfaceId: 0,
      originalLength: bytes.length,
    });
  }
  writer.flush();
  const path = join(folder, name);
  writeFileSync(path, Buffer.concat(parts));
  return path;
}

/** Both ends of a way: what the second one sees is what `arrives` makes of it. */
function ends(
  n: number,
  packet: (i: number) => Uint8Array,
  {
    every = 50,
    arrives = (i: number) => [i],
  }: { every?: number; arrives?: (i: number) => readonly number[] } = {},
): string[] {
  const sent = Array.from({ length: n }, (_, i) => ({ micros: i * every, bytes: packet(i) }));
  const came = sent.flatMap(({ micros }, i) =>
    arrives(i).map((one) => ({ micros: micros + 200, bytes: sent[one]!.bytes })),
  );
  return [write(`node-1-${n}.pcap`, sent), write(`node-2-${n}.pcap`, came)];
}

const source = (i: number) => (b: Uint8Array) => {
  putU16(b, 12, 0x0a01 + ((i >>> 16) & 255));
  putU16(b, 14, i & 0xffff);
};

const SHAPES: readonly (readonly [string, (n: number) => string[]])[] = [
  [
    'of both ends, one packet of ten lost',
    (n) => ends(n, esp, { arrives: (i) => (i % 10 === 0 ? [] : [i]) }),
  ],
  ['nothing arrives', (n) => ends(n, esp, { arrives: (i) => (i < 20 ? [i] : []) })],
  ['an SPI of its own for each packet', (n) => ends(n, (i) => esp(i, (b) => putU32(b, 20, 0x1000 + i)))],
  ['a source of its own for each packet', (n) => ends(n, (i) => esp(i, source(i)))],
  ['one packet, over and over', (n) => ends(n, () => esp(7))],
  ['one time for all', (n) => ends(n, esp, { every: 0 })],
  ['each packet twice, and the last one first', (n) => ends(n, esp, { arrives: (i) => [n - 1 - i, i] })],
  ['packets of pods in the clear', (n) => ends(n, clear)],
];

const TELL = `process.on('exit', () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  process.stderr.write('used ' + (userCPUTime + systemCPUTime) / 1000 + ' ' + maxRSS + '\\n');
})`;

/** CPU ms, the least of some runs, and MiB at most. */
function cost(files: readonly string[]): { readonly ms: number; readonly mebibytes: number } {
  const runs = Array.from({ length: RUNS }, () => {
    const load = `data:text/javascript,${encodeURIComponent(TELL)}`;
    const args = ['--import', load, MAIN, 'diagnose', ...files, '--json'];
    const { stderr, stdout, status } = spawnSync(process.execPath, args, {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    expect([status, stdout.slice(0, 1)], stderr).toEqual([0, '{']);
    const [, ms, kilobytes] = /^used (\S+) (\d+)$/m.exec(stderr) ?? [];
    return { ms: Number(ms), mebibytes: Number(kilobytes) / 1024 };
  });
  return {
    ms: Math.min(...runs.map(({ ms }) => ms)),
    mebibytes: Math.min(...runs.map(({ mebibytes }) => mebibytes)),
  };
}

/** Of captures with next to nothing in them. */
let start: ReturnType<typeof cost> | undefined;

function expectGrowth(make: (n: number) => string[], n: number): void {
  start ??= cost(make(10));
  const [once, twice] = [cost(make(n)), cost(make(2 * n))];
  const ratio = (twice.ms - start.ms) / Math.max(1, once.ms - start.ms);
  const figures = JSON.stringify({ start, once, twice });
  expect(ratio, figures).toBeLessThan(MOST_RATIO);
  expect(twice.mebibytes - once.mebibytes, figures).toBeLessThan(MOST_MORE);
}

it.each(SHAPES)('%s', (_, make) => expectGrowth(make, N), 120_000);

it('a ring of files', () => {
  const ring = (n: number): string[] => {
    mkdirSync(join(folder, `ring-${n}`), { recursive: true });
    return Array.from({ length: n }, (_, file) =>
      write(
        join(`ring-${n}`, `${file}.pcap`),
        Array.from({ length: 100 }, (_, i) => ({
          micros: (100 * file + i) * 50,
          bytes: esp(100 * file + i),
        })),
      ),
    );
  };
  expectGrowth(ring, FILES);
}, 120_000);
