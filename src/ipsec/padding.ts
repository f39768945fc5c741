/**
 * The ESP trailer: padding, pad length and next header (RFC 4303 §2.4 to §2.6).
 *
 * ```text
 *  | payload | 1 2 3 … padLen | padLen | next header |   (then the ICV)
 *            ^ at             a multiple of `align` from the start of the payload
 * ```
 * @module
 */
import { TRAILER_LEN } from '../wire/esp.ts';

/**
 * The least padding that makes payload, padding and the two trailer bytes a multiple of `align`.
 * @param align a power of two
 */
export function padLength(payloadLen: number, align: number): number {
  return -(payloadLen + TRAILER_LEN) & (align - 1);
}

/** Writes the trailer at `at`: padding that counts 1, 2, 3, … (RFC 4303 §2.4), its length, the next header. */
export function writeTrailer(b: Uint8Array, at: number, padLen: number, nextHeader: number): void {
  for (let i = 1; i <= padLen; i++) b[at + i - 1] = i;
  b[at + padLen] = padLen;
  b[at + padLen + 1] = nextHeader;
}

/**
 * How long the payload is in the decrypted text `b[textAt..textAt+textLen)`.
 *
 * As in Linux (esp_remove_trailer) the payload must not be empty, and what the padding holds is not looked at:
 * the ICV has vouched for it.
 * @returns -1 when the pad length leaves no payload, or the text is shorter than a trailer
 */
export function payloadLength(b: Uint8Array, textAt: number, textLen: number): number {
  const len = textLen - TRAILER_LEN - b[textAt + textLen - 2]!;
  return len > 0 ? len : -1;
}

/** Does padding hold 1, 2, 3, …, as a sender has to write it (RFC 4303 §2.4)? Linux does not look. */
export function countsUp(b: Uint8Array, at: number, end: number): boolean {
  for (let i = at; i < end; i++) if (b[i] !== i - at + 1) return false;
  return true;
}
