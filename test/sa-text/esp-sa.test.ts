import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { InputError } from '../../src/base/errors.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { joinFields, parseEspSa, readEspSa, splitFields, writeEspSa } from '../../src/sa-text/esp-sa.ts';
import { formatAddress, parseAddress } from '../../src/wire/address.ts';
import { anySa, EVERY_SUITE, KEY_MARK } from '../support/arbitrary-sa.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 50);
const KEY = '0x4142434445464748494a4b4c4d4e4f5001020304';
const GCM = 'AES-GCM with 16 octet ICV [RFC4106]';

/** A line of the table with some fields replaced. */
function row(over: Record<number, string> = {}, more: readonly string[] = []): string {
  const fields = ['IPv4', '10.0.0.1', '10.0.0.2', '0x00000003', GCM, KEY, 'NULL', '', ...more];
  for (const [i, field] of Object.entries(over)) fields[Number(i)] = field;
  return `${fields.map((field) => `"${field}"`).join(',')}\n`;
}

function sa(over: Partial<SaConfig> = {}): SaConfig {
  return { ...parseEspSa(row(), 'x')[0]!, ...over };
}

function failure(text: string): string {
  try {
    parseEspSa(text, 'esp_sa');
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
    return (error as InputError).message;
  }
  throw new Error('nothing was thrown');
}

