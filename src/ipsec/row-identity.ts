/**
 * Which SA a row is of. What only looks at windows needs no hash, and starts without it.
 * @module
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { putU32 } from '../base/bytes.ts';
import type { SaConfig } from './sa-config.ts';
import { IDENTITY_WORDS } from './sa-row.ts';

/**
 * What tells the number spaces of SAs apart: 20 bytes of SHA-256 over addresses, SPI, suite, keys and ESN. Marks and
 * reqids are not part of it: they are the node's own, and node ids are drawn anew at every start.
 * @param twin how many SAs of the same plan before this one have the same of all that
 */
export function rowIdentity({ src, dst, spi, esn, keys }: SaConfig, twin = 0): Uint8Array {
  const numbers = new Uint8Array(12);
  putU32(numbers, 0, spi);
  putU32(numbers, 4, twin);
  numbers[8] = esn ? 1 : 0;
  numbers[9] = src.length;
  numbers[10] = keys.suite.icvLen;
  const hash = sha256.create();
  for (const part of [
    new TextEncoder().encode(`esplane sa-row 1\n${keys.suite.name}\n`),
    ...[numbers, src, dst, keys.key(), keys.salt(), keys.macKey()],
  ])
    hash.update(part);
  return hash.digest().subarray(0, 4 * IDENTITY_WORDS);
}
