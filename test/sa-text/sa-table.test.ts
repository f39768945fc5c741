import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { aead } from '../../src/crypto/suite.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { parseEspSa } from '../../src/sa-text/esp-sa.ts';
import { saRows, saTable } from '../../src/sa-text/sa-table.ts';
import { parseAddress, parsePrefix } from '../../src/wire/address.ts';
import { anySa, countingKey, EVERY_SUITE, KEY_MARK } from '../support/arbitrary-sa.ts';

const V4: SaConfig = {
  src: parseAddress('10.244.1.1')!,
  dst: parseAddress('10.244.2.1')!,
  spi: 3,
  mode: 'tunnel',
  keys: aead('rfc4106(gcm(aes))', countingKey(20), 128),
  esn: true,
  replayWindow: 1024,
  reqid: 1,
  flags: [],
  origin: 'n2.txt:1',
};
const V6: SaConfig = {
  ...V4,
  src: parseAddress('fd00:10:244:1111:2222:3333:4444:5555')!,
  dst: parseAddress('fd00:10:244:2::1')!,
  spi: 0xc0ffee,
  mode: 'transport',
  keys: EVERY_SUITE.find(([name]) => name === 'cbc-256+hmac(sha512)/256')![1],
  esn: false,
  replayWindow: 0,
  origin: 'keys:1 node-1 -> node-2',
};

describe('saTable', () => {
  it('sets columns as wide as the longest IPv6 address', () => {
    expect(saTable([V4, V6], { showKeys: false })).toBe(
      `SRC                                   DST               SPI         KEY ID  MODE       SUITE                           KEY  ICV  ESN  WINDOW  FROM
10.244.1.1                            10.244.2.1        0x00000003       3  tunnel     rfc4106(gcm(aes))               128  128  yes    1024  n2.txt:1
fd00:10:244:1111:2222:3333:4444:5555  fd00:10:244:2::1  0x00c0ffee       -  transport  authenc(hmac(sha512),cbc(aes))  256  256  no      off  keys:1 node-1 -> node-2
`,
    );
  });

  it('aligns every column, whatever the SAs', () => {
    fc.assert(
      fc.property(
        fc.array(
          anySa.map((sa) => ({ ...sa, origin: 'x' })),
          { minLength: 1, maxLength: 5 },
        ),
        (sas) => {
          const lines = saTable(sas, { showKeys: false }).trimEnd().split('\n');
          expect(lines).toHaveLength(sas.length + 1);
          // The last column begins at one place in all lines: what is before it has one width.
          const at = lines[0]!.indexOf('FROM');
          for (const line of lines.slice(1)) expect(line.slice(at - 2)).toBe('  x');
        },
      ),
      { numRuns: 100 },
    );
  });

  it('shows keys in a column of their own when they are asked for', () => {
    expect(saTable([V4], { showKeys: true }).split('\n')[1]).toMatch(
      /n2\.txt:1 {2}c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3$/,
    );
    expect(saTable([V4, V6], { showKeys: false })).not.toContain(KEY_MARK);
  });

  it('is a headline when there are none', () => {
    expect(saTable([], { showKeys: false })).toMatch(/^SRC {2}DST {2}SPI .*FROM\n$/);
  });
});

describe('saRows', () => {
  it('says null where a row of esp_sa says nothing, and wildcards as they stood', () => {
    const key =
      '"AES-GCM with 16 octet ICV [RFC4106]","0x4142434445464748494a4b4c4d4e4f5001020304","NULL",""';
    const sas = parseEspSa(
      `"IPv4","10.0.*.1","*","0x0000000*",${key}\n"IPv4","*","10.0.0.2","3",${key},"64-bit","0"\n`,
      'x',
    );
    const open = { mode: null, encap: null };
    expect(saRows(sas, { showKeys: false })).toMatchObject([
      { ...open, src: '10.0.*.1', dst: '*', spi: null, spiPattern: '0x0000000*', keyId: null, esn: null },
      { ...open, src: '0.0.0.0', dst: '10.0.0.2', spi: 3, keyId: 3, esn: true },
    ]);
    const [, one, two] = saTable(sas, { showKeys: false }).split('\n');
    expect(one!.split(/ {2,}/).slice(0, 5)).toEqual(['10.0.*.1', '*', '0x0000000*', '-', '?']);
    expect(two!.split(/ {2,}/).slice(0, 5)).toEqual(['0.0.0.0', '10.0.0.2', '0x00000003', '3', '?']);
  });

  it('says an SA for JSON, null where it has nothing', () => {
    const [row] = saRows([V4], { showKeys: false });
    expect(JSON.parse(JSON.stringify(row))).toEqual({
      src: '10.244.1.1',
      dst: '10.244.2.1',
      spi: 3,
      keyId: 3,
      mode: 'tunnel',
      suite: 'rfc4106(gcm(aes))',
      keyBits: 128,
      icvBits: 128,
      esn: true,
      replayWindow: 1024,
      reqid: 1,
      selector: null,
      mark: null,
      outputMark: null,
      encap: null,
      flags: [],
      direction: null,
      origin: 'n2.txt:1',
    });
  });

  it('says what else an SA has', () => {
    const any = parsePrefix('::/0')!;
    const more = { selector: { src: any, dst: any }, mark: { value: 1, mask: 2 }, direction: 'in' as const };
    expect(saRows([{ ...V4, ...more }], { showKeys: true })[0]).toMatchObject({
      selector: { src: '::/0', dst: '::/0' },
      mark: { value: 1, mask: 2 },
      direction: 'in',
      keys: { key: 'c0c1c2c3c4c5c6c7c8c9cacbcccdcecf', salt: 'd0d1d2d3', mac: '' },
    });
  });

  it.each([
    [0, null],
    [1, 1],
    [15, 15],
    [16, null],
  ])('takes SPI %i for key id %s', (spi, keyId) => {
    expect(saRows([{ ...V4, spi }], { showKeys: false })[0]!.keyId).toBe(keyId);
  });

  it('holds no key unless they are asked for', () => {
    fc.assert(
      fc.property(anySa, (sa) => {
        expect(JSON.stringify(saRows([sa], { showKeys: false }))).not.toContain(KEY_MARK);
      }),
      { numRuns: 100 },
    );
  });
});
