import { describe, expect, it } from 'vitest';
import { OutboundSequence } from '../../src/ipsec/sequence.ts';

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
    expect(s.remaining).toBe(0);
    for (let i = 0; i < 3; i++) {
      expect(s.advance()).toBe(false);
      expect(number(s)).toEqual([0xffff_ffff, 0xffff_ffff]);
    }
  });

  it('knows how many numbers are left', () => {
    expect(new OutboundSequence(false).remaining).toBe(2 ** 32 - 1);
    expect(new OutboundSequence(false, 0, 0xffff_fff0).remaining).toBe(15);
    expect(new OutboundSequence(true).remaining, 'rounded').toBe(2 ** 64);
    expect(new OutboundSequence(true, 0xffff_fffe, 0).remaining).toBe(2 ** 33 - 1);
    const s = new OutboundSequence(true, 0xffff_ffff, 0xffff_fff0);
    s.advance();
    expect(s.remaining).toBe(14);
  });

  it('refuses a start that no SA can have', () => {
    expect(() => new OutboundSequence(false, 1, 0)).toThrow(/high half needs ESN/);
    for (const bad of [-1, 2 ** 32, 0.5, Number.NaN]) {
      expect(() => new OutboundSequence(true, bad, 0)).toThrow(RangeError);
      expect(() => new OutboundSequence(true, 0, bad)).toThrow(RangeError);
    }
  });
});
