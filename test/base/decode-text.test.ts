import { describe, expect, it } from 'vitest';
import { decodeText, TextPieces } from '../../src/base/decode-text.ts';

/** As Windows PowerShell 5 writes a file, or the same in the other byte order. */
function utf16(text: string, order: 'le' | 'be'): Uint8Array {
  const units = [0xfeff, ...Array.from({ length: text.length }, (_, i) => text.charCodeAt(i))];
  return Uint8Array.from(units.flatMap((u) => (order === 'le' ? [u & 255, u >> 8] : [u >> 8, u & 255])));
}

describe('decodeText', () => {
  it.each(['src 10.1.0.1 dst 10.1.1.1\r\n', 'größer ≠ 😀', ''])('reads %j in each encoding', (text) => {
    expect(decodeText(new TextEncoder().encode(text))).toBe(text);
    expect(decodeText(new TextEncoder().encode(`\ufeff${text}`))).toBe(text);
    expect(decodeText(utf16(text, 'le'))).toBe(text);
    expect(decodeText(utf16(text, 'be'))).toBe(text);
  });

  it('marks what is no text, and takes nothing for UTF-16 without its mark', () => {
    expect(decodeText(Uint8Array.of(0x61, 0xff, 0x62))).toBe('a\ufffdb');
    expect(decodeText(Uint8Array.of(0xff, 0xfe, 0x61))).toBe('\ufffd');
    expect(decodeText(Uint8Array.of(0x61, 0, 0x62, 0))).toBe('a\0b\0');
  });
});

describe('TextPieces', () => {
  it('is the same, wherever the pieces end', () => {
    const text = 'größer ≠ 😀\r\n'.repeat(3);
    for (const bytes of [
      new TextEncoder().encode(text),
      utf16(text, 'le'),
      utf16(text, 'be'),
      Uint8Array.of(0x61, 0x62, 0xe2, 0x89),
    ]) {
      for (let at = 2; at <= bytes.length; at++) {
        const pieces = new TextPieces(bytes.slice(0, at));
        for (const byte of bytes.subarray(at)) pieces.add(Uint8Array.of(byte));
        expect(pieces.end()).toBe(decodeText(bytes));
      }
    }
  });
});
