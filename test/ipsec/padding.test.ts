import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countsUp, padLength, payloadLength, writeTrailer } from '../../src/ipsec/padding.ts';
import { needs, SHARED, shared } from '../support/needs.ts';

const ALIGN = fc.constantFrom(4, 8, 16);

describe('ESP padding', () => {
  it('is the least that aligns payload and trailer', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 70_000 }), ALIGN, (payloadLen, align) => {
        const pad = padLength(payloadLen, align);
        expect(pad).toBeGreaterThanOrEqual(0);
        expect(pad).toBeLessThan(align);
        expect((payloadLen + pad + 2) % align).toBe(0);
      }),
    );
  });

  it('counts 1, 2, 3, …, then length and next header, and nothing else is written', () => {
    for (const padLen of [0, 1, 2, 3, 15, 255]) {
      const b = new Uint8Array(300).fill(0xa5);
      writeTrailer(b, 10, padLen, 41);
      const padding = Array.from({ length: padLen }, (_, i) => i + 1);
      expect([...b.subarray(10, 12 + padLen)]).toEqual([...padding, padLen, 41]);
      expect(b.subarray(0, 10).every((v) => v === 0xa5)).toBe(true);
      expect(b.subarray(12 + padLen).every((v) => v === 0xa5)).toBe(true);
    }
  });

  it('is read as it was written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), ALIGN, (payloadLen, align) => {
        const b = new Uint8Array(2100).fill(0xa5);
        const pad = padLength(payloadLen, align);
        writeTrailer(b, 7 + payloadLen, pad, 4);
        expect(payloadLength(b, 7, payloadLen + pad + 2)).toBe(payloadLen);
      }),
    );
  });

  it.each([
    { text: '', why: 'no trailer', want: -1 },
    { text: '04', why: 'half a trailer', want: -1 },
    { text: '0004', why: 'nothing before the trailer', want: -1 },
    { text: '01020204', why: 'padding, but no payload', want: -1 },
    { text: '01020304', why: 'pad length beyond the start', want: -1 },
    { text: 'aaaaff04', why: 'pad length far beyond the start', want: -1 },
    { text: 'aa010104', why: 'one byte of payload', want: 1 },
    { text: 'aaa5a5a50304', why: 'padding that does not count: Linux does not look', want: 1 },
  ])('$why', ({ text, want }) => {
    const b = new Uint8Array(64).fill(0x01);
    const bytes = Buffer.from(text, 'hex');
    b.set(bytes, 20);
    expect(payloadLength(b, 20, bytes.length)).toBe(want);
  });

  it('counts up where every byte of it does, whatever is around', () => {
    const b = Uint8Array.of(9, 9, 1, 2, 3, 9);
    expect(countsUp(b, 2, 5)).toBe(true);
    expect(countsUp(b, 2, 2), 'no padding').toBe(true);
    expect(countsUp(b, 2, 6), 'wrong at its end').toBe(false);
    expect(countsUp(b, 1, 5), 'wrong at its start').toBe(false);
    expect(countsUp(b, 3, 5), 'does not start at 1').toBe(false);
  });
});

interface Rule {
  readonly topic: string;
  readonly inner_len?: number;
  readonly expect_pad_len?: number;
}

needs([shared('vectors')], 'padding rules of scapy, VPP and strongSwan', () => {
  const file = JSON.parse(readFileSync(`${SHARED}vectors/encap-rules.json`, 'utf8')) as { rules: Rule[] };
  const rules = file.rules.filter((rule) => rule.topic === 'padding' && rule.expect_pad_len !== undefined);

  it.each(rules)('scapy: $alg, $inner_len bytes', ({ inner_len, expect_pad_len }) => {
    expect(padLength(inner_len!, 4)).toBe(expect_pad_len);
  });

  it('found scapy in the file', () => {
    expect(rules.length).toBe(2);
  });

  it.each([
    [4, 52],
    [8, 56],
    [16, 64],
  ])('VPP: 49 bytes with blocks of %i become %i', (align, want) => {
    expect(49 + padLength(49, align) + 2).toBe(want);
  });
});
