/**
 * What cilium-bugtool prints in the place of a key: `[hash:…]`, the SHA-256 of its text `0x…` (`bugtool/cmd`). It tells
 * which of the keys at hand a kernel holds.
 * @module
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { toHex } from '../base/bytes.ts';
import type { KeyMaterial } from '../crypto/suite.ts';

const encoder = new TextEncoder();

/**
 * The hash of one key.
 * @param key hexadecimal digits, lower case
 */
export function hashOfKey(key: string): Uint8Array {
  return sha256(encoder.encode(`0x${key}`));
}

/** The keys of a suite as `ip xfrm state` prints them, in hexadecimal: that of a MAC first. An empty one is not hashed. */
export function printedKeys(material: KeyMaterial): string[] {
  const { suite } = material;
  const parts = [
    ...(suite.mac ? [toHex(material.macKey())] : []),
    `${toHex(material.key())}${toHex(material.salt())}`,
  ];
  return parts.filter((part) => part !== '');
}

/** Hashes of all keys of a suite, in hexadecimal, in the order in which they are printed. */
export function keyHashesOf(material: KeyMaterial): string {
  return joinHashes(printedKeys(material).map((key) => toHex(hashOfKey(key))));
}

/** Hashes of one state as one text. */
export function joinHashes(hashes: readonly string[]): string {
  return hashes.join(' ');
}
