/**
 * Wireshark's table of SAs, the file `esp_sa` in its configuration folder:
 *
 * ```text
 * "IPv4","10.0.0.1","10.0.0.2","0x00000003","AES-GCM with 16 octet ICV [RFC4106]","0x41…04","NULL",""
 * ```
 *
 * One SA a line, fields in double quotes, `#` begins a comment line. See `wireshark-sa.ts` for the fields.
 * @module
 */
import { InputError, type Place } from '../base/errors.ts';
import { linesOf } from '../base/lines.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import { checkEntries } from './sa-limit.ts';
import type { ShowKeys } from './show-keys.ts';
import { fromWireshark, toWireshark } from './wireshark-sa.ts';

export interface EspSaOptions extends ShowKeys {
  /**
   * Fields in a line. Left out, SAs with ESN have the ten of Wireshark 4.6, which older ones read with a warning,
   * and others the eight that every version knows.
   */
  readonly fields?: 8 | 10;
}

/**
 * Reads a table, in order.
 * @param source file name, for {@link SaConfig.origin} and errors
 * @throws {InputError} when a line cannot be used; the message never holds a key
 */
export function parseEspSa(text: string, source: string): SaConfig[] {
  const sas: SaConfig[] = [];
  for (const { number, text: whole } of linesOf(text, source)) {
    const line = whole.trim();
    if (line === '' || line.startsWith('#')) continue;
    for (const sa of parseEspSaLine(line, { source, line: number })) sas.push(sa);
    checkEntries(sas.length, source, number);
  }
  return sas;
}

/**
 * Reads one line that is neither blank nor a comment.
 * @throws {InputError} when it cannot be used; the message never holds a key
 */
export function parseEspSaLine(line: string, place: Place): SaConfig[] {
  const fields = splitFields(line);
  if (!fields) {
    throw new InputError(place, 'a quotation mark is missing', 'Put each field into double quotes.');
  }
  return fromWireshark(fields, place);
}

/** Writes a table, one SA a line. What Wireshark cannot take becomes a comment that says why. */
export function writeEspSa(sas: readonly SaConfig[], options: EspSaOptions): string {
  let text = '';
  for (const sa of sas) {
    const { columns, remark } = toWireshark(sa, options.showKeys);
    if (remark !== undefined) text += `# ${remark}${columns ? '' : `: ${describe(sa)}`}\n`;
    if (columns) text += `${joinFields(columns.slice(0, options.fields ?? (sa.esn ? 10 : 8)))}\n`;
  }
  return text;
}

/**
 * Takes a line apart: fields in double quotes, with `""` or a backslash before a quotation mark and `\xHH` for
 * any character, or bare up to the comma.
 * @returns `undefined` when a quotation mark is missing
 */
export function splitFields(line: string): string[] | undefined {
  const fields: string[] = [];
  for (let at = 0; ; at++) {
    const start = afterBlanks(line, at);
    if (line[start] === '"') {
      const quoted = readQuoted(line, start + 1);
      if (!quoted) return undefined;
      fields.push(quoted.text);
      at = afterBlanks(line, quoted.end);
    } else {
      const comma = line.indexOf(',', start);
      at = comma < 0 ? line.length : comma;
      const bare = line.slice(start, at);
      if (bare.includes('"')) return undefined;
      fields.push(bare.trim());
    }
    if (at === line.length) return fields;
    if (line[at] !== ',') return undefined;
  }
}

/** Puts fields into double quotes, with commas between, escaped as Wireshark does. */
export function joinFields(fields: readonly string[]): string {
  return fields.map((field) => `"${field.replace(/[^ -~]|["\\]/g, quoteChar)}"`).join(',');
}

function afterBlanks(line: string, at: number): number {
  let end = at;
  while (end < line.length && line[end]!.trim() === '') end++;
  return end;
}

/**
 * Reads to the quotation mark that ends a field, character by character: a regular expression with a choice for each
 * overflows its stack on a long field.
 * @returns `undefined` when there is none
 */
function readQuoted(line: string, start: number): { text: string; end: number } | undefined {
  const parts: string[] = [];
  /** Where what is taken as it stands begins. */
  let from = start;
  for (let at = start; at < line.length; ) {
    const char = line[at]!;
    if (char !== '"' && char !== '\\') {
      at++;
      continue;
    }
    const next = line[at + 1];
    parts.push(line.slice(from, at));
    if (char === '"' && next !== '"') return { text: parts.join(''), end: at + 1 };
    if (next === undefined) return undefined;
    const code = char === '\\' && (next === 'x' || next === 'X') ? line.slice(at + 2, at + 4) : '';
    const isCode = /^[0-9a-f]{2}$/i.test(code);
    parts.push(isCode ? String.fromCharCode(Number.parseInt(code, 16)) : next);
    at += isCode ? 4 : 2;
    from = at;
  }
  return undefined;
}

function quoteChar(char: string): string {
  return `\\x${(char.charCodeAt(0) & 0xff).toString(16).padStart(2, '0')}`;
}

function describe(sa: SaConfig): string {
  return `SPI 0x${sa.spi.toString(16).padStart(8, '0')} of ${sa.origin.replace(/[^ -~]/g, ' ')}`;
}
