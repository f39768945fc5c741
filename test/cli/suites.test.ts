/** The table of algorithms, and warnings of the weak ones. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { enginesHere, type SuiteLine, suiteLines } from '../../src/cli/suites.ts';
import { WeakSuites } from '../../src/cli/weak-suites.ts';
import { AEADS, CIPHERS, MACS } from '../../src/crypto/algorithms.ts';
import { NobleEngine } from '../../src/crypto/noble.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { aead, authenc } from '../../src/crypto/suite.ts';
import { ADDON, needs } from '../support/needs.ts';

const key = (length: number) => new Uint8Array(length);

describe('the table', () => {
  const lines = suiteLines([new NodeEngine(), new NobleEngine()]);
  const named = (name: string) => lines.find((line) => line.name === name)!;

  it('has the 25 algorithms of Linux', () => {
    const count = (kind: SuiteLine['kind']) => lines.filter((line) => line.kind === kind).length;
    expect([count('aead'), count('integrity'), count('encryption')]).toEqual([4, 10, 11]);
  });

  it('says which engine has what', () => {
    expect(named('rfc4309(ccm(aes))')).toEqual({
      ...{ kind: 'aead', name: 'rfc4309(ccm(aes))', short: null, rfc: 4309, keyBytes: [19, 27, 35] },
      ...{ icvBits: [64, 96, 128], engines: ['node', 'noble'], missing: [], weak: null },
    });
    expect(named('cbc(camellia)').engines).toEqual(['node']);
    expect(named('hmac(sm3)')).toMatchObject({ short: 'sm3', keyBytes: null, engines: ['node'] });
    expect(named('cbc(serpent)')).toMatchObject({ rfc: null, engines: [], missing: [] });
  });

  it('names each weak one', () => {
    const weak = lines.filter((line) => line.weak !== null).map(({ name }) => name);
    expect(weak).toEqual([
      ...['rfc4543(gcm(aes))', 'digest_null', 'hmac(md5)', 'ecb(cipher_null)'],
      ...['cbc(des)', 'cbc(des3_ede)', 'cbc(cast5)', 'cbc(blowfish)'],
    ]);
  });

  it('is in docs/suites.md row for row', () => {
    const text = readFileSync(new URL('../../docs/suites.md', import.meta.url), 'utf8');
    const inDocs = [...text.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name);
    expect(inDocs.filter((name) => lines.some((line) => line.name === name))).toEqual(
      [...AEADS, ...MACS, ...CIPHERS].map(({ name }) => name),
    );
  });
});

needs([ADDON], 'with the addon', () => {
  it('all are here, but for one length of key that libgcrypt lacks', async () => {
    const lines = suiteLines(await enginesHere());
    expect(lines.filter(({ engines }) => engines.length === 0)).toEqual([]);
    expect(lines.filter(({ missing }) => missing.length > 0)).toMatchObject([
      { name: 'cbc(twofish)', missing: [24] },
    ]);
  });
});

describe('warnings', () => {
  it('name each weak algorithm once, with the reason', () => {
    const said: string[] = [];
    const weak = new WeakSuites((line) => said.push(line));
    const des = () => ({ keys: authenc('hmac(md5)', key(16), 'cbc(des)', key(8)) });
    weak.look([des(), des(), { keys: aead('rfc4106(gcm(aes))', key(20), 128) }]);
    weak.look([{ keys: authenc('sha1', key(20), 'des', key(8)) }]);
    expect(said).toEqual([
      'weak: hmac(md5): MD5 is broken as a hash, and RFC 8221 forbids it',
      'weak: cbc(des): a key of 56 bits is found by trying all of them, and RFC 8221 forbids it',
    ]);
    weak.look([{ keys: authenc('sha1', key(0), 'aes', key(16)) }]);
    expect(said.at(-1)).toMatch(/^weak: hmac\(sha1\): its key is empty/);
  });
});
