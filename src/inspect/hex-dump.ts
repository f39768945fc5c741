/**
 * Reads a pasted packet: bare hexadecimal digits, or a dump as tools print it.
 *
 * ```text
 * 45000054 0000 40:00 0x40, 0x01                                    digits, however they are set
 * 00000000: 4500 0054 0000 4000 3f01 22a4 0af4 010a  E..T..@.?."…   xxd
 *         0x0000:  4500 0054 0000 4000 3f01 22a4 0af4 010a          tcpdump -x, -xx, -X
 * 00000000  45 00 00 54 00 00 40 00  3f 01 22 a4 0a f4 01 0a  |E…|  hexdump -C
 * 0000   45 00 00 54 00 00 40 00 3f 01 22 a4 0a f4 01 0a   E..T…    Wireshark, tshark -x
 * [  1.5] skb linear:   00000000: 45 00 00 54 00 00 40 00              skb_dump() in the log of a Linux kernel
 * unsigned char packet[84] = { 0x45, 0x00, 0x00, 0x54 };               C: xxd -i, Wireshark
 * ```
 *
 * Lines of a dump begin with an offset, which has to go on from line to line; other lines between them (tcpdump's
 * headlines, prompts) are passed over.
 * @module
 */
import { InputError } from '../base/errors.ts';

/** A frame is never this long: another file was given. */
const MAX_BYTES = 0x4_0000;
/** Characters that a byte takes, at most: `0x0000:`, the text beside the digits and headlines are counted in. */
const MAX_WIDTH = 16;
/** Bytes in a line of a dump, at most. */
const MAX_LINE = 64;

/** What `skb_dump()` prints before its lines, and which part of the packet that is. */
const SKB_LINE = /\bskb ([a-z]+):\s+([0-9a-f]{8}:.*)$/i;
/** Parts of it that are the packet's; headroom and tailroom are not. */
const SKB_PARTS: ReadonlySet<string> = new Set(['linear', 'frag']);
/** Bounded, so that a text of brackets takes no longer than its length. */
const C_ARRAY = /\[[^[\]\n]{0,40}\]\s{0,40}=\s{0,40}\{([^{}]*)\}/g;
/** A line of plain `hexdump` or of `od -x`. */
const WORDS_LINE = /^[0-9a-f]{7}(?:\s+[0-9a-f]{4}){1,8}\s*$/i;

const DUMP_LINE = /^\s*(?:0x)?([0-9a-f]{3,8})(?::\s*|\s{2,}|\s(?=[0-9a-f]{2}(?:\s|$)))(.*)$/is;

/**
 * Reads the bytes of one packet.
 * @param source where the text comes from, for errors
 * @throws {InputError} no hexadecimal text, half a byte, a dump with a hole, or more than one packet
 */
export function parseHexDump(text: string, source: string): Uint8Array {
  if (text.length > MAX_WIDTH * MAX_BYTES) throw tooLong(source);
  const bytes = readAny(text, source);
  if (bytes.length === 0) {
    throw new InputError(
      { source },
      'no hexadecimal digits',
      'Give the bytes of one packet, such as 45000054….',
    );
  }
  return Uint8Array.from(bytes);
}

function readAny(text: string, source: string): number[] {
  const lines = text.split(/\r?\n/);
  if (lines.some((line) => SKB_LINE.test(line))) return readSkb(lines, source);
  if (text.includes('{')) {
    const arrays = [...withoutComments(text).matchAll(C_ARRAY)].map(([, elements]) => elements!);
    if (arrays.length > 1)
      throw new InputError({ source }, 'there is more than one array', 'Give one packet at a time.');
    if (arrays.length === 1) return readArray(arrays[0]!, source);
  }
  if (WORDS_LINE.test(lines.find((line) => line.trim() !== '') ?? '')) {
    throw new InputError(
      { source },
      'these are 16-bit words, as plain hexdump and od print them, with the bytes of each exchanged on most machines',
      'Give the output of hexdump -C.',
    );
  }
  return looksLikeDump(lines) ? readDump(lines, source) : readDigits(lines, source);
}

/** Characters that may follow an end of a comment within it: bytes beside digits, and what closes it. */
const BESIDE = 64;

/**
 * Where a comment ends, or -1. Wireshark writes the bytes beside the digits in one, and `*` and `/` may be among them: the
 * last end of a line counts, unless another comment begins there before it.
 */
function endOfComment(text: string, from: number): number {
  const first = text.indexOf('*/', from);
  if (first < 0) return -1;
  const [rest = ''] = text.slice(first + 2, first + 2 + BESIDE).split('\n', 1);
  const last = rest.includes('/*') ? -1 : rest.lastIndexOf('*/');
  return last < 0 ? first : first + 2 + last;
}

/** C without its comments, in which anything may stand. */
function withoutComments(text: string): string {
  let code = '';
  for (let at = 0; ; ) {
    const from = text.indexOf('/*', at);
    const to = from < 0 ? -1 : endOfComment(text, from + 2);
    if (to < 0) return (code + text.slice(at)).replace(/\/\/[^\n]*/g, ' ');
    code += `${text.slice(at, from)} `;
    at = to + 2;
  }
}

