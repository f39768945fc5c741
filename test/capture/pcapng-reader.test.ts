import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { MAX_INTERFACES } from '../../src/capture/pcapng-reader.ts';
import { captureReader } from '../../src/capture/reader.ts';
import {
  block,
  bytes,
  complaint,
  counting,
  frames,
  iface,
  int,
  type Order,
  options,
  packet,
  pad,
  readAll,
  section,
  text,
} from './made.ts';

const ORDERS = ['little', 'big'] as const;
const TIME = 1_795_394_867_120_034n;

describe.each(ORDERS)('pcapng, %s-endian', (order) => {
  const start = bytes(section(order), iface(order, 1));

  it('hands on a frame with all that is known of it', () => {
    const file = bytes(start, packet(order, 0, TIME, counting(5), bytes(), 1500));
    expect(frames(file)).toEqual([
      {
        frame: '0001020304',
        number: 1,
        seconds: 1_795_394_867,
        nanoseconds: 120_034_000,
        hasTime: true,
        linkType: 1,
        interfaceId: 0,
        originalLength: 1500,
        byte: 48,
      },
    ]);
  });

  it.each([0, 1, 2, 3, 4, 5])('leaves out padding: a frame of %i bytes', (len) => {
    const opts = options(order, [1, text('after the padding')]);
    const file = bytes(start, packet(order, 0, TIME, counting(len), opts));
    expect(readAll(file).slice(2)).toMatchObject([
      { comment: 'after the padding' },
      { frame: toHex(counting(len)) },
    ]);
  });

  it('tells comments before their frame, however many', () => {
    const opts = options(
      order,
      [1, text('one')],
      [2, int(order, 4, 1)],
      [1, text('')],
      [2988, bytes(counting(9))],
      [1, text('drei – ü')],
    );
    const file = bytes(start, packet(order, 0, TIME, counting(1), opts), packet(order, 0, TIME, counting(2)));
    const said = readAll(file).slice(2);
    expect(said).toMatchObject([
      { comment: 'one' },
      { comment: '' },
      { comment: 'drei – ü' },
      { frame: '00' },
      { frame: '0001' },
    ]);
  });

  it('tells what section and interface say about themselves', () => {
    const file = bytes(
      section(
        order,
        options(
          order,
          [1, text('a')],
          [2, text('box')],
          [3, text('Linux')],
          [4, text('dumpcap')],
          [1, text('b')],
        ),
      ),
      iface(
        order,
        113,
        options(
          order,
          [2, text('any')],
          [3, text('all of them')],
          [12, text('Linux 6.1')],
          [15, text('virtio')],
          [1, text('c')],
          [13, bytes(4)],
          [11, bytes(0, text('esp'))],
        ),
        96,
      ),
    );
    expect(readAll(file)).toEqual([
      { section: { hardware: 'box', os: 'Linux', application: 'dumpcap', comments: ['a', 'b'] } },
      {
        interface: {
          linkType: 113,
          snapLength: 96,
          name: 'any',
          description: 'all of them',
          os: 'Linux 6.1',
          hardware: 'virtio',
          comments: ['c'],
        },
      },
    ]);
  });

  it('keeps a unit of time for each interface', () => {
    const of = (...opts: Parameters<typeof options> extends [Order, ...infer R] ? R : never) =>
      iface(order, 1, options(order, ...opts));
    const file = bytes(
      section(order),
      of(),
      of([9, bytes(9)]),
      of([9, bytes(0x80 + 10)]),
      of([9, bytes(0)], [14, int(order, 8, 3600)]),
      of([14, int(order, 8, -3600n)]),
      packet(order, 0, 1_500_000n, counting(1)),
      packet(order, 1, 1_500_000_001n, counting(1)),
      packet(order, 2, 1536n, counting(1)),
      packet(order, 3, 100n, counting(1)),
      packet(order, 4, 1_500_000n, counting(1)),
    );
    expect(frames(file).map((f) => [f.interfaceId, f.seconds, f.nanoseconds])).toEqual([
      [0, 1, 500_000_000],
      [1, 1, 500_000_001],
      [2, 1, 500_000_000],
      [3, 3700, 0],
      [4, -3599, 500_000_000],
    ]);
  });

  it('reads Simple Packet Blocks: no time, no interface, no captured length', () => {
    const simple = (original: number, frame: Uint8Array) =>
      block(order, 3, int(order, 4, original), pad(frame));
    const limited = bytes(section(order), iface(order, 1, bytes(), 6));
    const file = bytes(
      limited,
      simple(5, counting(5)),
      simple(1500, counting(6)), // cut to the snap length
      packet(order, 0, TIME, counting(1)),
      simple(2, counting(2)),
    );
    expect(frames(file).map((f) => [f.frame, f.originalLength, f.hasTime, f.seconds, f.nanoseconds])).toEqual(
      [
        ['0001020304', 5, false, 0, 0],
        ['000102030405', 1500, false, 0, 0],
        ['00', 1, true, 1_795_394_867, 120_034_000],
        ['0001', 2, false, 0, 0],
      ],
    );
    // Without a limit the block's own length is one.
    expect(frames(bytes(start, simple(1500, counting(8))))[0]?.frame).toBe('0001020304050607');
  });

  it('reads the obsolete Packet Block', () => {
    const old = block(
      order,
      2,
      int(order, 2, 1),
      int(order, 2, 0xffff), // drops unknown
      int(order, 4, TIME >> 32n),
      int(order, 4, TIME & 0xffffffffn),
      int(order, 4, 3),
      int(order, 4, 60),
      pad(counting(3)),
      options(order, [1, text('old')]),
    );
    expect(readAll(bytes(start, iface(order, 101), old)).slice(3)).toMatchObject([
      { comment: 'old' },
      { frame: '000102', linkType: 101, interfaceId: 1, seconds: 1_795_394_867, originalLength: 60 },
    ]);
  });

  it('copies secrets, which the sink may keep', () => {
    const of = (len: number) =>
      block(
        order,
        10,
        int(order, 4, 0x45535053),
        int(order, 4, len),
        pad(counting(len)),
        options(order, [1, text('x')]),
      );
    expect(readAll(bytes(section(order), of(5), of(0), of(8)))).toMatchObject([
      {},
      { secrets: '0001020304', type: 0x45535053 },
      { secrets: '', type: 0x45535053 },
      { secrets: '0001020304050607', type: 0x45535053 },
    ]);
    const kept: Uint8Array[] = [];
    const reader = captureReader('made', { frame: () => {}, secrets: (_type, data) => kept.push(data) });
    const buffer = Buffer.from(bytes(section(order), of(5)));
    reader.feed(buffer); // a Buffer's own slice() would be a view
    buffer.fill(0xa5);
    expect(kept.map((b) => toHex(b))).toEqual(['0001020304']);
  });

  it('skips names, statistics, and blocks nobody knows', () => {
    const names = block(
      order,
      4,
      int(order, 2, 1),
      int(order, 2, 7),
      pad(bytes(10, 0, 0, 1, text('p1'), 0)),
      int(order, 4, 0),
    );
    const statistics = block(order, 5, int(order, 4, 0), int(order, 8, 0));
    const unknown = block(order, 0x8000_0bad, counting(8));
    const shortest = block(order, 0x7fff_ffff);
    const file = bytes(start, names, statistics, unknown, shortest, packet(order, 0, TIME, counting(1)));
    expect(readAll(file).slice(2)).toMatchObject([{ frame: '00', number: 1 }]);
  });

  const rest = packet(order, 0, TIME, counting(5));
  const at = start.length + rest.length;
  it.each([
    [
      'a length that is no multiple of 4',
      bytes(int(order, 4, 6), int(order, 4, 33), counting(60)),
      /a length of 33 bytes/,
    ],
    ['a length below 12', bytes(int(order, 4, 6), int(order, 4, 8), counting(60)), /a length of 8 bytes/],
    ['a length of zero', new Uint8Array(12), /a length of 0 bytes/],
    [
      'a length beyond belief',
      bytes(int(order, 4, 6), int(order, 4, 2 ** 31), counting(60)),
      /a length of 2147483648 bytes/,
    ],
    [
      'two different lengths',
      bytes(block(order, 9, counting(4)).subarray(0, 12), int(order, 4, 20)),
      /16 bytes at its start and 20 at its end/,
    ],
    [
      'a frame longer than its block',
      bytes(
        block(order, 6, int(order, 4, 0), int(order, 8, 0), int(order, 4, 5), int(order, 4, 5), counting(4)),
      ),
      /a frame of 5 bytes in a block of 36/,
    ],
    [
      'a frame of no interface',
      packet(order, 1, TIME, counting(5)),
      /a frame of interface 1, where 1 have been/,
    ],
    [
      'a packet block without a frame',
      block(order, 6, counting(16)),
      /: packet of 28 bytes, 32 is the least/,
    ],
    ['a short interface', block(order, 1, counting(4)), /: interface description of 16 bytes, 20/],
    [
      'a short section',
      block(order, 0x0a0d0d0a, int(order, 4, 0x1a2b3c4d)),
      /: section header of 16 bytes, 28/,
    ],
    ['a short simple packet', block(order, 3), /: simple packet of 12 bytes, 16/],
    ['short secrets', block(order, 10, int(order, 4, 1)), /: decryption secrets of 16 bytes, 20/],
    [
      'secrets longer than their block',
      block(order, 10, int(order, 4, 1), int(order, 4, 9), counting(8)),
      /secrets of 9 bytes in a block of 28/,
    ],
    [
      'an option that runs out',
      packet(order, 0, TIME, counting(4), bytes(int(order, 2, 1), int(order, 2, 5), counting(4))),
      /option 1 runs past/,
    ],
    [
      'an interface option that runs out',
      iface(order, 1, bytes(int(order, 2, 9), int(order, 2, 1))),
      /option 9 runs past/,
    ],
    ['if_tsresol without value', iface(order, 1, options(order, [9, bytes()])), /if_tsresol has 0 bytes, 1/],
    [
      'if_tsoffset of four bytes',
      iface(order, 1, options(order, [14, counting(4)])),
      /if_tsoffset has 4 bytes, 8/,
    ],
  ] as const)('refuses %s, and says where', (_what, damaged, why) => {
    const message = complaint(bytes(start, rest, damaged));
    expect(message).toMatch(why);
    expect(message).toContain(`made at byte ${at}: `);
    expect(message).toContain('(frames read before it: 1)');
  });

  it('refuses a section in no byte order, and another major version', () => {
    const bad = bytes(section(order));
    bad.fill(0, 8, 12);
    expect(complaint(bad)).toMatch(/made at byte 8: .*byte order magic/);
    expect(complaint(section(order, bytes(), 2))).toMatch(/made at byte 12: pcapng of version 2/);
  });
});

