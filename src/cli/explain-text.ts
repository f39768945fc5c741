/**
 * The field tree for a terminal: bytes on the left, fields beside them, and what they mean to the right where the
 * terminal is wide enough, below where it is not.
 * @module
 */
import { safeText } from '../base/safe-text.ts';
import type { EspSecurity, WindowState } from '../inspect/explain/security.ts';
import type { Explanation, Field, Packet, Protection } from '../inspect/explain/tree.ts';
import { type PacketTimes, readTime } from '../inspect/packet-time.ts';
import { linkTypeName } from '../wire/link-type.ts';
import type { Paint } from './paint.ts';

export interface ExplainTextOptions {
  /** Columns of the terminal. */
  readonly width: number;
  readonly paint: Paint;
  /** Leave out what fields mean. */
  readonly brief: boolean;
  readonly times: PacketTimes;
}

/** Rows of bytes that a long field gets. */
const MAX_ROWS = 4;
/** From here on the meaning has a column of its own. */
const WIDE = 120;
const TREE_WIDTH = 46;
/** Narrower terminals are written to as if they were this wide. */
const MIN_WIDTH = 60;

/** Letters for people and screens that do not tell colours apart. */
const MARKS: Readonly<Record<Protection, string>> = {
  none: ' ',
  authenticated: 'A',
  encrypted: 'E',
  both: 'B',
  unknown: '?',
};

const ORIGINS: Readonly<Record<Packet['origin'], string>> = {
  frame: 'Frame',
  reassembled: 'Put together from fragments',
  decrypted: 'Decrypted',
};

/** Writes everything about a frame. */
export function explainText(explanation: Explanation, options: ExplainTextOptions): string {
  return new Printer(options).print(explanation);
}

/** A line beside the bytes, and how it is to be painted. */
interface Line {
  readonly text: string;
  readonly paint: (text: string) => string;
}

const NOTHING: readonly string[] = [];

class Printer {
  readonly #paint: Paint;
  readonly #brief: boolean;
  readonly #perRow: number;
  readonly #hexWidth: number;
  readonly #treeWidth: number;
  /** 0 where the meaning has no column. */
  readonly #meaningWidth: number;
  readonly #tints: Readonly<Record<Protection, (text: string) => string>>;
  readonly #times: PacketTimes;
  #out = '';

  constructor({ width, paint, brief, times }: ExplainTextOptions) {
    this.#times = times;
    const columns = Math.max(width, MIN_WIDTH);
    this.#paint = paint;
    this.#brief = brief;
    this.#perRow = columns < 80 ? 4 : 8;
    this.#hexWidth = 6 + this.#perRow * 3;
    const rest = columns - this.#hexWidth - 3;
    const isWide = columns >= WIDE && !brief;
    this.#treeWidth = isWide ? TREE_WIDTH : rest;
    this.#meaningWidth = isWide ? rest - TREE_WIDTH - 2 : 0;
    const { yellow, cyan, green, red } = paint;
    this.#tints = { none: plain, authenticated: yellow, encrypted: cyan, both: green, unknown: red };
  }

  print({ frame, time, linkType, originalLength, packet, stops }: Explanation): string {
    const { bold, red } = this.#paint;
    const length = packet.bytes.length / 2;
    const parts = [
      frame === null ? 'Packet' : `Frame ${frame}`,
      ...(time === null ? [] : [this.#times.text(readTime(time)!)]),
      originalLength > length ? `${length} of ${originalLength} bytes captured` : `${length} bytes`,
      linkTypeName(linkType),
    ];
    this.#line(bold(parts.join(', ')));
    const marks = (['authenticated', 'encrypted', 'both', 'unknown'] as const).map((protection) =>
      this.#tints[protection](
        `${MARKS[protection]} ${protection === 'unknown' ? 'only the SA knows' : protection}`,
      ),
    );
    this.#line(marks.join('  '));
    this.#line('');
    this.#packet(packet, 0);
    if (stops.length > 0) {
      this.#line('');
      for (const { origin, at, id, problem } of stops) {
        const where = origin === 'frame' ? '' : `${ORIGINS[origin].toLowerCase()}, `;
        this.#line(red(safeText(`Reading stopped at ${where}byte ${at} (${id}): ${problem}`)));
      }
    }
    return this.#out;
  }

  #line(text: string): void {
    this.#out += `${text.trimEnd()}\n`;
  }

