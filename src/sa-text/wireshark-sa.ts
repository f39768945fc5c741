/**
 * One SA in Wireshark's words: the columns that its esp_sa table and the pcapng secrets block share.
 *
 * ```text
 * Protocol, Src IP, Dest IP, SPI, Encryption, Encryption Key, Authentication, Authentication Key, SN, ESN High Bits
 * ```
 *
 * The names of algorithms that are written are those of Wireshark's `epan/dissectors/packet-ipsec.c`, which have to be
 * exact there; read are also those of its older versions and of its table for IKE, in any case. The first eight columns are
 * understood by every version, the last two from 4.6; before, ESN packets are decrypted but their ICV is called wrong. A
 * key is `0x…`, or else text whose characters are the bytes. Addresses and SPI may have wildcards (`sa-pattern.ts`).
 * @module
 */
import { fromHex, u32 } from '../base/bytes.ts';
import { EsplaneError, type Place } from '../base/errors.ts';
import {
  aead,
  authenc,
  authencNames,
  type Cipher,
  type KeyMaterial,
  type Mac,
  type Suite,
  uncheckedCipher,
} from '../crypto/suite.ts';
import type { SaConfig, SaPlace } from '../ipsec/sa-config.ts';
import { type Address, formatAddress, isAny, parseAddress } from '../wire/address.ts';
import { ESN_WINDOW } from './esn-window.ts';
import { Unusable } from './omission.ts';
import { fits, isExact, isOpen, type Masked, parseMasked, parseMaskedSpi } from './sa-pattern.ts';
import { keyText } from './show-keys.ts';

/** The columns, as the pcapng secrets block names them. */
export const COLUMNS = [
  'Protocol',
  'Src IP',
  'Dest IP',
  'SPI',
  'Encryption',
  'Encryption Key',
  'Authentication',
  'Authentication Key',
  'SN',
  'ESN High Bits',
] as const;

/** So many of them name an SA; the rest says how it works. */
const PLACE_COLUMNS = 4;

const NULL = 'NULL';
const AES_CBC = 'AES-CBC [RFC3602]';
const CHACHA = 'ChaCha20 with Poly1305 [RFC7634]';
/** ICVs of which only the length is known, in bits. */
const UNCHECKED_BITS = new Set([64, 96, 128, 192, 256]);

/** Encryption by {@link plainName}; some tables say the length of the key. */
const IS_GCM = /^aesgcm(?:128|192|256)?with(8|12|16)octeticv$/;
/** Old name that leaves the length of the ICV open; Wireshark itself cannot decrypt with it. */
const IS_OLD_GCM = /^aesgcm(?:128|192|256)?$/;
const IS_CHACHA = /^chacha20(?:with)?poly1305$/;
const IS_UNCHECKED = /^any(\d{2,3})bit/;

/** What else Wireshark has, up to 4.6: all of its names may be repeated in a message, and no other text of a row. */
const MISSING = [
  'AES-GCM with IIV and 16 octet ICV [RFC4106 & RFC8750]',
  'ChaCha20 with Poly1305 and IIV [RFC7634 & RFC8750]',
];

/** Bytes of an address, by protocol. */
const ADDRESS_LENGTHS = new Map([
  ['ipv4', [4]],
  ['ipv6', [16]],
  ['any', [4, 16]],
]);

/** Wireshark's names of ciphers without integrity, and the kernel's. */
const CIPHERS = [
  { name: NULL, cipher: 'null', kernel: 'ecb(cipher_null)' },
  { name: AES_CBC, cipher: 'aes-cbc', kernel: 'cbc(aes)' },
  { name: 'AES-CTR [RFC3686]', cipher: 'aes-ctr', kernel: 'rfc3686(ctr(aes))' },
  { name: 'TripleDES-CBC [RFC2451]', cipher: 'des3-cbc', kernel: 'cbc(des3_ede)' },
  { name: 'DES-CBC [RFC2405]', cipher: 'des-cbc', kernel: 'cbc(des)' },
  { name: 'CAST5-CBC [RFC2144]', cipher: 'cast5-cbc', kernel: 'cbc(cast5)' },
  { name: 'BLOWFISH-CBC [RFC2451]', cipher: 'blowfish-cbc', kernel: 'cbc(blowfish)' },
  { name: 'TWOFISH-CBC', cipher: 'twofish-cbc', kernel: 'cbc(twofish)' },
] as const satisfies readonly { name: string; cipher: Cipher; kernel: string }[];

