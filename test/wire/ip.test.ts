import fc from 'fast-check';
import { expect, it } from 'vitest';
import { hex } from '../../src/base/bytes.ts';
import { FIRST_FRAGMENT, LATER_FRAGMENT, lengthOf, parse, WHOLE } from '../../src/wire/ip.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import { Batch } from '../../src/wire/packet.ts';

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
        const batch = new Batch({ capacity: 1 });
        batch.push(b);
        expect(parse(batch, 0)).toBe(want > 0);
        if (want > 0) expect([batch.length[0], lengthOf(b, 0, b.length)]).toEqual([want, want]);
      },
    ),
    { numRuns: 3000 },
  );
  expect(whole, 'many of them are whole').toBeGreaterThan(100);
});

const V4 = '4500001c00010000401100000a0000010a000002' as const;
const V6 = `600000000010{}40${'20010db8'.repeat(8)}` as const;
const withV4 = (at: number, bytes: string) => V4.slice(0, 2 * at) + bytes + V4.slice(2 * at + bytes.length);
const withV6 = (next: string) => V6.replace('{}', next);
const DATA = '0007000900080000';

it.each([
  ['UDP', `${V4}${DATA}`, [4, 17, 20, WHOLE]],
  ['IPv4 with options', `46${V4.slice(2)}01010101${DATA}`, [4, 17, 24, WHOLE]],
  ['a first fragment', `${withV4(6, '2000')}${DATA}`, [4, 17, 20, FIRST_FRAGMENT]],
  ['a later fragment', `${withV4(6, '0001')}${DATA}`, [4, 17, 20, LATER_FRAGMENT]],
  ['one whose length is wrong', `${withV4(2, 'ffff')}${DATA}`, [4, 17, 20, WHOLE]],
  ['IPv6', `${withV6('11')}${DATA}${DATA}`, [6, 17, 40, WHOLE]],
  ['IPv6 with an extension', `${withV6('3c')}1100010400000000${DATA}`, [6, 17, 48, WHOLE]],
  ['a lone fragment header', `${withV6('2c')}1100000000000001${DATA}`, [6, 17, 48, WHOLE]],
  ['a first fragment of IPv6', `${withV6('2c')}1100000100000001${DATA}`, [6, 17, 48, FIRST_FRAGMENT]],
  ['a later one', `${withV6('2c')}1100000800000001${DATA}`, [6, 44, 40, LATER_FRAGMENT]],
  ['a broken chain', `${withV6('3c')}11ff010400000000${DATA}`, [6, -1, -1, WHOLE]],
  ['half a header', V4.slice(0, 30), [0, -1, -1, WHOLE]],
  ['nothing', '', [0, -1, -1, WHOLE]],
] as const)('notes of %s what can be read', (_, text, want) => {
  const batch = new Batch({ capacity: 1 });
  batch.push(hex(text));
  parse(batch, 0);
  const { family, protocol, l4, fragment } = batch;
  const start = l4[0]! < 0 ? 0 : batch.offset[0]!;
  expect([family[0], protocol[0], l4[0]! - start, fragment[0]]).toEqual(want);
});
