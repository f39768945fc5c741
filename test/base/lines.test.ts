import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/base/errors.ts';
import { LongLines, linesOf, MAX_LINE } from '../../src/base/lines.ts';

describe('linesOf', () => {
  it('gives what split gives, with numbers', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', 'bc', '\n', '\r\n', ' ', '')), (parts) => {
        const text = parts.join('');
        const obvious = text.split('\n').map((line, i) => ({ number: i + 1, text: line }));
        expect([...linesOf(text, 'f')]).toEqual(obvious);
      }),
    );
  });

  it('takes the longest line, and names the one that is longer', () => {
    const longest = 'x'.repeat(MAX_LINE);
    expect([...linesOf(`${longest}\n${longest}`, 'f')]).toHaveLength(2);
    const read = () => [...linesOf(`a\n${longest}x\nb`, 'f')];
    expect(read).toThrow(InputError);
    expect(read).toThrow('f:2: the line has more than 65,536 characters. Check that this is the right file.');
  });
});

describe('lines of what comes in pieces', () => {
  const linesOfPieces = (...pieces: readonly Uint8Array[]) => {
    const found: string[] = [];
    const lines = new LongLines((text) => found.push(text));
    for (const piece of pieces) lines.feed(piece);
    lines.end();
    return found;
  };
  const bytes = (text: string) => new TextEncoder().encode(text);

  it('are the same wherever it is cut, also within a character', () => {
    const whole = bytes('a\n\u00e9\u4e2d\r\n\nb');
    for (let cut = 0; cut <= whole.length; cut++)
      expect(linesOfPieces(whole.subarray(0, cut), whole.subarray(cut))).toEqual([
        'a',
        '\u00e9\u4e2d\r',
        '',
        'b',
      ]);
    expect(linesOfPieces()).toEqual([]);
    expect(linesOfPieces(bytes('a\n'))).toEqual(['a']);
  });

  it('pass over what is too long, in one piece or in several', () => {
    const long = bytes('x'.repeat(MAX_LINE + 1));
    for (const parts of [[long], [long.subarray(0, 9), long.subarray(9)], [long, long, long]])
      expect(linesOfPieces(bytes('a\n'), ...parts, bytes('\nb'))).toEqual(['a', 'b']);
    expect(linesOfPieces(long)).toEqual([]);
    expect(linesOfPieces(long.subarray(1), bytes('\nb\n'))).toEqual(['x'.repeat(MAX_LINE), 'b']);
  });
});
