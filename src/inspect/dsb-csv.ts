/**
 * The data of a pcapng Decryption Secrets Block of type `ESPS`: SAs as CSV, so that one file holds packets and
 * keys (draft-ietf-opsawg-pcapng; Wireshark 4.6 and later read it by themselves).
 *
 * Ten columns, always; see `wireshark-sa.ts`. A line with the columns' names may come first and is passed over.
 * None is written: Wireshark, which reads the block as it reads its esp_sa table, would take it for a bad SA.
 * @module
 */
import type { SaConfig } from '../ipsec/sa-config.ts';
import { joinFields, parseEspSa, splitFields } from './esp-sa.ts';
import type { ShowKeys } from './show-keys.ts';
import { COLUMNS, toWireshark } from './wireshark-sa.ts';

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
