/**
 * Every algorithm of Linux's xfrm, in captures of Linux 7.2 (6.1 for RIPEMD-160) and in public ones: `decrypt` gives each
 * packet the verdict and the counter that the kernel gave it, and the same bytes.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Engine } from '../../src/crypto/engine.ts';
import { NativeEngine } from '../../src/crypto/native.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { decryptFile } from '../support/decrypt.ts';
import { ADDON, CASES, CASES_NEED, needs, SHARED, shared } from '../support/needs.ts';

const LINUX = `${SHARED}captures-linux-7.2/`;
const FOLDERS = existsSync(LINUX) ? readdirSync(LINUX).filter((name) => name.includes('alg-')) : [];

/** What `node:crypto` lacks. */
const NEEDS_ADDON = /cast5|blowfish|serpent|twofish/;

function lines(text: string): unknown[] {
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
}

/** Both nodes' states: one text for the sender, the other for the receiver. */
async function judged(folder: string, engine: Engine) {
  const states = [1, 2].map((n) => `${folder}n${n}.xfrm_state.txt`);
  const found = await decryptFile(`${folder}wire.pcap`, { xfrmState: states }, engine);
  return found.map(({ frame, spi, seq, verdict, counter, inner }) => ({
    ...{ frame, spi, seq, verdict, counter, inner },
  }));
}

function everyFolder(folders: readonly string[], makeEngine: () => Engine) {
  it.each(folders)('%s', async (name) => {
    const folder = `${LINUX}${name}/`;
    const got = await judged(folder, makeEngine());
    const want = lines(readFileSync(`${folder}expected.jsonl`, 'utf8'));
    expect(got).toHaveLength(want.length);
    for (const [i, row] of got.entries()) expect(want[i], `frame ${row.frame}`).toMatchObject(row);
  });
}

needs([shared('captures-linux-7.2')], 'captures of Linux 7.2', () => {
  describe('node', () =>
    everyFolder(
      FOLDERS.filter((name) => !NEEDS_ADDON.test(name)),
      () => new NodeEngine(),
    ));
  needs([ADDON], 'the addon', () => everyFolder(FOLDERS, () => new NativeEngine('openssl')));
});

needs([shared('captures-linux-7.2')], 'without the addon', () => {
  it.each(['alg-blowfish-tun', 'alg-serpent-tun'])(
    '%s is not opened, and nothing is invented',
    async (name) => {
      const found = await judged(`${LINUX}${name}/`, new NodeEngine());
      expect(new Set(found.map(({ verdict }) => verdict))).not.toContain('ok');
      expect(found.filter(({ verdict }) => verdict === 'unopened').length).toBeGreaterThan(50);
    },
  );
});

needs([CASES_NEED, ADDON], 'cases', () => {
  const captures = `${CASES}captures/09-missing-algorithms/`;
  const names = existsSync(captures) ? readdirSync(captures).filter((name) => name.endsWith('.pcap')) : [];
  it.each(names)('captures 09: %s', async (name) => {
    const texts = { xfrmState: [captures + name.replace('.pcap', '.xfrm')] };
    const found = await decryptFile(captures + name, texts, new NativeEngine('openssl'));
    expect(found.length).toBeGreaterThan(0);
    expect(found.map(({ verdict }) => verdict)).toEqual(found.map(() => 'ok'));
  });

  const texts = `${CASES}texts/16-algorithms/`;
  it.each(['scapy1', 'scapy3', 'scapy10'])('texts 16: %s', async (name) => {
    const given = { xfrmState: [`${texts}${name}.txt`] };
    const found = await decryptFile(`${texts}${name}.pcap`, given, new NodeEngine());
    expect(found.map(({ verdict }) => verdict)).toEqual(['ok']);
  });

  it('texts 16: 3DES of an esp_sa that does not check the ICV', async () => {
    const given = { espSa: [`${texts}esp_sa`] };
    const found = await decryptFile(`${texts}02-sunrise-sunset-esp.pcap`, given, new NodeEngine());
    expect(found.map(({ verdict, authenticated }) => [verdict, authenticated])).toEqual(
      found.map(() => ['ok', false]),
    );
    expect(found).toHaveLength(8);
  });
});