/** Wireshark's names of integrity algorithms, the kernel's, and the bits of ICV that the former stand for. */
const AUTHS = [
  { name: 'HMAC-SHA-1-96 [RFC2404]', mac: 'hmac-sha1', kernel: 'hmac(sha1)', bits: 96 },
  {
    name: 'HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]',
    mac: 'hmac-sha256',
    kernel: 'hmac(sha256)',
    bits: 96,
  },
  { name: 'HMAC-SHA-256-128 [RFC4868]', mac: 'hmac-sha256', kernel: 'hmac(sha256)', bits: 128 },
  { name: 'HMAC-SHA-384-192 [RFC4868]', mac: 'hmac-sha384', kernel: 'hmac(sha384)', bits: 192 },
  { name: 'HMAC-SHA-512-256 [RFC4868]', mac: 'hmac-sha512', kernel: 'hmac(sha512)', bits: 256 },
  { name: 'HMAC-MD5-96 [RFC2403]', mac: 'hmac-md5', kernel: 'hmac(md5)', bits: 96 },
  { name: 'MAC-RIPEMD-160-96 [RFC2857]', mac: 'hmac-rmd160', kernel: 'hmac(rmd160)', bits: 96 },
  { name: 'AES-XCBC-MAC-96 [RFC3566]', mac: 'aes-xcbc', kernel: 'xcbc(aes)', bits: 96 },
] as const satisfies readonly { name: string; mac: Mac; kernel: string; bits: number }[];

/**
 * A name without case, RFC and punctuation, `hmacsha196`: which is also what Wireshark calls the algorithm in its old
 * preferences. Its table for IKE says `SHA2` where the one for ESP says `SHA`.
 */
function plainName(name: string): string {
  const plain = name.toLowerCase().replace(/\[[^[\]]*\]|[^a-z0-9]/g, '');
  return plain.replace(/^hmacsha2(?=256|384|512)/, 'hmacsha');
}

/** By {@link plainName}; some tables say the length of an AES key. */
const CIPHER_BY_NAME = new Map(CIPHERS.map((cipher) => [plainName(cipher.name), cipher]));
const AUTH_BY_NAME = new Map(AUTHS.map((auth) => [plainName(auth.name), auth]));

/** An SA in columns, or the reason why it has none. */
export interface WiresharkRow {
  /** All ten; `undefined` when Wireshark has no words for the SA. */
  readonly columns: readonly string[] | undefined;
  /** What the reader should know about this row, or why there is none. */
  readonly remark: string | undefined;
  /** Is the ICV not checked there, although it is here? */
  readonly isUnchecked?: boolean;
}

/** Says an SA in Wireshark's words. */
export function toWireshark(sa: SaConfig, showKeys: boolean): WiresharkRow {
  const { keys, sequence } = sa;
  const words = algorithms(keys.suite);
  if (!words.encryption) return { columns: undefined, remark: words.remark };
  const key = (...parts: readonly Uint8Array[]) => {
    const text = keyText(showKeys, ...parts);
    return text === '' ? '' : `0x${text}`;
  };
  const high = sa.esn ? Math.max(sequence?.seqHi ?? 0, sequence?.oseqHi ?? 0) : 0;
  const columns = [
    ...placeToWireshark(sa),
    words.encryption,
    key(keys.key(), keys.salt()),
    words.authentication,
    key(keys.macKey()),
    sa.esn ? '64-bit' : '32-bit',
    high.toString(16),
  ];
  return { columns, remark: words.remark, isUnchecked: words.isUnchecked ?? false };
}

