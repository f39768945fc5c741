/**
 * One suite for every cipher engine. A new backend adds one line at the end.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { equalBytes, flipBit } from '../../src/base/bytes.ts';
import { EsplaneError } from '../../src/base/errors.ts';
import { seededBytes, xorshift32 } from '../../src/base/rng.ts';
import { CIPHERS, MACS } from '../../src/crypto/algorithms.ts';
import { AAD_LEN, type Engine, JOB_BAD_ICV, JOB_OK, NONCE_LEN } from '../../src/crypto/engine.ts';
import { NativeEngine, nativeProblem } from '../../src/crypto/native.ts';
import { NobleEngine } from '../../src/crypto/noble.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import {
  aead,
  authenc,
  isEncrypting,
  isInBlocks,
  type KeyMaterial,
  type Suite,
} from '../../src/crypto/suite.ts';
import { ADDON, needs } from '../support/needs.ts';
import { espPacket, expectBytes, type Number64, type Packet, Rows } from '../support/rows.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 60);

const bytes = seededBytes(0xc1ea);
function random(len: number): Uint8Array {
  const out = new Uint8Array(len);
  bytes(out);
  return out;
}

function gcm(keyLen: number, icvBits: number): KeyMaterial {
  return aead('rfc4106(gcm(aes))', random(keyLen + 4), icvBits);
}
function gmac(keyLen: number): KeyMaterial {
  return aead('rfc4543(gcm(aes))', random(keyLen + 4), 128);
}
function cbc(auth: string, keyLen: number, truncBits?: number): KeyMaterial {
  return authenc(auth, random(auth === 'digest_null' ? 0 : 32), 'cbc(aes)', random(keyLen), truncBits);
}
function nul(auth: string, truncBits?: number): KeyMaterial {
  return authenc(auth, random(auth === 'digest_null' ? 0 : 20), 'ecb(cipher_null)', random(0), truncBits);
}

/** Every cipher and every MAC, not each with each: a MAC sees nothing of the cipher. Each with a fresh key at every call. */
function everySuite(): [label: string, material: KeyMaterial][] {
  const all = [
    ...[16, 24, 32].flatMap((keyLen) => [64, 96, 128].map((icv) => gcm(keyLen, icv))),
    ...[16, 24, 32].flatMap((keyLen) =>
      [64, 96, 128].map((icv) => aead('rfc4309(ccm(aes))', random(keyLen + 3), icv)),
    ),
    ...[16, 24, 32].map(gmac),
    aead('rfc7539esp(chacha20,poly1305)', random(36), 128),
    ...[16, 24, 32].flatMap((keyLen) => [
      cbc('hmac(sha1)', keyLen),
      cbc('hmac(sha1)', keyLen, 160),
      cbc('hmac(sha256)', keyLen),
      cbc('hmac(sha256)', keyLen, 128),
      cbc('hmac(sha384)', keyLen),
      cbc('hmac(sha512)', keyLen),
      cbc('digest_null', keyLen),
    ]),
    ...CIPHERS.flatMap(({ name, keyLens, saltLen }) => {
      const some = keyLens.length > 3 ? [keyLens[0]!, 10, 11, keyLens.at(-1)!] : keyLens;
      return some.map((keyLen) => authenc('hmac(sha256)', random(32), name, random(keyLen + saltLen), 128));
    }),
    // HMACs take keys of any length.
    ...MACS.filter(({ mac }) => mac).flatMap(({ name, keyLens = [200], defaultBits, fullBits }) => [
      authenc(name, random(keyLens[0]!), 'ecb(cipher_null)', random(0), 32),
      authenc(name, random(keyLens[0]!), 'ecb(cipher_null)', random(0), fullBits),
      ...keyLens.map((keyLen) => authenc(name, random(keyLen), 'rfc3686(ctr(aes))', random(20), defaultBits)),
    ]),
    nul('digest_null'),
  ];
  const labelled = all.map((m): [string, KeyMaterial] => [
    `${m.suite.name} key ${m.suite.keyLen * 8} and ${m.macKey().length * 8} icv ${m.suite.icvLen * 8}`,
    m,
  ]);
  // Lists overlap.
  return [...new Map(labelled)];
}

/** The suites that an engine has here. */
function suitesOf(engine: Engine): [label: string, material: KeyMaterial][] {
  return everySuite().filter(([, material]) => has(engine, material));
}

