/**
 * IP-TFS (RFC 9347) in captures of Linux 7.2: `decrypt` gives each outer packet the verdict of the kernel, and the inner
 * packets that an independent program found in it.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { NodeEngine } from '../../src/crypto/node.ts';
import { untiled, walkFields } from '../../src/inspect/explain/tree.ts';
import { decryptFile } from '../support/decrypt.ts';
import { codesOf, diagnoseFile, xfrmStatOf } from '../support/diagnose.ts';
import { explainerWith, framesOf } from '../support/explain.ts';
import { needs, SHARED, shared } from '../support/needs.ts';

const LINUX = `${SHARED}captures-linux-7.2/`;
const FOLDERS = existsSync(LINUX) ? readdirSync(LINUX).filter((name) => name.startsWith('iptfs-')) : [];

interface Expected {
  readonly frame: number;
  readonly spi: number | null;
  readonly seq: string | null;
  readonly verdict: string;
  readonly counter: string | null;
  readonly inners?: readonly string[];
}

needs([shared('captures-linux-7.2')], 'captures of Linux 7.2', () => {
  it.each(FOLDERS)('%s: diagnosed with the counters of the kernel, and nothing else', async (name) => {
    const [xfrmState, xfrmPolicy] = ['state', 'policy'].map((kind) =>
      [1, 2].map((n) => `${LINUX}${name}/n${n}.xfrm_${kind}.txt`),
    );
    const { receivers, findings } = await diagnoseFile(`${LINUX}${name}/wire.pcap`, {
      xfrmState: xfrmState!,
      xfrmPolicy: xfrmPolicy!,
    });
    for (const n of [1, 2]) {
      const counters = receivers.find(({ address }) => address === `192.168.7.${n}`)?.counters;
      expect(counters).toEqual(xfrmStatOf(`${LINUX}${name}/n${n}.xfrm_stat`));
    }
    const injected = ['altered', 'header-error', 'replayed', 'truncated', 'unknown-spi'];
    expect(codesOf(findings)).toEqual(name === 'iptfs-plain' ? injected : []);
  });

  it.each(FOLDERS)('%s: explained to the last byte', async (name) => {
    const states = [1, 2].map((n) => `${LINUX}${name}/n${n}.xfrm_state.txt`);
    const explainer = await explainerWith({ xfrmState: states });
    let blocks = 0;
    for (const { bytes, info } of framesOf(`${LINUX}${name}/wire.pcap`)) {
      const { packet } = explainer.explain(bytes, 0, bytes.length, info);
      expect(untiled(packet)).toBeUndefined();
      for (const { field } of walkFields(packet)) if (field.id === 'aggfrag.block') blocks++;
    }
    expect(blocks).toBeGreaterThan(10);
  });

  it.each(FOLDERS)('%s', async (name) => {
    const states = [1, 2].map((n) => `${LINUX}${name}/n${n}.xfrm_state.txt`);
    const got = await decryptFile(`${LINUX}${name}/wire.pcap`, { xfrmState: states }, new NodeEngine());
    const want = readFileSync(`${LINUX}${name}/expected-iptfs.jsonl`, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Expected);
    expect(got).toHaveLength(want.length);
    expect(want.some(({ inners }) => inners && inners.length > 0)).toBe(true);
    for (const [i, row] of want.entries()) {
      // Of what is dropped the other program says nothing more.
      const { inners, ...rest } = row;
      expect(got[i], `frame ${row.frame}`).toMatchObject(inners ? row : rest);
      expect(got[i]!.inners?.length ?? 0).toBe(inners?.length ?? 0);
    }
  });
});
