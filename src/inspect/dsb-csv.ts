/**
 * The data of a pcapng Decryption Secrets Block of type `ESPS`: SAs as CSV, so that one file holds packets and
 * keys (draft-ietf-opsawg-pcapng; Wireshark 4.6 and later read it by themselves).
 *
 * Ten columns, always; see `wireshark-sa.ts`. A line with the columns' names may come first and is passed over.
 * None is written: Wireshark, which reads the block as it reads its esp_sa table, would take it for a bad SA.
 *
 * A comment, which Wireshark passes over, takes SAs away. It names those before the block, so that others may take their
 * place in the same block, under the same SPI:
 *
 * ```text
 * # gone: "IPv4","10.0.1.1","10.0.2.1","0x00000003"
 * "IPv4","10.0.1.1","10.0.2.1","0x00000003","AES-GCM with 16 octet ICV [RFC4106]","0x41…04","NULL","","64-bit","0"
 * ```
 * @module
 */
import { InputError } from '../base/errors.ts';
import type { SaConfig, SaPlace } from '../ipsec/sa-config.ts';
import { joinFields, parseEspSa, splitFields } from './esp-sa.ts';
import type { ShowKeys } from './show-keys.ts';
import { COLUMNS, placesFromWireshark, placeToWireshark, toWireshark } from './wireshark-sa.ts';

const GONE = /^#\s*gone:\s*(.*)$/;

/**
 * Writes the lines of a block.
 * @param note is told, in one line each, which SAs were left out because Wireshark cannot take them
 */
export function writeDsbCsv(
  sas: readonly SaConfig[],
  { showKeys }: ShowKeys,
  note: (line: string) => void = () => {},
): string {
  let text = '';
  for (const sa of sas) {
    const { columns, remark } = toWireshark(sa, showKeys);
    if (columns) text += `${joinFields(columns)}\n`;
    else note(`${sa.origin}: ${remark}`);
  }
  return text;
}

/**
 * Reads the lines of a block.
 * @param source file name, for {@link SaConfig.origin} and errors
 * @throws {InputError} when a line cannot be used; the message never holds a key
 */
export function parseDsbCsv(text: string, source: string): SaConfig[] {
  const [first = '', ...rest] = text.split('\n');
  const isHeader = splitFields(first.trim())?.[0]?.toLowerCase() === COLUMNS[0].toLowerCase();
  // A blank line in the header's place keeps the numbers of the others.
  return parseEspSa([isHeader ? '' : first, ...rest].join('\n'), source);
}

/** Writes the lines that take SAs away. */
export function writeGone(places: readonly SaPlace[]): string {
  return places.map((place) => `# gone: ${joinFields(placeToWireshark(place))}\n`).join('');
}

/**
 * Reads which SAs a block takes away.
 * @throws {InputError} when such a line cannot be used
 */
export function parseGone(text: string, source: string): SaPlace[] {
  return text.split('\n').flatMap((line, i) => {
    const names = GONE.exec(line.trim())?.[1];
    if (names === undefined) return [];
    const place = { source, line: i + 1 };
    const fields = splitFields(names);
    if (fields?.length === 4) return placesFromWireshark(fields, place);
    throw new InputError(
      place,
      'it is not said which SA is gone',
      'Write # gone: "Protocol","Src IP","Dest IP","SPI".',
    );
  });
}
