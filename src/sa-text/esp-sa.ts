/**
 * Wireshark's table of SAs, the file `esp_sa` in its configuration folder:
 *
 * ```text
 * "IPv4","10.0.0.1","10.0.0.2","0x00000003","AES-GCM with 16 octet ICV [RFC4106]","0x41…04","NULL",""
 * ```
 *
 * One SA a line, fields in double quotes, `#` begins a comment line. See `wireshark-sa.ts` for the fields. A line may also
 * hold secrets of tcpdump's (`tcpdump-secrets.ts`), or a row as people pass it on: as an option of tshark's
 * (`-o 'uat:esp_sa:"IPv4",…'`), quoted in mail, in a list, with the quotes of a word processor.
 * @module
 */
import { linesOf } from '../base/lines.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import { few, type Omission, omissionError, omissionLine, Unusable } from './omission.ts';
import { checkEntries } from './sa-limit.ts';
import type { ShowKeys } from './show-keys.ts';
import { columnsOfSecret, isTcpdumpSecrets, tcpdumpSecrets } from './tcpdump-secrets.ts';
import { fromWireshark, toWireshark } from './wireshark-sa.ts';

export interface EspSaOptions extends ShowKeys {
  /**
   * Fields in a line. Left out, SAs with ESN have the ten of Wireshark 4.6, which older ones read with a warning,
   * and others the eight that every version knows.
   */
  readonly fields?: 8 | 10;
}

/** What the rows of a text are to esplane. */
export interface SaRows {
  readonly sas: readonly SaConfig[];
  /** Rows that are left out. */
  readonly omitted: readonly Omission[];
}

const REMEDY = 'Correct the row, or take it out.';
/** Rows with wildcards of one text: each is asked about every stream that no other row has. */
export const MAX_PATTERNS = 1024;

/**
 * Reads a table, in order. A row that cannot be used never refuses the others.
 * @param source file name, for {@link SaConfig.origin} and errors
 * @throws {InputError} when text or line is too long, or there are too many rows
 */
export function readEspSa(text: string, source: string): SaRows {
  const rows = new RowReader(source);
  for (const { number, text: whole } of linesOf(text, source)) rows.take(whole, number);
  return rows.end();
}

/**
 * Reads the SAs of a table.
 * @param note called with one line for each row that is left out
 * @throws {InputError} when the table has rows, and none can be used; the message never holds a key
 */
export function parseEspSa(
  text: string,
  source: string,
  note: (line: string) => void = () => {},
): SaConfig[] {
  return usable(readEspSa(text, source), note);
}

/**
 * The SAs of rows.
 * @throws {InputError} when there are rows, and none can be used
 */
export function usable({ sas, omitted }: SaRows, note: (line: string) => void): SaConfig[] {
  const [first] = omitted;
  if (first && sas.length === 0) throw omissionError(first, REMEDY);
  for (const one of omitted) note(omissionLine(one));
  return [...sas];
}

/** Reads rows one by one. */
export class RowReader {
  readonly #source: string;
  readonly #sas: SaConfig[] = [];
  readonly #omitted: Omission[] = [];
  #patterns = 0;

  constructor(source: string) {
    this.#source = source;
  }

  /** Takes a line; blank ones and comments are passed over. */
  take(whole: string, number: number): void {
    const line = whole.trim();
    if (line === '' || line.startsWith('#')) return;
    const secrets = isTcpdumpSecrets(line) ? tcpdumpSecrets(line) : undefined;
    for (const row of secrets ?? [line]) {
      this.try(number, () => {
        for (const sa of this.#read(secrets ? columnsOfSecret(row) : splitFields(bareRow(row)), number))
          this.#sas.push(sa);
      });
    }
    checkEntries(this.#sas.length, this.#source, number);
  }

  /** Does what a line asks for; what is wrong with it is noted. */
  try(number: number, work: () => void, what = 'the row'): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof Unusable)) throw error;
      const { message, remedy } = error;
      const origin = `${this.#source}:${number}`;
      this.#omitted.push({ origin, why: `${what} is left out: ${message}`, ...(remedy && { remedy }) });
      checkEntries(this.#omitted.length, this.#source, number);
    }
  }

  end(): SaRows {
    return { sas: this.#sas, omitted: few(this.#omitted, this.#source) };
  }

  #read(fields: readonly string[] | undefined, number: number): SaConfig[] {
    if (!fields)
      throw new Unusable('a quotation mark is missing', { remedy: 'Put each field into double quotes.' });
    const sas = fromWireshark(fields, { source: this.#source, line: number });
    if (sas.some(({ pattern }) => pattern) && ++this.#patterns > MAX_PATTERNS) {
      throw new Unusable(`there are more than ${MAX_PATTERNS} rows with wildcards`, {
        remedy: 'Write addresses and SPIs out.',
      });
    }
    return sas;
  }
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

/** A row without what stands around it where people pass it on, with its fields in double quotes. */
function bareRow(line: string): string {
  const [around = '', quote = ''] = /^[>\s]*(?:[-*]\s+)?`?(?:(?:-o\s*)?(["'])?uat:esp_sa:)?/.exec(line) ?? [];
  let row = line.slice(around.length);
  if (around.includes('`')) row = row.replace(/`$/, '');
  if (around.includes('uat:') && row.endsWith('\\')) row = row.slice(0, -1).trimEnd();
  if (quote !== '' && row.endsWith(quote)) row = row.slice(0, -1);
  if (quote === '"') row = row.replaceAll('\\"', '"');
  if (row.includes('"')) return row;
  return row.startsWith("'") ? row.replaceAll("'", '"') : row.replace(/[“”„]/g, '"');
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
