/**
 * Published results, through every engine that has the algorithm: one block with an IV of zeros is the bare cipher, and a
 * message for a MAC begins with what would be SPI and sequence number.
 */
import { createCipheriv } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { hex, u32 } from '../../src/base/bytes.ts';
import { AesMac } from '../../src/crypto/aes-mac.ts';
import type { Engine } from '../../src/crypto/engine.ts';
import { suiteCheck } from '../../src/crypto/lacking.ts';
import { NobleEngine } from '../../src/crypto/noble.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { aead, authenc, type KeyMaterial } from '../../src/crypto/suite.ts';
import { fullEngine, HAS_ADDON } from '../support/full-engine.ts';
import { espPacket, expectBytes, Rows } from '../support/rows.ts';

const ENGINES: readonly (() => Engine)[] = [
  () => new NobleEngine(),
  () => new NodeEngine(),
  ...(HAS_ADDON ? [fullEngine] : []),
];
/** AES in CBC with an IV of zeros. */
function zeroCbc(given: Uint8Array) {
  const key = Uint8Array.from(given);
  return (blocks: Uint8Array) =>
    createCipheriv(`aes-${key.length * 8}-cbc`, key, new Uint8Array(16))
      .setAutoPadding(false)
      .update(blocks);
}

const NONE = new Uint8Array(0);
const text = (ascii: string) => new TextEncoder().encode(ascii);
const repeated = (byte: number, count: number) => new Uint8Array(count).fill(byte);

/** Engines that have a suite; without the addon some have none. */
function having(material: KeyMaterial): Engine[] {
  const found = ENGINES.map((make) => make()).filter((engine) => suiteCheck(engine)(material) === undefined);
  if (HAS_ADDON) expect(found.length).toBeGreaterThan(0);
  return found;
}

const CAMELLIA = '0123456789abcdeffedcba9876543210';
const CAST = '0123456712345678234567893456789a';

describe('ciphers', () => {
  it.each([
    [
      'RFC 3602 case 1',
      'cbc(aes)',
      '06a9214036b8a15b512e03d534120006',
      '3dafba429d9eb430b422da802c9fac41',
      '53696e676c6520626c6f636b206d7367',
      'e353779c1079aeb82708942dbe77181a',
    ],
    [
      'RFC 3686 vector 1',
      'rfc3686(ctr(aes))',
      'ae6852f8121067cc4bf7a5765577f39e 00000030',
      '0000000000000000',
      '53696e676c6520626c6f636b206d7367',
      'e4095d4fb7a7b3792d6175a3261311b8',
    ],
    [
      'RFC 3686 vector 2',
      'rfc3686(ctr(aes))',
      '7e24067817fae0d743d6ce1f32539163 006cb6db',
      'c0543b59da48d90b',
      '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f',
      '5104a106168a72d9790d41ee8edad388eb2e1efc46da57c8fce630df9141be28',
    ],
    ['RFC 3713, 128 bits', 'cbc(camellia)', CAMELLIA, '', CAMELLIA, '67673138549669730857065648eabe43'],
    [
      'RFC 3713, 192 bits',
      'cbc(camellia)',
      `${CAMELLIA}0011223344556677`,
      '',
      CAMELLIA,
      'b4993401b3e996f84ee5cee7d79b09b9',
    ],
    [
      'RFC 3713, 256 bits',
      'cbc(camellia)',
      `${CAMELLIA}00112233445566778899aabbccddeeff`,
      '',
      CAMELLIA,
      '9acc237dff16d76c20ef7c919e3a7509',
    ],
    ['RFC 2144, 128 bits', 'cbc(cast5)', CAST, '', '0123456789abcdef', '238b4fe5847e44b2'],
    ['RFC 2144, 80 bits', 'cbc(cast5)', CAST.slice(0, 20), '', '0123456789abcdef', 'eb6a711a2c02271b'],
    ['RFC 2144, 40 bits', 'cbc(cast5)', CAST.slice(0, 10), '', '0123456789abcdef', '7ac816d16e9b302e'],
    ['DES, FIPS 46', 'cbc(des)', '133457799bbcdff1', '', '0123456789abcdef', '85e813540f0ab405'],
    [
      'NIST SP 800-67, first block',
      'cbc(des3_ede)',
      '0123456789abcdef23456789abcdef01456789abcdef0123',
      '',
      '5468652071756663',
      'a826fd8ce53b855f',
    ],
    [
      'Blowfish, by its author',
      'cbc(blowfish)',
      '0000000000000000',
      '',
      '0000000000000000',
      '4ef997456198dd78',
    ],
    [
      'Serpent, NESSIE, 128 bits',
      'cbc(serpent)',
      '80000000000000000000000000000000',
      '',
      '00000000000000000000000000000000',
      '264e5481eff42a4606abda06c0bfda3d',
    ],
    [
      'Serpent, NESSIE, 256 bits',
      'cbc(serpent)',
      `80${'00'.repeat(31)}`,
      '',
      '00000000000000000000000000000000',
      'a223aa1288463c0e2be38ebd825616c0',
    ],
    [
      'Twofish, by its authors, 128 bits',
      'cbc(twofish)',
      '00'.repeat(16),
      '',
      '00'.repeat(16),
      '9f589f5cf6122c32b6bfec2f2ae8c35a',
    ],
    [
      'Twofish, by its authors, 256 bits',
      'cbc(twofish)',
      `${CAMELLIA}00112233445566778899aabbccddeeff`,
      '',
      '00'.repeat(16),
      '37527be0052334b89f0cfccae87cfa20',
    ],
    ['SM4, GB/T 32907', 'cbc(sm4)', CAMELLIA, '', CAMELLIA, '681edf34d206965e86b3e94f536e4246'],
  ])('%s', (_, name, key, iv, clear, sealed) => {
    const material = authenc('digest_null', NONE, name, hex(key));
    const ivBytes = iv === '' ? new Uint8Array(material.suite.ivLen) : hex(iv);
    for (const engine of having(material)) {
      const packet = espPacket(material, engine.addKey(material), 1, { lo: 2 }, ivBytes, hex(clear));
      const rows = new Rows([packet]).seal(engine);
      expectBytes(rows.text(0), hex(sealed), engine.name);
      expectBytes(rows.open(engine).text(0), hex(clear), engine.name);
    }
  });
});

