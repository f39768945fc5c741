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

/** The same of a text that comes in pieces, which need not be kept. */
export class TextPieces {
  readonly #decoder: InstanceType<typeof TextDecoder>;
  readonly #parts: string[] = [];

  /** @param beginning its first bytes, at least two where there are so many */
  constructor(beginning: Uint8Array) {
    this.#decoder = new TextDecoder(encodingOf(beginning));
    this.add(beginning);
  }

  add(piece: Uint8Array): void {
    this.#parts.push(this.#decoder.decode(piece, { stream: true }));
  }

  /** The whole text. Call once. */
  end(): string {
    this.#parts.push(this.#decoder.decode());
    return this.#parts.splice(0).join('');
  }
}

function encodingOf([first, second]: Uint8Array): string {
  if (first === 0xff && second === 0xfe) return 'utf-16le';
  if (first === 0xfe && second === 0xff) return 'utf-16be';
  return 'utf-8';
}
