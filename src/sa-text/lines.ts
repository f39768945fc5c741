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
 * @throws {InputError} when text or line is too long
 */
export function* textLines(text: string, source: string): Generator<TextLine> {
  for (const line of linesOf(text, source)) {
    for (const part of line.text.split('\\')) {
      const { indent, bare } = unquoted(part);
      if (bare === '') continue;
      const words = wordsOf(bare);
      yield { number: line.number, indent, text: words.join(' '), words };
    }
  }
}

/** White space (a byte order mark is some), quotes of mail and Markdown, and the dots that some programs print for tabs. */
const isMargin = (char: string | undefined) => char !== undefined && /[\s>*_`|.]/.test(char);

function unquoted(part: string): { indent: number; bare: string } {
  let indent = 0;
  while (isMargin(part[indent])) indent++;
  const isMarked = /[*_`]/.test(part.slice(0, indent));
  let end = part.length;
  while (end > indent && (/\s/.test(part[end - 1]!) || (isMarked && /[*_`]/.test(part[end - 1]!)))) end--;
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
