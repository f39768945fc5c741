import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { readEspSa } from '../../src/sa-text/esp-sa.ts';
import { isTcpdumpSecrets } from '../../src/sa-text/tcpdump-secrets.ts';
import { formatAddress, parseAddress } from '../../src/wire/address.ts';
import { decryptFile } from '../support/decrypt.ts';
import { CASES, CASES_NEED, needs } from '../support/needs.ts';

const KEY = '07'.repeat(16);
const read = (text: string) => readEspSa(text, 's');

describe('secrets of tcpdump -E', () => {
  it('are SAs of any source whose ICV is not checked', () => {
    const { sas, omitted } = read(`# a comment\n\n0xd1@192.0.2.1  aes-cbc-hmac96:0x${KEY}\n`);
    expect(omitted).toEqual([]);
    expect(
      sas.map(({ src, dst, spi, origin }) => [formatAddress(src), formatAddress(dst), spi, origin]),
    ).toEqual([['0.0.0.0', '192.0.2.1', 0xd1, 's:3']]);
    expect(sas[0]!.keys.suite).toMatchObject({ cipher: 'aes-cbc', unchecked: true, icvLen: 12 });
    expect(toHex(sas[0]!.keys.key())).toBe(KEY);
    expect(sas[0]!.unstated).toMatchObject({ mode: true, encap: true });
  });

  it.each([
    ['with a tab, decimal SPI, upper case', `3@10.0.0.1\tAES128-CBC:0x${KEY}`, 1, 0],
    ['several with commas', `3@10.0.0.1 aes-cbc:0x${KEY},4@2001:db8::1 aes-128-cbc-hmac96:0x${KEY}`, 2, 0],
    ['as on the command line', `-E '3@10.0.0.1 aes-cbc:0x${KEY}'`, 1, 0],
    ['a key as text', '3@10.0.0.1 aes-cbc:sixteen-letters!', 1, 0],
    ['no cipher', '3@10.0.0.1 none:x', 1, 0],
    ['for all packets', `aes-cbc-hmac96:0x${KEY}`, 2, 0],
    ['one that is not known among others', `3@10.0.0.1 rc5-cbc:0x${KEY},4@10.0.0.1 aes-cbc:0x${KEY}`, 1, 1],
  ])('%s', (_, text, sas, omitted) => {
    const rows = read(text);
    expect([rows.sas.length, rows.omitted.length]).toEqual([sas, omitted]);
  });

  it('for all packets fits any', () => {
    const [v4] = read(`aes-cbc-hmac96:0x${KEY}`).sas;
    expect(v4!.pattern!.fits(parseAddress('10.0.0.1')!, parseAddress('10.0.0.2')!, 77)).toBe(true);
  });

  it.each([
    [`3@10.0.0.1 rc5-cbc-hmac96:0x${KEY}`, 'esplane does not have rc5-cbc'],
    [`3@10.0.0.1 aes-cbc:0x07`, 'key of 1 bytes'],
    [`3@10.0.0 aes-cbc:0x${KEY}`, 'an address is neither IPv4 nor'],
    [`3@10.0.0.1 aes-cbc:0x${KEY},${KEY}`, 'this is no secret of tcpdump'],
  ])('leaves out, and says no key: %s', (text, why) => {
    const { omitted } = read(text);
    expect(omitted).toHaveLength(1);
    expect(omitted[0]!.why).toContain(why);
    expect(omitted[0]!.why).not.toContain(KEY);
  });

  it.each(['3 rfc4106(gcm(aes)) 0x07 128', '"IPv4","*","*","*"', 'user@10.0.0.1 password:secret', ''])(
    'is not: %j',
    (line) => {
      expect(isTcpdumpSecrets(line)).toBe(false);
    },
  );
});

needs([CASES_NEED], 'people', () => {
  it('case captures 08: opens what tcpdump opens', async () => {
    const folder = `${CASES}captures/08-integrity-not-named/`;
    const linesOf = (file: string) =>
      decryptFile(`${folder}in.pcap`, { espSa: [`${folder}${file}`] }, new NodeEngine());
    const lines = await linesOf('esp-secrets.txt');
    expect(lines).toEqual(await linesOf('esp_sa'));
    expect(lines.filter(({ verdict }) => verdict === 'ok')).toHaveLength(8);
  });

  it.each([
    ['3des-cbc', 24, 'cbc(des3_ede)'],
    ['des-cbc', 8, 'cbc(des)'],
    ['blowfish-cbc', 16, 'cbc(blowfish)'],
    ['cast128-cbc', 16, 'cbc(cast5)'],
  ])('%s', (name, length, kernel) => {
    const { sas } = read(`3@10.0.0.1 ${name}-hmac96:0x${'07'.repeat(length)}`);
    expect(sas[0]!.keys.suite).toMatchObject({ name: `authenc(unchecked,${kernel})`, icvLen: 12 });
  });

  it('case texts 16: AES and 3DES', () => {
    const { sas, omitted } = read(readFileSync(`${CASES}texts/16-algorithms/esp-secrets.txt`, 'utf8'));
    expect([sas.length, omitted.length]).toEqual([3, 0]);
  });
});
