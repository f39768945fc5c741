/**
 * What tcpdump's `-E` takes, on the command line with commas between, or in a file one a line:
 *
 * ```text
 * 0x12345678@192.0.2.1 aes256-cbc-hmac96:0xaaaa…
 * 3des-cbc-hmac96:text
 * ```
 *
 * SPI and destination, cipher, key; without SPI and destination it is for all packets. `-hmac96` says that there is an ICV
 * of 96 bits. tcpdump checks none, and has no key to check one with: it is read as a row of Wireshark's that does the same.
 * @module
 */
import { parseAddress } from '../wire/address.ts';
import { Unusable } from './omission.ts';

/** One secret, or several with commas between. No part matches what the next one begins with. */
const FIRST = /^(?:-E[ \t]+)?["']?(?:(?:0x)?[0-9a-f]{1,10}@[0-9a-f.:]{2,45}[ \t]+)?([0-9a-z-]{2,24}):[^,\s]/i;
const SECRET = /^(?:([^\s@]+)@(\S+)[ \t]+)?([0-9a-z-]+):(\S+)$/i;
const AES = /^aes-?(?:128|192|256)?(?:-cbc)?$/;
/** Wireshark's names for tcpdump's, which are OpenSSL's. */
const WIRESHARK = new Map([
  ['none', 'NULL'],
  ['des-cbc', 'DES-CBC [RFC2405]'],
  ['3des-cbc', 'TripleDES-CBC [RFC2451]'],
  ['des-ede3-cbc', 'TripleDES-CBC [RFC2451]'],
  ['blowfish-cbc', 'BLOWFISH-CBC [RFC2451]'],
  ['bf-cbc', 'BLOWFISH-CBC [RFC2451]'],
  ['cast128-cbc', 'CAST5-CBC [RFC2144]'],
  ['cast5-cbc', 'CAST5-CBC [RFC2144]'],
]);
/** Names of tcpdump's manual page that esplane has not. */
const MISSING = ['rc3-cbc', 'rc5-cbc'];

/** Does a line hold secrets of tcpdump's? */
export function isTcpdumpSecrets(line: string): boolean {
  const name = FIRST.exec(line)?.[1]
    ?.toLowerCase()
    .replace(/-hmac96$/, '');
  return name !== undefined && (wiresharkName(name) !== undefined || MISSING.includes(name));
}

function wiresharkName(name: string): string | undefined {
  return AES.test(name) ? 'AES-CBC [RFC3602]' : WIRESHARK.get(name);
}

/** The secrets of a line that {@link isTcpdumpSecrets}. */
export function tcpdumpSecrets(line: string): string[] {
  const bare = line.replace(/^-E[ \t]+/, '').replace(/^(["'])(.*)\1$/, '$2');
  return bare.split(',').map((one) => one.trim());
}

/**
 * A secret as the columns of a row of Wireshark's.
 * @throws {Unusable} when it cannot be used; the message never holds a key
 */
export function columnsOfSecret(secret: string): string[] {
  const [, spi = '*', dst = '*', algorithm = '', key = ''] = SECRET.exec(secret) ?? [];
  if (key === '')
    throw new Unusable('this is no secret of tcpdump', { remedy: 'Write SPI@ADDRESS CIPHER:0xKEY.' });
  const cipher = algorithm.toLowerCase().replace(/-hmac96$/, '');
  const encryption = wiresharkName(cipher);
  if (encryption === undefined) {
    const what = MISSING.includes(cipher) ? cipher : 'this cipher';
    const known = ['aes-cbc', ...WIRESHARK.keys()].join(', ');
    throw new Unusable(`esplane does not have ${what}`, { remedy: `Known are ${known}.` });
  }
  const family = dst === '*' ? 'Any' : parseAddress(dst)?.length === 16 ? 'IPv6' : 'IPv4';
  return [
    ...[family, '*', dst, spi],
    ...[encryption, encryption === 'NULL' ? '' : key],
    ...[cipher.length < algorithm.length ? 'ANY 96 bit authentication [no checking]' : 'NULL', ''],
  ];
}
