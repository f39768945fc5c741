/**
 * SAs and IP packets for tests.
 * @module
 */
import { hex } from '../../src/base/bytes.ts';
import { seededBytes } from '../../src/base/rng.ts';
import { aead, authenc, type KeyMaterial } from '../../src/crypto/suite.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { type Address, parseAddress } from '../../src/wire/address.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';

/** An address that is known to be good. */
export function address(text: string): Address {
  const parsed = parseAddress(text);
  if (!parsed) throw new TypeError(`no address: ${text}`);
  return parsed;
}

/** Counting bytes: 00 01 02 …, which eyes recognise. */
export function counting(len: number, from = 0): Uint8Array {
  return Uint8Array.from({ length: len }, (_, i) => from + i);
}

/** Every suite that the registry has, with keys of every length. */
export const SUITES: readonly KeyMaterial[] = [
  ...[16, 24, 32].flatMap((len) =>
    [64, 96, 128].map((icv) => aead('rfc4106(gcm(aes))', counting(len + 4), icv)),
  ),
  aead('rfc4543(gcm(aes))', counting(20), 128),
  aead('rfc7539esp(chacha20,poly1305)', counting(36), 128),
  ...['hmac(sha1)', 'hmac(sha256)', 'hmac(sha384)', 'hmac(sha512)'].map((auth) =>
    authenc(auth, counting(32, 64), 'cbc(aes)', counting(16)),
  ),
  authenc('hmac(sha256)', counting(32, 64), 'cbc(aes)', counting(32), 128),
  authenc('hmac(sha256)', counting(32, 64), 'cipher_null', new Uint8Array(0)),
  authenc('digest_null', new Uint8Array(0), 'cbc(aes)', counting(16)),
  authenc('digest_null', new Uint8Array(0), 'cipher_null', new Uint8Array(0)),
];

/** An SA from 192.0.2.1 to 192.0.2.2 with AES-128-GCM, SPI 3, ESN and window 1024, unless told otherwise. */
export function saConfig(given: Partial<SaConfig> = {}): SaConfig {
  return {
    src: address('192.0.2.1'),
    dst: address('192.0.2.2'),
    spi: 3,
    mode: 'tunnel',
    keys: aead('rfc4106(gcm(aes))', hex('4142434445464748494a4b4c4d4e4f5001020304'), 128),
    esn: true,
    replayWindow: 1024,
    reqid: 1,
    flags: [],
    origin: 'test',
    ...given,
  };
}

/** An IPv4 packet of `len` bytes in all, with counting bytes as its payload. */
export function ipv4Packet(len: number, given: Partial<ipv4.Header> = {}): Uint8Array {
  const b = new Uint8Array(len);
  const headerLen = ipv4.emit(
    {
      tos: 0,
      totalLength: len,
      id: 0x1234,
      dontFragment: true,
      moreFragments: false,
      fragmentOffset: 0,
      ttl: 64,
      protocol: 17,
      src: address('10.0.1.10'),
      dst: address('10.0.2.20'),
      options: new Uint8Array(0),
      ...given,
    },
    b,
  );
  b.set(counting(len - headerLen), headerLen);
  return b;
}

/** An IPv6 packet of `len` bytes in all, with `payload` or counting bytes after its fixed header. */
export function ipv6Packet(len: number, given: Partial<ipv6.Header> = {}, payload?: Uint8Array): Uint8Array {
  const b = new Uint8Array(len);
  ipv6.emit(
    {
      trafficClass: 0,
      flowLabel: 0,
      payloadLength: len - ipv6.HEADER_LEN,
      nextHeader: 17,
      hopLimit: 64,
      src: address('fd00:1::10'),
      dst: address('fd00:2::20'),
      ...given,
    },
    b,
  );
  b.set(payload ?? counting(len - ipv6.HEADER_LEN), ipv6.HEADER_LEN);
  return b;
}

/** Repeatable chance for SAs in tests. */
export const RANDOM = { random: seededBytes(0xe5b) };