/**
 * Reads six to ten columns: without the last two by Wireshark up to 4.4, and without those that an AEAD leaves empty by
 * hand. The table says nothing of mode, UDP, window and reqid: the first two are left open, no window
 * and 0 are assumed, and under ESN, which does not work without a window, Cilium's. Protocol `Any` looks at no address, and
 * yields an SA for each family.
 * @throws {Unusable} when a column cannot be used; the message never holds a key
 */
export function fromWireshark(columns: readonly string[], place: Place): SaConfig[] {
  const filled = columns.map((column) => column.trim());
  while (filled.length > 8 && filled.at(-1) === '') filled.pop();
  const [encryption = '', encryptionKey = '', authentication = NULL, authenticationKey = '', ...rest] =
    filled.slice(PLACE_COLUMNS);
  const least = isAead(plainName(encryption)) ? 6 : 7;
  if (filled.length < least || filled.length > 10) {
    throw new Unusable(`${filled.length} fields; an SA has 8 or 10`, {
      remedy:
        'Give "Protocol","Src IP","Dest IP","SPI","Encryption","Encryption Key","Authentication","Authentication Key".',
    });
  }
  const [sn = '32-bit', high = '0'] = rest;
  const places = placesFromWireshark(filled);
  if (sn !== '32-bit' && sn !== '64-bit')
    throw new Unusable('SN is not "32-bit" or "64-bit"', { remedy: 'Correct the ninth field.' });
  if (!/^(0x)?[0-9a-f]{1,8}$/i.test(high)) {
    throw new Unusable('ESN High Bits is not hexadecimal', {
      remedy: 'Write the upper 32 bits of the sequence number, such as "0".',
    });
  }
  const esn = sn === '64-bit';
  const seqHi = Number.parseInt(high, 16);
  // Each SA has keys of its own to wipe.
  const keys = () => readKeys(encryption, encryptionKey, authentication, authenticationKey);
  return places.map((ends) => ({
    ...ends,
    mode: 'tunnel',
    keys: keys(),
    esn,
    replayWindow: esn ? ESN_WINDOW : 0,
    reqid: 0,
    flags: [],
    unstated: { mode: true, encap: true, ...(filled.length <= 8 && { esn: true }) },
    ...(esn && seqHi > 0 && { sequence: { seqHi, seq: 0, oseqHi: seqHi, oseq: 0 } }),
    origin: place.line === undefined ? place.source : `${place.source}:${place.line}`,
  }));
}

/** The first four columns. */
export function placeToWireshark({ src, dst, spi, pattern }: SaPlace): string[] {
  const protocol = src.length === 4 ? 'IPv4' : 'IPv6';
  if (pattern) return [protocol, pattern.src, pattern.dst, pattern.spi];
  return [
    protocol,
    isAny(src) ? '*' : formatAddress(src),
    isAny(dst) ? '*' : formatAddress(dst),
    `0x${spi.toString(16).padStart(8, '0')}`,
  ];
}

/**
 * Reads the first four columns, which name an SA or several: protocol, source, destination and SPI. Any source alone makes
 * no pattern: an SA of any source is one that kernels have, too.
 * @returns one place, or one for each family where the protocol is `Any`
 * @throws {Unusable} when a column cannot be used
 */
