import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { safeLines, safeText } from '../../src/base/safe-text.ts';

/** What a terminal, or a reader of lines, acts on. */
const HOSTILE = [
  '\u0000',
  '\u0007',
  '\b',
  '\t',
  '\n',
  '\r',
  '\u001b',
  '\u007f',
  '\u0085',
  '\u009b',
  '\u009d',
  '\u061c',
  '\u200e',
  '\u200f',
  '\u2028',
  '\u2029',
  '\u202a',
  '\u202e',
  '\u2066',
  '\u2069',
  '\ud800',
  '\udfff',
];

/** Any text, with much that is hostile in it. */
const anyText = fc
  .array(fc.oneof(fc.constantFrom(...HOSTILE, '[31m', '[2J', ']0;'), fc.string({ unit: 'binary' })))
  .map((parts) => parts.join(''));

/** Obvious code: every code unit by itself. */
function isUnsafe(text: string, i: number): boolean {
  const code = text.charCodeAt(i);
  const isBidi =
    code === 0x61c ||
    (code >= 0x200e && code <= 0x200f) ||
    (code >= 0x202a && code <= 0x202e) ||
    (code >= 0x2066 && code <= 0x2069);
  const isLone = code >= 0xd800 && code < 0xe000 && !isHalfOfPair(text, i);
  return (
    code < 0x20 || (code >= 0x7f && code < 0xa0) || isBidi || code === 0x2028 || code === 0x2029 || isLone
  );
}

function isHalfOfPair(text: string, i: number): boolean {
  const isHigh = (at: number) => text.charCodeAt(at) >= 0xd800 && text.charCodeAt(at) < 0xdc00;
  const isLow = (at: number) => text.charCodeAt(at) >= 0xdc00 && text.charCodeAt(at) < 0xe000;
  return (isHigh(i) && isLow(i + 1)) || (isLow(i) && isHigh(i - 1));
}

const unsafeOf = (text: string) => [...Array(text.length).keys()].filter((i) => isUnsafe(text, i));

describe('safeText', () => {
  it.each(HOSTILE)('escapes %j', (char) => {
    const code = char.charCodeAt(0).toString(16).padStart(4, '0');
    expect(safeText(`a${char}b`)).toBe(`a\\u${code}b`);
  });

  it.each(['', 'node-1', 'Prüf-Knoten 7 → 8', '日本', '😀', '\ufffd', 'a\\u001b'])('leaves %j', (text) => {
    expect(safeText(text)).toBe(text);
  });

  it('leaves nothing that a terminal acts on, and all else', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const safe = safeText(text);
        expect(unsafeOf(safe)).toEqual([]);
        const obvious = Array.from({ length: text.length }, (_, i) =>
          isUnsafe(text, i) ? `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}` : text[i],
        );
        expect(safe).toBe(obvious.join(''));
      }),
    );
  });
});

describe('safeLines', () => {
  it('leaves line ends, tabs and our own colours', () => {
    const text = '\u001b[1mhead\u001b[0m\n\tsrc \u001b[31mred\u001b[0m\n';
    expect(safeLines(text)).toBe(text);
  });

  it.each(['\u001b[2J', '\u001b[8m', '\u001b]0;title\u0007', '\u001b[31', '\u001b[0;31m', '\r', '\u009b31m'])(
    'escapes %j',
    (text) => {
      expect(safeLines(text)).toBe(safeText(text));
    },
  );

  it('keeps what a line of JSON says', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const safe = safeLines(JSON.stringify({ [text]: text }));
        expect(JSON.parse(safe)).toEqual({ [text]: text });
        expect(unsafeOf(safe)).toEqual([]);
      }),
    );
  });
});
