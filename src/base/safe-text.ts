/**
 * Text out of captures and files, made safe for a terminal and for a log of lines.
 *
 * A name in a capture may hold escape sequences that clear the screen or set its title, line ends that add a line
 * which the program did not print, and controls that turn the order of letters around. Each such character is shown as
 * `\uXXXX`, the way JSON writes it, so the same function also serves lines of JSON.
 *
 * What counts: C0, DEL and C1 (Unicode's category Cc), bidirectional controls (Unicode's property Bidi_Control: U+061C,
 * U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069), the line separators U+2028 and U+2029, and lone surrogates.
 * @module
 */

/**
 * Without one of these a whole output is safe: found out five times as fast as below. The halves of a pair are among
 * them, which are safe together.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const MAYBE_UNSAFE = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/;
const UNSAFE = /[\p{Cc}\p{Bidi_Control}\u2028\u2029\p{Cs}]/u;
const EACH_UNSAFE = new RegExp(UNSAFE, 'gu');

/** Line ends, tabs, the colours of `cli/paint.ts`, or one unsafe character. */
const EACH_UNSAFE_IN_LINES = new RegExp(`[\\n\\t]|\\u001b\\[(?:0|1|2|3[1236])m|(${UNSAFE.source})`, 'gu');

/** Makes a name or another text of one line safe: nothing of it is left that a terminal acts on. */
export function safeText(text: string): string {
  return UNSAFE.test(text) ? text.replace(EACH_UNSAFE, escaped) : text;
}

/**
 * Makes a whole output safe, and leaves what our own printers write: line ends, tabs and colours. The last guard before
 * a terminal; single texts go through {@link safeText} before they become part of a line.
 */
export function safeLines(text: string): string {
  if (!MAYBE_UNSAFE.test(text)) return text;
  return text.replace(EACH_UNSAFE_IN_LINES, (all, unsafe?: string) =>
    unsafe === undefined ? all : escaped(unsafe),
  );
}

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