const AES_KEY = '2b7e151628aed2a6abf7158809cf4f3c';
const BLOCKS =
  '6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710';
const COUNTING = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f';

/** RFC 3610 §2, step by step: AES in CCM with a nonce of any length, under a key of 16 bytes. */
function ccm(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, clear: Uint8Array, icvLen: number) {
  const encryptBlock = (block: Uint8Array) =>
    createCipheriv('aes-128-ecb', Uint8Array.from(key), null).setAutoPadding(false).update(block);
  const lengthLen = 15 - nonce.length;
  /** Flags, nonce, and a number in the bytes that are left. */
  const block = (flags: number, number: number) => {
    const digits = number.toString(16).padStart(2 * lengthLen, '0');
    return new Uint8Array([flags, ...nonce, ...hex(digits)]);
  };
  const padded = (bytes: readonly number[]) => [...bytes, ...new Uint8Array(-bytes.length & 15)];
  const authenticated = [
    ...block(0x40 + 8 * ((icvLen - 2) / 2) + lengthLen - 1, clear.length),
    ...padded([aad.length >> 8, aad.length & 0xff, ...aad]),
    ...padded([...clear]),
  ];
  let mac: Uint8Array = new Uint8Array(16);
  for (let at = 0; at < authenticated.length; at += 16)
    mac = encryptBlock(mac.map((byte, i) => byte ^ authenticated[at + i]!));
  const stream = (counter: number) => encryptBlock(block(lengthLen - 1, counter));
  return {
    text: clear.map((byte, i) => byte ^ stream(1 + (i >> 4))[i & 15]!),
    icv: stream(0)
      .map((byte, i) => byte ^ mac[i]!)
      .subarray(0, icvLen),
  };
}

describe('AES-CCM', () => {
  const KEY = hex('c0c1c2c3c4c5c6c7c8c9cacbcccdcecf');

  // Nonces of RFC 3610 have 13 bytes and those of ESP 11, so the vectors hold the plain steps, and those the engines.
  it.each([
    [
      'packet vector 1',
      '00000003020100a0a1a2a3a4a5',
      23,
      '588c979a61c663d2f066d0c2c0f989806d5f6b61dac384',
      '17e8d12cfdf926e0',
    ],
    [
      'packet vector 2',
      '00000004030201a0a1a2a3a4a5',
      24,
      '72c91a36e135f8cf291ca894085c87e3cc15c439c9e43a3b',
      'a091d56e10400916',
    ],
  ])('RFC 3610, %s', (_, nonce, length, sealed, icv) => {
    const bytes = Uint8Array.from({ length: 8 + length }, (_, i) => i);
    const { text, icv: tag } = ccm(KEY, hex(nonce), bytes.subarray(0, 8), bytes.subarray(8), 8);
    expectBytes(text, hex(sealed));
    expectBytes(tag, hex(icv));
  });

  it.each([64, 96, 128])('by its steps, in ESP with an ICV of %i bits', (icvBits) => {
    const material = aead('rfc4309(ccm(aes))', new Uint8Array([...KEY, 1, 2, 3]), icvBits);
    for (const engine of having(material)) {
      for (const [length, number] of [
        [4, { lo: 1 }],
        [16, { lo: 2 }],
        [100, { hi: 7, lo: 3 }],
      ] as const) {
        const clear = Uint8Array.from({ length }, (_, i) => 3 * i);
        const iv = hex('a0a1a2a3a4a5a6a7');
        const packet = espPacket(material, engine.addKey(material), 9, number, iv, clear);
        const want = ccm(KEY, new Uint8Array([1, 2, 3, ...iv]), packet.aad, clear, icvBits / 8);
        const rows = new Rows([packet]).seal(engine);
        expectBytes(rows.text(0), want.text, engine.name);
        expectBytes(rows.icv(0), want.icv, engine.name);
      }
    }
  });
});

