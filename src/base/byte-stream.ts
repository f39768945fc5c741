/**
 * Bytes that come in chunks, taken so many at a time, and looked at before they are taken. An error of their source is
 * thrown where they end, each time.
 * @module
 */

export class ByteStream {
  readonly #chunks: AsyncIterator<Uint8Array>;
  /** The rest of the last chunk, and before it what was looked at. */
  #rest: Uint8Array = new Uint8Array(0);
  #isDone = false;
  #failure: { readonly error: unknown } | undefined;

  /** @param chunks each valid until the next one is asked for */
  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** The next bytes, so many, or all when there are no more, or an error comes behind them. They stay. */
  async head(length: number): Promise<Uint8Array> {
    while (this.#rest.length < length) {
      // The memory of a chunk may be used again for the next one.
      const rest = this.#rest.slice();
      let isMore = false;
      try {
        isMore = await this.#next();
      } catch (error) {
        if (rest.length === 0) throw error;
      }
      if (!isMore) {
        this.#rest = rest;
        break;
      }
      if (rest.length > 0) this.#rest = joined([rest, this.#rest]);
    }
    return this.#rest.slice(0, length);
  }

  /** Takes the next bytes, so many, or all when there are no more. */
  async take(length: number): Promise<Uint8Array> {
    const taken = new Uint8Array(length);
    let at = 0;
    for await (const chunk of this.upTo(length)) {
      taken.set(chunk, at);
      at += chunk.length;
    }
    return taken.subarray(0, at);
  }

  /** Passes over bytes. @returns how many there were */
  async skip(length: number): Promise<number> {
    let skipped = 0;
    for await (const chunk of this.upTo(length)) skipped += chunk.length;
    return skipped;
  }

  /** Takes bytes as they come, so many at most. A chunk is valid until the next one is asked for. */
  async *upTo(length: number): AsyncGenerator<Uint8Array> {
    for (let left = length; left > 0; ) {
      if (this.#rest.length === 0 && !(await this.#next())) return;
      const some = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(some.length);
      left -= some.length;
      yield some;
    }
  }

  /** Takes everything. The stream is closed at its end, or when the reader stops early. */
  async *all(): AsyncGenerator<Uint8Array> {
    try {
      const rest = this.#rest;
      this.#rest = new Uint8Array(0);
      if (rest.length > 0) yield rest;
      if (this.#failure) throw this.#failure.error;
      if (this.#isDone) return;
      // The loop closes it. Each step more, such as by way of upTo, costs every chunk of a capture several turns.
      this.#isDone = true;
      for await (const chunk of { [Symbol.asyncIterator]: () => this.#chunks })
        if (chunk.length > 0) yield chunk;
    } finally {
      await this.close();
    }
  }

  /** Nothing more is wanted. */
  async close(): Promise<void> {
    this.#rest = new Uint8Array(0);
    this.#failure = undefined;
    if (this.#isDone) return;
    this.#isDone = true;
    await this.#chunks.return?.();
  }

  /** Replaces the current chunk, which is used up, with the next one. */
  async #next(): Promise<boolean> {
    if (this.#failure) throw this.#failure.error;
    while (!this.#isDone) {
      const { done, value } = await this.#chunks.next().catch((error) => {
        this.#isDone = true;
        this.#failure = { error };
        throw error;
      });
      if (done) {
        this.#isDone = true;
        return false;
      }
      this.#rest = value;
      if (value.length > 0) return true;
    }
    return false;
  }
}

/** One array of several. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
