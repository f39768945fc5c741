import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  equalBytes,
  flipBit,
  fromHex,
  hex,
  putU16,
  putU32,
  toHex,
  u8,
  u16,
  u24,
  u32,
} from '../../src/base/bytes.ts';

describe('network order', () => {
  const b = hex('f1f2f3f4f5f6');

  it('reads unsigned numbers', () => {
    expect([u8(b, 1), u16(b, 1), u24(b, 1), u32(b, 1)]).toEqual([0xf2, 0xf2f3, 0xf2f3f4, 0xf2f3f4f5]);
  });

  it('writes its own bytes only', () => {
    const out = new Uint8Array(12).fill(0xa5);
    putU16(out, 1, 0xf1f2);
    putU32(out, 4, 0xf3f4f5f6);
    expect(toHex(out)).toBe('a5f1f2a5f3f4f5f6a5a5a5a5');
  });

  it('keeps the low bits of what is too large', () => {
    const out = new Uint8Array(6);
    putU16(out, 0, 0x1_2345);
    putU32(out, 2, 0x1_2345_6789);
    expect(toHex(out)).toBe('234523456789');
  });

  it('agrees with DataView', () => {
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), fc.nat(4), (v, at) => {
        const out = new Uint8Array(8);
        const view = new DataView(out.buffer);
        putU32(out, at, v);
        expect(view.getUint32(at)).toBe(v);
        expect(u32(out, at)).toBe(v);
        expect(u16(out, at)).toBe(view.getUint16(at));
        expect(u24(out, at)).toBe(v >>> 8);
        expect(u8(out, at)).toBe(view.getUint8(at));
      }),
    );
  });

  it('reads zero bits outside the array and writes nothing there, as its doc says', () => {
    const two = hex('ffff');
    expect([u16(two, 1), u24(two, 1), u32(two, 1)]).toEqual([0xff00, 0xff0000, 0xff000000]);
    putU32(two, 1, 0);
    expect(toHex(two)).toBe('ff00');
  });
});

describe('flipBit', () => {
  it('counts from the most significant bit of the first byte', () => {
    const b = new Uint8Array(2);
    flipBit(b, 0);
    flipBit(b, 15);
    expect(toHex(b)).toBe('8001');
    flipBit(b, 0);
    expect(toHex(b)).toBe('0001');
  });
});

describe('equalBytes', () => {
  it.each([
    ['', '', true],
    ['0102', '0102', true],
    ['0102', '0103', false],
    ['0102', '010203', false],
    ['010203', '0102', false],
  ])('%j and %j: %s', (a, b, want) => {
    expect(equalBytes(hex(a), hex(b))).toBe(want);
  });
});

describe('hexadecimal text', () => {
  it('is undone', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (b) => {
        expect(fromHex(toHex(b))).toEqual(b);
      }),
    );
  });

  it('prints a part', () => {
    expect(toHex(hex('0a0b0c0d'), 1, 3)).toBe('0b0c');
  });

  it.each([
    ['dead beef', 'deadbeef'],
    [' 0xDEAD\nBEEF ', 'deadbeef'],
    ['', ''],
  ])('reads %j', (text, want) => {
    expect(toHex(fromHex(text)!)).toBe(want);
  });

  it.each(['1', 'abc', 'xy', '0x0x12', '12 3', '1g', '-1', '12,34'])('refuses %j', (text) => {
    expect(fromHex(text)).toBeUndefined();
  });

  it('throws for a bad literal, without the text: it may be a key', () => {
    expect(() => hex('secret')).toThrow(TypeError);
    expect(() => hex('secret')).not.toThrow(/secret/);
  });
});
