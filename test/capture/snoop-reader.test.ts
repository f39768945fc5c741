import { describe, expect, it } from 'vitest';
import { bytes, complaint, counting, frames, int, readAll, snoopHeader, snoopRecord } from './made.ts';

describe('snoop', () => {
  it.each([0, 4])('of data link %i is Ethernet', (link) => {
    const file = bytes(
      snoopHeader({ link }),
      snoopRecord(10, 120_034, counting(5)),
      snoopRecord(11, 0, counting(4), 1500),
    );
    expect(readAll(file)).toEqual([
      { interface: { linkType: 1, snapLength: 0 } },
      {
        frame: '0001020304',
        number: 1,
        seconds: 10,
        nanoseconds: 120_034_000,
        hasTime: true,
        linkType: 1,
        interfaceId: 0,
        originalLength: 5,
        byte: 16,
      },
      expect.objectContaining({ frame: '00010203', number: 2, originalLength: 1500, byte: 48 }),
    ]);
  });

  it('is content with a header and no frames', () => {
    expect(frames(snoopHeader())).toEqual([]);
  });

  it.each([
    [snoopHeader({ version: 3 }), /byte 8: snoop of version 3: not read\. Convert it: editcap/],
    [snoopHeader({ link: 9 }), /byte 8: snoop of data link 9, which is no Ethernet: not read/],
  ])('refuses what it does not know: %#', (file, message) => {
    expect(complaint(file)).toMatch(message);
  });

  it.each([
    ['shorter than its frame', 27],
    ['longer than any', 0x7fff_ffff],
  ])('a record that is %s is damage', (_, len) => {
    const record = bytes(...[4, 4, len, 0, 1, 0].map((n) => int('big', 4, n)), counting(4));
    expect(complaint(bytes(snoopHeader(), snoopRecord(1, 0, counting(4)), record))).toMatch(
      /byte 44: damaged record: \d+ bytes with a frame of 4 \(frames read before it: 1\)/,
    );
  });
});
