/**
 * Sentences broken into lines.
 * @module
 */
import { safeText } from '../base/safe-text.ts';

/** Breaks a sentence into lines of `width` columns. A word that is longer than a line stays whole. */
export function wrap(text: string, width: number, indent: string): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of safeText(text).split(' ')) {
    if (line.trim() !== '' && line.length + word.length > width) {
      lines.push(line.trimEnd());
      line = indent;
    }
    line += `${word} `;
  }
  lines.push(line.trimEnd());
  return lines;
}