export function placesFromWireshark(columns: readonly string[]): SaPlace[] {
  const [protocol = '', from = '', to = '', spiText = ''] = columns.map((column) => column.trim());
  const spi = parseMaskedSpi(spiText);
  if (!spi) {
    throw new Unusable('the SPI is neither a number of 32 bits nor a pattern of eight digits', {
      remedy: 'Write it as 0x00000003 or 3, "*" for any, or with "*" for digits, as 0x0000000*.',
    });
  }
  const lengths = ADDRESS_LENGTHS.get(protocol.toLowerCase());
  if (!lengths)
    throw new Unusable('the first field is not IPv4, IPv6 or Any', { remedy: 'Write "IPv4" or "IPv6".' });
  const isEither = lengths.length > 1;
  return lengths.map((length) => {
    const src = maskedAddress(isEither ? '*' : from, length);
    const dst = maskedAddress(isEither ? '*' : to, length);
    const place = { src: src.value, dst: dst.value, spi: numberOf(spi) };
    const isOne = isExact(dst) && isExact(spi) && (isExact(src) || isOpen(src));
    if (isOne) return place;
    const texts = { src: isOpen(src) ? '*' : from, dst: isOpen(dst) ? '*' : to, spi: spiText };
    return { ...place, pattern: { ...texts, fits: fitsAll(src, dst, spi) } };
  });
}

function maskedAddress(text: string, length: number): Masked {
  const exact = parseAddress(text);
  if (exact?.length === length) return { value: exact, mask: new Uint8Array(length).fill(0xff) };
  const masked = parseMasked(text, length);
  if (masked) return masked;
  throw new Unusable(`an address is neither ${length === 4 ? 'IPv4' : 'IPv6'} nor a pattern of it`, {
    remedy:
      length === 4
        ? 'Write four parts, "*" for any of them, or "*" alone.'
        : 'Write a whole address, "*" for single digits of it, or "*" alone.',
  });
}

function fitsAll(
  src: Masked,
  dst: Masked,
  spi: Masked,
): (src: Address, dst: Address, spi: number) => boolean {
  return (from, to, number) =>
    fits(dst, to) &&
    fits(src, from) &&
    fits(spi, Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number));
}

/** Of an SPI; 0 in the digits that are open. */
function numberOf({ value }: Masked): number {
  return u32(value, 0);
}

/** The names of a suite's algorithms; no encryption where Wireshark has none. */
function algorithms(suite: Suite): {
  encryption?: string;
  authentication: string;
  remark: string | undefined;
  isUnchecked?: boolean;
} {
  const icvBits = suite.icvLen * 8;
  switch (suite.cipher) {
    case 'aes-gcm':
      return {
        encryption: `AES-GCM with ${suite.icvLen} octet ICV [RFC4106]`,
        authentication: NULL,
        remark: undefined,
      };
    case 'chacha20-poly1305':
      return {
        encryption: CHACHA,
        authentication: NULL,
        remark: 'Wireshark up to 4.0 does not know ChaCha20 with Poly1305 and refuses the next line',
      };
    case 'aes-gmac':
      return { authentication: NULL, remark: 'Wireshark has no AES-GMAC' };
    case 'aes-ccm':
      return { authentication: NULL, remark: 'Wireshark has no AES-CCM' };
  }
  const encryption = CIPHERS.find(({ cipher }) => cipher === suite.cipher)?.name;
  if (encryption === undefined)
    return { authentication: NULL, remark: `Wireshark has no ${authencNames(suite)?.enc}` };
  if (icvBits === 0) return { encryption, authentication: NULL, remark: undefined };
  const exact = AUTHS.find((auth) => auth.mac === suite.mac && auth.bits === icvBits);
  if (exact) return { encryption, authentication: exact.name, remark: undefined };
  const unchecked = `ANY ${icvBits} bit authentication [no checking]`;
  const isKnown = UNCHECKED_BITS.has(icvBits);
  if (isKnown && suite.unchecked) return { encryption, authentication: unchecked, remark: undefined };
  if (!isKnown) {
    const what = suite.mac ?? 'ICV that is not checked';
    return { authentication: NULL, remark: `Wireshark has no ${what} with an ICV of ${icvBits} bits` };
  }
  return {
    encryption,
    authentication: unchecked,
    remark: `Wireshark has no ${suite.mac} with an ICV of ${icvBits} bits: it decrypts the next line without a check`,
    isUnchecked: true,
  };
}

function isAead(encryption: string): boolean {
  return IS_GCM.test(encryption) || IS_OLD_GCM.test(encryption) || IS_CHACHA.test(encryption);
}

