import { createCipheriv, createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { hex } from '../../src/base/bytes.ts';
import type { Engine } from '../../src/crypto/engine.ts';
import { NobleEngine } from '../../src/crypto/noble.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { authenc } from '../../src/crypto/suite.ts';
import { espPacket, expectBytes, Rows } from '../support/rows.ts';

/** Both engines share the code of this room, so it is held against what the RFCs say, written out. */
const ENGINES: [string, () => Engine][] = [
  ['noble', () => new NobleEngine()],
  ['node', () => new NodeEngine()],
];

const IV = hex('101112131415161718191a1b1c1d1e1f');
const KEY = hex('000102030405060708090a0b0c0d0e0f');
const AUTH_KEY = hex('202122232425262728292a2b2c2d2e2f3031323334353637');
const TEXT = new Uint8Array(32).fill(0x61);

describe.each(ENGINES)('encrypt-then-MAC, %s', (_, makeEngine) => {
  it.each([
    ['without ESN', undefined, ''],
    ['under ESN, the high half after the ciphertext (RFC 4303 §2.2.1)', 0x0a0b_0c0d, '0a0b0c0d'],
  ] as const)('%s', (_, hi, appended) => {
    const engine = makeEngine();
    for (const hash of ['sha1', 'sha256', 'sha384', 'sha512']) {
      const material = authenc(`hmac(${hash})`, AUTH_KEY, 'cbc(aes)', KEY, 128);
      const number = hi === undefined ? { lo: 5 } : { hi, lo: 5 };
      const packet = espPacket(material, engine.addKey(material), 0x1234_5678, number, IV, TEXT);
      const rows = new Rows([packet]).seal(engine);

      const ciphertext = createCipheriv('aes-128-cbc', KEY, IV).setAutoPadding(false).update(TEXT);
      const wire = Buffer.concat([hex('12345678 00000005'), IV, ciphertext]);
      const icv = createHmac(hash, AUTH_KEY).update(wire).update(appended, 'hex').digest();
      expectBytes(rows.text(0), ciphertext, hash);
      expectBytes(rows.icv(0), icv.subarray(0, 16), hash);
    }
  });

  it('leaves the text of a null cipher alone and covers SPI, sequence number and text', () => {
    const engine = makeEngine();
    const material = authenc('hmac(sha256)', AUTH_KEY, 'ecb(cipher_null)', new Uint8Array(0));
    const packet = espPacket(material, engine.addKey(material), 1, { lo: 2 }, new Uint8Array(0), TEXT);
    const rows = new Rows([packet]).seal(engine);
    const covered = Buffer.concat([hex('00000001 00000002'), TEXT]);
    expectBytes(rows.text(0), TEXT);
    expectBytes(rows.icv(0), createHmac('sha256', AUTH_KEY).update(covered).digest().subarray(0, 12));
  });

  it('does not decrypt a packet whose ICV is wrong', () => {
    const engine = makeEngine();
    const material = authenc('hmac(sha256)', AUTH_KEY, 'cbc(aes)', KEY);
    const icv = new Uint8Array(12);
    const packet = espPacket(material, engine.addKey(material), 1, { lo: 2 }, IV, TEXT, icv);
    const rows = new Rows([packet]).open(engine);
    expect(rows.verdicts()).not.toEqual([0]);
    expectBytes(rows.text(0), TEXT);
  });
});
