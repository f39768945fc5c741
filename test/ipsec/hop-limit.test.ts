import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decrementHopLimit } from '../../src/ipsec/hop-limit.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';

describe('decrementHopLimit', () => {
  it('lowers an IPv4 TTL and keeps the checksum right', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 20, maxLength: 20 }),
        fc.integer({ min: 2, max: 255 }),
        (bytes, ttl) => {
          const b = new Uint8Array(40).fill(0xa5);
          b.set(bytes, 9);
          b[9] = 0x45;
          b[17] = ttl;
          ipv4.fillChecksum(b, 9);
          const want = b.slice();
          want[17] = ttl - 1;
          ipv4.fillChecksum(want, 9);
          expect(decrementHopLimit(b, 9)).toBe(true);
          expect(b).toEqual(want);
        },
      ),
    );
  });

  it('lowers an IPv6 hop limit and touches nothing else', () => {
    const b = new Uint8Array(48).fill(0xa5);
    b[4] = 0x60;
    b[11] = 64;
    const want = b.slice();
    want[11] = 63;
    expect(decrementHopLimit(b, 4)).toBe(true);
    expect(b).toEqual(want);
  });

  it.each([0x45, 0x60])('refuses to forward what has 1 or 0 left, first byte %i', (first) => {
    for (const limit of [0, 1]) {
      const b = new Uint8Array(40).fill(0xa5);
      b[0] = first;
      b[first === 0x45 ? 8 : 7] = limit;
      const before = b.slice();
      expect(decrementHopLimit(b, 0)).toBe(false);
      expect(b).toEqual(before);
    }
  });
});
