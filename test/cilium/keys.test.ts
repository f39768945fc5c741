import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { InputError } from '../../src/base/errors.ts';
import { mergeKeys, parseKeys } from '../../src/cilium/keys.ts';
import { parseVersion } from '../../src/cilium/version.ts';
import { AEADS, CIPHERS, MACS } from '../../src/crypto/algorithms.ts';
import { formatAddress } from '../../src/wire/address.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 200);

const K16 = '0123456789abcdef0123456789abcdef';
const K20 = '44434241343332312423222114131211f4f3f2f1';
const K36 = '44434241343332312423222114131211f4f3f2f144434241343332312423222114131211';
const GCM = `rfc4106(gcm(aes)) ${K20} 128`;
const CBC = `hmac(sha256) ${K16} cbc(aes) ${K16}`;

function parse(text: string, version = '1.18') {
  return parseKeys(text, 'keys', parseVersion(version));
}

/** The message of the InputError that parsing ends with. */
function failure(text: string, version = '1.18'): string {
  try {
    parse(text, version);
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
  throw new Error('accepted');
}

describe('parseKeys: what Cilium accepts', () => {
  it('reads an AEAD line', () => {
    const [key] = parse(`3+ ${GCM}\n`);
    expect(key).toMatchObject({
      id: 3,
      perTunnel: true,
      algorithm: { kind: 'aead', name: 'rfc4106(gcm(aes))', icvBits: 128 },
      keyLen: 16,
      source: 'keys',
      line: 1,
    });
    expect(key?.scope).toBeUndefined();
    expect(key?.material.suite).toMatchObject({ keyLen: 16, saltLen: 4, icvLen: 16 });
    expect(toHex(key?.material.key() ?? new Uint8Array())).toBe(K20.slice(0, 32));
    expect(toHex(key?.material.salt() ?? new Uint8Array())).toBe('f4f3f2f1');
  });

  it('reads an authenc line; its key length is the number of hex digits, its ICV the kernel default', () => {
    const [key] = parse(`2+ ${CBC}`);
    expect(key).toMatchObject({
      id: 2,
      algorithm: { kind: 'authenc', auth: 'hmac(sha256)', enc: 'cbc(aes)' },
      keyLen: 32,
    });
    expect(key?.material.suite.icvLen).toBe(12);
  });

  // Lines of Cilium's own unit tests (pkg/datapath/linux/ipsec/ipsec_linux_test.go).
  it.each([
    ['two lines', `1 ${CBC}\n2 ${CBC}\n`, [1, 2], 32],
    ['null algorithms', '3 digest_null "" cipher_null ""\n', [3], 0],
    ['AES-128-GCM', `4 ${GCM}\n`, [4], 16],
    ['AES-256-GCM', `5 rfc4106(gcm(aes)) ${K36} 128\n`, [5], 16],
  ])('unit test line: %s', (_, text, ids, keyLen) => {
    const keys = parse(text);
    expect(keys.map((key) => key.id)).toEqual(ids);
    expect(keys.at(-1)?.keyLen).toBe(keyLen);
  });

  it.each([
    ['the last line without newline', `3+ ${GCM}`],
    ['CRLF', `3+ ${GCM}\r\n`],
    ['0x before the key', `3+ rfc4106(gcm(aes)) 0x${K20} 128`],
    ['upper-case digits', `3+ rfc4106(gcm(aes)) ${K20.toUpperCase()} 128`],
    ['a zero before the id', `03+ ${GCM}`],
    ['a sign before the ICV, as Go does', `3+ rfc4106(gcm(aes)) ${K20} +128`],
  ])('accepts %s', (_, text) => {
    expect(parse(text)[0]?.material.equals(parse(`3+ ${GCM}`)[0]?.material as never)).toBe(true);
    expect(parse(text)[0]?.id).toBe(3);
  });

  it('counts the digits of the key length without 0x', () => {
    expect(parse(`3 hmac(sha256) 0x${K16} cbc(aes) 0x${K16}`)[0]?.keyLen).toBe(32);
  });

  it('returns all lines, the current one last, each with its place', () => {
    const keys = parse(`15+ ${GCM}\n1+ ${GCM}\n2+ ${GCM}\n`);
    expect(keys.map(({ id, line }) => [id, line])).toEqual([
      [15, 1],
      [1, 2],
      [2, 3],
    ]);
  });
});

describe('parseKeys: every algorithm of Linux', () => {
  const hexOf = (bytes: number) => (bytes === 0 ? '""' : '5a'.repeat(bytes));
  const CILIUM_ICVS = [96, 128];

  it.each(AEADS.map((row) => [row.name, row] as const))('%s', (name, { keyLens, saltLen, icvBits }) => {
    for (const keyLen of keyLens) {
      for (const bits of icvBits.filter((one) => CILIUM_ICVS.includes(one))) {
        const [key] = parse(`3+ ${name} ${hexOf(keyLen + saltLen)} ${bits}`);
        expect(key!.material.suite).toMatchObject({ name, keyLen, saltLen, icvLen: bits / 8 });
      }
    }
  });

  it.each(MACS.map((row) => [row.name, row] as const))('%s', (name, { short, keyLens, defaultBits }) => {
    for (const said of short === undefined ? [name] : [name, short]) {
      const [key] = parse(`3+ ${said} ${hexOf(keyLens?.[0] ?? 16)} cbc(aes) ${K16}`);
      expect(key!.material.suite).toMatchObject({
        name: `authenc(${name},cbc(aes))`,
        icvLen: defaultBits / 8,
      });
    }
  });

  it.each(CIPHERS.map((row) => [row.name, row] as const))('%s', (name, { short, keyLens, saltLen }) => {
    for (const said of short === undefined ? [name] : [name, short]) {
      const [key] = parse(`3+ hmac(sha256) ${K16} ${said} ${hexOf(keyLens.at(-1)! + saltLen)}`);
      expect(key!.material.suite).toMatchObject({
        name: `authenc(hmac(sha256),${name})`,
        keyLen: keyLens.at(-1)!,
        saltLen,
      });
    }
  });

  it('refuses a key that Cilium cannot derive', () => {
    expect(() => parse(`3+ hmac(md5) ${'5a'.repeat(65)} cbc(des) ${'5a'.repeat(8)}`)).toThrow(
      /longer than 64 bytes: no per-tunnel key/,
    );
  });
});

describe('parseKeys: what it refuses', () => {
  it.each([
    ['an empty file', '', /^keys: the file is empty/],
    ['an empty line at the end', `3+ ${GCM}\n\n`, /^keys:2: the line is empty/],
    ['a line of a carriage return', `3+ ${GCM}\n\r`, /^keys:2: the line is empty/],
    ['two fields', '3+ abc', /^keys:1: the line has too few fields/],
    ['three fields, where Cilium panics', `3+ rfc4106(gcm(aes)) ${K20}`, /too few fields/],
    ['six fields', `3+ ${CBC} 10.0.0.1`, /too many fields/],
    ['a comment', `# key\n3+ ${GCM}`, /^keys:1: the line has too few fields/],
    ['a blank line', `3+ ${GCM}\n \n4+ ${GCM}`, /^keys:2: the line is empty/],
    ['no key id', GCM, /first field is no key id/],
    ['a word as key id', `abc ${GCM}`, /first field is no key id/],
    ['two plus signs', `3++ ${GCM}`, /first field is no key id/],
    ['a letter before the key id', `x3+ ${GCM}`, /first field is no key id/],
    ['key id 254', `254 ${GCM}`, /key id is above 15/],
    ['key id 16', `16 ${GCM}`, /key id is above 15.*1 to 15/],
    ['key id 0', `0 ${GCM}`, /key id is zero/],
    ['key id -1, which Cilium wraps to 255', `-1 ${GCM}`, /key id is negative/],
    ['an AEAD that is none', `3+ gcm(aes) ${K20} 128`, /must be an AEAD/],
    [
      'an AEAD nobody knows',
      `3+ rfc9999(x) ${K20} 128`,
      /unknown AEAD algorithm "rfc9999\(x\)"; known are rfc4106/,
    ],
    ['an odd number of digits', `3+ rfc4106(gcm(aes)) ${K20}0 128`, /AEAD key is not pairs of hex/],
    ['a key that is not hex', `3+ rfc4106(gcm(aes)) ${K20}zz 128`, /AEAD key is not pairs of hex/],
    [
      '0x within the key',
      `3+ rfc4106(gcm(aes)) ${K20.slice(0, 10)}0x${K20.slice(10)} 128`,
      /AEAD key is not pairs of hex/,
    ],
    ['0X before the key', `3+ rfc4106(gcm(aes)) 0X${K20} 128`, /AEAD key is not pairs of hex/],
    [
      'a key length AES does not have',
      `3+ rfc4106(gcm(aes)) ${K20}ff 128`,
      /key of 21 bytes; it takes 20, 28, 36/,
    ],
    ['an empty AEAD key', '3+ rfc4106(gcm(aes)) "" 128', /key of 0 bytes/],
    ['an ICV that is no number', `3+ rfc4106(gcm(aes)) ${K20} x`, /ICV length is missing or no number/],
    ['an ICV behind a letter', `3+ rfc4106(gcm(aes)) ${K20} x128`, /ICV length is missing or no number/],
    ['an ICV of 64', `3+ rfc4106(gcm(aes)) ${K20} 64`, /ICV length is none that Cilium accepts/],
    ['an ICV of 256', `3+ rfc4106(gcm(aes)) ${K20} 256`, /256 bits, but the kernel refuses/],
    [
      'an unknown integrity algorithm',
      `3+ hmac(md4) ${K16} cbc(aes) ${K16}`,
      /unknown integrity algorithm "hmac\(md4\)"; known are/,
    ],
    [
      'an unknown cipher',
      `3+ hmac(sha256) ${K16} cbc(rc5) ${K16}`,
      /unknown encryption algorithm "cbc\(rc5\)"; known are/,
    ],
    ['an integrity key that is not hex', `3+ hmac(sha256) xx cbc(aes) ${K16}`, /integrity key is not pairs/],
    ['a cipher key that is not hex', `3+ hmac(sha256) ${K16} cbc(aes) xx`, /cipher key is not pairs/],
    ['a cipher key of 15 bytes', `3+ hmac(sha256) ${K16} cbc(aes) ${K16.slice(2)}`, /key of 15 bytes/],
    [
      'letters where Cilium’s unit test has them',
      '6 test abcdefghijklmnopqrstuvwzyzABCDEF test abcdefghijklmnopqrstuvwzyzABCDEF',
      /integrity key is not pairs/,
    ],
    [
      'an integrity key no hash can derive',
      `3+ hmac(sha512) ${'ab'.repeat(65)} cbc(aes) ${K16}`,
      /longer than 64 bytes/,
    ],
  ])('%s', (_, text, want) => {
    expect(failure(text)).toMatch(want);
  });

  it('takes an integrity key as long as the longest hash', () => {
    const [key] = parse(`3+ hmac(sha512) ${'ab'.repeat(64)} cbc(aes) ${K16}`);
    expect(key?.material.macKey()).toHaveLength(64);
  });

  it('names the line and ends with what to do', () => {
    expect(failure(`3+ ${GCM}\n4+ x`)).toMatch(/^keys:2: the line has too few fields\. Write KEYID\+ .*\.$/);
    expect(failure(`3+ ${GCM}\n4+ x`)).not.toContain('\n');
  });
});

describe('parseKeys: white space', () => {
  const lines = [
    ['two spaces', `3+  ${GCM}`],
    ['a tab', `3+\t${GCM}`],
    ['a space before, where the agent panicked', ` 3+ ${GCM}`],
    ['a space behind', `3+ ${GCM} `],
    ['a tab behind', `3+ ${GCM}\t`],
    ['a carriage return within the line', `3+\r ${GCM}`],
    ['what is white space to Go alone', `3+\u0085${GCM}`],
  ] as const;

  it.each(lines)('%s: taken from 1.20 on', (_, text) => {
    for (const version of ['1.20', '1.21'])
      expect(parse(text, version)[0]!.material.equals(parse(`3+ ${GCM}`)[0]!.material)).toBe(true);
  });

  it.each(lines)('%s: an error below, which says which release takes it', (_, text) => {
    for (const version of ['1.16', '1.18', '1.19'])
      expect(failure(text, version)).toMatch(
        new RegExp(
          `^keys:1: the fields are not separated by exactly one space.*Cilium 1\\.20 and later take this line; ${version} does not`,
        ),
      );
  });

  it('still refuses too few and too many fields, empty lines, and what is white space to others alone', () => {
    expect(failure(`\t3+  rfc4106(gcm(aes)) ${K20}`, '1.20')).toMatch(/too few fields/);
    expect(failure(`3+ ${CBC}\tx`, '1.20')).toMatch(/too many fields/);
    expect(failure(` \t`, '1.20')).toMatch(/the line is empty/);
    expect(failure('', '1.20')).toMatch(/the file is empty/);
    expect(failure(`\ufeff3+ ${GCM}`, '1.20')).toMatch(/first field is no key id/);
  });

  it('says what else is wrong with such a line', () => {
    expect(failure(`3+  rfc4106(gcm(aes)) ${K20}zz 128`)).toMatch(/AEAD key is not pairs of hex/);
  });
});

describe('parseKeys: rotation inside a file', () => {
  it('refuses another key under the same id, from 1.17', () => {
    const text = `7 ${GCM}\n7 rfc4106(gcm(aes)) ${'00'.repeat(20)} 128`;
    expect(failure(text)).toMatch(/^keys:2: key id 7 is that of the line before/);
    expect(failure(text, '1.17')).toMatch(/key id 7/);
    expect(parse(text, '1.16')).toHaveLength(2);
  });

  it('refuses another key length, from 1.18', () => {
    const text = `2 ${CBC}\n3 digest_null "" cipher_null ""\n`;
    expect(failure(text)).toMatch(/^keys:2: the key length differs/);
    expect(parse(text, '1.17')).toHaveLength(2);
  });

  it('allows AES-256 after AES-128: the ICV is what counts', () => {
    expect(parse(`4 ${GCM}\n5 rfc4106(gcm(aes)) ${K36} 128`)).toHaveLength(2);
  });
});

describe('parseKeys: up to 1.16', () => {
  it('takes + for a key per tunnel, and a key without it for all nodes', () => {
    expect(parse(`3+ ${GCM}\n4 ${GCM}`, '1.16').map((key) => key.perTunnel)).toEqual([true, false]);
    expect(parse(`3 ${GCM}`, '1.17')[0]?.perTunnel).toBe(true);
  });

  it.each(['1.13.12', '1.14.8', '1.15.2'])('refuses + in %s, which did not know it', (version) => {
    expect(failure(`3+ ${GCM}`, version)).toMatch(/does not know \+ after the key id/);
    expect(failure(`rfc+ ${K20} 128`, version)).not.toMatch(/does not know \+/);
    expect(parse(`3 ${GCM}`, version)[0]?.perTunnel).toBe(false);
  });

  it('takes a missing key id for 1', () => {
    expect(parse(GCM, '1.16')[0]).toMatchObject({ id: 1, perTunnel: false, keyLen: 16 });
    expect(parse(CBC, '1.16')[0]).toMatchObject({ id: 1, perTunnel: false, keyLen: 32 });
    expect(failure(GCM, '1.17')).toMatch(/no key id/);
  });

  it('takes a last field for the node that the key is for', () => {
    const [withId] = parse(`3 ${CBC} 10.244.1.1`, '1.16');
    expect(withId?.scope && formatAddress(withId.scope)).toBe('10.244.1.1');
    const [without] = parse(`${CBC} fd00::1`, '1.16');
    expect(without?.scope && formatAddress(without.scope)).toBe('fd00::1');
    expect(without?.id).toBe(1);
    expect(failure(`3 ${CBC} node-1`, '1.16')).toMatch(/last field is no IP address/);
    expect(failure(`3 ${CBC} 10.0.0.1 x`, '1.16')).toMatch(/too many fields/);
  });

  it('forgives a space behind an authenc line, as Cilium did', () => {
    expect(parse(`3 ${CBC} `, '1.16')[0]?.scope).toBeUndefined();
  });

  it('refuses what made it panic', () => {
    expect(failure(`3 rfc4106(gcm(aes)) ${K20}`, '1.16')).toMatch(/too few fields/);
    expect(failure(` ${GCM}`, '1.16')).toMatch(/1\.20 and later take this line/);
  });

  it('uses any length for a global key: nothing is derived', () => {
    const long = `3 hmac(sha512) ${'ab'.repeat(65)} cbc(aes) ${K16}`;
    expect(parse(long, '1.16')[0]?.material.macKey()).toHaveLength(65);
  });
});

describe('mergeKeys', () => {
  it('keeps a key once that stands in two files', () => {
    const merged = mergeKeys(parse(`3+ ${GCM}\n4+ ${GCM}`), parse(`4+ ${GCM}\n5+ ${GCM}`));
    expect(merged.map((key) => key.id)).toEqual([3, 4, 5]);
  });

  it('refuses two keys with one id, and names both places', () => {
    const other = parseKeys(`3+ rfc4106(gcm(aes)) ${'00'.repeat(20)} 128`, 'old', parseVersion('1.18'));
    expect(() => mergeKeys(parse(`3+ ${GCM}`), other)).toThrow(
      /^old:1: key id 3 is used for another key in keys:1/,
    );
  });

  it('does not take a global key for a per-tunnel one', () => {
    expect(() => mergeKeys(parse(`3 ${GCM}`, '1.16'), parse(`3+ ${GCM}`, '1.16'))).toThrow(InputError);
  });

  it('lets nodes have keys of their own under one id', () => {
    const merged = mergeKeys(parse(`3 ${CBC} 10.0.0.1\n3 ${CBC} 10.0.0.2\n3 ${CBC}`, '1.16'));
    expect(merged).toHaveLength(3);
  });
});

describe('secrecy', () => {
  it('prints no key: not as JSON, not when inspected', () => {
    const keys = parse(`3+ ${GCM}`);
    for (const text of [
      JSON.stringify(keys),
      inspect(keys, { depth: 9, showHidden: true }),
      String(keys[0]?.material),
    ]) {
      expect(text).not.toContain('44434241');
    }
  });

  it.each([
    ['a key', K20],
    ['a key in brackets', `(${K20})`],
    ['no bracket at the end', '9999'],
    ['a bracket, but not at the end', '9999(x)/'],
    ['a character that no name has', '/9999(x)'],
    ['more than 64 characters', `${'x'.repeat(70)}(x)`],
  ])('shows no algorithm that could be a key: %s', (_, name) => {
    const lines = [
      `3+ rfc${name} ${K20} 128`,
      `3+ ${name} ${K16} cbc(aes) ${K16}`,
      `3+ hmac(sha256) ${K16} ${name} ${K16}`,
    ];
    for (const line of lines) {
      expect(failure(line)).toMatch(/algorithm \(not shown: it may be a key\)/);
      expect(failure(line)).not.toContain(name);
    }
  });

  // Lines with pieces missing, doubled, swapped or glued together: the key may stand anywhere.
  const piece = fc.constantFrom(
    '3+',
    '3',
    '',
    'rfc4106(gcm(aes))',
    'hmac(sha256)',
    'cbc(aes)',
    '128',
    '256',
    K20,
    `0x${K20}`,
    `rfc4106(gcm(aes))${K20}`,
    `${K20})`,
    `(${K20}`,
    `rfc${K20}`,
    '""',
    '10.0.0.1',
    '\t',
    '+',
  );
  const line = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(' '));
  const version = fc.constantFrom('1.13.5', '1.16', '1.17', '1.18', '1.20').map((text) => parseVersion(text));

  it('never says in an error what may be a key', () => {
    let errors = 0;
    fc.assert(
      fc.property(line, line, version, (first, second, v) => {
        try {
          parseKeys(`${first}\n${second}`, 'keys', v);
        } catch (error) {
          expect(error).toBeInstanceOf(InputError);
          expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/44434241|34333231|f4f3f2f1/);
          expect((error as InputError).message).not.toContain('\n');
          errors++;
        }
      }),
      { numRuns: RUNS },
    );
    expect(errors).toBeGreaterThan(0);
  });

  it('answers any text with keys or an InputError', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.array(line, { maxLength: 4 }).map((lines) => lines.join('\n')),
      fc
        .array(fc.oneof(piece, fc.string({ maxLength: 12 })), { minLength: 3, maxLength: 6 })
        .map((p) => p.join(' ')),
    );
    fc.assert(
      fc.property(text, version, (t, v) => {
        try {
          expect(parseKeys(t, 'keys', v).length).toBeGreaterThan(0);
        } catch (error) {
          if (!(error instanceof InputError)) throw error;
        }
      }),
      { numRuns: RUNS, examples: [['3 constructor aa __proto__ bb', { minor: 18 }]] },
    );
  });
});
