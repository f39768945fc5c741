/**
 * The two namespaces of {@link KernelPlan} as the interop tests set them up, and the SAs that they try there.
 * @module
 */
import { putU32, u32 } from '../../src/base/bytes.ts';
import { aead, authenc, type KeyMaterial } from '../../src/crypto/suite.ts';
import { EspPlace } from '../../src/ipsec/esp-place.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { writeXfrmState } from '../../src/sa-text/xfrm-write.ts';
import { formatAddress } from '../../src/wire/address.ts';
import { HAS_ADDON } from './full-engine.ts';
import { address, counting, ipv4Packet, ipv6Packet } from './sa.ts';

/** The outer addresses: far sends to near. */
export const V4 = { src: address('192.0.2.1'), dst: address('192.0.2.2') };
export const V6 = { src: address('2001:db8::1'), dst: address('2001:db8::2') };
const UDP = { encap: { sport: 4500, dport: 4500 } };
/** The guest's sockets wait for this protocol (RFC 3692: for experiments). */
export const PROTOCOL = 253;

/** Networks of the guest: near has the inner destinations, too. */
export const NEAR = [
  'addr add 192.0.2.2/24 dev e0',
  'addr add 2001:db8::2/64 dev e0 nodad',
  // Inner destinations: of what is injected, and of what far's kernel sends.
  ...['10.0.2.0/24', 'fd00:2::/32', '10.1.0.0/16', 'fd00:9::/32'].map((to) => `route add local ${to} dev lo`),
  'route add 0.0.0.0/0 dev e0',
  'route add ::/0 dev e0',
  'neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev e0',
  'neigh add 2001:db8::1 lladdr 02:00:00:00:00:01 dev e0',
  ...['10.0.0.0/8', 'fd00::/16'].map((to) => `xfrm policy add dir in dst ${to} tmpl proto esp mode tunnel`),
  ...['192.0.2.0/24', '2001:db8::/32'].map(
    (to) => `xfrm policy add dir in dst ${to} tmpl proto esp mode transport level use`,
  ),
];
/** Networks of the sender. */
export const FAR = [
  'addr add 192.0.2.1/32 dev f0',
  'addr add 2001:db8::1/128 dev f0 nodad',
  'neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev f0',
  'neigh add 2001:db8::2 lladdr 02:00:00:00:00:02 dev f0',
  'route add 192.0.2.2 dev f0',
  'route add 2001:db8::2 dev f0',
  'route add 0.0.0.0/0 via 192.0.2.2',
  'route add ::/0 via 2001:db8::2',
];

/** Packets for tunnels, of `len` bytes in all; IPv6 of 42 at least. */
export const inner4 = (len: number) => ipv4Packet(len, { protocol: PROTOCOL });
export const inner6 = (len: number) => ipv6Packet(Math.max(len, 42), { nextHeader: PROTOCOL });
/** The same for transport mode. */
const clear4 = (len: number) => ipv4Packet(len, { protocol: PROTOCOL, ...V4 });
const clear6 = (len: number) => ipv6Packet(Math.max(len, 42), { nextHeader: PROTOCOL, ...V6 });

/** Keys of AES-GCM, of counting bytes. */
export const gcm = (keyLen: number, icvBits = 128) =>
  aead('rfc4106(gcm(aes))', counting(keyLen + 4), icvBits);
/** Keys of AES-128-CBC with an HMAC. */
export const cbc = (auth: string, bits?: number) =>
  authenc(auth, counting(32, 64), 'cbc(aes)', counting(16), bits);

