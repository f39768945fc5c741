/**
 * Addresses and SPIs with wildcards, as Wireshark's `epan/dissectors/packet-ipsec.c` matches them (tried on 4.0):
 *
 * | text | stands for |
 * |---|---|
 * | `*` | anything |
 * | `10.0.*.1` | IPv4: `*` is a whole part |
 * | `fd00::a*`, `fd00:*::2` | IPv6: `*` is one digit, and digits that a group lacks are 0 |
 * | `10.0.0.0/8`, `fd00::/33` | a prefix, beside wildcards or without |
 * | `0x0000000*`, `0x****0001` | SPI: `*` is one of eight digits |
 *
 * An SPI without wildcards is a number as C writes it: `0xa`, `10` or `012`; `-2` where a program took it for one with a sign.
 * @module
 */
import type { Address } from '../wire/address.ts';

/** Bits that count, and what they are. */
export interface Masked {
  readonly value: Uint8Array;
  readonly mask: Uint8Array;
}

const V4_PARTS = 4;
const V6_GROUPS = 8;

/** Reads an address of `length` bytes, with wildcards or without; `undefined` where it is none. */
export function parseMasked(text: string, length: number): Masked | undefined {
  const { address, bits } = splitPrefix(text, length * 8);
  if (bits === undefined) return undefined;
  const digits =
    address === '*' ? '*'.repeat(length * 2) : length === 4 ? v4Digits(address) : v6Digits(address);
  return digits === undefined ? undefined : cut(maskedOf(digits), bits);
}

/** Reads an SPI, with wildcards or without; `undefined` where it is none. */
export function parseMaskedSpi(text: string): Masked | undefined {
  if (text === '*') return maskedOf('********');
  const [, pattern] = /^0x([0-9a-f*]{8})$/i.exec(text) ?? [];
  if (pattern?.includes('*')) return maskedOf(pattern);
  const isOctal = /^0[0-7]+$/.test(text);
  if (!isOctal && !/^(0x[0-9a-f]{1,8}|0|-?[1-9]\d{0,9})$/i.test(text)) return undefined;
  const spi = isOctal ? Number.parseInt(text, 8) : Number(text);
  if (spi > 0xffff_ffff || spi < -0x8000_0000) return undefined;
  return maskedOf((spi >>> 0).toString(16).padStart(8, '0'));
}

/** Do all bits count? */
export function isExact({ mask }: Masked): boolean {
  return mask.every((byte) => byte === 0xff);
}

/** Does no bit count? */
export function isOpen({ mask }: Masked): boolean {
  return mask.every((byte) => byte === 0);
}

/** Are these the bytes that it asks for? */
export function fits({ value, mask }: Masked, bytes: Address): boolean {
  if (bytes.length !== value.length) return false;
  for (let i = 0; i < mask.length; i++) if ((bytes[i]! & mask[i]!) !== value[i]) return false;
  return true;
}

/** `/BITS` at the end; without it all bits count. */
function splitPrefix(text: string, most: number): { address: string; bits: number | undefined } {
  const slash = text.indexOf('/');
  if (slash < 0) return { address: text, bits: most };
  const digits = text.slice(slash + 1);
  const bits = digits === '' ? most : /^\d{1,3}$/.test(digits) ? Number(digits) : Number.NaN;
  return { address: text.slice(0, slash), bits: bits <= most ? bits : undefined };
}

/** Eight hexadecimal digits, or `*`. */
function v4Digits(text: string): string | undefined {
  const parts = text.split('.');
  const digits = parts.map((part) => {
    if (part === '*') return '**';
    return /^\d{1,3}$/.test(part) && Number(part) <= 255 ? Number(part).toString(16).padStart(2, '0') : '';
  });
  return parts.length === V4_PARTS && !digits.includes('') ? digits.join('') : undefined;
}

/** 32 hexadecimal digits, or `*`. */
function v6Digits(text: string): string | undefined {
  const [head = '', tail, more] = text.split('::');
  if (more !== undefined) return undefined;
  const groups = (part: string | undefined) => (part === undefined || part === '' ? [] : part.split(':'));
  const before = groups(head);
  const after = groups(tail);
  const missing = V6_GROUPS - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const all = [...before, ...Array<string>(missing).fill('0'), ...after];
  if (!all.every((group) => /^[0-9a-f*]{1,4}$/i.test(group))) return undefined;
  return all.map((group) => group.padStart(4, '0')).join('');
}

function maskedOf(digits: string): Masked {
  const nibble = (i: number, of: (digit: string) => number) => of(digits[i]!);
  const bytes = (of: (digit: string) => number) =>
    Uint8Array.from(
      { length: digits.length / 2 },
      (_, i) => (nibble(2 * i, of) << 4) | nibble(2 * i + 1, of),
    );
  return {
    value: bytes((digit) => (digit === '*' ? 0 : Number.parseInt(digit, 16))),
    mask: bytes((digit) => (digit === '*' ? 0 : 0xf)),
  };
}

/** Only the first `bits` count. */
function cut({ value, mask }: Masked, bits: number): Masked {
  const kept = mask.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - 8 * i))));
  return { value: value.map((byte, i) => byte & kept[i]!), mask: kept };
}
