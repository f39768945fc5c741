/**
 * Standard output and standard error as commands use them: text gathered into large writes, back-pressure
 * honoured, a closed pipe (`| head`) taken as "enough".
 * @module
 */

import { TextBuffer } from '../base/text-buffer.ts';

/** Bytes that are worth a write. */
const FLUSH_AT = 1 << 16;
/** Room for the line that goes beyond {@link FLUSH_AT}. */
const CAPACITY = 2 * FLUSH_AT;

export class Output {
  /** What is to be written. Whoever writes into it calls {@link settle} then. */
  readonly text = new TextBuffer(CAPACITY);
  /** Arrays that the stream is done with. */
  readonly #free: Uint8Array[] = [];
  #full = false;
  readonly #stream: NodeJS.WriteStream;

  constructor(stream: NodeJS.WriteStream = process.stdout) {
    this.#stream = stream;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
      throw error;
    });
  }

  /** Adds text; it reaches the stream soon, and at the latest at {@link flush}. */
  write(text: string): void {
    this.text.utf8(text);
    this.settle();
  }

  /** Sends the text when that has become worth a write. */
  settle(): void {
    if (this.text.length >= FLUSH_AT) this.#send();
  }

  /** Sends what is pending and waits until the stream takes more. */
  async flush(): Promise<void> {
    this.#send();
    if (this.#full) {
      await new Promise<void>((resolve) => this.#stream.once('drain', resolve));
      this.#full = false;
    }
  }

  #send(): void {
    const { length } = this.text;
    if (length === 0) return;
    const bytes = this.text.swap(this.#free.pop() ?? new Uint8Array(CAPACITY));
    const taken = this.#stream.write(bytes.subarray(0, length), () => {
      this.#free.push(bytes);
    });
    if (!taken) this.#full = true;
  }
}

/** Writes one line of a result to standard output at once, for commands that run on. */
export function printLine(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Says something to the person at the terminal: standard error, one line. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** A line on the terminal that says how far a long task is. Silent where standard error is no terminal. */
export class Progress {
  readonly #what: string;
  readonly #shown = process.stderr.isTTY === true;
  readonly #startedAt = performance.now();
  #lastAt = 0;
  #isOn = false;

  constructor(what: string) {
    this.#what = what;
  }

  /** Shows the state, at most five times a second, and not before the task has taken a second. */
  update(state: string): void {
    const now = performance.now();
    if (!this.#shown || now - this.#startedAt < 1000 || now - this.#lastAt < 200) return;
    this.#lastAt = now;
    this.#isOn = true;
    process.stderr.write(`\r\x1b[K${this.#what}: ${state}`);
  }

  /** Removes the line. */
  done(): void {
    if (this.#isOn) process.stderr.write('\r\x1b[K');
    this.#isOn = false;
  }
}

/** The last line of a terminal, on standard error, that says how things stand. Silent where that is no terminal. */
export class LiveLine {
  readonly #shown = process.stderr.isTTY === true;
  #isOn = false;

  show(state: string): void {
    if (!this.#shown) return;
    this.#isOn = true;
    process.stderr.write(`\r\x1b[K${state}`);
  }

  /** Makes room for what else is to be written. */
  hide(): void {
    if (this.#isOn) process.stderr.write('\r\x1b[K');
    this.#isOn = false;
  }
}

/** A whole number with thousands separators: 1,234,567. */
export function grouped(n: number): string {
  // `toLocaleString` says the same, after 25 ms of loading tables for the first number.
  return String(n).replace(/\B(?=(\d{3})+$)/g, ',');
}
