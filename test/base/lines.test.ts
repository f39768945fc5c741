import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/base/errors.ts';
import { linesOf, MAX_LINE } from '../../src/base/lines.ts';

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