  #packet(packet: Packet, depth: number): void {
    for (const layer of packet.layers) this.#field(packet, layer, depth);
  }

  #field(packet: Packet, field: Field, depth: number): void {
    const { children, inner, security, bits } = field;
    const indent = margin(depth);
    const isLayer = field.children.length > 0 || depth === 0;
    const { bold, red, dim } = this.#paint;
    const title = field.text === '' ? field.label : `${field.label}: ${field.text}`;
    const lines: Line[] = [];
    const say = (text: string, deeper: string, paint: (text: string) => string) => {
      for (const line of wrap(text, this.#treeWidth, indent + deeper)) lines.push({ text: line, paint });
    };
    say(indent + title, '  ', isLayer && !bits ? bold : plain);
    let beside = NOTHING;
    if (!this.#brief) {
      const meaning = field.reference === '' ? field.meaning : `${field.meaning} (${field.reference})`;
      if (this.#meaningWidth > 0) beside = wrap(meaning, this.#meaningWidth, '');
      else say(`${indent}  ${meaning}`, '  ', dim);
    }
    if (field.problem !== undefined) say(`${indent}  ! ${field.problem}`, '    ', red);
    const hex = bits
      ? [bitText(packet, field)]
      : children.length > 0
        ? [offset(field.at)]
        : this.#rows(packet, field);
    this.#rowsOf(hex, lines, beside, field.protection);
    if (security) this.#security(security, depth + 1);
    for (const child of children) this.#field(packet, child, depth + 1);
    if (inner) {
      this.#rowsOf([], [{ text: '', paint: plain }], [], 'none');
      const heading = `${margin(depth + 1)}── ${ORIGINS[inner.origin]}, ${inner.bytes.length / 2} bytes ──`;
      this.#rowsOf([], [{ text: heading, paint: this.#paint.cyan }], [], 'none');
      this.#packet(inner, depth + 1);
    }
  }

  #rows(packet: Packet, { at, end }: Field): string[] {
    const rows: string[] = [];
    for (let from = at; from < end; from += this.#perRow) {
      if (rows.length === MAX_ROWS) {
        rows.push(`      … ${end - from} more`);
        break;
      }
      const to = Math.min(end, from + this.#perRow);
      let row = `${offset(from)} `;
      for (let i = from; i < to; i++) row += ` ${packet.bytes.slice(2 * i, 2 * i + 2)}`;
      rows.push(row);
    }
    return rows;
  }

  #rowsOf(
    hex: readonly string[],
    lines: readonly Line[],
    beside: readonly string[],
    protection: Protection,
  ): void {
    const tint = this.#tints[protection];
    for (let i = 0; i < Math.max(hex.length, lines.length, beside.length); i++) {
      const bytes = hex[i] ?? '';
      const line = lines[i];
      const right = beside[i];
      const mark = i < hex.length ? MARKS[protection] : ' ';
      const left = `${tint(bytes.padEnd(this.#hexWidth))}${tint(mark)}  `;
      const text = line?.text ?? '';
      const middle = line ? line.paint(text) : '';
      if (right === undefined) this.#line(left + middle);
      else {
        const pad = ' '.repeat(Math.max(0, this.#treeWidth - text.length) + 2);
        this.#line(`${left}${middle}${pad}${this.#paint.dim(right)}`);
      }
    }
  }

  #security(s: EspSecurity, depth: number): void {
    const indent = margin(depth);
    const { green, red, yellow } = this.#paint;
    const say = (label: string, text: string, paint: (text: string) => string = plain) => {
      const width = this.#treeWidth + (this.#meaningWidth > 0 ? this.#meaningWidth + 2 : 0);
      for (const [i, line] of wrap(text, Math.max(20, width - indent.length - 10), '').entries()) {
        const head = i === 0 ? label.padEnd(10) : ' '.repeat(10);
        this.#rowsOf([], [{ text: `${indent}${head}${line}`, paint }], [], 'none');
      }
    };
    if (s.verdict === 'ok' && s.authenticated)
      say('verdict', 'opened: the ICV is right, and the packet goes on', green);
    else if (s.verdict === 'ok')
      say('verdict', 'opened unauthenticated: no ICV vouches for it, it may be forged', yellow);
    else if (s.verdict === 'drop') {
      say('verdict', `dropped: ${s.reason}${s.counter ? `, counted as ${s.counter}` : ''} (${s.rule})`, red);
      if (s.openedBy) say('', `It opens with another SA: ${s.openedBy}.`);
      if (s.look) say('', s.look);
    } else if (s.verdict === 'unopened')
      say('verdict', `not opened: ${s.reason}. What the receiver does with it is not known`, yellow);
    say('SA', s.lookup);
    if (s.sa) {
      const { suite, icvBits, esn, mode } = s.sa;
      say('', `${suite}, ICV of ${icvBits} bits, ${mode ?? 'unknown'} mode, ${esn ? 'ESN' : 'no ESN'}`);
    }
    if (s.sequence) say('number', `${s.sequence.full}. ${s.sequence.how}`);
    if (s.window) {
      const { before, after, how, size } = s.window;
      say('window', how);
      if (size > 0) {
        say('  before', stateText(before, size));
        say('  after', stateText(after, size));
      }
    }
    if (s.nonce) say('nonce', `salt ${s.nonce.salt} ‖ IV ${s.nonce.iv}`);
    if (s.aad) say('AAD', s.aad.parts.map(({ label, bytes }) => `${bytes} ${label}`).join(' ‖ '));
  }
}

function plain(text: string): string {
  return text;
}

function stateText({ top, bottom, seen }: WindowState, size: number): string {
  const last = seen.slice(-6);
  const runs = `${seen.length > last.length ? '…, ' : ''}${last.join(', ')}`;
  return top === '0'
    ? `new, ${size} wide`
    : `${bottom} to ${top}, ${size} wide; seen: ${runs === '' ? 'none' : runs}`;
}

function offset(at: number): string {
  return at.toString(16).padStart(4, '0');
}

/** The margin of a header in headers. They nest as deep as a packet allows, and the terminal is only so wide. */
function margin(depth: number): string {
  return '  '.repeat(Math.min(depth, 8));
}

/** `      0100 ....`: the bits of a field among those that it shares its bytes with. */
function bitText(packet: Packet, { at, end, bits }: Field): string {
  const [shift, width] = bits!;
  const total = (end - at) * 8;
  // A word of 32 bits is too long to be drawn.
  if (total > 16) return `      bits ${total - shift - width} to ${total - shift - 1}`;
  const value = Number.parseInt(packet.bytes.slice(2 * at, 2 * end), 16);
  const own = value
    .toString(2)
    .padStart(total, '0')
    .slice(total - shift - width, total - shift);
  const drawn = own.padStart(total - shift, '.').padEnd(total, '.');
  let text = drawn.slice(0, 4);
  for (let bit = 4; bit < total; bit += 4) text += ` ${drawn.slice(bit, bit + 4)}`;
  return `      ${text}`;
}

/** Breaks text into lines, at blanks where there are any; lines after the first begin with `indent`. */
function wrap(text: string, width: number, indent: string): string[] {
  const lines: string[] = [];
  let rest = safeText(text);
  while (rest.length > width) {
    const cut = rest.lastIndexOf(' ', width);
    // Between two halves of a character there is no place for a line end.
    const most = rest.codePointAt(width - 1)! > 0xffff ? width - 1 : width;
    const at = cut > indent.length ? cut : most;
    lines.push(rest.slice(0, at));
    rest = indent + rest.slice(at).trimStart();
  }
  lines.push(rest);
  return lines;
}
