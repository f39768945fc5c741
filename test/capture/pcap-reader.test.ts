import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/base/errors.ts';
import {
  bytes,
  complaint,
  counting,
  frames,
  int,
  modifiedRecord,
  pcapHeader,
  pcapRecord,
  read,
  readAll,
} from './made.ts';

const US = 0xa1b2c3d4;
const NS = 0xa1b23c4d;

describe('pcap', () => {
  it.each([
    ['little', US, 120_034, 120_034_000],
    ['big', US, 120_034, 120_034_000],
    ['little', NS, 120_034_567, 120_034_567],
    ['big', NS, 120_034_567, 120_034_567],
  ] as const)('%s-endian, magic %i', (order, magic, fraction, nanoseconds) => {
    const file = bytes(
      pcapHeader(order, { magic, link: 113 }),
      pcapRecord(order, 1_795_394_867, fraction, counting(5)),
      pcapRecord(order, 4_294_967_295, 0, counting(0), 1500),
    );
    expect(readAll(file)).toEqual([
      { interface: { linkType: 113, snapLength: 65535 } },
      {
        frame: '0001020304',
        number: 1,
        seconds: 1_795_394_867,
        nanoseconds,
        hasTime: true,
        linkType: 113,
        interfaceId: 0,
        originalLength: 5,
        byte: 24,
      },
      expect.objectContaining({
        frame: '',
        number: 2,
        seconds: 4_294_967_295,
        originalLength: 1500,
        byte: 45,
      }),
    ]);
  });

  it('leaves check-sum bits beside the link type alone', () => {
    const file = bytes(pcapHeader('little', { link: 0x5400_0001 }), pcapRecord('little', 1, 0, counting(4)));
    expect(frames(file)[0]?.linkType).toBe(1);
  });

  it('carries a fraction of a second or more', () => {
    const late = pcapRecord('little', 10, 2_500_000, counting(1));
    expect(frames(bytes(pcapHeader('little'), late))[0]).toMatchObject({
      seconds: 12,
      nanoseconds: 500_000_000,
    });
    const even = pcapRecord('little', 10, 1_000_000_000, counting(1));
    const nano = pcapHeader('little', { magic: NS });
    expect(frames(bytes(nano, even))[0]).toMatchObject({ seconds: 11, nanoseconds: 0 });
  });

  it('is content with a header and no frames', () => {
    expect(frames(pcapHeader('big'))).toEqual([]);
  });

  it.each([0, 96, 262_144])(
    'does not believe a snap length of %i, up to what captures really hold',
    (snap) => {
      const frame = new Uint8Array(262_144);
      const file = bytes(pcapHeader('little', { snap }), pcapRecord('little', 1, 0, frame));
      expect(frames(file)[0]?.frame.length).toBe(2 * frame.length);
      expect(complaint(bytes(file, pcapRecord('little', 1, 0, new Uint8Array(262_145))))).toBe(
        'made at byte 262184: damaged record: a captured length of 262145 bytes, where 262144 is the most ' +
          '(frames read before it: 1). Copy or capture the file again; what lies before this byte is good.',
      );
    },
  );

  it('takes longer frames where the snap length says so, but not any length', () => {
    const big = pcapRecord('little', 1, 0, new Uint8Array(300_000));
    expect(frames(bytes(pcapHeader('little', { snap: 300_000 }), big)).length).toBe(1);
    const file = bytes(
      pcapHeader('little', { snap: 0xffff_ffff }),
      int('little', 8, 0),
      int('little', 4, 2 ** 31),
    );
    expect(complaint(bytes(file, int('little', 4, 1)))).toMatch(
      /byte 24: .* 2147483648 bytes, where 67108864/,
    );
  });

  it('delivers what lies before the damage, and names the byte', () => {
    const good = bytes(pcapHeader('little'), pcapRecord('little', 1, 0, counting(3)));
    const { events, error } = read(bytes(good, new Uint8Array(16).fill(0xff)));
    expect(events.length).toBe(2);
    expect(error).toBeInstanceOf(InputError);
    expect((error as InputError).place).toEqual({ source: 'made', byte: 43 });
  });

  it('refuses another major version', () => {
    expect(complaint(pcapHeader('little', { major: 7 }))).toMatch(/byte 4: pcap of version 7/);
  });

  it.each(['little', 'big'] as const)('passes over what the modified form adds, %s-endian', (order) => {
    const header = pcapHeader(order, { magic: 0xa1b2cd34, link: 1 });
    const file = bytes(header, modifiedRecord(order, 5, counting(6)), modifiedRecord(order, 6, counting(2)));
    expect(frames(file)).toMatchObject([
      { frame: '000102030405', seconds: 5, nanoseconds: 7000, byte: 24 },
      { frame: '0001', seconds: 6, byte: 54 },
    ]);
  });
});
