/**
 * Texts of lines, read with a limit, so that no line of a foreign file costs more than its reader expects.
 * @module
 */
import { InputError } from './errors.ts';

/**
 * Longest line, in characters (UTF-16 units). The longest that programs write are far below: an `ip -o xfrm state`
 * with a window of 4096 has 3,000, a node with 800 single pod addresses 34,000.
 */
export const MAX_LINE = 65_536;

/** Longest text of lines, in characters. The states of 60,000 SAs have no more. */
export const MAX_LINES_TEXT = 64 << 20;

/** A line without its end. */
export interface Line {
  /** 1-based. */
  readonly number: number;
  readonly text: string;
}

/**
 * The lines of a text, as `split('\n')` gives them: what follows the last line end is a line, too, and a carriage
 * return stays.
 * @param source file name, for errors
 * @throws {InputError} the text is longer than {@link MAX_LINES_TEXT}, or a line is longer than {@link MAX_LINE}, with its
 * number
 */
export function* linesOf(text: string, source: string): Generator<Line> {
  if (text.length > MAX_LINES_TEXT)
    throw new InputError(
      { source },
      'more than 64 MiB of text',
      'Split the file, or check that it is the right one.',
    );
  let number = 1;
  for (let at = 0; ; number++) {
    const newline = text.indexOf('\n', at);
    const end = newline < 0 ? text.length : newline;
    if (end - at > MAX_LINE) {
      throw new InputError(
        { source, line: number },
        'the line has more than 65,536 characters',
        'Check that this is the right file.',
      );
    }
    yield { number, text: text.slice(at, end) };
    if (newline < 0) return;
    at = newline + 1;
  }
}

/** Lines of what comes in pieces and may have no end. One that is longer than {@link MAX_LINE} is passed over. */
export class LongLines {
  readonly #line: (text: string) => void;
  readonly #decoder = new TextDecoder();
  #begun = '';
  #isTooLong = false;

  constructor(line: (text: string) => void) {
    this.#line = line;
  }

  /** Takes the next bytes, of which it keeps none. */
  feed(chunk: Uint8Array): void {
    const lines = (this.#begun + this.#decoder.decode(chunk, { stream: true })).split('\n');
    this.#begun = lines.pop()!;
    for (const text of lines) this.#take(text);
    if (this.#begun.length <= MAX_LINE) return;
    this.#begun = '';
    this.#isTooLong = true;
  }

  /** What follows the last line end is a line, too, where there is something. */
  end(): void {
    if (this.#begun !== '') this.#take(this.#begun);
    this.#begun = '';
  }

  #take(text: string): void {
    if (!this.#isTooLong && text.length <= MAX_LINE) this.#line(text);
    this.#isTooLong = false;
  }
}
