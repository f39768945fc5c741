/**
 * Collects what a capture writer writes, so that the file sees few large writes instead of many small ones.
 * @module
 */

/** Takes bytes for a file. The array is the caller's to keep. */
export type WriteBytes = (bytes: Uint8Array) => void;

const CAPACITY = 256 * 1024;

export class Output {
  readonly #write: WriteBytes;
  #b = new Uint8Array(CAPACITY);
  #len = 0;

  constructor(write: WriteBytes) {
    this.#write = write;
  }

  /** The buffer; valid until the next {@link reserve}. */
  get b(): Uint8Array {
    return this.#b;
  }

  /**
   * Takes the next `n` bytes of the file, all of which the caller must write: the buffer is used again and
   * holds old bytes.
   * @returns where they are in {@link b}
   */
  reserve(n: number): number {
    if (this.#len + n > this.#b.length) {
      this.flush();
      if (n > this.#b.length) this.#b = new Uint8Array(n);
    }
    const at = this.#len;
    this.#len += n;
    return at;
  }

  /** Hands a copy of what has been collected to the file. */
  flush(): void {
    if (this.#len === 0) return;
    this.#write(this.#b.slice(0, this.#len));
    this.#len = 0;
  }
}
