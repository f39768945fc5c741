import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fits, isExact, isOpen, parseMasked, parseMaskedSpi } from '../../src/sa-text/sa-pattern.ts';
import { formatAddress, parseAddress } from '../../src/wire/address.ts';
import { address } from '../support/sa.ts';

/** What Wireshark 4.0 says of each (`tshark -o uat:esp_sa:…`), for the packets of cases captures 03 and texts 19. */
const V4: readonly [pattern: string, matches: boolean | undefined][] = [
  ['*', true],
  ['10.0.0.1', true],
  ['10.0.0.*', true],
  ['10.*.0.1', true],
  ['*.*.*.*', true],
  ['*.*.*.2', false],
  ['10.0.0.0/24', true],
  ['10.0.0.9/28', true],
  ['10.0.0.9/29', false],
  ['10.0.0.0/8', true],
  ['0.0.0.0/0', true],
  ['10.0.0.1/', true],
  ['10.0.0.1/32', true],
  ['10.0.0.*/24', true],
  ['010.0.0.1', true],
  ['10.*', undefined],
  ['1*.0.0.1', undefined],
  ['10.0.0.256', undefined],
  ['10.0.0.1/33', undefined],
  ['10.0.0.1/x', undefined],
  ['', undefined],
];
const V6: readonly [pattern: string, matches: boolean | undefined][] = [
  ['*', true],
  ['fd00:a2::2', true],
  ['FD00:A2::2', true],
  ['fd00:a2::*', true],
  ['fd00:a2::000*', true],
  ['fd00:a2:*::2', true],
  ['fd00:a*::2', true],
  ['fd00:*::2', false],
  ['fd00:a2:0:0:0:0:*:2', true],
  ['fd00:a2:*:*:*:*:*:*', true],
  ['fd00:00a*:****:****:****:****:****:****', true],
  ['fd00:a2::/32', true],
  ['fd00:a2::/33', true],
  ['fd00:a3::/31', true],
  ['fd00:a3::/32', false],
  ['::/0', true],
  ['fd00:a2:*', undefined],
  ['fd00::a2::2', undefined],
  ['fd00:a2::2:0:0:0:0:0:0', undefined],
  ['::/129', undefined],
];

describe('parseMasked', () => {
  it.each(V4)('IPv4 %s', (pattern, matches) => {
    const masked = parseMasked(pattern, 4);
    expect(masked && fits(masked, address('10.0.0.1'))).toBe(matches);
  });

  it.each(V6)('IPv6 %s', (pattern, matches) => {
    const masked = parseMasked(pattern, 16);
    expect(masked && fits(masked, address('fd00:a2::2'))).toBe(matches);
  });

  it('never takes an address of the other family', () => {
    expect(fits(parseMasked('*', 4)!, address('::'))).toBe(false);
    expect(fits(parseMasked('*', 16)!, address('0.0.0.0'))).toBe(false);
  });

  it('takes every whole address for itself alone', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    );
    fc.assert(
      fc.property(bytes, bytes, (one, other) => {
        const text = formatAddress(one);
        // An IPv4 address inside IPv6 is no form of Wireshark's, and is read by the parser of addresses.
        const masked = text.includes(':') && text.includes('.') ? undefined : parseMasked(text, one.length)!;
        if (!masked) return;
        expect(isExact(masked)).toBe(true);
        expect(fits(masked, one)).toBe(true);
        expect(fits(masked, other)).toBe(formatAddress(other) === text);
        expect(parseAddress(text)).toEqual(masked.value);
      }),
    );
  });
});

describe('parseMaskedSpi', () => {
  it.each([
    ['*', true],
    ['0xc8cee146', true],
    ['0XC8CEE146', true],
    ['3369001286', true],
    ['031063560506', true],
    ['0xc8cee14*', true],
    ['0xc8****46', true],
    ['0xd8****46', false],
    ['0x********', true],
    ['0xc8*46', undefined],
    ['0x*', undefined],
    ['********', undefined],
    ['4294967296', undefined],
    ['0x100000000', undefined],
    ['08', undefined],
    ['a', undefined],
    ['', undefined],
  ])('%s', (pattern, matches) => {
    const masked = parseMaskedSpi(pattern);
    expect(masked && fits(masked, Uint8Array.of(0xc8, 0xce, 0xe1, 0x46))).toBe(matches);
    if (masked)
      expect([isExact(masked), isOpen(masked)]).toEqual([!pattern.includes('*'), /^(0x)?\*+$/.test(pattern)]);
  });
});
