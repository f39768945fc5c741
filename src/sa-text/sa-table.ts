/**
 * SAs for people, as an aligned table, and for programs, as JSON rows.
 * @module
 */
import { inColumns } from '../base/columns.ts';
import { safeText } from '../base/safe-text.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import { formatAddress, formatPrefix } from '../wire/address.ts';
import { keyText, type ShowKeys } from './show-keys.ts';

/** An SPI up to this is a key id of Cilium. */
const MAX_KEY_ID = 15;

/** An SA as JSON. What it does not have is null. */
export interface SaRow {
  /** An address; with wildcards where the row of esp_sa has them, as in {@link dst}. */
  readonly src: string;
  readonly dst: string;
  /** Null where it has wildcards. */
  readonly spi: number | null;
  /** The SPI with wildcards, where it has some. */
  readonly spiPattern?: string;
  /** Cilium's key id, when the SPI can be one (1 to 15). */
  readonly keyId: number | null;
  /** Null where the source does not say, as {@link esn} and {@link encap}. */
  readonly mode: SaConfig['mode'] | null;
  /** The kernel's name. */
  readonly suite: string;
  /** Bits of the cipher's key, without salt. */
  readonly keyBits: number;
  readonly icvBits: number;
  readonly esn: boolean | null;
  readonly replayWindow: number;
  readonly reqid: number;
  readonly selector: { readonly src: string; readonly dst: string } | null;
  readonly mark: { readonly value: number; readonly mask: number } | null;
  readonly outputMark: { readonly value: number; readonly mask: number } | null;
  readonly encap: { readonly sport: number; readonly dport: number } | null;
  readonly flags: readonly string[];
  readonly direction: 'in' | 'out' | null;
  readonly origin: string;
  /** Hexadecimal digits; only when they were asked for. */
  readonly keys?: { readonly key: string; readonly salt: string; readonly mac: string };
}

/** Says SAs as plain objects for JSON; without keys unless they are asked for. */
export function saRows(sas: readonly SaConfig[], { showKeys }: ShowKeys): SaRow[] {
  return sas.map((sa) => {
    const { keys, pattern, unstated } = sa;
    const { suite } = keys;
    const isOpen = pattern?.spi.includes('*') === true;
    return {
      src: pattern?.src ?? formatAddress(sa.src),
      dst: pattern?.dst ?? formatAddress(sa.dst),
      spi: isOpen ? null : sa.spi,
      ...(isOpen && { spiPattern: pattern.spi }),
      keyId: !isOpen && sa.spi >= 1 && sa.spi <= MAX_KEY_ID ? sa.spi : null,
      mode: unstated?.mode ? null : sa.mode,
      suite: suite.name,
      keyBits: suite.keyLen * 8,
      icvBits: suite.icvLen * 8,
      esn: unstated?.esn ? null : sa.esn,
      replayWindow: sa.replayWindow,
      reqid: sa.reqid,
      selector: sa.selector
        ? { src: formatPrefix(sa.selector.src), dst: formatPrefix(sa.selector.dst) }
        : null,
      mark: sa.mark ?? null,
      outputMark: sa.outputMark ?? null,
      encap: sa.encap ?? null,
      flags: sa.flags,
      direction: sa.direction ?? null,
      origin: sa.origin,
      ...(showKeys && {
        keys: {
          key: keyText(true, sa.keys.key()),
          salt: keyText(true, sa.keys.salt()),
          mac: keyText(true, sa.keys.macKey()),
        },
      }),
    };
  });
}

/** Where the source says neither one nor the other. */
const NOT_SAID = '?';

const TITLES = ['SRC', 'DST', 'SPI', 'KEY ID', 'MODE', 'SUITE', 'KEY', 'ICV', 'ESN', 'WINDOW', 'FROM'];
const FIGURES = new Set([3, 6, 7, 9]);

/**
 * Sets SAs as a table with a headline; columns are as wide as what is in them. Lengths are in bits, the window in
 * packets. With keys asked for, a last column holds them: cipher key and salt, then the key of the MAC.
 */
export function saTable(sas: readonly SaConfig[], options: ShowKeys): string {
  const rows = saRows(sas, options).map((row) => [
    safeText(row.src),
    safeText(row.dst),
    row.spi === null ? safeText(row.spiPattern ?? '') : `0x${row.spi.toString(16).padStart(8, '0')}`,
    row.keyId === null ? '-' : String(row.keyId),
    row.mode ?? NOT_SAID,
    safeText(row.suite),
    String(row.keyBits),
    String(row.icvBits),
    row.esn === null ? NOT_SAID : row.esn ? 'yes' : 'no',
    row.replayWindow === 0 ? 'off' : String(row.replayWindow),
    safeText(row.origin),
    ...(row.keys ? [`${row.keys.key}${row.keys.salt}${row.keys.mac === '' ? '' : ` ${row.keys.mac}`}`] : []),
  ]);
  const lines = [options.showKeys ? [...TITLES, 'KEYS'] : TITLES, ...rows];
  return inColumns(lines, (i) => FIGURES.has(i))
    .map((line) => `${line}\n`)
    .join('');
}
