/**
 * Suites: what an SA does to bytes, named as Linux names it.
 * @module
 */
import { equalBytes } from '../base/bytes.ts';
import { EsplaneError } from '../base/errors.ts';

export type Cipher = 'aes-gcm' | 'aes-gmac' | 'chacha20-poly1305' | 'aes-cbc' | 'null';
export type Mac = 'hmac-sha1' | 'hmac-sha256' | 'hmac-sha384' | 'hmac-sha512';

/** A suite: lengths in bytes, and which primitives. */
export interface Suite {
  /** `rfc4106(gcm(aes))`, or `authenc(hmac(sha256),cbc(aes))`: what the kernel's crypto layer calls it. */
  readonly name: string;
  readonly cipher: Cipher;
  /** Absent for AEAD ciphers, for `digest_null`, and where the ICV is not checked. */
  readonly mac: Mac | undefined;
  /** The ICV is passed over, because its algorithm or key is not known: for reading captures, never for a node. */
  readonly unchecked?: true;
  /** Cipher key, without salt. */
  readonly keyLen: number;
  /** Bytes at the end of the key material that begin every nonce (RFC 4106 §8.1). */
  readonly saltLen: number;
  /** Initialization vector in each packet. */
  readonly ivLen: number;
  readonly icvLen: number;
  /** Payload and trailer are padded to a multiple of this: at least 4 (RFC 4303 §2.4). */
  readonly align: number;
}

/**
 * A suite with its keys. It never shows them: not as JSON, not in `util.inspect`, not as text.
 */
export class KeyMaterial {
  readonly suite: Suite;
  readonly #key: Uint8Array;
  readonly #salt: Uint8Array;
  readonly #macKey: Uint8Array;

  /**
   * @param key cipher key, without salt
   * @throws {EsplaneError} `ERR_KEY` when a length does not fit the suite; says lengths, never bytes
   */
  constructor(suite: Suite, key: Uint8Array, salt: Uint8Array, macKey: Uint8Array) {
    if (key.length !== suite.keyLen || salt.length !== suite.saltLen) {
      throw new EsplaneError(
        'ERR_KEY',
        `${suite.name}: expected ${suite.keyLen} bytes of key and ${suite.saltLen} of salt, got ${key.length} and ${salt.length}`,
      );
    }
    this.suite = suite;
    this.#key = copyOf(key);
    this.#salt = copyOf(salt);
    this.#macKey = copyOf(macKey);
  }

  /** Cipher key. The array is the material's own: read it, do not keep it. */
  key(): Uint8Array {
    return this.#key;
  }

  /** Salt: the first bytes of every nonce. */
  salt(): Uint8Array {
    return this.#salt;
  }

  /** Integrity key of a suite with a MAC. */
  macKey(): Uint8Array {
    return this.#macKey;
  }

  /** Same suite and same bytes? Not constant time; both are ours. */
  equals(other: KeyMaterial): boolean {
    return this.suite.icvLen === other.suite.icvLen && this.equalsButIcv(other);
  }

