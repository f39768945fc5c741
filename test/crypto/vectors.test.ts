/**
 * Public vectors, kept outside the repository (docs/testing.md, "Vectors"), through every engine. A row of the engine's AAD table holds 12 bytes, so
 * of Wycheproof those run whose AAD fits; for GMAC, the AAD beyond 8 bytes lies in the slab as IV and text.
 * @module
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { hex } from '../../src/base/bytes.ts';
import { AAD_LEN, type Engine, JOB_BAD_ICV, JOB_OK } from '../../src/crypto/engine.ts';
import { NativeEngine, nativeProblem } from '../../src/crypto/native.ts';
import { NobleEngine } from '../../src/crypto/noble.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { aead, authenc, type KeyMaterial } from '../../src/crypto/suite.ts';
import { needs, SHARED, shared } from '../support/needs.ts';
import { espPacket, expectBytes, type Packet, Rows } from '../support/rows.ts';

/** A packet as the sources print it: `key` without salt, `esp` from SPI to ICV, `seq_hi` under ESN. */
interface EspVector {
  readonly name: string;
  readonly algorithm: string;
  readonly key: string;
  readonly salt?: string;
  readonly spi: number;
  readonly seq: number;
  readonly esn: boolean;
  readonly seq_hi?: number;
  readonly iv: string;
  readonly icv_len: number;
  readonly icv: string;
  readonly aad?: string;
  readonly plaintext: string;
  readonly esp: string;
}

/** A vector of one primitive. */
interface CryptoVector {
  readonly name: string;
  readonly kind: 'cipher' | 'mac' | 'aead';
  readonly algorithm: string;
  readonly key: string;
  readonly salt?: string;
  readonly iv?: string;
  readonly aad?: string;
  readonly plaintext?: string;
  readonly ciphertext?: string;
  readonly tag?: string;
  readonly data?: string;
  readonly icv?: string;
}

interface WycheproofVector {
  readonly tcId: number;
  readonly key: string;
  readonly salt: string;
  readonly nonce: string;
  readonly aad: string;
  readonly plaintext: string;
  readonly ciphertext: string;
  readonly tag: string;
  readonly expect: 'ok' | 'icv_fail';
  readonly esp_shape_aad: boolean;
}

function read<T>(file: string): T {
  return JSON.parse(readFileSync(`${SHARED}vectors/${file}`, 'utf8')) as T;
}

const ENGINES: [string, () => Engine][] = [
  ['noble', () => new NobleEngine()],
  ['node', () => new NodeEngine()],
  ...(['openssl', 'ipsec-mb'] as const)
    .filter((name) => nativeProblem(name) === undefined)
    .map((name): [string, () => Engine] => [name, () => new NativeEngine(name)]),
];
const GCM = 'rfc4106(gcm(aes))';
const GMAC = 'rfc4543(gcm(aes))';
const CHACHA = 'rfc7539esp(chacha20,poly1305)';
const NONE = new Uint8Array(0);

/** Seals `clear` to `sealed`, opens `sealed` to `clear`. */
function bothWays(
  engine: Engine,
  clear: Packet,
  sealed: { text: Uint8Array; icv: Uint8Array },
  why: string,
): void {
  const out = new Rows([clear]).seal(engine);
  expect(out.verdicts(), why).toEqual([JOB_OK]);
  expectBytes(out.text(0), sealed.text, `${why}: ciphertext`);
  expectBytes(out.icv(0), sealed.icv, `${why}: ICV`);
  const back = new Rows([{ ...clear, ...sealed }]).open(engine);
  expect(back.verdicts(), why).toEqual([JOB_OK]);
  expectBytes(back.text(0), clear.text, `${why}: text`);
}

