import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import { hex } from '../../src/base/bytes.ts';
import {
  formatAddress,
  formatPrefix,
  inPrefix,
  isAny,
  type Prefix,
  parseAddress,
  parsePrefix,
  unmapIpv4,
} from '../../src/wire/address.ts';
import { amid } from './packets.ts';

describe('parseAddress', () => {
  it.each([
    ['10.244.1.10', '0af4010a'],
    ['0.0.0.0', '00000000'],
    ['255.255.255.255', 'ffffffff'],
    ['fd00:10:244:1::10', 'fd000010024400010000000000000010'],
    ['::', '00000000000000000000000000000000'],
    ['::ffff:10.0.0.1', '00000000000000000000ffff0a000001'],
    ['FE80::1', 'fe800000000000000000000000000001'],
    // ipaddr.js alone would make this ::ffff:10.0.0.1.
    ['::10.0.0.1', '0000000000000000000000000a000001'],
    ['64:ff9b::192.0.2.33', '0064ff9b0000000000000000c0000221'],
    ['1:2:3:4:5:6:255.255.255.255', '000100020003000400050006ffffffff'],
  ])('reads %s', (text, bytes) => {
    expect(parseAddress(text)).toEqual(hex(bytes));
  });

  it.each([
    '',
    'node-1',
    '10.1',
    '1.2.3',
    '10.0.0.256',
    '0x0a000001',
    '167772161',
    '1.2.3.4.5',
    '1.2.3.4/8',
    ':::',
    'fd00::1::2',
    'fe80::1%eth0',
    '::ffff:10.0.0.010',
    '::ffff:10.0.1',
    '::ffff:10.0.0.256',
    '1:2:3:4:5:6:7:1.2.3.4',
    '1.2.3.4::',
    '1.2.3.4 ',
  ])('refuses %j', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });
});

describe('formatAddress', () => {
  it('writes IPv6 in the short form of RFC 5952', () => {
    expect(formatAddress(hex('fd000010024400010000000000000010'))).toBe('fd00:10:244:1::10');
    expect(formatAddress(hex('20010db8000000010001000100010001'))).toBe('2001:db8:0:1:1:1:1:1');
    expect(formatAddress(new Uint8Array(16))).toBe('::');
  });

  it('writes IPv6 as ipaddr.js does, wherever zeros are', () => {
    const group = fc.constantFrom([0, 0], [0, 1], [0x0d, 0xb8], [0x10, 0], [0xff, 0xff]);
    const address = fc.array(group, { minLength: 8, maxLength: 8 }).map((groups) => groups.flat());
    fc.assert(
      fc.property(address, (bytes) => {
        expect(formatAddress(Uint8Array.from(bytes))).toBe(new ipaddr.IPv6(bytes).toRFC5952String());
      }),
      { numRuns: 500 },
    );
  });

  it('reads from the middle of a packet', () => {
    expect(formatAddress(amid(hex('0af4010a'), 3, 9, 0xff), 3, 4)).toBe('10.244.1.10');
  });

  it('is undone by parseAddress', () => {
    const address = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    );
    fc.assert(
      fc.property(address, (b) => {
        expect(parseAddress(formatAddress(b))).toEqual(b);
      }),
    );
  });
});

describe('prefixes', () => {
  it.each([
    ['10.244.1.0/24', '0af40100', 24],
    ['10.0.0.1', '0a000001', 32],
    ['0.0.0.0/0', '00000000', 0],
    ['fd00::/8', 'fd000000000000000000000000000000', 8],
    ['::1', '00000000000000000000000000000001', 128],
  ])('reads %s', (text, bytes, bits) => {
    expect(parsePrefix(text)).toEqual({ address: hex(bytes), bits });
  });

  it.each([
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '::/129',
    '/8',
    'x/8',
    '10.0.0.0/0008',
    '10.0.0.0/8 ',
  ])('refuses %j', (text) => {
    expect(parsePrefix(text)).toBeUndefined();
  });

  it('prints them', () => {
    expect(formatPrefix({ address: hex('0af40100'), bits: 24 })).toBe('10.244.1.0/24');
  });

  it.each([
    ['10.244.1.0/24', '10.244.1.255', true],
    ['10.244.1.0/24', '10.244.2.0', false],
    ['10.244.0.0/15', '10.245.255.255', true],
    ['10.244.0.0/15', '10.246.0.0', false],
    ['0.0.0.0/0', '255.1.2.3', true],
    ['10.0.0.1/32', '10.0.0.1', true],
    ['10.0.0.1/32', '10.0.0.0', false],
    ['10.0.0.1/31', '10.0.0.0', true],
    ['fd00:10:244:1::/64', 'fd00:10:244:1:ffff::', true],
    ['fd00:10:244:1::/64', 'fd00:10:244:2::', false],
    ['::/0', '10.0.0.1', false],
    ['0.0.0.0/0', '::', false],
  ])('%s holds %s: %s', (prefix, address, want) => {
    expect(inPrefix(parsePrefix(prefix)!, parseAddress(address)!)).toBe(want);
  });

  // Bit by bit is the obvious version.
  it('agrees with comparing bit by bit', () => {
    const bit = (b: Uint8Array, i: number) => (b[i >>> 3]! >>> (7 - (i & 7))) & 1;
    const pair = fc.constantFrom(4, 16).chain((len) => {
      const address = fc.uint8Array({ minLength: len, maxLength: len });
      return fc.tuple(address, fc.nat(len * 8), fc.nat(len * 8 - 1), fc.boolean());
    });
    fc.assert(
      fc.property(pair, ([address, bits, flip, flipIt]) => {
        const other = address.slice();
        if (flipIt) other[flip >>> 3]! ^= 0x80 >>> (flip & 7);
        const prefix: Prefix = { address, bits };
        let same = true;
        for (let i = 0; i < bits; i++) same &&= bit(address, i) === bit(other, i);
        const slab = amid(other, 5, 5, 0xff);
        expect(inPrefix(prefix, slab, 5, other.length)).toBe(same);
      }),
    );
  });
});

describe('unmapIpv4', () => {
  it('takes an IPv4 address out of an IPv6 one', () => {
    expect(unmapIpv4(parseAddress('::ffff:10.0.0.1')!)).toEqual(hex('0a000001'));
  });

  it.each(['10.0.0.1', 'fd00::1', '::10.0.0.1', '::fffe:10.0.0.1', '1::ffff:10.0.0.1'])(
    'leaves %s',
    (text) => {
      const address = parseAddress(text)!;
      expect(unmapIpv4(address)).toBe(address);
    },
  );
});

describe('isAny', () => {
  it('is all zeros, of either family', () => {
    expect(['0.0.0.0', '::', '0.0.0.1', '::1'].map((t) => isAny(parseAddress(t)!))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});
