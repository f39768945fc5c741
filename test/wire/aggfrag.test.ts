import { describe, expect, it } from 'vitest';
import { hex } from '../../src/base/bytes.ts';
import * as aggfrag from '../../src/wire/aggfrag.ts';

describe('aggfrag', () => {
  it('reads both headers (RFC 9347 §6.1)', () => {
    const plain = hex('00000238');
    expect(aggfrag.check(plain)).toBeUndefined();
    expect([aggfrag.subtype(plain), aggfrag.blockOffset(plain), aggfrag.headerLen(plain)]).toEqual([
      0, 568, 4,
    ]);
    const congestion = hex('01000005 000003e8 00000c01 00500003 00000007 00000008');
    expect(aggfrag.check(congestion)).toBeUndefined();
    expect(aggfrag.headerLen(congestion)).toBe(24);
    expect(aggfrag.lossEventRate(congestion)).toBe(1000);
    expect(aggfrag.delays(congestion)).toEqual([3, 2050, 0x10_0003]);
    expect([aggfrag.tval(congestion), aggfrag.techo(congestion)]).toEqual([7, 8]);
  });

  it.each([
    ['three bytes', '000000', 0, 'header needs 4 bytes, has 3'],
    ['an unknown sub-type', '02000000', 0, 'sub-type is 2, not 0 or 1'],
    ['half a header', '0100000000000000', 0, 'header needs 24 bytes, has 8'],
    ['flags', '00010000', 1, 'flags are set, which Linux refuses'],
  ])('points at %s', (_name, text, at, problem) => {
    expect(aggfrag.check(hex(text))).toEqual({ layer: 'aggfrag', at, problem });
  });

  it('reads what a data block is, and how long, as far as its bytes tell', () => {
    const length = (text: string) => aggfrag.innerLength(hex(text), 0, hex(text).length);
    expect(['45', '6f', '00', '50'].map((text) => aggfrag.blockKind(hex(text), 0))).toEqual([
      ...['ipv4', 'ipv6', 'padding', 'unknown'],
    ]);
    expect(['450000', '45000054', '4500 0000', '6000000000', '600000000010'].map(length)).toEqual([
      ...[-1, 84, 0, -1, 56],
    ]);
    expect(
      ['45000014', '46000014', '44000020', '45000013'].map((text) => aggfrag.isTooShort(hex(text), 0)),
    ).toEqual([...[false, true, true, true]]);
  });
});
