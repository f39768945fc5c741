/**
 * The algorithms of ESP that Linux's xfrm has, by the names that `ip xfrm` takes: 4 AEADs, 10 for integrity, 11 for
 * encryption. One row each, with the lengths that the kernel takes and what is weak about it. Backends name what they
 * have by {@link Cipher} and {@link Mac}; all else reads these rows.
 *
 * Names, truncations and short names are those of `net/xfrm/xfrm_algo.c`; lengths of keys are what the ciphers
 * themselves take there, which is more than the RFCs allow for Blowfish, Serpent, XCBC and CMAC.
 * @module
 */

export type Cipher =
  | 'aes-gcm'
  | 'aes-ccm'
  | 'aes-gmac'
  | 'chacha20-poly1305'
  | 'aes-cbc'
  | 'aes-ctr'
  | 'des3-cbc'
  | 'des-cbc'
  | 'camellia-cbc'
  | 'sm4-cbc'
  | 'cast5-cbc'
  | 'blowfish-cbc'
  | 'serpent-cbc'
  | 'twofish-cbc'
  | 'null';

export type Mac =
  | 'hmac-md5'
  | 'hmac-sha1'
  | 'hmac-sha256'
  | 'hmac-sha384'
  | 'hmac-sha512'
  | 'hmac-rmd160'
  | 'hmac-sm3'
  | 'aes-xcbc'
  | 'aes-cmac';

interface Algorithm {
  /** As the kernel prints it. */
  readonly name: string;
  /** Where it is written down for ESP; absent where it never was. */
  readonly rfc?: number;
  /** Why it should not protect anything any more, as the end of a sentence; absent where nothing is known against it. */
  readonly weak?: string;
}

/** Encryption and integrity in one. */
export interface AeadRow extends Algorithm {
  readonly cipher: Cipher;
  /** Bytes, without salt. */
  readonly keyLens: readonly number[];
  readonly saltLen: number;
  readonly icvBits: readonly number[];
}

/** Integrity. */
export interface MacRow extends Algorithm {
  /** What the kernel also takes. */
  readonly short?: string;
  /** Absent for `digest_null`. */
  readonly mac?: Mac;
  /** Bytes; absent, of any length: an HMAC takes an empty key, too. */
  readonly keyLens?: readonly number[];
  /** ICV of `auth`, which names none. */
  readonly defaultBits: number;
  readonly fullBits: number;
}

/** Encryption. */
export interface CipherRow extends Algorithm {
  readonly short?: string;
  readonly cipher: Cipher;
  /** Bytes, without salt. */
  readonly keyLens: readonly number[];
  /** Bytes at the end of the key that begin every nonce (RFC 3686 §5.1). */
  readonly saltLen: number;
  readonly ivLen: number;
  /** Text comes in whole blocks of so many bytes. */
  readonly block: number;
}

const AES_KEYS = [16, 24, 32];

/** All lengths from `first` to `last` bytes. */
function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

export const AEADS: readonly AeadRow[] = [
  {
    name: 'rfc4106(gcm(aes))',
    rfc: 4106,
    cipher: 'aes-gcm',
    keyLens: AES_KEYS,
    saltLen: 4,
    icvBits: [64, 96, 128],
  },
  {
    name: 'rfc4309(ccm(aes))',
    rfc: 4309,
    cipher: 'aes-ccm',
    keyLens: AES_KEYS,
    saltLen: 3,
    icvBits: [64, 96, 128],
  },
  {
    name: 'rfc4543(gcm(aes))',
    rfc: 4543,
    cipher: 'aes-gmac',
    keyLens: AES_KEYS,
    saltLen: 4,
    icvBits: [128],
    weak: 'it hides nothing',
  },
  {
    name: 'rfc7539esp(chacha20,poly1305)',
    rfc: 7634,
    cipher: 'chacha20-poly1305',
    keyLens: [32],
    saltLen: 4,
    icvBits: [128],
  },
];

