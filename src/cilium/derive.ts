/**
 * Per-tunnel keys: what each SA gets from the one key in the keys file.
 *
 * ```text
 * H   = SHA-256 for keys up to 32 bytes, SHA-512 above
 * key = H(K ‖ source ‖ destination ‖ boot id of source ‖ boot id of destination), first len(K) bytes
 * ```
 *
 * Source and destination are the outer addresses of the SA, sender first: 4 or 16 bytes in network order. A
 * boot id is the first 36 characters of `/proc/sys/kernel/random/boot_id` as ASCII, dashes and case as read.
 * Key id, ESN, algorithm and cluster id are not part of it: only another K gives other keys. A reboot changes
 * the keys with the boot id, so counters may start again from 1.
 * @module
 */
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { EsplaneError } from '../base/errors.ts';
import { KeyMaterial } from '../crypto/suite.ts';
import { type Address, unmapIpv4 } from '../wire/address.ts';

/** How many characters of a boot id count: a UUID. */
export const BOOT_ID_LEN = 36;
/** SHA-512 yields no more. */
export const MAX_DERIVED_LEN = 64;

/**
 * Derives the key of one SA from the key bytes in the keys file.
 * @param src who encrypts: outer source of the SA
 * @param dst who decrypts: outer destination
 * @returns as many bytes as `key` has
 * @throws {EsplaneError} `ERR_BOOT_ID` a boot id is too short; `ERR_ADDRESS` the addresses are of different
 * families; `ERR_KEY` the key is longer than any hash
 */
export function deriveKey(
  key: Uint8Array,
  src: Address,
  dst: Address,
  srcBootId: string,
  dstBootId: string,
): Uint8Array {
  if (key.length > MAX_DERIVED_LEN) {
    throw new EsplaneError(
      'ERR_KEY',
      `a key of ${key.length} bytes cannot be derived: ${MAX_DERIVED_LEN} is the most`,
    );
  }
  // Cilium once mixed 4- and 16-byte forms of IPv4 addresses, and both ends got different keys.
  const from = unmapIpv4(src);
  const to = unmapIpv4(dst);
  if (from.length !== to.length) {
    throw new EsplaneError('ERR_ADDRESS', 'both ends of a tunnel must be IPv4, or both IPv6');
  }
  const hash = (key.length <= 32 ? sha256 : sha512).create();
  for (const part of [key, from, to, bootIdBytes(srcBootId), bootIdBytes(dstBootId)]) hash.update(part);
  return hash.digest().subarray(0, key.length);
}

/**
 * Derives both keys of an SA. An AEAD key is derived whole, salt included; integrity and cipher key are
 * derived each on its own, so equal ones stay equal.
 * @throws {EsplaneError} as {@link deriveKey}
 */
export function deriveMaterial(
  material: KeyMaterial,
  src: Address,
  dst: Address,
  srcBootId: string,
  dstBootId: string,
): KeyMaterial {
  const { suite } = material;
  const derive = (key: Uint8Array) => deriveKey(key, src, dst, srcBootId, dstBootId);
  const keymat = new Uint8Array(suite.keyLen + suite.saltLen);
  keymat.set(material.key());
  keymat.set(material.salt(), suite.keyLen);
  const derived = derive(keymat);
  return new KeyMaterial(
    suite,
    derived.subarray(0, suite.keyLen),
    derived.subarray(suite.keyLen),
    derive(material.macKey()),
  );
}

function bootIdBytes(bootId: string): Uint8Array {
  const bytes = new TextEncoder().encode(bootId);
  if (bytes.length < BOOT_ID_LEN) {
    throw new EsplaneError(
      'ERR_BOOT_ID',
      `a boot id of ${bytes.length} characters: it has at least ${BOOT_ID_LEN}`,
    );
  }
  return bytes.subarray(0, BOOT_ID_LEN);
}