describe('MACs', () => {
  it.each([
    [
      'RFC 2202, HMAC-MD5 1',
      'hmac(md5)',
      repeated(0x0b, 16),
      text('Hi There'),
      '9294727a3638bb1c13f48ef8158bfc9d',
    ],
    [
      'RFC 2202, HMAC-MD5 2',
      'hmac(md5)',
      text('Jefe'),
      text('what do ya want for nothing?'),
      '750c783e6ab0b503eaa86e310a5db738',
    ],
    [
      'RFC 2202, HMAC-SHA-1 2',
      'hmac(sha1)',
      text('Jefe'),
      text('what do ya want for nothing?'),
      'effcdf6ae5eb2fa2d27416d5f184df9c259a7c79',
    ],
    [
      'RFC 2286, HMAC-RIPEMD160 1',
      'hmac(rmd160)',
      repeated(0x0b, 20),
      text('Hi There'),
      '24cb4bd67d20fc1a5d2ed7732dcc39377f0a5668',
    ],
    [
      'RFC 2286, HMAC-RIPEMD160 2',
      'hmac(rmd160)',
      text('Jefe'),
      text('what do ya want for nothing?'),
      'dda6c0213a485a9e24f4742064a7f033b43c4069',
    ],
    [
      'RFC 3566, 16 bytes',
      'xcbc(aes)',
      hex(COUNTING.slice(0, 32)),
      hex(COUNTING.slice(0, 32)),
      'd2a246fa349b68a79998a4394ff7a263',
    ],
    [
      'RFC 3566, 20 bytes',
      'xcbc(aes)',
      hex(COUNTING.slice(0, 32)),
      hex(COUNTING.slice(0, 40)),
      '47f51b4564966215b8985c63055ed308',
    ],
    [
      'RFC 3566, 32 bytes',
      'xcbc(aes)',
      hex(COUNTING.slice(0, 32)),
      hex(COUNTING),
      'f54f0ec8d2b9f3d36807734bd5283fd4',
    ],
    [
      'RFC 4493, 16 bytes',
      'cmac(aes)',
      hex(AES_KEY),
      hex(BLOCKS.slice(0, 32)),
      '070a16b46b4d4144f79bdd9dd04a287c',
    ],
    [
      'RFC 4493, 40 bytes',
      'cmac(aes)',
      hex(AES_KEY),
      hex(BLOCKS.slice(0, 80)),
      'dfa66747de9ae63030ca32611497c827',
    ],
    ['RFC 4493, 64 bytes', 'cmac(aes)', hex(AES_KEY), hex(BLOCKS), '51f0bebf7e3b9d92fc49741779363cfe'],
  ])('%s', (_, name, key, message, tag) => {
    const material = authenc(name, key, 'ecb(cipher_null)', NONE, hex(tag).length * 8);
    for (const engine of having(material)) {
      // Under ESN the last four bytes would be the high half: the same message, in two parts.
      for (const isSplit of [false, true]) {
        const end = isSplit ? message.length - 4 : message.length;
        if (end < 8) continue;
        const number = { lo: u32(message, 4), ...(isSplit && { hi: u32(message, end) }) };
        const handle = engine.addKey(material);
        const packet = espPacket(material, handle, u32(message, 0), number, NONE, message.subarray(8, end));
        expectBytes(new Rows([packet]).seal(engine).icv(0), hex(tag), engine.name);
      }
    }
  });

  it.each([
    ['RFC 3566, nothing', 'aes-xcbc', COUNTING.slice(0, 32), '', '75f0251d528ac01c4573dfd584d79f29'],
    ['RFC 3566, 3 bytes', 'aes-xcbc', COUNTING.slice(0, 32), '000102', '5b376580ae2f19afe7219ceef172756f'],
    ['RFC 4493, nothing', 'aes-cmac', AES_KEY, '', 'bb1d6929e95937287fa37d129b756746'],
  ] as const)('%s, shorter than a header of ESP', (_, kind, key, message, tag) => {
    const mac = new AesMac(kind, hex(key), zeroCbc);
    expectBytes(mac.tag(hex(message), undefined), hex(tag));
  });
});
