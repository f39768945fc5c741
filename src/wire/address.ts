/**
 * IP addresses: 4 or 16 bytes in network order on the inside, text at the borders.
 * @module
 */
import ipaddr from 'ipaddr.js';
import { equalBytes, u16 } from '../base/bytes.ts';
import type { TextBuffer } from '../base/text-buffer.ts';

/** An IPv4 (4 bytes) or IPv6 (16 bytes) address, network order. */
export type Address = Uint8Array;

/** An address range: all addresses whose first `bits` bits are those of `address`. */
export interface Prefix {
  readonly address: Address;
  readonly bits: number;
}

/** Longest text of an address, in characters: `0000:0000:0000:0000:0000:ffff:255.255.255.255`. */
const MAX_TEXT = 45;

/**
 * Reads an address as text. IPv4 must be four decimal numbers; a zone (`%eth0`) is refused.
 * @returns `undefined` when the text is no address
 */
export function parseAddress(text: string): Address | undefined {
  if (text.length > MAX_TEXT) return undefined;
  const v4 = parseIpv4(text);
  if (v4) return v4;
  // ipaddr.js reads `::10.0.0.1` as `::ffff:10.0.0.1` and takes octal there, so it gets hexadecimal groups.
  const tailAt = text.lastIndexOf(':') + 1;
  const tail = parseIpv4(text.slice(tailAt));
  const plain = tail ? `${text.slice(0, tailAt)}${group(tail, 0)}:${group(tail, 2)}` : text;
  if (/[%.]/.test(plain) || !ipaddr.IPv6.isValid(plain)) return undefined;
  return Uint8Array.from(ipaddr.IPv6.parse(plain).toByteArray());
}

/** Reads `ADDRESS/BITS`; without `/BITS` the prefix is the one address. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (!address) return undefined;
  const most = address.length * 8;
  if (slash < 0) return { address, bits: most };
  const bits = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(bits) || Number(bits) > most) return undefined;
  return { address, bits: Number(bits) };
}

/** The text of `b[at..at+len)`; IPv6 in the short form of RFC 5952. */
export function formatAddress(b: Uint8Array, at = 0, len = b.length - at): string {
  if (len === 4) return `${b[at]}.${b[at + 1]}.${b[at + 2]}.${b[at + 3]}`;
  return formatIpv6(b, at);
}

/** RFC 5952 §4. Not by the library, which takes 30 times as long: a node has thousands of addresses to report. */
function formatIpv6(b: Uint8Array, at: number): string {
  let zerosAt = 0;
  let zeros = 1;
  for (let k = 0; k < GROUPS; k++) {
    const begin = k;
    while (k < GROUPS && b[at + 2 * k] === 0 && b[at + 2 * k + 1] === 0) k++;
    if (k - begin > zeros) [zerosAt, zeros] = [begin, k - begin];
  }
  if (zeros === 1) return groups(b, at, 0, GROUPS);
  return `${groups(b, at, 0, zerosAt)}::${groups(b, at, zerosAt + zeros, GROUPS)}`;
}

/** Groups of 16 bits of an IPv6 address. */
const GROUPS = 8;

function groups(b: Uint8Array, at: number, from: number, to: number): string {
  let text = '';
  for (let k = from; k < to; k++) text += `${k > from ? ':' : ''}${u16(b, at + 2 * k).toString(16)}`;
  return text;
}

/** Writes what {@link formatAddress} says; for IPv4 without making a string. */
export function putAddress(out: TextBuffer, b: Uint8Array, at: number, len: number): void {
  if (len !== 4) {
    out.text(formatAddress(b, at, len));
    return;
  }
  for (let i = 0; i < 4; i++) {
    if (i > 0) out.text('.');
    out.decimal(b[at + i]!);
  }
}

/** The prefix that holds one address alone. */
export function singlePrefix(address: Address): Prefix {
  return { address, bits: address.length * 8 };
}

/** The text of a prefix: `10.0.0.0/8`. */
export function formatPrefix(prefix: Prefix): string {
  return `${formatAddress(prefix.address)}/${prefix.bits}`;
}

/** Does the prefix hold the address at `b[at..at+len)`? Another family is never inside. */
export function inPrefix(prefix: Prefix, b: Uint8Array, at = 0, len = b.length - at): boolean {
  const want = prefix.address;
  if (want.length !== len) return false;
  const whole = prefix.bits >>> 3;
  for (let i = 0; i < whole; i++) if (b[at + i] !== want[i]) return false;
  const rest = prefix.bits & 7;
  return rest === 0 || ((b[at + whole]! ^ want[whole]!) & (0xff00 >>> rest) & 0xff) === 0;
}

export function isSamePrefix(a: Prefix, b: Prefix): boolean {
  return a.bits === b.bits && equalBytes(a.address, b.address);
}

/** An IPv4 address inside an IPv6 one (`::ffff:a.b.c.d`) as 4 bytes; any other address unchanged. */
export function unmapIpv4(address: Address): Address {
  if (address.length !== 16) return address;
  for (let i = 0; i < 10; i++) if (address[i] !== 0) return address;
  return address[10] === 0xff && address[11] === 0xff ? address.slice(12) : address;
}

/** Is every byte zero: `0.0.0.0` or `::`, which stand for "any" in an SA? */
export function isAny(address: Address): boolean {
  return address.every((v) => v === 0);
}

function parseIpv4(text: string): Address | undefined {
  if (!ipaddr.IPv4.isValidFourPartDecimal(text)) return undefined;
  return Uint8Array.from(ipaddr.IPv4.parse(text).toByteArray());
}

/** Two bytes as a group of IPv6 text. */
function group(b: Uint8Array, at: number): string {
  return u16(b, at).toString(16);
}