export const MACS: readonly MacRow[] = [
  {
    name: 'digest_null',
    defaultBits: 0,
    fullBits: 0,
    weak: 'nothing is authenticated: packets can be forged and altered',
  },
  {
    name: 'hmac(md5)',
    short: 'md5',
    rfc: 2403,
    mac: 'hmac-md5',
    defaultBits: 96,
    fullBits: 128,
    weak: 'MD5 is broken as a hash, and RFC 8221 forbids it',
  },
  { name: 'hmac(sha1)', short: 'sha1', rfc: 2404, mac: 'hmac-sha1', defaultBits: 96, fullBits: 160 },
  { name: 'hmac(sha256)', short: 'sha256', rfc: 4868, mac: 'hmac-sha256', defaultBits: 96, fullBits: 256 },
  { name: 'hmac(sha384)', rfc: 4868, mac: 'hmac-sha384', defaultBits: 192, fullBits: 384 },
  { name: 'hmac(sha512)', rfc: 4868, mac: 'hmac-sha512', defaultBits: 256, fullBits: 512 },
  { name: 'hmac(rmd160)', short: 'rmd160', rfc: 2857, mac: 'hmac-rmd160', defaultBits: 96, fullBits: 160 },
  { name: 'xcbc(aes)', rfc: 3566, mac: 'aes-xcbc', keyLens: AES_KEYS, defaultBits: 96, fullBits: 128 },
  { name: 'cmac(aes)', rfc: 4494, mac: 'aes-cmac', keyLens: AES_KEYS, defaultBits: 96, fullBits: 128 },
  { name: 'hmac(sm3)', short: 'sm3', mac: 'hmac-sm3', defaultBits: 256, fullBits: 256 },
];

/** What 64-bit blocks come to: two of them are alike after some 2^32. */
const SHORT_BLOCKS = 'blocks of 64 bits repeat after some 32 GB under one key, and tell what they hold';

export const CIPHERS: readonly CipherRow[] = [
  {
    name: 'ecb(cipher_null)',
    short: 'cipher_null',
    rfc: 2410,
    cipher: 'null',
    keyLens: [0],
    saltLen: 0,
    ivLen: 0,
    block: 1,
    weak: 'it hides nothing',
  },
  {
    name: 'cbc(des)',
    short: 'des',
    rfc: 2405,
    cipher: 'des-cbc',
    keyLens: [8],
    saltLen: 0,
    ivLen: 8,
    block: 8,
    weak: 'a key of 56 bits is found by trying all of them, and RFC 8221 forbids it',
  },
  {
    name: 'cbc(des3_ede)',
    short: 'des3_ede',
    rfc: 2451,
    cipher: 'des3-cbc',
    keyLens: [24],
    saltLen: 0,
    ivLen: 8,
    block: 8,
    weak: SHORT_BLOCKS,
  },
  {
    name: 'cbc(cast5)',
    short: 'cast5',
    rfc: 2451,
    cipher: 'cast5-cbc',
    keyLens: range(5, 16),
    saltLen: 0,
    ivLen: 8,
    block: 8,
    weak: SHORT_BLOCKS,
  },
  {
    name: 'cbc(blowfish)',
    short: 'blowfish',
    rfc: 2451,
    cipher: 'blowfish-cbc',
    keyLens: range(4, 56),
    saltLen: 0,
    ivLen: 8,
    block: 8,
    weak: SHORT_BLOCKS,
  },
  {
    name: 'cbc(aes)',
    short: 'aes',
    rfc: 3602,
    cipher: 'aes-cbc',
    keyLens: AES_KEYS,
    saltLen: 0,
    ivLen: 16,
    block: 16,
  },
  {
    name: 'cbc(serpent)',
    short: 'serpent',
    cipher: 'serpent-cbc',
    keyLens: range(0, 32),
    saltLen: 0,
    ivLen: 16,
    block: 16,
  },
  {
    name: 'cbc(camellia)',
    short: 'camellia',
    rfc: 4312,
    cipher: 'camellia-cbc',
    keyLens: AES_KEYS,
    saltLen: 0,
    ivLen: 16,
    block: 16,
  },
  {
    name: 'cbc(twofish)',
    short: 'twofish',
    cipher: 'twofish-cbc',
    keyLens: AES_KEYS,
    saltLen: 0,
    ivLen: 16,
    block: 16,
  },
  {
    name: 'rfc3686(ctr(aes))',
    rfc: 3686,
    cipher: 'aes-ctr',
    keyLens: AES_KEYS,
    saltLen: 4,
    ivLen: 8,
    block: 1,
  },
  {
    name: 'cbc(sm4)',
    short: 'sm4',
    cipher: 'sm4-cbc',
    keyLens: [16],
    saltLen: 0,
    ivLen: 16,
    block: 16,
  },
];

/** The row with this name, or with this short one. */
export function rowNamed<Row extends Algorithm & { readonly short?: string }>(
  rows: readonly Row[],
  name: string,
): Row | undefined {
  return rows.find((row) => row.name === name || row.short === name);
}

/** All names of rows, for messages. */
export function namesOf(rows: readonly Algorithm[]): string {
  return rows.map(({ name }) => name).join(', ');
}
