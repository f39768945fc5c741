/**
 * New keys: the line that goes into Cilium's keys file, made as cilium-cli makes it.
 *
 * A new line always says `+`. That matters up to Cilium 1.16, where a key without it is used by all nodes
 * unchanged: their sequence numbers and IVs collide (CVE-2024-28860).
 * @module
 */
import { toHex } from '../base/bytes.ts';
import { EsplaneError, InputError } from '../base/errors.ts';
import type { RandomBytes } from '../base/rng.ts';
import { formatAddress } from '../wire/address.ts';
import { type CiliumKey, type KeyAlgorithm, MAX_KEY_ID } from './keys.ts';

/** RFC 4106 §8.1: the salt stands behind the AES key. */
const SALT_LEN = 4;
const AES_BITS: readonly number[] = [128, 192, 256];

/** What can be generated, by cilium-cli's names and with its key lengths: those of the integrity key in bytes. */
const RECIPES = {
  'rfc4106-gcm-aes': { kind: 'aead', name: 'rfc4106(gcm(aes))', icvBits: 128, authLen: 0 },
  'cbc-aes-sha256': { kind: 'authenc', auth: 'hmac(sha256)', enc: 'cbc(aes)', authLen: 16 },
  'cbc-aes-sha512': { kind: 'authenc', auth: 'hmac(sha512)', enc: 'cbc(aes)', authLen: 32 },
} as const satisfies Record<string, KeyAlgorithm & { authLen: number }>;

export type KeyRecipe = keyof typeof RECIPES;

/** All recipes, for help texts. */
export const KEY_RECIPES: readonly string[] = Object.keys(RECIPES);

export const DEFAULT_RECIPE: KeyRecipe = 'rfc4106-gcm-aes';

/** What older releases of cilium-cli call them. */
const OLD_NAMES = new Map<string, KeyRecipe>([
  ['gcm-aes', 'rfc4106-gcm-aes'],
  ['hmac-sha256', 'cbc-aes-sha256'],
  ['hmac-sha512', 'cbc-aes-sha512'],
]);

/** The recipe of a name, old or new; `undefined` when there is none. */
export function keyRecipe(name: string): KeyRecipe | undefined {
  return Object.hasOwn(RECIPES, name) ? (name as KeyRecipe) : OLD_NAMES.get(name);
}

export interface GenerateOptions {
  readonly algorithm?: KeyRecipe;
  /** 1 to 15. */
  readonly id?: number;
  /** Of the AES key: 128, 192 or 256. */
  readonly bits?: number;
  /** Where the key comes from: `crypto.getRandomValues` in real use. */
  readonly random: RandomBytes;
}

/**
 * Makes a new key and returns its line, without a newline.
 * @throws {EsplaneError} `ERR_KEY` when the key id or the number of bits is none that there is
 */
export function generateKey({
  algorithm = DEFAULT_RECIPE,
  id = 1,
  bits = 128,
  random,
}: GenerateOptions): string {
  if (!Number.isInteger(id) || id < 1 || id > MAX_KEY_ID) {
    throw new EsplaneError('ERR_KEY', `a key id is a number from 1 to ${MAX_KEY_ID}`);
  }
  if (!AES_BITS.includes(bits)) {
    throw new EsplaneError('ERR_KEY', 'an AES key has 128, 192 or 256 bits');
  }
  const recipe = RECIPES[algorithm];
  return formatLine(id, recipe, recipe.authLen, bits / 8 + (recipe.kind === 'aead' ? SALT_LEN : 0), random);
}

/**
 * Makes the key that follows the current one, which is the last of `keys`: the next id, where 1 follows 15,
 * and a new key of the same algorithm and length.
 * @param algorithm another algorithm; the AES key stays as long as it is. From 1.18 agents refuse it in a running
 * cluster when the key length ({@link CiliumKey.keyLen}) is another
 * @returns its line, without a newline
 * @throws {InputError} when the current key is for one node only: that form has no successor
 */
export function rotateKey(keys: readonly CiliumKey[], random: RandomBytes, algorithm?: KeyRecipe): string {
  const current = keys.at(-1);
  if (!current) throw new EsplaneError('ERR_KEY', 'there is no key to rotate');
  if (current.scope) {
    const { source, line } = current;
    throw new InputError(
      { source, line },
      'a key for one node only cannot be rotated',
      'Make one key for all nodes.',
    );
  }
  const { suite } = current.material;
  const id = nextKeyId(current.id);
  if (algorithm !== undefined) {
    const bits = 8 * suite.keyLen;
    return generateKey({ algorithm, id, random, ...(AES_BITS.includes(bits) && { bits }) });
  }
  return formatLine(
    id,
    current.algorithm,
    current.material.macKey().length,
    suite.keyLen + suite.saltLen,
    random,
  );
}

/** The id after `id`: 15 is followed by 1. */
export function nextKeyId(id: number): number {
  return (id % MAX_KEY_ID) + 1;
}

/**
 * The line of a key.
 * @param write turns key bytes into the field that stands for them
 */
export function keyLine(
  { id, perTunnel, algorithm, material, scope }: CiliumKey,
  write: (key: Uint8Array) => string,
): string {
  const key = Uint8Array.from([...material.key(), ...material.salt()]);
  const fields = fieldsOf(algorithm, write(material.macKey()), write(key));
  return [`${id}${perTunnel ? '+' : ''}`, ...fields, ...(scope ? [formatAddress(scope)] : [])].join(' ');
}

function formatLine(
  id: number,
  algorithm: KeyAlgorithm,
  authLen: number,
  keyLen: number,
  random: RandomBytes,
): string {
  const fresh = (len: number): string => {
    const key = new Uint8Array(len);
    random(key);
    return toHex(key);
  };
  return [`${id}+`, ...fieldsOf(algorithm, fresh(authLen), fresh(keyLen))].join(' ');
}

function fieldsOf(algorithm: KeyAlgorithm, authKey: string, key: string): (string | number)[] {
  const none = '""';
  return algorithm.kind === 'aead'
    ? [algorithm.name, key || none, algorithm.icvBits]
    : [algorithm.auth, authKey || none, algorithm.enc, key || none];
}
