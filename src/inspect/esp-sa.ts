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
import { InputError } from '../base/errors.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
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
  return text.split('\n').flatMap((whole, i) => {
    const line = whole.trim();
    if (line === '' || line.startsWith('#')) return [];
    const place = { source, line: i + 1 };
    const fields = splitFields(line);
    if (!fields) {
      throw new InputError(place, 'a quotation mark is missing', 'Put each field into double quotes.');
    }
    return fromWireshark(fields, place);
  });
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
  let rest = line;
  for (;;) {
    const [whole = '', quoted, bare] = FIELD.exec(rest) ?? [];
    if (quoted === undefined && bare?.includes('"')) return undefined;
    fields.push(quoted === undefined ? (bare ?? '').trim() : unquote(quoted));
    rest = rest.slice(whole.length);
    if (rest === '') return fields;
    if (!rest.startsWith(',')) return undefined;
    rest = rest.slice(1);
  }
}

/** Puts fields into double quotes, with commas between, escaped as Wireshark does. */
export function joinFields(fields: readonly string[]): string {
  return fields.map((field) => `"${field.replace(/[^ -~]|["\\]/g, quoteChar)}"`).join(',');
}

const FIELD = /^\s*(?:"((?:[^"\\]|\\.|"")*)"\s*|([^,]*))/s;

function unquote(text: string): string {
  return text.replace(/""|\\x([0-9a-f]{2})|\\(.)/gis, (_, code?: string, plain?: string) =>
    code === undefined ? (plain ?? '"') : String.fromCharCode(Number.parseInt(code, 16)),
  );
}

function quoteChar(char: string): string {
  return `\\x${(char.charCodeAt(0) & 0xff).toString(16).padStart(2, '0')}`;
}

function describe(sa: SaConfig): string {
  return `SPI 0x${sa.spi.toString(16).padStart(8, '0')} of ${sa.origin.replace(/[^ -~]/g, ' ')}`;
}
