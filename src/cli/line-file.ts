/**
 * A file of lines that grows while the program runs: whatever happens, its last line is whole.
 * @module
 */
import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { outputError } from './output-file.ts';

export class LineFile {
  readonly name: string;
  readonly #fd: number;
  readonly #isRegular: boolean;
  /** Bytes of whole lines. */
  #length: number;

  /**
   * @param append to what is there; else it is overwritten
   * @throws {EsplaneError} `ERR_OUTPUT` when the file cannot be made
   */
  constructor(name: string, append: boolean) {
    this.name = name;
    try {
      // Who talks to whom is nobody else's business.
      this.#fd = openSync(name, append ? 'a' : 'w', 0o600);
    } catch (error) {
      throw outputError(name, error);
    }
    const stat = fstatSync(this.#fd);
    this.#isRegular = stat.isFile();
    this.#length = stat.size;
  }

  /**
   * Writes whole lines: all of them, or none.
   * @throws {EsplaneError} `ERR_OUTPUT` when they cannot be written; the file is then as it was
   */
  write(text: string): void {
    const bytes = new TextEncoder().encode(text);
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
      this.#length += bytes.length;
    } catch (error) {
      if (this.#isRegular) ftruncateSync(this.#fd, this.#length);
      throw outputError(this.name, error);
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}
