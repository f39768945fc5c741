/**
 * Text out of the bytes of a file: UTF-8, or UTF-16 as Windows PowerShell writes it (`kubectl … > file`).
 * @module
 */

/**
 * Decodes a text. Its byte order mark says which encoding it has, and is no part of it; without one it is UTF-8. Bytes
 * that are no text in it become U+FFFD.
 */
export function decodeText(bytes: Uint8Array): string {
  return new TextDecoder(encodingOf(bytes)).decode(bytes);
}

function encodingOf([first, second]: Uint8Array): string {
  if (first === 0xff && second === 0xfe) return 'utf-16le';
  if (first === 0xfe && second === 0xff) return 'utf-16be';
  return 'utf-8';
}
