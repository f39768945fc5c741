/**
 * Keys as text, or what stands in their place. Every format that can hold keys is written without them unless
 * the caller asks for them.
 * @module
 */
import { toHex } from '../base/bytes.ts';

/** Stands where the digits of a key would: no tool takes it for hexadecimal. */
export const HIDDEN_KEY = '<<hidden: use --show-keys>>';

export interface ShowKeys {
  /** Write the keys themselves. */
  readonly showKeys: boolean;
}

/** Hexadecimal digits of a key, made of one or more parts, or {@link HIDDEN_KEY}. Nothing stays nothing. */
export function keyText(showKeys: boolean, ...parts: readonly Uint8Array[]): string {
  const digits = parts.map((part) => toHex(part)).join('');
  return showKeys || digits === '' ? digits : HIDDEN_KEY;
}