  /** The same, but perhaps for the length of the ICV. */
  equalsButIcv(other: KeyMaterial): boolean {
    return (
      this.suite.name === other.suite.name &&
      equalBytes(this.#key, other.#key) &&
      equalBytes(this.#salt, other.#salt) &&
      equalBytes(this.#macKey, other.#macKey)
    );
  }

  /** Overwrites the bytes. Every later use fails to decrypt. */
  wipe(): void {
    this.#key.fill(0);
    this.#salt.fill(0);
    this.#macKey.fill(0);
  }

  toJSON(): string {
    return `<${this.suite.name} key hidden>`;
  }

  toString(): string {
    return this.toJSON();
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toJSON();
  }
}

const EMPTY = new Uint8Array(0);

function copyOf(bytes: Uint8Array): Uint8Array {
  return bytes.length === 0 ? EMPTY : bytes.slice();
}

/** Does an ICV vouch for what opens? Not under `digest_null`, nor where the ICV is not checked. */
export function isAuthenticated({ icvLen, unchecked }: Suite): boolean {
  return icvLen > 0 && unchecked === undefined;
}

/**
 * A suite by the AEAD name, ICV in bits and key material that `ip xfrm … aead NAME KEY ICV` and Cilium's keys
 * file give. The key material's last bytes are the salt (RFC 4106 §8.1).
 * @throws {EsplaneError} `ERR_SUITE` unknown name or ICV length; `ERR_KEY` key length that the cipher does not have
 */
export function aead(name: string, keymat: Uint8Array, icvBits: number): KeyMaterial {
  const known = named(AEADS, name);
  if (!known) {
    throw new EsplaneError(
      'ERR_SUITE',
      `unknown AEAD algorithm "${name}"; known are ${Object.keys(AEADS).join(', ')}`,
    );
  }
  if (!known.icvBits.includes(icvBits)) {
    throw new EsplaneError(
      'ERR_SUITE',
      `${name}: ICV of ${icvBits} bits; possible are ${known.icvBits.join(', ')}`,
    );
  }
  const keyLen = keymat.length - known.saltLen;
  if (!known.keyLens.includes(keyLen)) {
    const want = known.keyLens.map((n) => n + known.saltLen).join(', ');
    throw new EsplaneError(
      'ERR_KEY',
      `${name}: key of ${keymat.length} bytes; it takes ${want} (key and ${known.saltLen} bytes of salt)`,
    );
  }
  const suite: Suite = {
    name,
    cipher: known.cipher,
    mac: undefined,
    keyLen,
    saltLen: known.saltLen,
    ivLen: 8,
    icvLen: icvBits / 8,
    align: 4,
  };
  return new KeyMaterial(suite, keymat.subarray(0, keyLen), keymat.subarray(keyLen), new Uint8Array(0));
}

/**
 * A suite of separate integrity and encryption, as `ip xfrm … auth-trunc NAME KEY BITS enc NAME KEY` gives it.
 * @param truncBits ICV in bits; left out, the kernel's default for `auth` counts: 96 for `hmac(sha256)`, not
 * the 128 of RFC 4868
 * @throws {EsplaneError} `ERR_SUITE` unknown name or ICV length; `ERR_KEY` key length that the cipher does not have
 */
export function authenc(
  auth: string,
  authKey: Uint8Array,
  enc: string,
  encKey: Uint8Array,
  truncBits?: number,
): KeyMaterial {
  const mac = named(AUTHS, auth);
  if (!mac) {
    throw new EsplaneError(
      'ERR_SUITE',
      `unknown integrity algorithm "${auth}"; known are ${Object.keys(AUTHS).join(', ')}`,
    );
  }
  const cipher = named(ENCS, enc);
  if (!cipher) {
    throw new EsplaneError(
      'ERR_SUITE',
      `unknown encryption algorithm "${enc}"; known are ${Object.keys(ENCS).join(', ')}`,
    );
  }
  const bits = truncBits ?? mac.defaultBits;
  const least = mac.mac ? 32 : 0;
  if (bits % 8 !== 0 || bits < least || bits > mac.fullBits) {
    throw new EsplaneError(
      'ERR_SUITE',
      `${auth}: ICV of ${bits} bits; possible are ${least} to ${mac.fullBits}, in whole bytes`,
    );
  }
  if (!cipher.keyLens.includes(encKey.length)) {
    throw new EsplaneError(
      'ERR_KEY',
      `${enc}: key of ${encKey.length} bytes; it takes ${cipher.keyLens.join(', ')}`,
    );
  }
  if (mac.mac !== undefined && authKey.length === 0) {
    throw new EsplaneError('ERR_KEY', `${auth}: empty key`);
  }
  const suite: Suite = {
    name: `authenc(${mac.name},${cipher.name})`,
    cipher: cipher.cipher,
    mac: mac.mac,
    keyLen: encKey.length,
    saltLen: 0,
    ivLen: cipher.ivLen,
    icvLen: bits / 8,
    align: cipher.align,
  };
  return new KeyMaterial(suite, encKey, new Uint8Array(0), authKey);
}

/**
 * A suite whose ICV is passed over: what it opens may be forged.
 * @param icvBits how long the ICV is; 0 where it is not known whether there is one, and none is taken off
 * @throws {EsplaneError} `ERR_SUITE` unknown name or ICV length; `ERR_KEY` key length that the cipher does not have
 */
export function uncheckedCipher(enc: string, encKey: Uint8Array, icvBits: number): KeyMaterial {
  const { suite } = authenc('digest_null', new Uint8Array(0), enc, encKey, 0);
  if (icvBits % 8 !== 0 || icvBits < 0 || icvBits > MAX_ICV_BITS)
    throw new EsplaneError('ERR_SUITE', `ICV of ${icvBits} bits; possible are 0 to ${MAX_ICV_BITS}`);
  const unchecked: Suite = {
    ...suite,
    name: icvBits === 0 ? suite.name : suite.name.replace('digest_null', 'unchecked'),
    unchecked: true,
    icvLen: icvBits / 8,
  };
  return new KeyMaterial(unchecked, encKey, new Uint8Array(0), new Uint8Array(0));
}

/** Of the longest MAC that there is. */
const MAX_ICV_BITS = 512;

interface Aead {
  readonly cipher: Cipher;
  readonly keyLens: readonly number[];
  readonly saltLen: number;
  readonly icvBits: readonly number[];
}

/** RFC 4106, RFC 4543, RFC 7634, with the lengths that Linux's xfrm has (net/xfrm/xfrm_algo.c). */
const AEADS: Readonly<Record<string, Aead>> = {
  'rfc4106(gcm(aes))': { cipher: 'aes-gcm', keyLens: [16, 24, 32], saltLen: 4, icvBits: [64, 96, 128] },
  'rfc4543(gcm(aes))': { cipher: 'aes-gmac', keyLens: [16, 24, 32], saltLen: 4, icvBits: [128] },
  'rfc7539esp(chacha20,poly1305)': { cipher: 'chacha20-poly1305', keyLens: [32], saltLen: 4, icvBits: [128] },
};

interface Auth {
  readonly name: string;
  readonly mac: Mac | undefined;
  readonly defaultBits: number;
  readonly fullBits: number;
}

const SHA1: Auth = { name: 'hmac(sha1)', mac: 'hmac-sha1', defaultBits: 96, fullBits: 160 };
const SHA256: Auth = { name: 'hmac(sha256)', mac: 'hmac-sha256', defaultBits: 96, fullBits: 256 };
const SHA384: Auth = { name: 'hmac(sha384)', mac: 'hmac-sha384', defaultBits: 192, fullBits: 384 };
const SHA512: Auth = { name: 'hmac(sha512)', mac: 'hmac-sha512', defaultBits: 256, fullBits: 512 };

/** Default truncations of Linux's xfrm (net/xfrm/xfrm_algo.c); the short names are its own aliases. */
const AUTHS: Readonly<Record<string, Auth>> = {
  'hmac(sha1)': SHA1,
  sha1: SHA1,
  'hmac(sha256)': SHA256,
  sha256: SHA256,
  'hmac(sha384)': SHA384,
  'hmac(sha512)': SHA512,
  digest_null: { name: 'digest_null', mac: undefined, defaultBits: 0, fullBits: 0 },
};

interface Enc {
  readonly name: string;
  readonly cipher: Cipher;
  readonly keyLens: readonly number[];
  readonly ivLen: number;
  readonly align: number;
}

const CBC: Enc = { name: 'cbc(aes)', cipher: 'aes-cbc', keyLens: [16, 24, 32], ivLen: 16, align: 16 };
const NULL: Enc = { name: 'ecb(cipher_null)', cipher: 'null', keyLens: [0], ivLen: 0, align: 4 };

const ENCS: Readonly<Record<string, Enc>> = {
  'cbc(aes)': CBC,
  aes: CBC,
  'ecb(cipher_null)': NULL,
  cipher_null: NULL,
};

/** Own entries only: `constructor` is no algorithm. */
function named<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