describe('parseEspSa', () => {
  it('reads an SA, with tunnel mode and no window where the table is silent', () => {
    const [{ src, dst, keys, ...rest }] = parseEspSa(`# a comment\n\n${row()}`, 'esp_sa') as [SaConfig];
    expect([formatAddress(src), formatAddress(dst)]).toEqual(['10.0.0.1', '10.0.0.2']);
    expect(`0x${toHex(keys.key())}${toHex(keys.salt())}`).toBe(KEY);
    expect(keys.suite).toMatchObject({ name: 'rfc4106(gcm(aes))', keyLen: 16, icvLen: 16 });
    expect(rest).toEqual({
      spi: 3,
      mode: 'tunnel',
      esn: false,
      replayWindow: 0,
      reqid: 0,
      flags: [],
      origin: 'esp_sa:3',
      unstated: { mode: true, encap: true, esn: true },
    });
  });

  it.each([
    ['AES-GCM with 8 octet ICV [RFC4106]', KEY, 'NULL', '', 'rfc4106(gcm(aes))', 64],
    ['AES-GCM with 12 octet ICV [RFC4106]', KEY, 'NULL', '', 'rfc4106(gcm(aes))', 96],
    // What strongSwan's save-keys plugin writes.
    ['AES-GCM [RFC4106]', KEY, 'ANY 128 bit authentication [no checking]', '0x', 'rfc4106(gcm(aes))', 128],
    ['AES-GCM [RFC4106]', KEY, 'ANY 64 bit authentication [no checking]', '', 'rfc4106(gcm(aes))', 64],
    [
      'ChaCha20 with Poly1305 [RFC7634]',
      `0x${'07'.repeat(36)}`,
      'NULL',
      '',
      'rfc7539esp(chacha20,poly1305)',
      128,
    ],
    [
      'AES-CBC [RFC3602]',
      `0x${'07'.repeat(16)}`,
      'HMAC-SHA-1-96 [RFC2404]',
      '0x01',
      'authenc(hmac(sha1),cbc(aes))',
      96,
    ],
    [
      'AES-CBC [RFC3602]',
      `0x${'07'.repeat(32)}`,
      'HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]',
      '0x01',
      'authenc(hmac(sha256),cbc(aes))',
      96,
    ],
    [
      'AES-CBC [RFC3602]',
      `0x${'07'.repeat(16)}`,
      'HMAC-SHA-256-128 [RFC4868]',
      '0x01',
      'authenc(hmac(sha256),cbc(aes))',
      128,
    ],
    [
      'AES-CBC [RFC3602]',
      `0x${'07'.repeat(16)}`,
      'HMAC-SHA-384-192 [RFC4868]',
      '0x01',
      'authenc(hmac(sha384),cbc(aes))',
      192,
    ],
    [
      'AES-CBC [RFC3602]',
      `0x${'07'.repeat(16)}`,
      'HMAC-SHA-512-256 [RFC4868]',
      '0x01',
      'authenc(hmac(sha512),cbc(aes))',
      256,
    ],
    ['AES-CBC [RFC3602]', `0x${'07'.repeat(16)}`, 'NULL', '', 'authenc(digest_null,cbc(aes))', 0],
    ['NULL', '', 'ANY 96 bit authentication [no checking]', '', 'authenc(unchecked,ecb(cipher_null))', 96],
    [
      'AES-CBC [RFC3602]',
      `0x${'07'.repeat(16)}`,
      'ANY 256 bit authentication [no checking]',
      '0x01',
      'authenc(unchecked,cbc(aes))',
      256,
    ],
    ['NULL', '', 'HMAC-SHA-256-128 [RFC4868]', 'abcd', 'authenc(hmac(sha256),ecb(cipher_null))', 128],
  ])('reads %s with key %s and %s', (encryption, key, auth, authKey, name, icvBits) => {
    const [{ keys }] = parseEspSa(row({ 4: encryption, 5: key, 6: auth, 7: authKey }), 'x') as [SaConfig];
    expect(keys.suite).toMatchObject({ name, icvLen: icvBits / 8 });
  });

  // The names of other versions of Wireshark, of its short ones, of its table for IKE, and as scripts misspell them.
  it.each([
    ['AES-CBC [RFC3602]', 'HMAC-SHA1-96 [RFC2404]', 'authenc(hmac(sha1),cbc(aes))', 96],
    ['aes-cbc [rfc3602]', 'hmac-sha-1-96 [rfc2404]', 'authenc(hmac(sha1),cbc(aes))', 96],
    ['aescbc', 'hmacsha196', 'authenc(hmac(sha1),cbc(aes))', 96],
    ['AES-CBC-128 [RFC3602]', 'HMAC_SHA1_96 [RFC2404]', 'authenc(hmac(sha1),cbc(aes))', 96],
    ['AES-CBC', 'HMAC-SHA-256-128', 'authenc(hmac(sha256),cbc(aes))', 128],
    ['AES-CBC [RFC3602]', 'HMAC_SHA2_256_128 [RFC4868]', 'authenc(hmac(sha256),cbc(aes))', 128],
    ['AES-CBC [RFC3602]', 'HMAC_SHA2_512_256 [RFC4868]', 'authenc(hmac(sha512),cbc(aes))', 256],
    ['AES-CBC [RFC3602]', 'ANY 96-bits of Authentication [No Checking]', 'authenc(unchecked,cbc(aes))', 96],
    ['AES-CBC [RFC3602]', 'any128bit', 'authenc(unchecked,cbc(aes))', 128],
    ['AES-CBC [RFC3602]', 'null', 'authenc(digest_null,cbc(aes))', 0],
  ])('knows %s with %s', (encryption, auth, name, icvBits) => {
    const fields = { 4: encryption, 5: `0x${'07'.repeat(16)}`, 6: auth, 7: '0x0102' };
    const [{ keys }] = parseEspSa(row(fields), 'x') as [SaConfig];
    expect(keys.suite).toMatchObject({ name, icvLen: icvBits / 8 });
  });

  it.each([
    ['AES-GCM [rfc4106]', 'NULL', 128],
    ['AES-GCM-128 with 8 octet ICV [RFC5282]', 'NULL', 64],
    // What a patch of strongSwan's wrote of an ICV of 12 and of 16 bytes: no AES-GCM has one that long.
    ['AES-GCM [RFC4106]', 'ANY 192 bit authentication [no checking]', 96],
    ['AES-GCM [RFC4106]', 'ANY 256 bit authentication [no checking]', 128],
  ])('knows %s with %s', (encryption, auth, icvBits) => {
    const [{ keys }] = parseEspSa(row({ 4: encryption, 6: auth }), 'x') as [SaConfig];
    expect(keys.suite).toMatchObject({ name: 'rfc4106(gcm(aes))', icvLen: icvBits / 8 });
  });

  it.each([
    ['TripleDes-CBC [RFC2451]', 24, 'HMAC_MD5_96 [RFC2043]', 'authenc(hmac(md5),cbc(des3_ede))'],
    ['DES_CBC [RFC2045]', 8, 'MAC-RIPEMD-160-96 [RFC2857]', 'authenc(hmac(rmd160),cbc(des))'],
    ['AES-CTR [RFC3686]', 20, 'AES-XCBC-MAC-96 [RFC3566]', 'authenc(xcbc(aes),rfc3686(ctr(aes)))'],
    ['AES-CTR-256 [RFC3686]', 36, 'NULL', 'authenc(digest_null,rfc3686(ctr(aes)))'],
    ['CAST5-CBC [RFC2144]', 10, 'NULL', 'authenc(digest_null,cbc(cast5))'],
    ['BLOWFISH-CBC [RFC2451]', 56, 'NULL', 'authenc(digest_null,cbc(blowfish))'],
    ['TWOFISH-CBC', 32, 'ANY 96 bit authentication [no checking]', 'authenc(unchecked,cbc(twofish))'],
  ])('knows %s with a key of %d bytes and %s', (encryption, length, auth, name) => {
    const key = `0x${'07'.repeat(length)}`;
    const [{ keys }] = parseEspSa(
      row({ 4: encryption, 5: key, 6: auth, 7: `0x${'07'.repeat(16)}` }),
      'x',
    ) as [SaConfig];
    expect(keys.suite.name).toBe(name);
  });

  it('names what is missing', () => {
    const name = 'ChaCha20 with Poly1305 and IIV [RFC7634 & RFC8750]';
    expect(failure(row({ 4: name }))).toContain(`esplane does not have ${name}.`);
  });

  it.each([
    ['an SPI that a phone logs as a number with a sign', row({ 3: '-2' }), { spi: 0xffff_fffe }],
    [
      'the quotes of a word processor',
      row().replaceAll('"', '\u201d').replace('\u201d', '\u201c'),
      { spi: 3 },
    ],
    ['single quotes', row().replaceAll('"', "'"), { spi: 3 }],
    ['an option of tshark', `-o 'uat:esp_sa:${row().trim()}'`, { spi: 3 }],
    [
      'one in the quotes of the shell',
      `-o "uat:esp_sa:${row().trim().replaceAll('"', '\\"')}" \\`,
      { spi: 3 },
    ],
    ['a row that is quoted in mail', `> ${row()}`, { spi: 3 }],
    ['a row in a list', `- \`${row().trim()}\``, { spi: 3 }],
    ['no authentication, which AES-GCM does not need', row().replace(',"NULL",""', ''), { spi: 3 }],
    ['no authentication key', row().replace(/,""$/m, ''), { spi: 3 }],
    ['a comma at the end', row().replace('\n', ',\n'), { spi: 3, unstated: { esn: true } }],
  ])('reads %s', (_, text, expected) => {
    const [sa] = parseEspSa(text, 'x') as [SaConfig];
    expect(sa).toMatchObject(expected);
    expect(`0x${toHex(sa.keys.key())}${toHex(sa.keys.salt())}`).toBe(KEY);
  });

  it('reads a key without 0x as hexadecimal where it is no key as text', () => {
    const [{ keys }] = parseEspSa(row({ 5: KEY.slice(2) }), 'x') as [SaConfig];
    expect(`0x${toHex(keys.key())}${toHex(keys.salt())}`).toBe(KEY);
    // 32 characters are a key as they stand, as Wireshark takes them.
    const text = row({ 4: 'AES-CBC [RFC3602]', 5: '41'.repeat(16), 6: 'HMAC-SHA-1-96 [RFC2404]', 7: '42' });
    const [cbc] = parseEspSa(text, 'x') as [SaConfig];
    expect(toHex(cbc.keys.key())).toBe('3431'.repeat(16));
  });

  it('takes a key without 0x for text, as Wireshark does', () => {
    const [{ keys }] = parseEspSa(row({ 5: 'ABCDEFGHIJKLMNOPsalt' }), 'x') as [SaConfig];
    expect(toHex(keys.key()) + toHex(keys.salt())).toBe(
      toHex(new TextEncoder().encode('ABCDEFGHIJKLMNOPsalt')),
    );
  });

  it('reads wildcards as any address', () => {
    const [one] = parseEspSa(row({ 1: '*', 2: '10.0.0.2' }), 'x') as [SaConfig];
    expect(formatAddress(one.src)).toBe('0.0.0.0');
    expect(one.pattern).toBeUndefined();
    const [six] = parseEspSa(row({ 0: 'IPv6', 1: '*', 2: 'fd00::1' }), 'x') as [SaConfig];
    expect([formatAddress(six.src), formatAddress(six.dst)]).toEqual(['::', 'fd00::1']);
    const both = parseEspSa(row({ 0: 'Any', 1: 'whatever', 2: '' }), 'x');
    expect(both.map(({ src }) => formatAddress(src))).toEqual(['0.0.0.0', '::']);
    expect(both.map(({ pattern }) => pattern?.dst)).toEqual(['*', '*']);
  });

  it('reads decimal SPIs, and the last two fields of Wireshark 4.6', () => {
    expect(parseEspSa(row({ 3: '3' }), 'x')[0]).toMatchObject({ spi: 3, esn: false });
    expect(parseEspSa(row({ 3: '012' }), 'x')[0]).toMatchObject({ spi: 10 });
    expect(parseEspSa(row({}, ['64-bit', '1f']), 'x')[0]).toMatchObject({
      esn: true,
      replayWindow: 1024,
      sequence: { seqHi: 0x1f, seq: 0, oseqHi: 0x1f, oseq: 0 },
    });
    expect(parseEspSa(row({}, ['32-bit', '0']), 'x')[0]).not.toHaveProperty('sequence');
    expect(parseEspSa(row({}, ['64-bit']), 'x')[0]).toMatchObject({ esn: true });
  });

  it('does not mind Windows line ends, blanks around commas, or bare fields', () => {
    const plain = parseEspSa(row() + row(), 'x').length;
    expect(parseEspSa((row() + row()).replaceAll('\n', '\r\n'), 'x').length).toBe(plain);
    expect(parseEspSa(row().replaceAll('","', '" , "'), 'x').length).toBe(1);
    expect(parseEspSa(row().replaceAll('"', ''), 'x').length).toBe(1);
  });

  it.each([
    [
      'five fields',
      row().replace(`,"${KEY}","NULL",""`, ''),
      /^esp_sa:1: the row is left out: 5 fields; an SA has 8 or 10\./,
    ],
    [
      'AES-CBC without its authentication',
      row({ 4: 'AES-CBC [RFC3602]' }).replace(',"NULL",""', ''),
      /^esp_sa:1: the row is left out: 6 fields; an SA has 8 or 10\./,
    ],
    ['eleven fields', row({}, ['32-bit', '0', 'x']), /^esp_sa:1: the row is left out: 11 fields/],
    [
      'part of an SPI that has not eight digits',
      row({ 3: '0x*' }),
      /^esp_sa:1: the row is left out: the SPI is neither/,
    ],
    [
      'an SPI of 33 bits',
      row({ 3: '4294967296' }),
      /^esp_sa:1: the row is left out: the SPI is neither a number of 32 bits nor a pattern of eight digits\. Write/,
    ],
    ['an octal SPI with an 8', row({ 3: '018' }), /^esp_sa:1: the row is left out: the SPI is neither/],
    [
      'part of an address',
      row({ 1: '10.0.*' }),
      /^esp_sa:1: the row is left out: an address is neither IPv4 nor a pattern of it\. Write/,
    ],
    [
      'an address of the other family',
      row({ 0: 'IPv6' }),
      /^esp_sa:1: the row is left out: an address is neither IPv6 nor a pattern/,
    ],
    [
      'another protocol',
      row({ 0: 'constructor' }),
      /^esp_sa:1: the row is left out: the first field is not IPv4, IPv6 or Any/,
    ],
    [
      'a cipher that esplane does not have',
      row({ 4: 'SEED-CBC [RFC4196]' }),
      /^esp_sa:1: the row is left out: esplane does not have this encryption algorithm\. Known are AES-GCM/,
    ],
    [
      'a MAC that esplane does not have',
      row({ 4: 'NULL', 5: '', 6: 'KPDK-MD5' }),
      /^esp_sa:1: the row is left out: esplane does not have this integrity algorithm\. Known are HMAC-SHA-1-96/,
    ],
    [
      'a key too short',
      row({ 5: KEY.slice(0, -2) }),
      /^esp_sa:1: the row is left out: rfc4106\(gcm\(aes\)\): key of 19 bytes/,
    ],
    ['a key cut off', row({ 5: KEY.slice(0, -2) }), /^esp_sa:1: the row is left out: rfc4106/],
    [
      'a key with a letter',
      row({ 5: `${KEY.slice(0, -1)}x` }),
      /^esp_sa:1: the row is left out: a key is not hexadecimal/,
    ],
    [
      'another name',
      row({ 4: '0xabcdef' }),
      /^esp_sa:1: the row is left out: esplane does not have this encryption algorithm/,
    ],
    [
      'a hidden key',
      row({ 5: '<<hidden: use --show-keys>>' }),
      /^esp_sa:1: the row is left out: its key is hidden\. Write the table with its keys/,
    ],
    [
      'SN of another length',
      row({}, ['48-bit', '0']),
      /^esp_sa:1: the row is left out: SN is not "32-bit" or "64-bit"/,
    ],
    [
      'high bits that are none',
      row({}, ['64-bit', 'x']),
      /^esp_sa:1: the row is left out: ESN High Bits is not hexadecimal/,
    ],
    ['an open quotation', '"IPv4","10.0.0.1', /^esp_sa:1: the row is left out: a quotation mark is missing/],
    [
      'text after a quotation',
      '"IPv4"x,"10.0.0.1"',
      /^esp_sa:1: the row is left out: a quotation mark is missing/,
    ],
  ])('refuses %s', (_, text, message) => {
    expect(failure(text)).toMatch(message);
  });

  it('leaves damaged rows out, names each, and loses none; never with a key in it', () => {
    const base =
      row() +
      row(
        {
          4: 'AES-CBC [RFC3602]',
          5: `0x${'c1'.repeat(16)}`,
          6: 'HMAC-SHA-1-96 [RFC2404]',
          7: `0x${'c2'.repeat(20)}`,
        },
        ['64-bit', '0'],
      );
    let refused = 0;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(base.length), fc.nat(8), fc.string({ unit: 'binary', maxLength: 4 })), {
          minLength: 1,
          maxLength: 4,
        }),
        (damages) => {
          let text = base;
          for (const [at, cut, put] of damages) text = text.slice(0, at) + put + text.slice(at + cut);
          const rows = text.split('\n').filter((line) => line.trim() !== '' && !line.trim().startsWith('#'));
          const { sas, omitted } = readEspSa(text, 'f');
          for (const { origin, why } of omitted) {
            expect(origin).toMatch(/^f:\d+$/);
            expect(why).not.toMatch(/[0-9a-f]{16}/);
            refused++;
          }
          // Of "Any" there are two SAs, of one origin.
          expect(new Set(sas.map(({ origin }) => origin)).size + omitted.length).toBe(rows.length);
        },
      ),
      { numRuns: RUNS },
    );
    expect(refused).toBeGreaterThan(0);
  });

  it('leaves a row out, and takes the others: case captures 06', () => {
    const notes: string[] = [];
    const text = row({ 4: 'SEED-CBC [RFC4196]' }) + row() + row({ 3: 'x' });
    expect(parseEspSa(text, 'esp_sa', (line) => notes.push(line))).toMatchObject([{ origin: 'esp_sa:2' }]);
    expect(notes).toEqual([
      'esp_sa:1: the row is left out: esplane does not have this encryption algorithm',
      'esp_sa:3: the row is left out: the SPI is neither a number of 32 bits nor a pattern of eight digits',
    ]);
  });

  it('names the first of many bad rows, and how many more there are', () => {
    const { omitted } = readEspSa(row({ 3: 'x' }).repeat(50), 'f');
    expect(omitted).toHaveLength(9);
    expect(omitted.at(-1)).toEqual({ origin: 'f', why: 'and 42 more like it' });
  });

  it('leaves rows with wildcards out beyond 1,024', () => {
    const { sas, omitted } = readEspSa(row({ 2: '*' }).repeat(1025) + row(), 'f');
    expect([sas.length, omitted.length]).toEqual([1025, 1]);
    expect(omitted[0]!.why).toMatch(/more than 1024 rows with wildcards/);
  });

  it('takes an HMAC without its key for one that is not checked', () => {
    const columns = { 4: 'AES-CBC [RFC3602]', 5: `0x${'07'.repeat(16)}`, 6: 'HMAC-SHA-1-96 [RFC2404]' };
    const [{ keys }] = parseEspSa(row({ ...columns, 7: '0x' }), 'x') as [SaConfig];
    expect(keys.suite).toMatchObject({ name: 'authenc(unchecked,cbc(aes))', icvLen: 12, unchecked: true });
  });
});