/** Every suite that Linux and esplane have in common, with the names of test titles. */
export const SUITES: readonly (readonly [name: string, keys: KeyMaterial])[] = [
  ...[16, 24, 32].map((len) => [`gcm-${len * 8}`, gcm(len)] as const),
  ['gcm-128, ICV 96', gcm(16, 96)],
  ['gcm-256, ICV 64', gcm(32, 64)],
  ['gmac', aead('rfc4543(gcm(aes))', counting(20), 128)],
  ['chacha20', aead('rfc7539esp(chacha20,poly1305)', counting(36), 128)],
  ['cbc, hmac(sha256) as the kernel has it', cbc('hmac(sha256)')],
  ['cbc, hmac(sha256) 128', cbc('hmac(sha256)', 128)],
  ['cbc, hmac(sha1)', cbc('hmac(sha1)')],
  ['cbc, hmac(sha384)', cbc('hmac(sha384)')],
  ['cbc, hmac(sha512)', cbc('hmac(sha512)')],
  ['null, hmac(sha256)', authenc('hmac(sha256)', counting(32, 64), 'cipher_null', new Uint8Array(0))],
  ['ccm-128', aead('rfc4309(ccm(aes))', counting(19), 128)],
  ['ccm-192, ICV 96', aead('rfc4309(ccm(aes))', counting(27), 96)],
  ['ccm-256, ICV 64', aead('rfc4309(ccm(aes))', counting(35), 64)],
  ['null, xcbc', authenc('xcbc(aes)', counting(16, 64), 'cipher_null', new Uint8Array(0))],
  mixed('xcbc(aes)', 32, 'cbc(aes)', 24),
  mixed('cmac(aes)', 16, 'rfc3686(ctr(aes))', 20),
  mixed('cmac(aes)', 24, 'cbc(camellia)', 32, 128),
  mixed('hmac(sha512)', 64, 'rfc3686(ctr(aes))', 36),
  mixed('hmac(md5)', 16, 'cbc(des3_ede)', 24),
  mixed('hmac(sha1)', 20, 'cbc(des)', 8),
  mixed('hmac(rmd160)', 200, 'cbc(aes)', 16, 160),
  mixed('digest_null', 0, 'rfc3686(ctr(aes))', 28),
  mixed('digest_null', 0, 'cbc(des3_ede)', 24),
  // In the addon only.
  ...(HAS_ADDON
    ? [
        mixed('hmac(sha256)', 32, 'cbc(cast5)', 16),
        mixed('hmac(md5)', 16, 'cbc(cast5)', 5, 128),
        mixed('hmac(sha256)', 32, 'cbc(blowfish)', 16),
        mixed('xcbc(aes)', 16, 'cbc(blowfish)', 56),
        mixed('hmac(sha384)', 48, 'cbc(serpent)', 32),
        mixed('hmac(sha1)', 20, 'cbc(serpent)', 11),
        mixed('cmac(aes)', 16, 'cbc(twofish)', 16),
        mixed('hmac(rmd160)', 20, 'cbc(twofish)', 32),
      ]
    : []),
];

function mixed(auth: string, authLen: number, enc: string, encLen: number, bits?: number) {
  const keys = authenc(auth, counting(authLen, 64), enc, counting(encLen), bits);
  return [`${auth} ${authLen * 8}, ${enc} ${encLen * 8}`, keys] as const;
}

/** A mode and the IP versions in and around ESP. */
export interface Shape {
  readonly name: string;
  readonly given: Partial<SaConfig>;
  readonly inner: (len: number) => Uint8Array;
}

/** IPv4 in ESP in IPv4. */
export const TUNNEL_4IN4: Shape = { name: '4in4', given: V4, inner: inner4 };
/** Every shape. */
export const SHAPES: readonly Shape[] = [
  TUNNEL_4IN4,
  { name: '6in4', given: V4, inner: inner6 },
  { name: '4in6', given: V6, inner: inner4 },
  { name: '6in6', given: V6, inner: inner6 },
  { name: '4in4 in UDP', given: { ...V4, ...UDP }, inner: inner4 },
  { name: '6in6 in UDP', given: { ...V6, ...UDP }, inner: inner6 },
  { name: 'transport v4', given: { ...V4, mode: 'transport' }, inner: clear4 },
  { name: 'transport v6', given: { ...V6, mode: 'transport' }, inner: clear6 },
  { name: 'transport v4 in UDP', given: { ...V4, ...UDP, mode: 'transport' }, inner: clear4 },
  { name: 'transport v6 in UDP', given: { ...V6, ...UDP, mode: 'transport' }, inner: clear6 },
];

let sas = 0;

/** An SPI for each SA of a test file, because all of them are there at once. Two differ in two bits: a flipped one hits none. */
export function nextSpi(): number {
  sas++;
  let parity = 0;
  for (let n = sas; n > 0; n >>>= 1) parity ^= n & 1;
  return 0x10_0000 + 2 * sas + parity;
}

/** The arguments of `ip` that add an SA. For hmac(sha256) with 96 bits, the kernel's default, it is not told the ICV. */
export function command(config: SaConfig): string {
  return writeXfrmState([config], { showKeys: true })
    .trim()
    .replace(/^ip /, '')
    .replace(/auth-trunc ('hmac\(sha256\)' \w+) 96/, 'auth $1');
}

/** The arguments of `ip` that send what goes to a prefix through an SA. */
export function outPolicy(config: SaConfig, to: string, priority: number): string {
  const { src, dst, spi, reqid, mode } = config;
  const ends = `src ${formatAddress(src)} dst ${formatAddress(dst)}`;
  return `xfrm policy add dir out dst ${to} priority ${priority} tmpl ${ends} proto esp spi ${spi} reqid ${reqid} mode ${mode}`;
}

/** The salt behind the IV of an ESP packet whose number is known: Linux draws one for each SA. */
export function saltOf(packet: Uint8Array, hi: number, lo: number): Uint8Array {
  const place = new EspPlace();
  if (place.find(packet, 0, packet.length) !== 'esp') throw new Error('no ESP');
  const salt = new Uint8Array(8);
  putU32(salt, 0, u32(packet, place.espAt + 8) ^ hi);
  putU32(salt, 4, u32(packet, place.espAt + 12) ^ lo);
  return salt;
}
