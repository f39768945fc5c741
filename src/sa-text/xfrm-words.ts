/**
 * What the commands `ip xfrm state add` and `ip xfrm policy add` have in common: numbers, marks, limits, selectors, and
 * words for the shell.
 * @module
 */
import type { Mark } from '../ipsec/sa-config.ts';
import { flagMask, isBits } from './flags.ts';
import type { XfrmLifetime, XfrmSelector } from './xfrm-tree.ts';

/** A word that is not yet quoted. */
export type Word = string | number;

/** The words of one command, quoted where the shell wants it, as a line. */
export function commandLine(words: readonly Word[]): string {
  return `${words.map(quote).join(' ')}\n`;
}

/** `0x3e00`; with leading zeros up to `digits`. */
export function hex(value: number, digits = 1): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

/** A mark, with a syntax of its own here: commands have no `/`. */
export function markWords(name: 'mark' | 'output-mark', mark: Mark | null | undefined): Word[] {
  return mark ? [name, hex(mark.value), 'mask', hex(mark.mask)] : [];
}

/** The limits that there are. */
export function limitWords(lifetime: Partial<XfrmLifetime> | null): Word[] {
  return (
    [
      ['byte-soft', lifetime?.softBytes],
      ['byte-hard', lifetime?.hardBytes],
      ['packet-soft', lifetime?.softPackets],
      ['packet-hard', lifetime?.hardPackets],
      ['time-soft', lifetime?.softAddSeconds],
      ['time-hard', lifetime?.hardAddSeconds],
      ['time-use-soft', lifetime?.softUseSeconds],
      ['time-use-hard', lifetime?.hardUseSeconds],
    ] as const
  ).flatMap(([name, limit]) => (limit === undefined || limit === null ? [] : ['limit', name, limit]));
}

/** Addresses first: iproute2 takes what stands behind `proto` for a part of it. */
export function selectorWords({ src, dst, dev, proto, ...upper }: XfrmSelector): Word[] {
  const words: Word[] = ['src', src, 'dst', dst];
  if (dev !== null) words.push('dev', dev);
  if (proto !== null) words.push('proto', proto);
  for (const name of ['sport', 'dport', 'type', 'code', 'key'] as const) {
    const value = upper[name];
    if (value !== null) words.push(name, value);
  }
  return words;
}

/** Flags by name; as one number, where a bit of them has no name in iproute2 6.1. */
export function flagWords(
  name: 'flag' | 'extra-flag',
  flags: readonly string[],
  names: readonly string[],
): Word[] {
  if (flags.length === 0) return [];
  return flags.some((flag) => isBits(flag) || !names.includes(flag))
    ? [name, hex(flagMask(flags, names))]
    : [name, ...flags];
}

function quote(word: Word): string {
  const text = String(word);
  return /^[\w./:,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
