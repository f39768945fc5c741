/**
 * Standard output and standard error as commands use them: text gathered into large writes, back-pressure
 * honoured, a closed pipe (`| head`) taken as "enough". Nothing that a terminal acts on leaves here but our own colours.
 * @module
 */

import { safeLines, safeText } from '../base/safe-text.ts';
import { TextBuffer } from '../base/text-buffer.ts';
import { outputError } from './output-file.ts';

/** Bytes that are worth a write. */
const FLUSH_AT = 1 << 16;
/** Room for the line that goes beyond {@link FLUSH_AT}. */
const CAPACITY = 2 * FLUSH_AT;

export class Output {
  /** What is to be written. Call {@link settle} after writing into it. */
  readonly text = new TextBuffer(CAPACITY);
  /** Arrays that the stream is done with. */
  readonly #free: Uint8Array[] = [];
  #full = false;
  readonly #stream: NodeJS.WriteStream;

  constructor(stream: NodeJS.WriteStream = process.stdout) {
    this.#stream = stream;
  }

  /** Adds text; it reaches the stream soon, and at the latest at {@link flush}. */
  write(text: string): void {
    this.text.utf8(safeLines(text));
    this.settle();
  }

  /** Sends the text when that has become worth a write. */
  settle(): void {
    if (this.text.length >= FLUSH_AT) this.#send();
  }

  /** Sends what is pending and waits until the stream takes more. */
  async flush(): Promise<void> {
    this.#send();
    if (!this.#full) return;
    // A stream whose reader is gone is not waited for.
    if (!this.#stream.destroyed)
      await new Promise<void>((resolve) => {
        this.#stream.once('drain', resolve).once('close', resolve);
      });
    this.#full = false;
  }

  #send(): void {
    const { length } = this.text;
    if (length === 0) return;
    const bytes = this.text.swap(this.#free.pop() ?? new Uint8Array(CAPACITY));
    const taken = attempt(() =>
      this.#stream.write(bytes.subarray(0, length), () => {
        this.#free.push(bytes);
      }),
    );
    if (!taken) this.#full = true;
  }
}

/** Standard output took no more: a closed pipe is "enough", anything else an error. Ends the program. */
export function stdoutFailed(error: unknown): never {
  if ((error as NodeJS.ErrnoException).code === 'EPIPE') process.exit(0);
  say(`esplane: ${outputError('standard output', error).message}`);
  process.exit(2);
}

/** Takes care of streams that fail. To be called before anything is written. */
export function guardStreams(): void {
  process.stdout.on('error', stdoutFailed);
  // What is said to people is lost then; the work goes on.
  process.stderr.on('error', () => {});
}

/** Writes text to standard output at once. */
export function print(text: string): void {
  const safe = safeLines(text);
  attempt(() => process.stdout.write(safe));
}

/** Writes one line of a result to standard output at once, for commands that run on. */
export function printLine(text: string): void {
  print(`${text}\n`);
}

/** Columns of what goes to no terminal, and the most that are easy to read. */
export const USUAL_WIDTH = 100;

/** Says what is odd, and does not stop the work. */
export function warn(text: string): void {
  say(`warning: ${text}`);
}

/** Says something to the person at the terminal: standard error, one line. */
export function say(text: string): void {
  show(`${text.split('\n').map(safeText).join('\n')}\n`);
}

/** Writes to standard error, as far as that takes it. */
function show(text: string): void {
  try {
    process.stderr.write(text);
  } catch {
    // As in guardStreams.
  }
}

/** Where standard output is a file, a failure is thrown, and does not come as an event. */
function attempt<T>(write: () => T): T {
  try {
    return write();
  } catch (error) {
    return stdoutFailed(error);
  }
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
  update(state: () => string): void {
    if (!this.#shown) return;
    const now = performance.now();
    if (now - this.#startedAt < 1000 || now - this.#lastAt < 200) return;
    this.#lastAt = now;
    this.#isOn = true;
    show(`\r\x1b[K${this.#what}: ${safeText(state())}`);
  }

  /** Removes the line. */
  done(): void {
    if (this.#isOn) show('\r\x1b[K');
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
    show(`\r\x1b[K${safeText(state)}`);
  }

  /** Makes room for what else is to be written. */
  hide(): void {
    if (this.#isOn) show('\r\x1b[K');
    this.#isOn = false;
  }
}
