import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { BIG, LITTLE } from '../../src/capture/byte-order.ts';
import { OptionCursor, optionsLength, putOptions, textOption } from '../../src/capture/options.ts';
import { bytes, int, options, text } from './made.ts';

function walk(b: Uint8Array, order = LITTLE): { list: [number, string][]; overrun: boolean } {
  const cursor = new OptionCursor();
  const room = new Uint8Array(b.length + 6).fill(0xa5);
  room.set(b, 3);
  cursor.start(room, 3, 3 + b.length, order);
  const list: [number, string][] = [];
  while (cursor.next()) list.push([cursor.code, cursor.text()]);
  return { list, overrun: cursor.overrun };
}

describe('OptionCursor', () => {
  it.each(['little', 'big'] as const)('walks values of each length modulo 4, %s-endian', (order) => {
    const words = ['', 'a', 'ab', 'abc', 'abcd', 'abcde'];
    const b = options(order, ...words.map((w, i) => [i + 1, text(w)] as const));
    const want = words.map((w, i) => [i + 1, w]);
    expect(walk(b, order === 'little' ? LITTLE : BIG)).toEqual({ list: want, overrun: false });
  });

  it('needs no end, and looks at nothing after one', () => {
    const one = bytes(int('little', 2, 1), int('little', 2, 2), text('hi'), 0, 0);
    expect(walk(one)).toEqual({ list: [[1, 'hi']], overrun: false });
    expect(walk(bytes(one, 0, 0, 0, 0, one))).toEqual({ list: [[1, 'hi']], overrun: false });
    expect(walk(bytes())).toEqual({ list: [], overrun: false });
  });

  it('notices a value that runs past its block', () => {
    const one = bytes(int('little', 2, 1), int('little', 2, 2), text('hi'), 0, 0);
    const long = bytes(int('little', 2, 1), int('little', 2, 5), text('four'));
    expect(walk(bytes(one, long))).toEqual({ list: [[1, 'hi']], overrun: true });
  });

  it('cuts off zero bytes at the end of a text, and replaces what is not UTF-8', () => {
    const b = options('little', [1, bytes(text('one'), 0, 0)], [1, bytes(0xff, text('two'))], [1, bytes(0)]);
    expect(walk(b).list.map(([, s]) => s)).toEqual(['one', '\ufffdtwo', '']);
  });
});

describe('putOptions', () => {
  it('writes what the cursor reads, with zeros for padding', () => {
    const list = ['', 'a', 'grüße', '🔑'].map((s) => textOption(1, s));
    const len = optionsLength(list);
    const out = new Uint8Array(len + 2).fill(0xa5);
    putOptions(out, 1, list);
    expect([out[0], out[len + 1]]).toEqual([0xa5, 0xa5]);
    const b = out.subarray(1, len + 1);
    expect(toHex(b)).toBe(toHex(options('little', ...list.map((o) => [o.code, o.value] as const))));
    expect(walk(b).list.map(([, s]) => s)).toEqual(['', 'a', 'grüße', '🔑']);
  });

  it('writes nothing for no options, not even their end', () => {
    const out = new Uint8Array(4).fill(0xa5);
    putOptions(out, 0, []);
    expect([optionsLength([]), toHex(out)]).toEqual([0, 'a5a5a5a5']);
  });

  it('cuts a text that is too long between two characters', () => {
    const { value } = textOption(1, 'é'.repeat(40_000));
    expect(value.length).toBe(65_534);
    expect(new TextDecoder('utf-8', { fatal: true }).decode(value)).toBe('é'.repeat(32_767));
  });
});