function espBothWays(engine: Engine, v: EspVector, material: KeyMaterial): void {
  const { suite } = material;
  const esp = hex(v.esp);
  const number = v.esn ? { hi: v.seq_hi!, lo: v.seq } : { lo: v.seq };
  const key = engine.addKey(material);
  const clear = espPacket(material, key, v.spi, number, hex(v.iv), hex(v.plaintext));
  expectBytes(clear.head, esp.subarray(0, 8 + suite.ivLen), `${v.name}: header and IV`);
  if (v.aad && suite.cipher !== 'aes-gmac') expectBytes(clear.aad, hex(v.aad), `${v.name}: AAD`);
  const textEnd = esp.length - v.icv_len;
  const text = esp.subarray(8 + suite.ivLen, textEnd);
  bothWays(engine, clear, { text, icv: esp.subarray(textEnd, textEnd + suite.icvLen) }, v.name);
  engine.removeKey(key);
}

/** `name` with this key and, at its end, this salt. */
function keyed(name: string, key: string, salt: string, icvBits = 128): KeyMaterial {
  return aead(name, hex(key + salt), icvBits);
}

/** A row with any nonce, AAD and head. */
function row(
  engine: Engine,
  material: KeyMaterial,
  nonce: string,
  aad: Uint8Array,
  iv: Uint8Array,
  text: Uint8Array,
) {
  const head = new Uint8Array(8 + iv.length).fill(0xa5);
  head.set(iv, 8);
  return { suite: material.suite, key: engine.addKey(material), nonce: hex(nonce), aad, head, text };
}

