/**
 * The chapter about nonces.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { HEADERS, MAX_TEXT, sendTwice } from '../../../src/web/model/twice.ts';

const text = fc.string({ minLength: 1, maxLength: MAX_TEXT / 4 });

it('gives the second packet away when both nonces are equal', () => {
  fc.assert(
    fc.property(text, text, (a, b) => {
      const { first, second, sameNonce, guess, right } = sendTwice([a, b], 'nonce');
      expect(sameNonce).toBe(true);
      expect(guess).toEqual(second.clear.slice(0, guess.length));
      expect(right).toBe(Math.min(first.clear.length, second.clear.length));
    }),
    { numRuns: 50 },
  );
});

it.each(['key', 'nothing'] as const)('gives nothing away with %s in common', (sharing) => {
  const { sameNonce, right, guess } = sendTwice(['a'.repeat(64), 'b'.repeat(64)], sharing);
  expect(sameNonce).toBe(false);
  expect(right).toBeLessThan(guess.length / 10);
});

it('seals before it gives away: no text is on the wire', () => {
  const { first, second } = sendTwice(['known to all', 'known to none'], 'nonce');
  for (const { clear, encrypted } of [first, second]) {
    const same = clear.filter((byte, i) => byte === encrypted[i]).length;
    expect(same).toBeLessThan(clear.length / 4);
    expect(clear.length).toBeGreaterThan(HEADERS);
  }
});
