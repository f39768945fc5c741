import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/base/bytes.ts';
import { InputError } from '../../src/base/errors.ts';
import { captureReader } from '../../src/capture/reader.ts';
import { CAPTURES, needs, SHARED, shared } from '../support/needs.ts';
import {
  block,
  bytes,
  complaint,
  counting,
  frames,
  iface,
  int,
  modifiedRecord,
  options,
  packet,
  pcapHeader,
  pcapRecord,
  read,
  readAll,
  section,
  snoopHeader,
  snoopRecord,
  text,
} from './made.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 1000);

const PCAP = bytes(
  pcapHeader('little'),
  pcapRecord('little', 1, 2, counting(5)),
  pcapRecord('little', 3, 4, counting(0)),
  pcapRecord('little', 5, 6, counting(40), 1500),
);
const PCAPNG = bytes(
  section('big', options('big', [4, text('made')])),
  iface('big', 1, options('big', [9, bytes(9)])),
  block('big', 10, int('big', 4, 0x45535053), int('big', 4, 4), counting(4)),
  packet('big', 0, 1_795_394_867_120_034_567n, counting(5), options('big', [1, text('first')])),
  section('little'),
  iface('little', 113),
  packet('little', 0, 1_795_394_867_120_034n, counting(40)),
  block('little', 3, int('little', 4, 3), counting(4)),
);
const MODIFIED = bytes(
  pcapHeader('little', { magic: 0xa1b2cd34 }),
  modifiedRecord('little', 1, counting(20)),
  modifiedRecord('little', 2, counting(0)),
);
const SNOOP = bytes(snoopHeader(), snoopRecord(1, 2, counting(21)), snoopRecord(2, 3, counting(4), 1500));
const FILES = [
  ['pcap', PCAP],
  ['pcapng', PCAPNG],
  ['modified pcap', MODIFIED],
  ['snoop', SNOOP],
] as const;

describe('telling formats apart', () => {
  it.each([
    ['', 'made at byte 0: the file is empty. Give a pcap or pcapng file.'],
    ['a1', 'made at byte 1: too short for a capture. Give a pcap or pcapng file.'],
    ['0a0d0d', 'made at byte 3: too short for a capture. Give a pcap or pcapng file.'],
    ['1f8b0800', 'made at byte 0: this is gzip, not a capture. Unpack it first: gunzip -k FILE.'],
    ['28b52ffd', 'made at byte 0: this is zstd, not a capture. Unpack it first: zstd -d FILE.'],
    ['fd377a585a00', 'made at byte 0: this is xz, not a capture. Unpack it first: xz -dk FILE.'],
    ['7f454c46', /^made at byte 0: neither pcap nor pcapng: it begins with 7f454c46\. /],
    [
      '474d4255',
      'made at byte 0: this is a capture of Network Monitor. Convert it: editcap FILE NEW.pcapng.',
    ],
  ])('%s', (file, message) => {
    expect(complaint(fromHex(file) ?? bytes())).toMatch(message);
  });
});

needs([shared('cases')], 'captures 26: the same packets in other containers', () => {
  const framesOf = (name: string) =>
    frames(new Uint8Array(readFileSync(`${SHARED}cases/captures/26-containers/${name}`))).map(
      ({ frame }) => frame,
    );

  it.each(['modified.pcap', 'plain.ns.pcap', 'plain.snoop'])('%s', (name) => {
    expect(framesOf(name)).toEqual(framesOf('plain.pcap'));
  });
});

describe.each(FILES)('a stream of %s', (name, file) => {
  const whole = readAll(file);

  it('gives the same byte by byte', () => {
    expect(readAll(file, [...counting(file.length)])).toEqual(whole);
  });

  it('gives the same however it is split', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(file.length), { maxLength: 12 }), (cuts) => {
        expect(readAll(file, cuts)).toEqual(whole);
      }),
    );
  });

  it('cut off anywhere: what lies before is delivered, and the error names the byte', () => {
    let clean = 0;
    for (let len = 0; len < file.length; len++) {
      const { events, error } = read(file.subarray(0, len), [len >> 1]);
      expect(events, `${len} bytes`).toEqual(whole.slice(0, events.length));
      if (error === undefined) {
        clean++; // between two records it cannot be told
        continue;
      }
      expect(error).toBeInstanceOf(InputError);
      expect((error as InputError).place).toEqual({ source: 'made', byte: len });
      // Everything that ends before the cut has been delivered.
      const before = frames(file).filter((f) => f.byte + ends(file, f) <= len);
      expect(events.filter((e) => 'frame' in e).length, `${len} bytes`).toBe(before.length);
      if (len >= 4) expect(String(error)).toContain(`(frames read before it: ${before.length})`);
    }
    expect(clean).toBe({ pcap: 3, pcapng: 7 }[name as string] ?? 2); // edges between records, without the two ends of the file
  });

  it('reads no more after an error', () => {
    const reader = captureReader('made', { frame: () => {} });
    expect(() => reader.feed(bytes(file, new Uint8Array(64).fill(0xff)))).toThrow(InputError);
    expect(() => reader.feed(file)).toThrow(InputError);
    expect(() => reader.end()).toThrow(InputError);
  });

  it('mutated: an InputError or none, and soon', () => {
    const mutation = fc.record({
      at: fc.nat(file.length - 1),
      value: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 4, 12, 0x7f, 0x80, 0xff)),
    });
    fc.assert(
      fc.property(
        fc.array(mutation, { minLength: 1, maxLength: 6 }),
        fc.array(fc.nat(file.length), { maxLength: 3 }),
        fc.nat(file.length),
        (mutations, cuts, len) => {
          const bad = file.slice();
          for (const { at, value } of mutations) bad[at] = value;
          const cut = len % 2 === 0 ? bad : bad.subarray(0, len);
          const { events, error } = read(cut, cuts);
          if (error !== undefined) expect(error).toBeInstanceOf(InputError);
          for (const e of events) {
            if (!('frame' in e)) continue;
            expect(e.nanoseconds).toBeGreaterThanOrEqual(0);
            expect(e.nanoseconds).toBeLessThan(1_000_000_000);
            expect(e.frame.length / 2).toBeLessThanOrEqual(file.length);
          }
          expect(read(cut), 'split or not').toEqual(read(cut, cuts));
        },
      ),
      { numRuns: RUNS },
    );
  });
});

