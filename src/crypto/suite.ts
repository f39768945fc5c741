/**
 * Suites: what an SA does to bytes, named as Linux names it.
 * @module
 */
import { equalBytes } from '../base/bytes.ts';
import { EsplaneError } from '../base/errors.ts';
import { AEADS, CIPHERS, type Cipher, MACS, type Mac, namesOf, rowNamed } from './algorithms.ts';

export type { Cipher, Mac } from './algorithms.ts';

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
  /** Bytes at the end of the key material that begin every nonce (RFC 4106 §8.1): 3 of AES-CCM, else 4 or none. */
  readonly saltLen: number;
  /** Initialization vector in each packet. */
  readonly ivLen: number;
  readonly icvLen: number;
  /** Payload and trailer are padded to a multiple of this: the cipher's block, at least 4 (RFC 4303 §2.4). */
  readonly align: number;
}

/**
 * A suite with its keys. It never shows them: not as JSON, not in `util.inspect`, not as text.
 */
export class KeyMaterial {
  readonly suite: Suite;
  /** Key, salt and integrity key: one array, because a node has thousands of these. */
  readonly #bytes: Uint8Array;

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
    this.#bytes = new Uint8Array(key.length + salt.length + macKey.length);
    this.#bytes.set(key);
    this.#bytes.set(salt, key.length);
    this.#bytes.set(macKey, key.length + salt.length);
  }

  /** Cipher key. The array is the material's own: read it, do not keep it. */
  key(): Uint8Array {
    return this.#bytes.subarray(0, this.suite.keyLen);
  }

  /** Salt: the first bytes of every nonce. */
  salt(): Uint8Array {
    return this.#bytes.subarray(this.suite.keyLen, this.suite.keyLen + this.suite.saltLen);
  }

  /** The salt as the first four bytes of a row's nonce, big-endian; one of three bytes stands behind a zero. */
  saltWord(): number {
    const { keyLen, saltLen } = this.suite;
    let word = 0;
    for (let i = keyLen; i < keyLen + saltLen; i++) word = (word << 8) | this.#bytes[i]!;
    return word >>> 0;
  }

  /** All of it: key, salt and integrity key. The array is the material's own: read it, do not keep it. */
  all(): Uint8Array {
    return this.#bytes;
  }

  /** Integrity key of a suite with a MAC. */
  macKey(): Uint8Array {
    return this.#bytes.subarray(this.suite.keyLen + this.suite.saltLen);
  }

  /** Same suite and same bytes? Not constant time; both are ours. */
  equals(other: KeyMaterial): boolean {
    return this.suite.icvLen === other.suite.icvLen && this.equalsButIcv(other);
  }

  /** The same, but perhaps for the length of the ICV. */
  equalsButIcv(other: KeyMaterial): boolean {
    const { name, keyLen } = this.suite;
    return (
      name === other.suite.name && keyLen === other.suite.keyLen && equalBytes(this.#bytes, other.#bytes)
    );
  }

  /** Overwrites the bytes. Every later use fails to decrypt. */
  wipe(): void {
    this.#bytes.fill(0);
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

/** Does an ICV vouch for what opens? Not under `digest_null`, nor where the ICV is not checked. */
export function isAuthenticated({ icvLen, unchecked }: Suite): boolean {
  return icvLen > 0 && unchecked === undefined;
}

/** Does it hide what it carries? NULL and GMAC only authenticate. */
export function isEncrypting({ cipher }: Suite): boolean {
  return cipher !== 'null' && cipher !== 'aes-gmac';
}

/** Do its texts come in blocks of the cipher? Other texts may have any length, whatever they are padded to. */
export function isInBlocks({ align }: Suite): boolean {
  return align > MIN_ALIGN;
}

/** The names of a suite that is not an AEAD, as in `authenc(hmac(sha256),cbc(aes))`; `undefined` for an AEAD. */
export function authencNames({ name }: Suite): { auth: string; enc: string } | undefined {
  const [, auth, enc] = /^authenc\((.*),(.*)\)$/.exec(name) ?? [];
  return auth === undefined || enc === undefined ? undefined : { auth, enc };
}

/**
 * Lengths of the ICV, in bytes, that are in use with the algorithms of a suite: what Linux takes where it is told none, half
 * of the full length as in RFC 4868, 96 bits as in the older RFCs, and the full length.
 */
export function usualIcvs(suite: Suite): number[] {
  const aeadRow = rowNamed(AEADS, suite.name);
  const mac = rowNamed(MACS, authencNames(suite)?.auth ?? '');
  const bits = aeadRow?.icvBits ?? (mac?.mac ? [mac.defaultBits, mac.fullBits / 2, 96, mac.fullBits] : []);
  return [...new Set(bits)].filter((n) => aeadRow || n >= 96).map((n) => n / 8);
}

/** Why a suite and its keys should not protect anything any more: a sentence for each algorithm, which names it. */
export function weaknesses(material: KeyMaterial): string[] {
  const { suite } = material;
  const { auth = '', enc = '' } = authencNames(suite) ?? {};
  const rows = [rowNamed(AEADS, suite.name), rowNamed(MACS, auth), rowNamed(CIPHERS, enc)];
  const found = rows.flatMap((row) => (row?.weak === undefined ? [] : [`${row.name}: ${row.weak}`]));
  if (suite.mac !== undefined && material.macKey().length === 0)
    found.push(`${auth}: its key is empty, so packets can be forged and altered`);
  return found;
}

/** RFC 4303 §2.4: the trailer ends on a boundary of four bytes. */
const MIN_ALIGN = 4;

/**
 * A suite by the AEAD name, ICV in bits and key material that `ip xfrm … aead NAME KEY ICV` and Cilium's keys
 * file give. The key material's last bytes are the salt (RFC 4106 §8.1).
 * @throws {EsplaneError} `ERR_SUITE` unknown name or ICV length; `ERR_KEY` key length that the cipher does not have
 */
export function aead(name: string, keymat: Uint8Array, icvBits: number): KeyMaterial {
  const row = rowNamed(AEADS, name);
  if (!row) {
    throw new EsplaneError('ERR_SUITE', `unknown AEAD algorithm "${name}"; known are ${namesOf(AEADS)}`);
  }
  if (!row.icvBits.includes(icvBits)) {
    throw new EsplaneError(
      'ERR_SUITE',
      `${name}: ICV of ${icvBits} bits; possible are ${row.icvBits.join(', ')}`,
    );
  }
  const keyLen = keyLengthOf(row, keymat);
  const suite: Suite = {
    name: row.name,
    cipher: row.cipher,
    mac: undefined,
    keyLen,
    saltLen: row.saltLen,
    ivLen: 8,
    icvLen: icvBits / 8,
    align: MIN_ALIGN,
  };
  return new KeyMaterial(suite, keymat.subarray(0, keyLen), keymat.subarray(keyLen), EMPTY);
}

/**
 * A suite of separate integrity and encryption, as `ip xfrm … auth-trunc NAME KEY BITS enc NAME KEY` gives it.
 * @param encKey with the salt at its end, where the cipher has one: AES-CTR (RFC 3686 §5.1)
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
  const mac = rowNamed(MACS, auth);
  if (!mac) {
    throw new EsplaneError('ERR_SUITE', `unknown integrity algorithm "${auth}"; known are ${namesOf(MACS)}`);
  }
  const cipher = rowNamed(CIPHERS, enc);
  if (!cipher) {
    throw new EsplaneError(
      'ERR_SUITE',
      `unknown encryption algorithm "${enc}"; known are ${namesOf(CIPHERS)}`,
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
  const keyLen = keyLengthOf(cipher, encKey);
  if (mac.keyLens?.includes(authKey.length) === false) {
    throw new EsplaneError(
      'ERR_KEY',
      `${auth}: key of ${authKey.length} bytes; it takes ${mac.keyLens.join(', ')}`,
    );
  }
  const suite: Suite = {
    name: `authenc(${mac.name},${cipher.name})`,
    cipher: cipher.cipher,
    mac: mac.mac,
    keyLen,
    saltLen: cipher.saltLen,
    ivLen: cipher.ivLen,
    icvLen: bits / 8,
    align: Math.max(cipher.block, MIN_ALIGN),
  };
  return new KeyMaterial(suite, encKey.subarray(0, keyLen), encKey.subarray(keyLen), authKey);
}

/**
 * A suite whose ICV is passed over: what it opens may be forged.
 * @param icvBits how long the ICV is; 0 where it is not known whether there is one, and none is taken off
 * @throws {EsplaneError} `ERR_SUITE` unknown name or ICV length; `ERR_KEY` key length that the cipher does not have
 */
export function uncheckedCipher(enc: string, encKey: Uint8Array, icvBits: number): KeyMaterial {
  const { suite } = authenc('digest_null', EMPTY, enc, encKey, 0);
  if (icvBits % 8 !== 0 || icvBits < 0 || icvBits > MAX_ICV_BITS)
    throw new EsplaneError('ERR_SUITE', `ICV of ${icvBits} bits; possible are 0 to ${MAX_ICV_BITS}`);
  const unchecked: Suite = {
    ...suite,
    name: icvBits === 0 ? suite.name : suite.name.replace('digest_null', 'unchecked'),
    unchecked: true,
    icvLen: icvBits / 8,
  };
  const { keyLen } = suite;
  return new KeyMaterial(unchecked, encKey.subarray(0, keyLen), encKey.subarray(keyLen), EMPTY);
}

/** Of the longest MAC that there is. */
const MAX_ICV_BITS = 512;

/**
 * How much of the key material is the cipher's key.
 * @throws {EsplaneError} `ERR_KEY` when the cipher has no key of this length
 */
function keyLengthOf(
  row: { readonly name: string; readonly keyLens: readonly number[]; readonly saltLen: number },
  { length }: Uint8Array,
): number {
  const { name, keyLens, saltLen } = row;
  if (keyLens.includes(length - saltLen)) return length - saltLen;
  const lengths = keyLens.map((n) => n + saltLen);
  const isRange = lengths.length > 4;
  const want = isRange ? `${lengths[0]} to ${lengths.at(-1)}` : lengths.join(', ');
  const salt = saltLen > 0 ? ` (key and ${saltLen} bytes of salt)` : '';
  throw new EsplaneError('ERR_KEY', `${name}: key of ${length} bytes; it takes ${want}${salt}`);
}
