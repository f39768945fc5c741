import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { TextBuffer, textOf } from '../../src/base/text-buffer.ts';

describe('TextBuffer writes what strings say', () => {
  it('whole numbers', () => {
    for (const n of [0, 9, 10, 999_999_999, 1_000_000_000, 2 ** 32, 2 ** 53 - 1]) {
      expect(textOf((out) => out.decimal(n))).toBe(String(n));
    }
    fc.assert(
      fc.property(fc.maxSafeNat(), (n) => {
        expect(textOf((out) => out.decimal(n))).toBe(String(n));
      }),
    );
  });

  it('numbers with zeros before them', () => {
    fc.assert(
      fc.property(fc.nat(999_999_999), (n) => {
        expect(textOf((out) => out.digits(n, 9))).toBe(String(n).padStart(9, '0'));
      }),
    );
    expect(textOf((out) => out.digits(34, 6))).toBe('000034');
  });

  it('bytes in hexadecimal, wherever they lie', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(8), fc.nat(8), (bytes, before, at) => {
        const array = new Uint8Array(before + bytes.length);
        array.set(bytes, before);
        const view = array.subarray(before);
        const from = Math.min(at, view.length);
        const written = textOf((out) => {
          out.text('x'); // so that nothing is aligned
          out.hex(view, from, view.length);
        });
        expect(written).toBe(`x${toHex(view, from)}`);
      }),
    );
  });

  it('32 bits', () => {
    expect(textOf((out) => out.hex32(0xfedc_ba98))).toBe('fedcba98');
    expect(textOf((out) => out.hex32(3))).toBe('00000003');
  });

  it('any text as UTF-8', () => {
    const text = 'a → b, ü, 🔒';
    expect(textOf((out) => out.utf8(text))).toBe(text);
  });
});

it('grows', () => {
  const out = new TextBuffer(3);
  for (let i = 0; i < 1000; i++) out.text('abcd');
  out.hex(Uint8Array.of(0xff), 0, 1);
  expect(out.length).toBe(4002);
  expect(new TextDecoder().decode(out.written)).toBe(`${'abcd'.repeat(1000)}ff`);
});

it('goes on in another array, and leaves the first as it was', () => {
  const out = new TextBuffer(8);
  out.text('first');
  const first = out.swap(new Uint8Array(16));
  out.text('second');
  out.hex32(0);
  expect(new TextDecoder().decode(first.subarray(0, 5))).toBe('first');
  expect(new TextDecoder().decode(out.written)).toBe('second00000000');
  out.clear();
  expect(out.length).toBe(0);
});