/** Length of the record or block of a frame, from its own length field. */
function ends(file: Uint8Array, frame: { readonly byte: number; readonly frame: string }): number {
  if (file === PCAP) return 16 + frame.frame.length / 2;
  if (file === MODIFIED) return 24 + frame.frame.length / 2;
  const view = new DataView(file.buffer, file.byteOffset);
  if (file === SNOOP) return view.getUint32(frame.byte + 8);
  const big = view.getUint32(frame.byte, false) === 6;
  return view.getUint32(frame.byte + 4, !big);
}

it('garbage behind a good magic: an InputError or none', () => {
  const magic = fc.constantFrom(
    '0a0d0d0a',
    'd4c3b2a1',
    'a1b2c3d4',
    '4d3cb2a1',
    'a1b23c4d',
    'a1b2cd34',
    '736e6f6f00000000',
    '',
  );
  fc.assert(
    fc.property(magic, fc.uint8Array({ maxLength: 200 }), (m, rest) => {
      const { error } = read(bytes(fromHex(m) ?? [], rest), [3, 50]);
      if (error !== undefined) expect(error).toBeInstanceOf(InputError);
    }),
    { numRuns: RUNS },
  );
});

it('hands out frames where they lie, and carries over only those that are split', () => {
  const places: [boolean, number, number][] = [];
  let chunk: Uint8Array = PCAP.subarray(0, 50);
  const reader = captureReader('made', { frame: (b, at, end) => places.push([b === chunk, at, end]) });
  reader.feed(chunk);
  chunk = PCAP.subarray(50);
  reader.feed(chunk);
  reader.end();
  expect(places).toEqual([
    [true, 40, 45],
    [false, 16, 16], // its header is split at byte 50: it was put together elsewhere
    [true, 61 - 50 + 16, PCAP.length - 50],
  ]);
});

it('reuses the info of a frame', () => {
  const infos = new Set<unknown>();
  const reader = captureReader('made', { frame: (_b, _at, _end, info) => infos.add(info) });
  reader.feed(PCAPNG);
  expect(infos.size).toBe(1);
});

it('collects no more than arrives, whatever a length claims', () => {
  const claim = bytes(
    section('little'),
    int('little', 4, 6),
    int('little', 4, 64 * 1024 * 1024),
    counting(8),
  );
  expect(complaint(claim)).toMatch(
    /at byte 44: the capture is cut off in the middle of what starts at byte 28/,
  );
});

needs([shared('captures')], 'captures of a real kernel', () => {
  const names = readdirSync(`${CAPTURES}`, { withFileTypes: true })
    .filter((e) => e.isDirectory())
    .map((e) => e.name);

  it('are all there', () => {
    expect(names.length).toBeGreaterThanOrEqual(13);
  });

  it.each(names)('%s', (name) => {
    const file = new Uint8Array(readFileSync(`${CAPTURES}/${name}/wire.pcap`));
    const got = frames(file);
    // The obvious way: little-endian, microseconds, one record after the other.
    const view = new DataView(file.buffer);
    expect(view.getUint32(0, true)).toBe(0xa1b2c3d4);
    let n = 0;
    for (let at = 24; at < file.length; at += 16 + view.getUint32(at + 8, true)) {
      expect(got[n]).toMatchObject({
        number: n + 1,
        byte: at,
        seconds: view.getUint32(at, true),
        nanoseconds: view.getUint32(at + 4, true) * 1000,
        originalLength: view.getUint32(at + 12, true),
        linkType: view.getUint32(20, true),
      });
      expect(got[n]?.frame.length).toBe(2 * view.getUint32(at + 8, true));
      n++;
    }
    expect(got.length).toBe(n);
    expect(n).toBeGreaterThan(10);
  });
});

describe.each(FILES)('memory that is used again, %s', (_, file) => {
  it('is released before, wherever the file is split', () => {
    for (let size = 1; size <= file.length; size++) {
      const got: string[] = [];
      const held: { b: Uint8Array; at: number; end: number }[] = [];
      const reader = captureReader('made', {
        frame: (b, at, end) => held.push({ b, at, end }),
        release: () => {
          for (const { b, at, end } of held) {
            got.push(toHex(b, at, end));
            b.fill(0, at, end); // a sink may overwrite what it holds
          }
          held.length = 0;
        },
      });
      const buffer = new Uint8Array(size);
      for (let at = 0; at < file.length; at += size) {
        const piece = file.subarray(at, at + size);
        buffer.set(piece);
        reader.feed(buffer.subarray(0, piece.length));
        expect(held).toEqual([]);
        buffer.fill(0xee);
      }
      reader.end();
      expect(got, `split into ${size} bytes`).toEqual(frames(file).map(({ frame }) => frame));
    }
  });
});
