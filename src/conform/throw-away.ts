/**
 * Suites by name with throw-away keys: made from a seed, so everybody who knows the seed knows them. They are for tests.
 * @module
 */
import { InputError } from '../base/errors.ts';
import { mixSeed, seededBytes } from '../base/rng.ts';
import { AEADS, CIPHERS, MACS, namesOf, rowNamed } from '../crypto/algorithms.ts';
import { aead, authenc, type KeyMaterial } from '../crypto/suite.ts';

export interface SuiteOptions {
  /** Length of the cipher's key without salt, in bits; left out, 128 where the cipher has that. */
  readonly keyBits?: number;
  /** Length of the ICV in bits; left out, the longest of an AEAD, else that of the RFC. */
  readonly icvBits?: number;
  readonly seed: number;
}

/** What goes with the half of a suite that is named alone. */
const DEFAULT_MAC = 'hmac(sha256)';
const DEFAULT_CIPHER = 'cbc(aes)';
/** RFC 4868; the kernel's own default is the 96 of an old draft. */
const RFC_BITS: Readonly<Record<string, number>> = { 'hmac(sha256)': 128 };
/** Of `keyBits`, and of MACs over AES. */
const USUAL_KEY = 16;

/**
 * A suite and its keys.
 * @param name an AEAD; an encryption, an integrity, or both as `INTEGRITY+ENCRYPTION` or `authenc(INTEGRITY,ENCRYPTION)`
 * @throws {InputError} when there is no such suite
 * @throws {EsplaneError} `ERR_SUITE` or `ERR_KEY` when it does not take these lengths
 * @example
 * ```ts
 * throwAwaySuite('hmac(sha1)+cbc(des3_ede)', { seed: 1 });
 * ```
 */
export function throwAwaySuite(name: string, { keyBits, icvBits, seed }: SuiteOptions): KeyMaterial {
  const random = (length: number, stream: number) => {
    const bytes = new Uint8Array(length);
    seededBytes(mixSeed(seed, stream))(bytes);
    return bytes;
  };
  const cipherKey = ({
    keyLens,
    saltLen,
  }: {
    readonly keyLens: readonly number[];
    readonly saltLen: number;
  }) => {
    const usual = keyLens.includes(USUAL_KEY) ? USUAL_KEY : keyLens[0]!;
    return random((keyBits === undefined ? usual : keyBits / 8) + saltLen, 0);
  };
  const whole = rowNamed(AEADS, name);
  if (whole) return aead(whole.name, cipherKey(whole), icvBits ?? whole.icvBits.at(-1)!);
  const parts = /^authenc\((.+\)|[^,()]+),(.+)\)$/.exec(name) ?? /^([^+]+)\+([^+]+)$/.exec(name);
  const mac = rowNamed(MACS, parts ? parts[1]! : rowNamed(MACS, name) ? name : DEFAULT_MAC);
  const cipher = rowNamed(CIPHERS, parts ? parts[2]! : rowNamed(MACS, name) ? DEFAULT_CIPHER : name);
  if (!mac || !cipher)
    throw new InputError(
      { source: '--suite' },
      `there is no suite ${name}`,
      `Give one of ${namesOf(AEADS)}, an encryption (${namesOf(CIPHERS)}), an integrity (${namesOf(MACS)}), or both as in hmac(sha256)+cbc(aes).`,
    );
  const macLen = mac.mac ? (mac.keyLens ? USUAL_KEY : mac.fullBits / 8) : 0;
  return authenc(
    mac.name,
    random(macLen, 1),
    cipher.name,
    cipherKey(cipher),
    icvBits ?? RFC_BITS[mac.name] ?? mac.defaultBits,
  );
}