describe('writeEspSa', () => {
  it('writes wildcards as they stood', () => {
    const text = row({ 1: '10.0.*.1', 2: '10.0.0.0/8', 3: '0x0000000*' });
    expect(writeEspSa(parseEspSa(text, 'x'), { showKeys: true })).toBe(text);
    expect(writeEspSa(parseEspSa(row({ 0: 'Any' }), 'x'), { showKeys: true })).toBe(
      row({ 1: '*', 2: '*' }) + row({ 0: 'IPv6', 1: '*', 2: '*' }),
    );
  });

  it('writes eight fields, and ten for ESN', () => {
    expect(writeEspSa([sa()], { showKeys: true })).toBe(row());
    expect(writeEspSa([sa({ esn: true })], { showKeys: true })).toBe(row({}, ['64-bit', '0']));
    const sequence = { seqHi: 0, seq: 0, oseqHi: 0x1f, oseq: 7 };
    expect(writeEspSa([sa({ esn: true, sequence })], { showKeys: true })).toBe(row({}, ['64-bit', '1f']));
  });

  it('writes as many fields as it is asked for', () => {
    expect(writeEspSa([sa()], { showKeys: true, fields: 10 })).toBe(row({}, ['32-bit', '0']));
    expect(writeEspSa([sa({ esn: true })], { showKeys: true, fields: 8 })).toBe(row());
  });

  it('writes any address as a wildcard', () => {
    expect(writeEspSa([sa({ src: new Uint8Array(4) })], { showKeys: true })).toBe(row({ 1: '*' }));
    const v6 = { src: new Uint8Array(16), dst: parseAddress('fd00:10:244:1::1')! };
    expect(writeEspSa([sa(v6)], { showKeys: true })).toBe(row({ 0: 'IPv6', 1: '*', 2: 'fd00:10:244:1::1' }));
  });

  it('hides keys unless they are asked for', () => {
    const text = writeEspSa([sa()], { showKeys: false });
    expect(text).toBe(row({ 5: '0x<<hidden: use --show-keys>>' }));
    expect(failure(text)).toMatch(/its key is hidden/);
    fc.assert(
      fc.property(anySa, (one) => {
        expect(writeEspSa([one], { showKeys: false })).not.toContain(KEY_MARK);
      }),
      { numRuns: 100 },
    );
  });

  it.each([
    ['gmac-128', /^# Wireshark has no AES-GMAC: SPI 0x00000003 of x:1\n$/],
    [
      'cbc-128+hmac(sha1)/160',
      /^# Wireshark has no hmac-sha1 with an ICV of 160 bits: SPI 0x00000003 of x:1\n$/,
    ],
    [
      'cbc-128+hmac(sha256)/256',
      /^# .* decrypts the next line without a check\n"IPv4",.*"ANY 256 bit authentication \[no checking\]","0xc0/,
    ],
    [
      'chacha20',
      /^# Wireshark up to 4\.0 .* refuses the next line\n"IPv4",.*"ChaCha20 with Poly1305 \[RFC7634\]","0xc0/,
    ],
  ])('says of %s what Wireshark cannot do', (suite, text) => {
    const keys = EVERY_SUITE.find(([name]) => name === suite)![1];
    expect(writeEspSa([sa({ keys })], { showKeys: true })).toMatch(text);
  });

  it('is read again as the same SAs', () => {
    let same = 0;
    fc.assert(
      fc.property(anySa, (one) => {
        const text = writeEspSa([one], { showKeys: true, fields: 10 });
        if (text.startsWith('#')) return; // what Wireshark cannot take
        const [again] = parseEspSa(text, 'x') as [SaConfig];
        expect(again.src).toEqual(one.src);
        expect(again.dst).toEqual(one.dst);
        expect([again.spi, again.esn]).toEqual([one.spi, one.esn]);
        expect(again.keys.equals(one.keys)).toBe(true);
        if (one.esn && one.sequence) {
          expect(again.sequence?.seqHi ?? 0).toBe(Math.max(one.sequence.seqHi, one.sequence.oseqHi));
        }
        same++;
      }),
      { numRuns: RUNS },
    );
    expect(same).toBeGreaterThan(RUNS / 4);
  });
});

describe('splitFields', () => {
  it.each([
    ['"a","b"', ['a', 'b']],
    ['"a""b","c,d"', ['a"b', 'c,d']],
    ['"a\\x22b","\\\\","\\""', ['a"b', '\\', '"']],
    ['a , "b" ,c', ['a', 'b', 'c']],
    ['"",', ['', '']],
  ])('takes %s apart', (line, fields) => {
    expect(splitFields(line)).toEqual(fields);
  });

  it('undoes joinFields', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'binary-ascii' }), { minLength: 1, maxLength: 10 }),
        (fields) => {
          expect(splitFields(joinFields(fields))).toEqual(fields);
        },
      ),
      { numRuns: RUNS },
    );
  });
});