function has(engine: Engine, material: KeyMaterial): boolean {
  try {
    engine.removeKey(engine.addKey(material));
    return true;
  } catch (error) {
    if (error instanceof EsplaneError && error.code === 'ERR_SUITE') return false;
    throw error;
  }
}

/** From nothing over one block, its neighbours and whole packets to jumbo frames, as far as the suite can. */
function sizes(suite: Suite): number[] {
  const { align } = suite;
  if (isInBlocks(suite)) return [align, 2 * align, 48, 64, 576, 1408, 9008];
  return [0, 1, 4, 15, 16, 17, 31, 32, 33, 63, 64, 65, 576, 1400, 9000];
}

const NUMBERS: Number64[] = [{ lo: 7 }, { lo: 7, hi: 0 }, { lo: 0xffff_ffff, hi: 0xffff_ffff }];

function packet(material: KeyMaterial, key: number, len: number, number: Number64 = { lo: 1 }): Packet {
  return espPacket(material, key, 0x0102_0304, number, random(material.suite.ivLen), random(len));
}

/** A length that every suite can do. */
const LEN = 48;

/** Every byte that the ICV covers or is, as a function that flips bit `bit` of it in row `row`. */
function authenticated(p: Packet): ((rows: Rows, row: number, bit: number) => void)[] {
  const inSlab = (first: number, count: number) =>
    Array.from({ length: count }, (_, i) => (rows: Rows, row: number, bit: number) => {
      flipBit(rows.slab, 8 * (rows.jobs.textAt[row]! + first + i) + bit);
    });
  const inAad = (first: number, end: number) =>
    Array.from({ length: end - first }, (_, i) => (rows: Rows, row: number, bit: number) => {
      flipBit(rows.jobs.aad, 8 * (row * AAD_LEN + first + i) + bit);
    });
  // The nonce of CCM is a byte shorter than its row.
  const first = p.suite.cipher === 'aes-ccm' ? 1 : 0;
  const inNonce = Array.from(
    { length: NONCE_LEN - first },
    (_, i) => (rows: Rows, row: number, bit: number) => {
      flipBit(rows.jobs.nonce, 8 * (row * NONCE_LEN + first + i) + bit);
    },
  );
  const textAndIcv = inSlab(0, p.text.length + p.suite.icvLen);
  if (p.suite.mac) {
    const high = p.aad.length === AAD_LEN ? inAad(4, 8) : [];
    return [...inSlab(-p.head.length, p.head.length), ...textAndIcv, ...high];
  }
  const iv = p.suite.cipher === 'aes-gmac' ? inSlab(-8, 8) : [];
  return [...inAad(0, p.aad.length), ...inNonce, ...iv, ...textAndIcv];
}