describe('pcapng of several sections', () => {
  it('forgets interfaces, may turn bytes round, and counts frames on', () => {
    const little = bytes(
      section('little'),
      iface('little', 1),
      iface('little', 113),
      packet('little', 1, TIME, counting(1)),
    );
    const big = bytes(section('big'), iface('big', 276), packet('big', 0, TIME, counting(2)));
    const file = bytes(little, big, little);
    expect(frames(file).map((f) => [f.number, f.frame, f.linkType, f.interfaceId, f.byte])).toEqual([
      [1, '00', 113, 1, 68],
      [2, '0001', 276, 0, 104 + 48],
      [3, '00', 113, 1, 104 + 48 + 36 + 68],
    ]);
    expect(complaint(bytes(little, section('big'), packet('big', 0, TIME, counting(1))))).toMatch(
      /frame of interface 0, where 0 have been/,
    );
  });
});

describe('limits', () => {
  const order = 'little';

  it('takes 65,536 interfaces in a section, and refuses one more', () => {
    const one = iface(order, 1);
    const all = new Uint8Array(one.length * MAX_INTERFACES);
    for (let i = 0; i < MAX_INTERFACES; i++) all.set(one, i * one.length);
    let count = 0;
    const sink = { frame: () => {}, interface: () => count++ };
    const reader = captureReader('made', sink);
    reader.feed(section(order));
    reader.feed(all);
    reader.feed(section(order)); // begins anew
    reader.feed(all);
    expect(count).toBe(2 * MAX_INTERFACES);
    expect(() => reader.feed(one)).toThrow(
      /more than 65,536 interfaces in one section \(frames read before it: 0\)/,
    );
  });

  /** `n` comments of `len` bytes each. */
  const comments = (n: number, len: number) =>
    options(order, ...Array.from({ length: n }, () => [1, new Uint8Array(len).fill(0x61)] as const));

  it.each([
    ['many', 1003, 1, 1000],
    ['long', 20, 60_000, 17],
  ])('hands on so many comments of a frame, and counts the rest: %s', (_, count, len, kept) => {
    const frame = packet(order, 0, TIME, counting(1), comments(count, len));
    const said: string[] = [];
    const reader = captureReader('made', { frame: () => {}, comment: (text) => said.push(text) });
    reader.feed(bytes(section(order), iface(order, 1)));
    expect(reader.leftOut).toBeUndefined();
    reader.feed(frame);
    expect(said).toHaveLength(kept);
    expect(reader.leftOut).toEqual({ comments: count - kept, byte: 48 });
    reader.feed(frame);
    expect(said).toHaveLength(2 * kept);
    expect(reader.leftOut).toEqual({ comments: 2 * (count - kept), byte: 48 });
  });

  it('keeps the limit for what sections and interfaces say', () => {
    const said: number[] = [];
    const reader = captureReader('made', {
      frame: () => {},
      section: (s) => said.push(s.comments!.length),
      interface: (s) => said.push(s.comments!.length),
    });
    reader.feed(bytes(section(order, comments(1001, 1)), iface(order, 1, comments(1002, 1))));
    expect(said).toEqual([1000, 1000]);
    expect(reader.leftOut).toEqual({ comments: 3, byte: 0 });
  });
});