describe('splitFields on long lines', () => {
  /** The grammar as one regular expression: obvious, and fit for short lines alone. */
  function obvious(line: string): string[] | undefined {
    const field = /^\s*(?:"((?:[^"\\]|\\.|"")*)"\s*|([^,]*))/s;
    const fields: string[] = [];
    for (let rest = line; ; rest = rest.slice(1)) {
      const [whole = '', quoted, bare] = field.exec(rest) ?? [];
      if (quoted === undefined && bare?.includes('"')) return undefined;
      const plain = quoted?.replace(/""|\\x([0-9a-f]{2})|\\(.)/gis, (_, code?: string, char?: string) =>
        code === undefined ? (char ?? '"') : String.fromCharCode(Number.parseInt(code, 16)),
      );
      fields.push(plain ?? (bare ?? '').trim());
      rest = rest.slice(whole.length);
      if (rest === '') return fields;
      if (!rest.startsWith(',')) return undefined;
    }
  }

  it('reads what the grammar says', () => {
    const part = fc.constantFrom(
      '"',
      '""',
      '\\',
      '\\x4',
      '\\x41',
      '\\X4a',
      'x',
      ',',
      ' ',
      '\t',
      '\u00a0',
      '\r',
      'é',
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const line = parts.join('');
        expect(splitFields(line)).toEqual(obvious(line));
      }),
      { numRuns: 4 * RUNS },
    );
  });

  it.each(['a', '\\x41', '""', '\\"'])('takes a field of 8 MB of %j', (unit) => {
    const count = (8 << 20) / unit.length;
    const [field, next] = splitFields(`"${unit.repeat(count)}",b`)!;
    expect(field).toHaveLength(count);
    expect(next).toBe('b');
  });

  it('names the line that is too long', () => {
    expect(failure(`${row()}${row({ 5: 'a'.repeat(1 << 20) })}`)).toBe(
      'esp_sa:2: the line has more than 65,536 characters. Check that this is the right file.',
    );
  });
});
