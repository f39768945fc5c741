import { describe, expect, it } from 'vitest';
import { rowIdentity } from '../../src/ipsec/row-identity.ts';
import { allow, type Halves, makeRow, rowIn, rowWords, sentOf, setOut } from '../../src/ipsec/sa-row.ts';
import { OutboundSequence } from '../../src/ipsec/sequence.ts';
import { saConfig } from '../support/sa.ts';

function number(s: OutboundSequence): [hi: number, lo: number] {
  return [s.hi, s.lo];
}

describe('OutboundSequence', () => {
  it.each([false, true])('gives 1 first, then one more each time, esn=%s', (esn) => {
    const s = new OutboundSequence(esn);
    for (let n = 1; n <= 1000; n++) {
      expect(s.advance()).toBe(true);
      expect(number(s)).toEqual([0, n]);
    }
  });

  it('stops after 2^32-1 without ESN, and never wraps', () => {
    const s = new OutboundSequence(false, 0, 0xffff_fffe);
    expect(s.advance()).toBe(true);
    expect(number(s)).toEqual([0, 0xffff_ffff]);
    for (let i = 0; i < 3; i++) {
      expect(s.advance()).toBe(false);
      expect(number(s)).toEqual([0, 0xffff_ffff]);
    }
  });

  it('carries into the high half with ESN', () => {
    const s = new OutboundSequence(true, 0, 0xffff_fffe);
    const seen = [];
    for (let i = 0; i < 3; i++) {
      expect(s.advance()).toBe(true);
      seen.push(number(s));
    }
    expect(seen).toEqual([
      [0, 0xffff_ffff],
      [1, 0],
      [1, 1],
    ]);
  });

  it('carries across the sign bits of both halves', () => {
    const s = new OutboundSequence(true, 0x7fff_ffff, 0xffff_ffff);
    expect(s.advance()).toBe(true);
    expect(number(s)).toEqual([0x8000_0000, 0]);
    const t = new OutboundSequence(true, 0, 0x7fff_ffff);
    expect(t.advance()).toBe(true);
    expect(number(t)).toEqual([0, 0x8000_0000]);
  });

  it('stops after 2^64-1 with ESN', () => {
    const s = new OutboundSequence(true, 0xffff_ffff, 0xffff_fffe);
    expect(s.advance()).toBe(true);
    expect(s.isExhausted).toBe(true);
    for (let i = 0; i < 3; i++) {
      expect(s.advance()).toBe(false);
      expect(number(s)).toEqual([0xffff_ffff, 0xffff_ffff]);
    }
  });

  it('refuses a start that no SA can have', () => {
    expect(() => new OutboundSequence(false, 1, 0)).toThrow(/high half needs ESN/);
    for (const bad of [-1, 2 ** 32, 0.5, Number.NaN]) {
      expect(() => new OutboundSequence(true, bad, 0)).toThrow(RangeError);
      expect(() => new OutboundSequence(true, 0, bad)).toThrow(RangeError);
    }
  });
});

describe('OutboundSequence in a row', () => {
  /** A sender that has sent up to `sent`, of a row whose words are there to look at. */
  function sender(esn: boolean, sent: Halves): { s: OutboundSequence; words: Int32Array } {
    const words = new Int32Array(rowWords(0));
    makeRow(words, rowIdentity(saConfig()), 0);
    setOut(words, sent);
    return { s: new OutboundSequence(esn, 0, 0, rowIn(words)), words };
  }

  /** How many numbers it gives out, 10 at the most; the row says at each which it was. */
  function given(s: OutboundSequence, words: Int32Array): number {
    for (let n = 0; n < 10; n++) {
      if (!s.advance()) return n;
      expect(sentOf(words)).toEqual({ hi: s.signedHi, lo: s.signedLo });
    }
    return 10;
  }

  it.each([
    ['nothing', [0, 0], [0, 0], 0],
    ['three', [0, 0], [0, 3], 3],
    ['up to the sign bit and beyond', [0, 0x7fff_fffe], [0, 0x8000_0001], 3],
    ['less than was sent', [0, 9], [0, 3], 0],
    ['less than was sent, of an earlier 2^32', [2, 3], [1, 9], 0],
    ['over a wrap', [1, 0xffff_fffd], [2, 2], 5],
    ['to the last before a wrap', [1, 0xffff_fffd], [1, 0xffff_ffff], 2],
    ['to the first after a wrap', [1, 0xffff_fffd], [2, 0], 3],
    ['over two wraps', [1, 0xffff_fffd], [3, 0], 10],
    ['over the sign bit of the high half', [0x7fff_ffff, 0xffff_fffd], [0x8000_0000, 1], 4],
    ['the last of all', [0xffff_ffff, 0xffff_fffd], [0xffff_ffff, 0xffff_ffff], 2],
  ] as const)('with ESN goes as far as is allowed: %s', (_, [hi, lo], [allowedHi, allowedLo], count) => {
    const { s, words } = sender(true, { hi, lo });
    allow(words, { hi: allowedHi, lo: allowedLo });
    expect(given(s, words)).toBe(count);
    expect(given(s, words), 'it stays there').toBe(count === 10 ? 10 : 0);
  });

  it('goes on when more is allowed', () => {
    const { s, words } = sender(true, { hi: 0, lo: 0 });
    for (const lo of [2, 4, 9]) {
      allow(words, { hi: 0, lo });
      given(s, words);
      expect(number(s)).toEqual([0, lo]);
    }
  });

  it('without ESN ends at 2^32-1, whatever is allowed', () => {
    for (const to of [
      { hi: 0, lo: -1 },
      { hi: 1, lo: 5 },
    ]) {
      const { s, words } = sender(false, { hi: 0, lo: -4 });
      allow(words, to);
      expect(given(s, words)).toBe(3);
      expect(s.isExhausted).toBe(true);
    }
  });

  it('says that all numbers are gone only when the last one is', () => {
    const at = (esn: boolean, hi: number, lo: number) => new OutboundSequence(esn, hi, lo).isExhausted;
    expect([at(false, 0, 0), at(false, 0, 0xffff_fffe), at(false, 0, 0xffff_ffff)]).toEqual([
      false,
      false,
      true,
    ]);
    expect([at(true, 0, 0xffff_ffff), at(true, 0xffff_ffff, 0), at(true, 0xffff_ffff, 0xffff_ffff)]).toEqual([
      false,
      false,
      true,
    ]);
  });
});