function conformance(name: string, makeEngine: () => Engine, makeOther: () => Engine): void {
  /** A fresh key for each suite of this engine. */
  const ownSuites = () => suitesOf(makeEngine());

  describe(`${name} engine`, () => {
    describe.each(ownSuites())('%s', (label, material) => {
      const { suite } = material;

      it('seals as another engine does, every size in one batch, and opens it again', () => {
        const engine = makeEngine();
        const key = engine.addKey(material);
        const other = has(makeOther(), material) ? makeOther() : makeEngine();
        expect(other.addKey(material)).toBe(key);
        const packets = NUMBERS.flatMap((number) =>
          sizes(suite).map((len) => packet(material, key, len, number)),
        );
        const rows = new Rows(packets);
        const outside = rows.outside();

        rows.seal(engine);
        expect(rows.verdicts()).toEqual(packets.map(() => JOB_OK));
        expectBytes(rows.slab, new Rows(packets).seal(other).slab, 'byte for byte');
        expectBytes(rows.outside(), outside, 'nothing but text and ICV written');
        const encrypts = isEncrypting(suite);
        packets.forEach((p, i) => {
          // A short text may by chance encrypt to itself.
          if (p.text.length >= 15) expect(!equalBytes(rows.text(i), p.text)).toBe(encrypts);
        });

        const icvs = packets.map((_, i) => rows.icv(i).slice());
        rows.jobs.verdict.fill(0xa5);
        rows.open(engine);
        expect(rows.verdicts()).toEqual(packets.map(() => JOB_OK));
        packets.forEach((p, i) => {
          expectBytes(rows.text(i), p.text, `text of ${p.text.length}`);
          expectBytes(rows.icv(i), icvs[i]!);
        });
        expectBytes(rows.outside(), outside);
      });

      if (suite.icvLen === 0) return; // digest_null: nothing to refuse

      it('refuses a flipped bit in any authenticated byte, and opens the packets between', () => {
        const engine = makeEngine();
        const key = engine.addKey(material);
        for (const number of NUMBERS) {
          const flips = authenticated(packet(material, key, LEN, number));
          // good, flipped, good, flipped, …, good
          const packets = Array.from({ length: 2 * flips.length + 1 }, () =>
            packet(material, key, LEN, number),
          );
          const rows = new Rows(packets).seal(engine);
          const outside = rows.outside();
          flips.forEach((flip, i) => {
            flip(rows, 2 * i + 1, i % 8);
          });
          // Undone below, so that the comparison sees only what the engine did.
          rows.open(engine);
          expect(rows.verdicts()).toEqual(packets.map((_, i) => (i % 2 ? JOB_BAD_ICV : JOB_OK)));
          flips.forEach((flip, i) => {
            flip(rows, 2 * i + 1, i % 8);
          });
          expectBytes(rows.outside(), outside);
          for (let i = 0; i < packets.length; i += 2) expectBytes(rows.text(i), packets[i]!.text);
        }
      });

      it('tells ESN from plain numbers, even where the high half is 0', () => {
        const engine = makeEngine();
        const key = engine.addKey(material);
        const esn = packet(material, key, LEN, { hi: 0, lo: 1 });
        const plain = espPacket(material, key, 0x0102_0304, { lo: 1 }, esn.head.subarray(8), esn.text);
        const rows = new Rows([esn]).seal(engine);
        const asPlain = new Rows([{ ...plain, text: rows.text(0), icv: rows.icv(0) }]);
        expect(asPlain.open(engine).verdicts()).toEqual([JOB_BAD_ICV]);
      });

      it('does not open under another key of the same suite', () => {
        const engine = makeEngine();
        const key = engine.addKey(material);
        const other = engine.addKey(ownSuites().find(([l]) => l === label)![1]);
        expect(other).not.toBe(key);
        const rows = new Rows([packet(material, key, LEN), packet(material, key, LEN)]).seal(engine);
        rows.jobs.key[0] = other;
        expect(rows.open(engine).verdicts()).toEqual([JOB_BAD_ICV, JOB_OK]);
      });
    });

    it('serves several keys interleaved in one batch', () => {
      const engine = makeEngine();
      const keys = [...ownSuites(), ...ownSuites()].map(([, m]) => [m, engine.addKey(m)] as const);
      expect(new Set(keys.map(([, key]) => key)).size, 'handles differ').toBe(keys.length);
      const next = xorshift32(7);
      const packets = Array.from({ length: 300 }, () => {
        const [material, key] = keys[next() % keys.length]!;
        return packet(material, key, 16 * (1 + (next() % 8)), NUMBERS[next() % NUMBERS.length]);
      });
      const rows = new Rows(packets).seal(engine);
      rows.open(engine);
      expect(rows.verdicts()).toEqual(packets.map(() => JOB_OK));
      packets.forEach((p, i) => {
        expectBytes(rows.text(i), p.text);
      });
    });

    it('forgets a removed key, keeps its neighbours, and gives the handle out again', () => {
      const engine = makeEngine();
      for (const [label, old] of ownSuites().filter(([, m]) => m.suite.icvLen > 0)) {
        const staying = gcm(16, 128);
        const stayingKey = engine.addKey(staying);
        const key = engine.addKey(old);
        const rows = new Rows([packet(old, key, LEN), packet(staying, stayingKey, LEN)]).seal(engine);
        const again = rows.slab.slice();
        engine.removeKey(key);
        expect(rows.open(engine).verdicts(), `${label}: removed`).toEqual([JOB_BAD_ICV, JOB_OK]);
        engine.removeKey(key);
        engine.removeKey(99);
        engine.removeKey(-1);

        const fresh = ownSuites().find(([l]) => l === label)![1];
        const freshKey = engine.addKey(fresh);
        rows.slab.set(again);
        rows.jobs.key[0] = freshKey;
        expect(rows.open(engine).verdicts(), `${label}: another key`).toEqual([JOB_BAD_ICV, JOB_OK]);
        const next = new Rows([packet(fresh, freshKey, LEN)]).seal(engine);
        expect(next.open(engine).verdicts(), `${label}: under the new key`).toEqual([JOB_OK]);
        engine.removeKey(freshKey);
        engine.removeKey(stayingKey);
      }
    });

    it('keeps its own copy of a key: the material may be wiped', () => {
      const engine = makeEngine();
      for (const [label, material] of ownSuites()) {
        const key = engine.addKey(material);
        const p = packet(material, key, LEN);
        const rows = new Rows([p]).seal(engine);
        const sealed = rows.slab.slice();
        material.wipe();
        rows.slab.set(sealed);
        expect(rows.open(engine).verdicts(), label).toEqual([JOB_OK]);
        expectBytes(rows.text(0), p.text, label);
        expectBytes(new Rows([p]).seal(engine).slab, sealed, label);
      }
    });

    it('refuses CBC texts that are not whole blocks, with and without a MAC', () => {
      const engine = makeEngine();
      for (const material of [cbc('hmac(sha256)', 16), cbc('digest_null', 16)]) {
        const key = engine.addKey(material);
        const packets = [0, 1, 15, 16, 17, 31, 33].map((len) => packet(material, key, len));
        const want = packets.map((p) => (p.text.length === 16 ? JOB_OK : JOB_BAD_ICV));
        const rows = new Rows(packets);
        const outside = rows.outside();
        expect(rows.seal(engine).verdicts(), 'seal').toEqual(want);
        expect(rows.open(engine).verdicts(), 'open').toEqual(want);
        expectBytes(rows.text(3), packets[3]!.text);
        expectBytes(rows.outside(), outside);
      }
    });

    it('refuses, both ways, rows that a key cannot serve', () => {
      const engine = makeEngine();
      const material = gcm(16, 128);
      const key = engine.addKey(material);
      const spoil: [why: string, (rows: Rows) => void][] = [
        ['a handle that nobody gave out', (rows) => rows.jobs.key.fill(key + 1, 1, 2)],
        ['a negative handle', (rows) => rows.jobs.key.fill(-1, 1, 2)],
        ['no ICV', (rows) => rows.jobs.icvLen.fill(0, 1, 2)],
        ['a shorter ICV than the suite has', (rows) => rows.jobs.icvLen.fill(8, 1, 2)],
        ['a longer ICV than the suite has', (rows) => rows.jobs.icvLen.fill(32, 1, 2)],
        ['more AAD than a row holds', (rows) => rows.jobs.aadLen.fill(13, 1, 2)],
        ['a header before the slab', (rows) => rows.jobs.textAt.fill(15, 1, 2)],
        ['a text beyond the slab', (rows) => rows.jobs.textAt.fill(rows.slab.length, 1, 2)],
        ['an ICV beyond the slab', (rows) => rows.jobs.textAt.fill(rows.slab.length - LEN - 15, 1, 2)],
        ['a text longer than the slab', (rows) => rows.jobs.textLen.fill(0xffff_ffff, 1, 2)],
      ];
      for (const [why, change] of spoil) {
        const packets = [0, 1, 2].map(() => packet(material, key, LEN));
        const rows = new Rows(packets);
        change(rows);
        expect(rows.seal(engine).verdicts(), `seal: ${why}`).toEqual([JOB_OK, JOB_BAD_ICV, JOB_OK]);
        expect(rows.open(engine).verdicts(), `open: ${why}`).toEqual([JOB_OK, JOB_BAD_ICV, JOB_OK]);
        expectBytes(rows.text(0), packets[0]!.text);
        expectBytes(rows.text(2), packets[2]!.text);
      }
    });

    it('leaves rows beyond the count alone', () => {
      const engine = makeEngine();
      const material = gcm(16, 128);
      const key = engine.addKey(material);
      const rows = new Rows([0, 1].map(() => packet(material, key, LEN)));
      const before = rows.text(1).slice();
      rows.jobs.count = 1;
      rows.seal(engine).open(engine);
      expect([...rows.jobs.verdict]).toEqual([JOB_OK, 0xa5]);
      expectBytes(rows.text(1), before);
      rows.jobs.count = 0;
      rows.jobs.verdict.fill(0xa5);
      rows.seal(engine).open(engine);
      expect([...rows.jobs.verdict]).toEqual([0xa5, 0xa5]);
    });

    it('works on a slab in shared memory', () => {
      const engine = makeEngine();
      for (const [label, material] of ownSuites()) {
        const key = engine.addKey(material);
        const p = packet(material, key, LEN, { hi: 1, lo: 2 });
        const rows = new Rows([p], (n) => new SharedArrayBuffer(n)).seal(engine);
        expectBytes(rows.slab.slice(), new Rows([p]).seal(engine).slab, label);
        expect(rows.open(engine).verdicts(), label).toEqual([JOB_OK]);
        expectBytes(rows.text(0), p.text, label);
      }
    });

    it('opens random bytes without throwing, believes none, and stays inside the jobs', () => {
      const engine = makeEngine();
      const keys = ownSuites().map(([, m]) => [m, engine.addKey(m)] as const);
      const shape = fc.array(
        fc.record({
          suite: fc.nat({ max: keys.length - 1 }),
          len: fc.nat({ max: 200 }),
          aadLen: fc.constantFrom(8, 12),
          seed: fc.integer(),
        }),
        { minLength: 1, maxLength: 8 },
      );
      fc.assert(
        fc.property(shape, (wanted) => {
          const packets = wanted.map(({ suite, len, aadLen, seed }): Packet => {
            const [material, key] = keys[suite]!;
            const fill = seededBytes(seed);
            const some = (n: number) => {
              const out = new Uint8Array(n);
              fill(out);
              return out;
            };
            const { ivLen, icvLen } = material.suite;
            return {
              suite: material.suite,
              key,
              nonce: some(NONCE_LEN),
              aad: some(aadLen),
              head: some(8 + ivLen),
              text: some(len),
              icv: some(icvLen),
            };
          });
          const rows = new Rows(packets);
          const outside = rows.outside();
          rows.open(engine);
          packets.forEach(({ suite, text }, i) => {
            const isWhole = !isInBlocks(suite) || (text.length > 0 && text.length % suite.align === 0);
            const want = suite.icvLen === 0 && isWhole ? JOB_OK : JOB_BAD_ICV;
            expect(rows.jobs.verdict[i], suite.name).toBe(want);
          });
          expectBytes(rows.outside(), outside);
        }),
        { numRuns: RUNS },
      );
    });

    it('survives random job tables', () => {
      const engine = makeEngine();
      const keys = ownSuites().map(([, m]) => engine.addKey(m));
      const job = fc.record({
        key: fc.oneof(fc.nat({ max: keys.length - 1 }), fc.integer()),
        textAt: fc.oneof(fc.nat({ max: 300 }), fc.nat()),
        textLen: fc.oneof(fc.nat({ max: 300 }), fc.nat()),
        icvLen: fc.oneof(fc.constantFrom(0, 8, 12, 16, 20, 24, 32), fc.nat({ max: 255 })),
        aadLen: fc.nat({ max: 255 }),
      });
      const slabs = fc.uint8Array({ maxLength: 600 });
      const plain = nul('digest_null');
      fc.assert(
        fc.property(slabs, fc.array(job, { maxLength: 8 }), fc.boolean(), (slab, wanted, sealing) => {
          const rows = new Rows(wanted.map(() => packet(plain, 0, 0)));
          wanted.forEach((w, i) => {
            rows.jobs.key[i] = w.key;
            rows.jobs.textAt[i] = w.textAt;
            rows.jobs.textLen[i] = w.textLen;
            rows.jobs.icvLen[i] = w.icvLen;
            rows.jobs.aadLen[i] = w.aadLen;
          });
          if (sealing) engine.seal(slab, rows.jobs);
          else engine.open(slab, rows.jobs);
          for (const verdict of rows.verdicts()) expect([JOB_OK, JOB_BAD_ICV]).toContain(verdict);
        }),
        { numRuns: RUNS },
      );
    });
  });
}

conformance(
  'noble',
  () => new NobleEngine(),
  () => new NodeEngine(),
);
conformance(
  'node',
  () => new NodeEngine(),
  () => new NobleEngine(),
);

for (const name of ['openssl', 'ipsec-mb'] as const) {
  needs(
    [ADDON, { what: name, there: nativeProblem(name) === undefined, remedy: nativeProblem(name) ?? '' }],
    name,
    () => {
      conformance(
        name,
        () => new NativeEngine(name),
        () => new NodeEngine(),
      );
    },
  );
}