function readKeys(...columns: Parameters<typeof keysOf>): KeyMaterial {
  try {
    return keysOf(...columns);
  } catch (error) {
    if (!(error instanceof EsplaneError)) throw error;
    const [encryption, key, authentication, macKey] = columns;
    try {
      // Digits that are no key as text.
      if (IS_DIGITS.test(key)) return keysOf(encryption, `0x${key}`, authentication, withPrefix(macKey));
    } catch (second) {
      if (!(second instanceof EsplaneError)) throw second;
    }
    throw new Unusable(error.message, { remedy: 'Correct the key or the algorithm.' });
  }
}

const IS_DIGITS = /^(?:[0-9a-f]{2})+$/i;

function withPrefix(key: string): string {
  return IS_DIGITS.test(key) ? `0x${key}` : key;
}

function keysOf(
  encryption: string,
  encryptionKey: string,
  authentication: string,
  authenticationKey: string,
): KeyMaterial {
  const key = readKey(encryptionKey);
  const cipherName = plainName(encryption);
  const authName = plainName(authentication);
  const uncheckedBits = Number(IS_UNCHECKED.exec(authName)?.[1] ?? Number.NaN);
  const gcm = IS_GCM.exec(cipherName);
  if (gcm) return aead('rfc4106(gcm(aes))', key, Number(gcm[1]) * 8);
  if (IS_OLD_GCM.test(cipherName)) {
    // strongSwan writes this with `ANY 128 bit authentication`, which says the length of the ICV. A patch of it writes
    // twice the length of 12 and 16 bytes, and no ICV of AES-GCM is that long.
    const bits = uncheckedBits > 128 ? uncheckedBits / 2 : uncheckedBits;
    return aead('rfc4106(gcm(aes))', key, Number.isNaN(bits) ? 128 : bits);
  }
  if (IS_CHACHA.test(cipherName)) return aead('rfc7539esp(chacha20,poly1305)', key, 128);

  const cipher = CIPHER_BY_NAME.get(cipherName.replace(/^(aesc(?:bc|tr))(?:128|192|256)$/, '$1'))?.kernel;
  if (cipher === undefined) {
    throw unknown(
      'encryption',
      cipherName,
      `AES-GCM with 8, 12 or 16 octet ICV, ${CHACHA}, ${CIPHERS.map(({ name }) => name).join(', ')}`,
    );
  }
  if (authName === 'null') return uncheckedCipher(cipher, key, 0);
  if (UNCHECKED_BITS.has(uncheckedBits)) return uncheckedCipher(cipher, key, uncheckedBits);
  const auth = AUTH_BY_NAME.get(authName);
  if (!auth) throw unknown('integrity', authName, [...AUTHS.map(({ name }) => name), NULL].join(', '));
  const macKey = readKey(authenticationKey);
  // Without a key to check with there is still one to decrypt with.
  if (macKey.length === 0) return uncheckedCipher(cipher, key, auth.bits);
  return authenc(auth.kernel, macKey, cipher, key, auth.bits);
}

function unknown(kind: string, plain: string, known: string): Unusable {
  const what = MISSING.find((name) => plainName(name) === plain) ?? `this ${kind} algorithm`;
  return new Unusable(`esplane does not have ${what}`, { remedy: `Known are ${known}.` });
}

/** `0x…`, or text whose characters are the bytes, as Wireshark takes it: an odd number of digits begins with a 0. */
function readKey(text: string): Uint8Array {
  if (/^(0x)?<</.test(text))
    throw new Unusable('its key is hidden', { remedy: 'Write the table with its keys (--show-keys).' });
  if (!/^0x/i.test(text)) return Uint8Array.from(text, (c) => c.charCodeAt(0));
  const digits = text.slice(2);
  const bytes = fromHex(digits.length % 2 === 1 ? `0${digits}` : digits);
  if (!bytes) throw new Unusable('a key is not hexadecimal', { remedy: 'Write pairs of digits after 0x.' });
  return bytes;
}
