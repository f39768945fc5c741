import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/base/errors.ts';
import { seededBytes } from '../../src/base/rng.ts';
import {
  generateKey,
  KEY_RECIPES,
  keyLine,
  keyRecipe,
  nextKeyId,
  rotateKey,
} from '../../src/cilium/key-line.ts';
import { parseKeys } from '../../src/cilium/keys.ts';
import { parseVersion } from '../../src/cilium/version.ts';

const random = seededBytes(1);

/** cilium-cli's own two patterns for a key, docs/cilium.md, "Keys". */
const CLI =
  /^(\d+\+?)\s(\S+)\s([A-Za-z0-9]+)\s(\d+)$|^(\d+\+?)\s(\S+)\s([A-Za-z0-9]+)\s(\S+)\s([A-Za-z0-9]+)$/;

function parse(line: string, version = '1.18') {
  return parseKeys(line, 'keys', parseVersion(version));
}

describe('generateKey', () => {
  it.each([
    ['rfc4106-gcm-aes', 128, /^5\+ rfc4106\(gcm\(aes\)\) [0-9a-f]{40} 128$/],
    ['rfc4106-gcm-aes', 192, /^5\+ rfc4106\(gcm\(aes\)\) [0-9a-f]{56} 128$/],
    ['rfc4106-gcm-aes', 256, /^5\+ rfc4106\(gcm\(aes\)\) [0-9a-f]{72} 128$/],
    ['cbc-aes-sha256', 128, /^5\+ hmac\(sha256\) [0-9a-f]{32} cbc\(aes\) [0-9a-f]{32}$/],
    ['cbc-aes-sha512', 128, /^5\+ hmac\(sha512\) [0-9a-f]{64} cbc\(aes\) [0-9a-f]{32}$/],
    ['cbc-aes-sha512', 256, /^5\+ hmac\(sha512\) [0-9a-f]{64} cbc\(aes\) [0-9a-f]{64}$/],
  ] as const)('%s with %i bits is a line that Cilium and cilium-cli read', (algorithm, bits, want) => {
    const line = generateKey({ algorithm, id: 5, bits, random });
    expect(line).toMatch(want);
    expect(line).toMatch(CLI);
    expect(parse(line)[0]).toMatchObject({ id: 5, perTunnel: true });
  });

  it('starts at key id 1 with AES-128-GCM, as cilium-cli does', () => {
    expect(generateKey({ random })).toMatch(/^1\+ rfc4106\(gcm\(aes\)\) [0-9a-f]{40} 128$/);
  });

  it('makes another key every time, from the bytes it is given', () => {
    expect(generateKey({ random })).not.toBe(generateKey({ random }));
    const zeros = { random: (out: Uint8Array) => void out.fill(0xa5) };
    expect(generateKey(zeros)).toContain('a5'.repeat(20));
  });

  it.each([
    ['key id 0', { id: 0 }],
    ['key id 16', { id: 16 }],
    ['key id 1.5', { id: 1.5 }],
    ['64 bits', { bits: 64 }],
  ])('refuses %s', (_, options) => {
    expect(() => generateKey({ ...options, random })).toThrow(expect.objectContaining({ code: 'ERR_KEY' }));
  });

  it('knows its recipes by the names of cilium-cli, new and old', () => {
    expect(KEY_RECIPES).toEqual(['rfc4106-gcm-aes', 'cbc-aes-sha256', 'cbc-aes-sha512']);
    expect(KEY_RECIPES.map(keyRecipe)).toEqual(KEY_RECIPES);
    expect(['gcm-aes', 'hmac-sha256', 'hmac-sha512'].map(keyRecipe)).toEqual(KEY_RECIPES);
    expect(keyRecipe('toString')).toBeUndefined();
  });
});

describe('rotateKey', () => {
  const K36 = '44434241343332312423222114131211f4f3f2f144434241343332312423222114131211';

  it.each([
    ['AES-128-GCM', generateKey({ id: 3, random })],
    ['AES-256-GCM, ICV 96', `3+ rfc4106(gcm(aes)) ${K36} 96`],
    ['CBC and SHA-512', generateKey({ algorithm: 'cbc-aes-sha512', id: 3, bits: 192, random })],
    ['null algorithms', '3 digest_null "" cipher_null ""'],
  ])('%s: next id, same algorithm and lengths, new bytes', (name, line) => {
    const before = parse(line)[0];
    const rotated = rotateKey(parse(line), random);
    const after = parse(rotated)[0];
    expect(rotated.startsWith('4+ ')).toBe(true);
    expect(after?.algorithm).toEqual(before?.algorithm);
    expect(after?.keyLen).toBe(before?.keyLen);
    expect(after?.material.suite).toEqual(before?.material.suite);
    expect(after?.material.macKey().length).toBe(before?.material.macKey().length);
    if (name !== 'null algorithms') expect(after?.material.equals(before?.material as never)).toBe(false);
    // What the agent checks on reload.
    expect(parse(`${line}\n${rotated}`)).toHaveLength(2);
  });

  it('takes another algorithm, with an AES key as long as before', () => {
    const before = parse(generateKey({ id: 15, bits: 256, random }));
    expect(rotateKey(before, random, 'cbc-aes-sha512')).toMatch(
      /^1\+ hmac\(sha512\) [0-9a-f]{64} cbc\(aes\) [0-9a-f]{64}$/,
    );
    // What is no AES key is followed by one of cilium-cli's length.
    const des = parse(`3+ hmac(md5) ${'5a'.repeat(16)} cbc(des) ${'5a'.repeat(8)}`);
    expect(rotateKey(des, random, 'rfc4106-gcm-aes')).toMatch(/^4\+ rfc4106\(gcm\(aes\)\) [0-9a-f]{40} 128$/);
  });

  it('follows the last line', () => {
    const text = [3, 4, 9].map((id) => generateKey({ id, random })).join('\n');
    expect(rotateKey(parse(text), random)).toMatch(/^10\+ /);
  });

  it('goes from 15 to 1', () => {
    expect(rotateKey(parse(generateKey({ id: 15, random })), random)).toMatch(/^1\+ /);
    expect(Array.from({ length: 15 }, (_, i) => nextKeyId(i + 1))).toEqual([
      2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 1,
    ]);
  });

  it('makes a per-tunnel key of a global one, as cilium-cli does', () => {
    const global = generateKey({ id: 3, random }).replace('+', '');
    expect(rotateKey(parse(global, '1.16'), random)).toMatch(/^4\+ /);
  });

  it('refuses a key for one node', () => {
    const line = `${generateKey({ algorithm: 'cbc-aes-sha256', random })} 10.0.0.1`;
    expect(() => rotateKey(parse(line, '1.16'), random)).toThrow(InputError);
  });
});

describe('keyLine', () => {
  it.each([
    ['3+ rfc4106(gcm(aes)) 44434241343332312423222114131211f4f3f2f1 96', '1.18'],
    [`2+ hmac(sha256) ${'ab'.repeat(16)} cbc(aes) ${'cd'.repeat(32)}`, '1.18'],
    ['3+ digest_null "" cipher_null ""', '1.18'],
    [`7 hmac(sha256) ${'ab'.repeat(16)} rfc3686(ctr(aes)) ${'cd'.repeat(20)} 10.0.0.1`, '1.16'],
  ])('writes %s as it was read', (line, version) => {
    const hex = (key: Uint8Array) => Buffer.from(key).toString('hex');
    expect(keyLine(parse(line, version)[0]!, hex)).toBe(line);
    expect(keyLine(parse(line, version)[0]!, () => 'X')).not.toMatch(/abab|cdcd|4443/);
  });
});
