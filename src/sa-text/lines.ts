/**
 * The lines of a text that people paste: with Windows line ends, tabs turned into spaces or dots, several nodes one after
 * the other, prompts in between, quoted in mail or Markdown, and from `ip -o`, which writes a backslash where a line ends.
 * @module
 */
import { linesOf } from '../base/lines.ts';

/** A line that is not blank. */
export interface TextLine {
  /** 1-based, in the text. */
  readonly number: number;
  /** White space and quoting before the first word, in characters. */
  readonly indent: number;
  /** Without white space and quoting at both ends, words one blank apart. */
  readonly text: string;
  readonly words: readonly string[];
}

/**
 * The lines of a text, one at a time; those of `ip -o` are taken apart, and keep their number.
 * @param source file name, for errors
 * @param first number of the first line
 * @throws {InputError} when text or line is too long
 */
export function* textLines(text: string, source: string, first = 1): Generator<TextLine> {
  for (const line of linesOf(text, source)) {
    if (line.text === '') continue;
    for (const part of line.text.split('\\')) {
      const { indent, bare } = unquoted(part);
      if (bare === '') continue;
      const words = wordsOf(bare);
      yield { number: line.number + first - 1, indent, text: words.join(' '), words };
    }
  }
}

/** Quotes of mail and Markdown, and the dots that some programs print for tabs. */
const QUOTES: ReadonlySet<number> = new Set([...'>*_`|.'].map((char) => char.charCodeAt(0)));
const MARKS: ReadonlySet<number> = new Set([...'*_`'].map((char) => char.charCodeAt(0)));
/** White space beyond ASCII; a byte order mark is some. */
const WIDE_SPACE = /\s/;

function isSpace(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code === 32 || (code >= 9 && code <= 13) || (code > 127 && WIDE_SPACE.test(text[at]!));
}

function unquoted(part: string): { indent: number; bare: string } {
  let indent = 0;
  let isMarked = false;
  for (; indent < part.length; indent++) {
    const code = part.charCodeAt(indent);
    if (MARKS.has(code)) isMarked = true;
    else if (!isSpace(part, indent) && !QUOTES.has(code)) break;
  }
  let end = part.length;
  while (end > indent && (isSpace(part, end - 1) || (isMarked && MARKS.has(part.charCodeAt(end - 1))))) end--;
  return { indent, bare: part.slice(indent, end) };
}

/** A hidden key may be made of asterisks: it stays as it is. */
function wordsOf(text: string): string[] {
  const words = text.split(/\s+/);
  if (!text.includes('**')) return words;
  return words
    .map((word) => (word.startsWith('0x') ? word : word.replaceAll('**', '')))
    .filter((word) => word !== '');
}
