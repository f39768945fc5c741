import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ipLength } from '../../src/node/ip.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';

/** By the parsers of `wire`, one check after the other. */
function obvious(b: Uint8Array): number {
  if (ipv4.check(b) === undefined) return ipv4.checksumOk(b) ? ipv4.totalLength(b) : 0;
  return ipv6.check(b) === undefined ? ipv6.HEADER_LEN + ipv6.payloadLength(b) : 0;
}

it('says of every run of bytes what the parsers say', () => {
  let whole = 0;
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 0, maxLength: 80, size: 'max' }),
      fc.constantFrom(0x45, 0x46, 0x44, 0x60, 0x50),
      fc.integer({ min: -2, max: 2 }),
      fc.constantFrom('right', 'as it is', 'all ones'),
      (b, first, more, sum) => {
        if (b.length >= 20) {
          b[0] = first;
          ipv4.setTotalLength(b, 0, b.length + more);
          if (first >>> 4 === 6) b[5] = Math.max(0, b.length - 40 + more);
          if (sum === 'right' && first >>> 4 === 4 && (first & 15) * 4 <= b.length) ipv4.fillChecksum(b);
          if (sum === 'all ones') b.fill(0xff, 10, 12);
        }
        const want = obvious(b);
        if (want > 0) whole++;
        expect(ipLength(b, 0, b.length)).toBe(want);
      },
    ),
    { numRuns: 3000 },
  );
  expect(whole, 'many of them are whole').toBeGreaterThan(100);
});
