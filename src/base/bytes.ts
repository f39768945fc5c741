/**
 * Big-endian (network order) access to bytes, and hexadecimal text.
 *
 * Nothing here checks bounds: the `check` of a wire module has proved them before. Outside the array a read
 * yields 0 bits, and a write is ignored, as typed arrays do.
 * @module
 */

/** Reads one byte. */
export function u8(b: Uint8Array, at: number): number {
  return b[at]!;
}

/** Reads 16 bits, network order. */
export function u16(b: Uint8Array, at: number): number {
  return (b[at]! << 8) | b[at + 1]!;
}

/** Reads 24 bits, network order. */
export function u24(b: Uint8Array, at: number): number {
  return (b[at]! << 16) | (b[at + 1]! << 8) | b[at + 2]!;
}

/** Reads 32 bits, network order, as an unsigned number. */
export function u32(b: Uint8Array, at: number): number {
  return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0;
}

/** The same as a signed number: for words that are only compared or hashed, because it never leaves 32 bits. */
export function i32(b: Uint8Array, at: number): number {
  return (b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!;
}

/** Writes the low 16 bits of `v`, network order. */
export function putU16(b: Uint8Array, at: number, v: number): void {
  b[at] = v >>> 8;
  b[at + 1] = v;
}

/** Writes the low 32 bits of `v`, network order. */
export function putU32(b: Uint8Array, at: number, v: number): void {
  b[at] = v >>> 24;
  b[at + 1] = v >>> 16;
  b[at + 2] = v >>> 8;
  b[at + 3] = v;
}

/** Is the lowest byte of a word in memory its first? */
export const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/**
 * The number that an `Int32Array` stores as the bytes of `v` in network order: for tables of words, where that is
 * cheaper than a `DataView`. Its own inverse, and it goes through XOR: `netWord(a ^ b) === netWord(a) ^ netWord(b)`.
 */
export function netWord(v: number): number {
  if (!IS_LITTLE_ENDIAN) return v | 0;
  return (v << 24) | ((v & 0xff00) << 8) | ((v >>> 8) & 0xff00) | (v >>> 24);
}

/** {@link netWord} of 16 bits, such as a length or a port, on a little-endian machine: its own inverse. */
export function netHalf(v: number): number {
  return ((v & 0xff) << 8) | ((v >>> 8) & 0xff);
}

/** Flips one bit; bit 0 is the most significant bit of the first byte, as RFC diagrams count. */
export function flipBit(b: Uint8Array, bit: number): void {
  const at = bit >>> 3;
  b[at] = b[at]! ^ (0x80 >>> (bit & 7));
}

/** Are both arrays the same length and content? Not constant time: never for tags or keys. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));
/** From here on a decoder is quicker than to put strings together. */
const LONG_HEX = 16;
/** The two digits of each byte as they lie in memory. */
const HEX_DIGITS = new Uint16Array(new TextEncoder().encode(HEX.join('')).buffer);
const DECODER = new TextDecoder();

/** Lower-case hexadecimal text of `b[at..end)`. */
export function toHex(b: Uint8Array, at = 0, end = b.length): string {
  if (end - at >= LONG_HEX) {
    const digits = new Uint16Array(end - at);
    for (let i = at; i < end; i++) digits[i - at] = HEX_DIGITS[b[i]!]!;
    return DECODER.decode(digits);
  }
  let text = '';
  for (let i = at; i < end; i++) text += HEX[b[i]!];
  return text;
}

/**
 * Bytes of hexadecimal text. White space between digits is skipped, a leading `0x` is allowed.
 * @returns `undefined` when the text holds another character or an odd number of digits; the text is not
 * echoed, because it may be a key
 */
export function fromHex(text: string): Uint8Array | undefined {
  const digits = text.replace(/^\s*0x/i, '').replace(/\s+/g, '');
  if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) return undefined;
  const out = new Uint8Array(digits.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return out;
}

/** Bytes of hexadecimal text that is known to be good, such as a literal in the source. */
export function hex(text: string): Uint8Array {
  const b = fromHex(text);
  if (!b) throw new TypeError('hex: expected pairs of hexadecimal digits');
  return b;
}