needs([shared('vectors')], 'public vectors', () => {
  describe.each(ENGINES)('%s engine', (_, makeEngine) => {
    it('draft-mcgrew-gcm-test: SPI 0, empty payload, sequence number all ones, GMAC, and short ICVs', () => {
      const { vectors } = read<{ vectors: EspVector[] }>('mcgrew-draft.json');
      const engine = makeEngine();
      for (const v of vectors) {
        const name = v.algorithm === 'NULL-AES-GMAC' ? GMAC : GCM;
        // Only AES-GCM is truncated (RFC 4106 §6); the tag of the draft begins with the shorter ones.
        for (const bits of name === GCM ? [64, 96, 128] : [128]) {
          espBothWays(engine, v, keyed(name, v.key, v.salt ?? '', bits));
        }
      }
      expect(vectors.length).toBe(17);
      expect(vectors.filter((v) => v.algorithm === 'NULL-AES-GMAC').length).toBe(1);
      expect(vectors.filter((v) => v.esn).length).toBe(11);
    });

    it('packets of RFC 3602 (CBC, no integrity) and RFC 7634 (ChaCha20-Poly1305)', () => {
      const { vectors } = read<{ vectors: EspVector[] }>('rfc.json');
      const engine = makeEngine();
      for (const v of vectors) {
        const material =
          v.algorithm === 'AES-CBC'
            ? authenc('digest_null', NONE, 'cbc(aes)', hex(v.key))
            : keyed(CHACHA, v.key, v.salt ?? '');
        espBothWays(engine, v, material);
      }
      expect(vectors.map((v) => v.name)).toEqual([
        'rfc3602/case5',
        'rfc3602/case6',
        'rfc3602/case7',
        'rfc3602/case8',
        'rfc7634/appendix-a',
      ]);
    });

    it('primitives: RFC 3602 CBC, RFC 4868 HMAC and its truncations, RFC 8439 AEAD', () => {
      const { crypto_vectors } = read<{ crypto_vectors: CryptoVector[] }>('rfc.json');
      const engine = makeEngine();
      const ran = { cipher: 0, mac: 0, aead: 0 };
      for (const v of crypto_vectors) {
        ran[v.kind]++;
        if (v.kind === 'cipher') {
          const material = authenc('digest_null', NONE, 'cbc(aes)', hex(v.key));
          const clear = row(
            engine,
            material,
            '00'.repeat(12),
            new Uint8Array(8),
            hex(v.iv!),
            hex(v.plaintext!),
          );
          bothWays(engine, clear, { text: hex(v.ciphertext!), icv: NONE }, v.name);
        } else if (v.kind === 'mac') {
          // The data's first 8 bytes stand where SPI and sequence number do.
          const data = hex(v.data!);
          const full = hex(v.icv!);
          const hash = /^HMAC-SHA2-(\d+)-/.exec(v.algorithm)![1];
          for (let len = 4; len <= full.length; len += 4) {
            const material = authenc(`hmac(sha${hash})`, hex(v.key), 'ecb(cipher_null)', NONE, 8 * len);
            const text = data.subarray(8);
            const clear = row(engine, material, '00'.repeat(12), new Uint8Array(8), NONE, text);
            const packet = { ...clear, head: data.subarray(0, 8) };
            bothWays(engine, packet, { text, icv: full.subarray(0, len) }, `${v.name} cut to ${len}`);
          }
        } else {
          const material = keyed(CHACHA, v.key, v.salt!);
          const clear = row(engine, material, v.salt! + v.iv!, hex(v.aad!), hex(v.iv!), hex(v.plaintext!));
          bothWays(engine, clear, { text: hex(v.ciphertext!), icv: hex(v.tag!) }, v.name);
        }
      }
      expect(ran).toEqual({ cipher: 4, mac: 9, aead: 2 });
    });

    it.each([
      // All in the file; with an AAD of at most 12 bytes; of these bad ones; of these with 8 or 12 bytes, as in ESP.
      ['wycheproof-gcm.json', GCM, { all: 133, ran: 104, bad: 54, esp: 4 }],
      ['wycheproof-chacha20poly1305.json', CHACHA, { all: 316, ran: 246, bad: 60, esp: 47 }],
    ] as const)('%s, where the AAD fits into a row', (file, name, counts) => {
      const { vectors } = read<{ vectors: WycheproofVector[] }>(file);
      const fitting = vectors.filter((v) => v.aad.length <= 2 * AAD_LEN);
      for (const v of fitting) {
        const engine = makeEngine();
        const clear = row(
          engine,
          keyed(name, v.key, v.salt),
          v.nonce,
          hex(v.aad),
          new Uint8Array(8),
          hex(v.plaintext),
        );
        wycheproof(engine, clear, v);
      }
      expect({
        all: vectors.length,
        ran: fitting.length,
        bad: fitting.filter((v) => v.expect === 'icv_fail').length,
        esp: fitting.filter((v) => v.esp_shape_aad).length,
      }).toEqual(counts);
    });

    it('wycheproof-gmac.json: short AAD as GCM of nothing, longer as GMAC over AAD, IV and text', () => {
      const { vectors } = read<{ vectors: WycheproofVector[] }>('wycheproof-gmac.json');
      const ran = { gcm: 0, gmac: 0, bad: 0 };
      for (const v of vectors) {
        const engine = makeEngine();
        const aad = hex(v.aad);
        if (aad.length > AAD_LEN && aad.length < 16) continue;
        const isGmac = aad.length >= 16;
        const material = keyed(isGmac ? GMAC : GCM, v.key, v.salt);
        const clear = isGmac
          ? row(engine, material, v.nonce, aad.subarray(0, 8), aad.subarray(8, 16), aad.subarray(16))
          : row(engine, material, v.nonce, aad, new Uint8Array(8), NONE);
        wycheproof(engine, clear, v);
        ran[isGmac ? 'gmac' : 'gcm']++;
        if (v.expect === 'icv_fail') ran.bad++;
      }
      expect(vectors.length).toBe(138);
      expect(ran).toEqual({ gcm: 66, gmac: 70, bad: 108 });
    });
  });
});

function wycheproof(engine: Engine, clear: Packet, v: WycheproofVector): void {
  // GMAC leaves the text in the clear; its vectors have no ciphertext.
  const text = clear.suite.cipher === 'aes-gmac' ? clear.text : hex(v.ciphertext);
  if (v.expect === 'ok') {
    bothWays(engine, clear, { text, icv: hex(v.tag) }, `tcId ${v.tcId}`);
    return;
  }
  const rows = new Rows([{ ...clear, text, icv: hex(v.tag) }]).open(engine);
  expect(rows.verdicts(), `tcId ${v.tcId}`).toEqual([JOB_BAD_ICV]);
}