/** The linear part and, behind it, the pages of a packet: each is a dump that begins at 0. */
function readSkb(lines: readonly string[], source: string): number[] {
  const parts: { readonly lines: string[]; readonly numbers: number[] }[] = [];
  for (const [i, line] of lines.entries()) {
    const [, kind, dumped] = SKB_LINE.exec(line) ?? [];
    if (kind === undefined || !SKB_PARTS.has(kind)) continue;
    const isFirst = Number.parseInt(dumped!, 16) === 0;
    if (isFirst && kind === 'linear' && parts.length > 0)
      throw new InputError(
        { source, line: i + 1 },
        'a second packet starts here',
        'Give one packet at a time.',
      );
    if (isFirst || parts.length === 0) parts.push({ lines: [], numbers: [] });
    parts.at(-1)!.lines.push(dumped!);
    parts.at(-1)!.numbers.push(i + 1);
  }
  const bytes = parts.flatMap((part) => readDump(part.lines, source, part.numbers));
  if (bytes.length > MAX_BYTES) throw tooLong(source);
  return bytes;
}

/** The elements of an array in C: hexadecimal with 0x, else decimal. */
function readArray(elements: string, source: string): number[] {
  const bytes: number[] = [];
  for (const element of elements.split(',')) {
    const number = element.trim();
    if (number === '') continue;
    const value = /^(0x[0-9a-f]+|\d+)$/i.test(number) ? Number(number) : Number.NaN;
    if (!(value <= 0xff))
      throw new InputError(
        { source },
        `${JSON.stringify(number.slice(0, 20))} is no byte`,
        'Give an array of numbers from 0 to 255.',
      );
    bytes.push(value);
    if (bytes.length > MAX_BYTES) throw tooLong(source);
  }
  return bytes;
}

/** The first line that could be one of a dump begins at 0, and not with digits that are a packet's. */
function looksLikeDump(lines: readonly string[]): boolean {
  const dumped = lines.map((line) => DUMP_LINE.exec(line)).find((match) => match !== null);
  return dumped !== undefined && Number.parseInt(dumped[1]!, 16) === 0;
}

/** @param numbers of the lines, where they are not all that there are */
function readDump(lines: readonly string[], source: string, numbers?: readonly number[]): number[] {
  const rows: { offset: number; rest: string; line: number }[] = [];
  for (const [i, line] of lines.entries()) {
    const [, offset, rest] = DUMP_LINE.exec(line) ?? [];
    if (offset !== undefined)
      rows.push({ offset: Number.parseInt(offset, 16), rest: rest!, line: numbers?.[i] ?? i + 1 });
  }
  const bytes: number[] = [];
  const perLine = rows[1] === undefined ? MAX_LINE : Math.min(rows[1].offset, MAX_LINE);
  for (const [i, { offset, rest, line }] of rows.entries()) {
    const place = { source, line };
    if (offset === 0 && i > 0) {
      throw new InputError(place, 'a second packet starts here', 'Give one packet at a time.');
    }
    if (offset !== bytes.length) {
      throw new InputError(
        place,
        `the dump goes on at byte ${offset}, but ${bytes.length} have been read`,
        'Give all lines of the dump, in order.',
      );
    }
    const next = rows[i + 1]?.offset;
    // Where the next line says how many bytes this one has, text beside them cannot be taken for bytes.
    const most = next !== undefined && next > offset ? Math.min(next - offset, MAX_LINE) : perLine;
    bytes.push(...readRow(rest, most, place));
    if (bytes.length > MAX_BYTES) throw tooLong(source);
  }
  return bytes;
}

/** The bytes at the beginning of what follows an offset. */
function readRow(rest: string, most: number, place: { source: string; line: number }): number[] {
  const bytes: number[] = [];
  let [columns = ''] = rest.split('|');
  while (bytes.length < most) {
    const [whole, digits] = /^([0-9a-f]+)(?=\s|$)/i.exec(columns) ?? [];
    if (whole === undefined) break;
    if (digits!.length % 2 !== 0) {
      throw new InputError(place, 'half a byte', 'Give pairs of hexadecimal digits.');
    }
    for (let i = 0; i < digits!.length; i += 2) bytes.push(Number.parseInt(digits!.slice(i, i + 2), 16));
    columns = columns.slice(whole.length);
    const gap = /^\s*/.exec(columns)![0].length;
    columns = columns.slice(gap);
    // Blanks part the bytes from the text beside them, but hexdump has two of them after eight bytes, too.
    if (gap > 1 && !(gap === 2 && bytes.length === 8 && /^[0-9a-f]{2}(\s|$)/i.test(columns))) break;
  }
  return bytes.slice(0, most);
}

/** Digits with white space, colons, commas, `0x`, `\x` and quotes between them. */
function readDigits(lines: readonly string[], source: string): number[] {
  const bytes: number[] = [];
  let half: number | undefined;
  for (const [i, line] of lines.entries()) {
    const place = { source, line: i + 1 };
    const digits = line.replace(/0x|\\x/gi, '').replace(/[\s:,;"'{}[\]()-]/g, '');
    const wrong = /[^0-9a-f]/i.exec(digits)?.[0];
    if (wrong !== undefined) {
      throw new InputError(
        place,
        `${JSON.stringify(wrong)} is no hexadecimal digit`,
        'Give digits, or a dump of xxd, hexdump -C, tcpdump -x or Wireshark.',
      );
    }
    for (const digit of digits) {
      const value = Number.parseInt(digit, 16);
      if (half === undefined) half = value;
      else {
        bytes.push(half * 16 + value);
        half = undefined;
      }
    }
    if (bytes.length > MAX_BYTES) throw tooLong(source);
  }
  if (half !== undefined) {
    throw new InputError(
      { source },
      'an odd number of hexadecimal digits',
      'A digit is missing, or one is too many.',
    );
  }
  return bytes;
}

function tooLong(source: string): InputError {
  return new InputError({ source }, `more than ${MAX_BYTES} bytes`, 'Give one packet.');
}
