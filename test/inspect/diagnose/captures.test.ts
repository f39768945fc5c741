/**
 * Every capture of a kernel, diagnosed: the counters are the kernel's own, every injected fault has its finding, and
 * where nothing was wrong nothing is found.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { hashKeys } from '../../../scripts/sysdump/layout.ts';
import { parseVersion } from '../../../src/cilium/version.ts';
import type { EvidenceOptions } from '../../../src/cli/evidence-options.ts';
import type { FindingCode } from '../../../src/inspect/diagnose/table.ts';
import { codesOf, diagnoseFile, xfrmStatOf } from '../../support/diagnose.ts';
import { CAPTURES, needs, shared } from '../../support/needs.ts';
import { tempFolder } from '../../support/temp-folder.ts';

/** What each kind of injected packet is to be called. */
const KINDS: Readonly<Record<string, FindingCode | undefined>> = {
  replay: 'replayed',
  old: 'replayed',
  'flip-icv': 'altered',
  'flip-payload': 'altered',
  'flip-seq': 'altered',
  'high-seq': 'altered',
  'unknown-spi': 'unknown-spi',
  truncate: 'truncated',
  short: 'header-error',
  'seq-zero': 'number-zero',
  dummy: 'dummy',
  'bad-pad-length': 'bad-padding',
  empty: 'bad-padding',
  'wrong-next-header': 'not-ip',
  'runt-inner': 'inner-damaged',
  // Taken by the kernel as they are.
  good: undefined,
  tfc: undefined,
  'pad-bytes': undefined,
  'long-pad': undefined,
};

/** Healthy ones, such with faults, and one whose keys differ. */
const HASHED = new Set(['native-v6', 'rotation', 'faults-esn', 'global-key-v4', 'boot-id-mismatch']);

/** The numbers of what crafted-esn injects jump, so those between were never sent. */
const BESIDE: Readonly<Record<string, readonly FindingCode[]>> = { 'crafted-esn': ['missing-numbers'] };

needs([shared('captures')], 'captures of a Linux kernel, diagnosed', () => {
  const folders = readdirSync(CAPTURES, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [entry.name] : [],
  );

  const made = tempFolder();

  describe.each(folders)('%s', (name) => {
    const folder = `${CAPTURES}/${name}`;
    const here = (file: string) => `${folder}/${file}`;
    // No Cilium has a window of 64, so keys and nodes do not say what those kernels hold.
    const cluster =
      name !== 'faults-window64'
        ? {
            keys: [here('keys')],
            nodes: [here('ciliumnodes.json')],
            ...(name === 'global-key-v4' && { cilium: parseVersion('1.16') }),
          }
        : undefined;
    // Where states were deleted under way, the text that was taken before that has them.
    const xfrmState = ['n2.xfrm_state.rotating.txt', 'n2.xfrm_state.txt', 'n1.xfrm_state.txt']
      .filter((file) => existsSync(here(file)))
      .map(here);
    const injected = existsSync(here('injected.json'))
      ? (JSON.parse(readFileSync(here('injected.json'), 'utf8')) as { kind: string }[])
      : [];
    const expected =
      name === 'boot-id-mismatch'
        ? ['stale-boot-id']
        : [...new Set([...injected.flatMap(({ kind }) => KINDS[kind] ?? []), ...(BESIDE[name] ?? [])])];
    const sources: [string, Partial<EvidenceOptions>][] = [
      ["both kernels' texts", { xfrmState }],
      ["both kernels' texts, keys and nodes", { xfrmState, ...cluster }],
    ];
    // As cilium-bugtool has them: what the kernels hold counts all the same.
    if (cluster && HASHED.has(name)) {
      const hashed = xfrmState.map((file, i) => {
        const copy = `${made}/${name}.${i}`;
        writeFileSync(copy, hashKeys(readFileSync(file, 'utf8')));
        return copy;
      });
      sources.push([
        "both kernels' texts with hashed keys, keys and nodes",
        { xfrmState: hashed, ...cluster },
      ]);
    }
    // Node-2's kernel held a key that keys and nodes do not give: without its text nothing is wrong.
    if (cluster && name !== 'boot-id-mismatch') sources.push(['keys and nodes', cluster]);

    it.each(sources)('by %s', async (_, given) => {
      const { receivers, findings, conclusion } = await diagnoseFile(here('wire.pcap'), given);
      if (given.xfrmState && cluster && expected.length === 0)
        expect(conclusion).toMatchObject({ code: 'clean', basis: 'told' });
      const kernel = xfrmStatOf(here('n2.xfrm_stat'));
      const [node2] = receivers.filter(
        ({ node, address }) =>
          node === 'node-2' || /^(10\.244\.2\.1|192\.168\.7\.2|fd00:10:244:2::1)$/.test(address),
      );
      expect(node2?.counters).toEqual(kernel);
      for (const other of receivers) if (other !== node2) expect(other.counters).toEqual({});
      expect(codesOf(findings)).toEqual([...expected].sort());
    });

    it("agrees with the kernel's counters when it is given them", async () => {
      const { findings } = await diagnoseFile(here('wire.pcap'), {
        xfrmState,
        xfrmStat: [here('n2.xfrm_stat')],
        xfrmPolicy: [here('n2.xfrm_policy.txt'), here('n1.xfrm_policy.txt')],
      });
      expect(codesOf(findings)).toEqual([...expected].sort());
    });
  });

  it('knows every kind that is injected', () => {
    const kinds = folders.flatMap((name) => {
      const file = `${CAPTURES}/${name}/injected.json`;
      return existsSync(file)
        ? (JSON.parse(readFileSync(file, 'utf8')) as { kind: string }[]).map(({ kind }) => kind)
        : [];
    });
    expect(kinds.filter((kind) => !(kind in KINDS))).toEqual([]);
  });

  it('a rotation whose old SA was deleted before the text was taken', async () => {
    const folder = `${CAPTURES}/rotation`;
    const xfrmState = ['n2', 'n1'].map((node) => {
      const text = readFileSync(`${folder}/${node}.xfrm_state.txt`, 'utf8');
      const file = `${made}/${node}.txt`;
      writeFileSync(
        file,
        text
          .split(/^(?=src )/m)
          .filter((state) => !state.includes('spi 0x00000003'))
          .join(''),
      );
      return file;
    });
    const alone = await diagnoseFile(`${folder}/wire.pcap`, { xfrmState });
    expect(alone.findings).toEqual([]);
    expect(codesOf(alone.notes)).toEqual(['no-evidence']);
    const withKeys = await diagnoseFile(`${folder}/wire.pcap`, {
      xfrmState,
      keys: [`${folder}/keys`],
      nodes: [`${folder}/ciliumnodes.json`],
    });
    expect([...withKeys.findings, ...withKeys.notes]).toEqual([]);
    expect(withKeys.streams.map(({ spi, ok, packets }) => [spi, ok - packets])).toEqual([
      [3, 0],
      [3, 0],
      [4, 0],
      [4, 0],
    ]);
  });

  describe('how keys are used is seen, whatever version is given', () => {
    const cluster = (folder: string) => ({
      keys: [`${folder}/keys`],
      nodes: [`${folder}/ciliumnodes.json`],
    });

    it('as they are, up to 1.16', async () => {
      const folder = `${CAPTURES}/global-key-v4`;
      const { receivers, findings, notes, conclusion } = await diagnoseFile(
        `${folder}/wire.pcap`,
        cluster(folder),
      );
      expect(findings).toEqual([]);
      expect(conclusion).toMatchObject({ code: 'clean', judged: conclusion.packets });
      expect(receivers.map(({ counters }) => counters)).toEqual([{}, {}]);
      expect(notes).toMatchObject([
        { code: 'cilium-version', severity: 'info', basis: 'seen', spi: 5, count: conclusion.packets },
      ]);
      expect(notes[0]!.summary).toContain('as it is, not derived for each tunnel, as Cilium up to 1.16');
    });

    it('derived for each tunnel, from 1.17 on', async () => {
      const folder = `${CAPTURES}/faults-esn`;
      const keys = `${made}/keys-without-plus`;
      writeFileSync(keys, readFileSync(`${folder}/keys`, 'utf8').replaceAll('+ ', ' '));
      const given = { ...cluster(folder), keys: [keys], cilium: parseVersion('1.16') };
      const { receivers, notes } = await diagnoseFile(`${folder}/wire.pcap`, given);
      expect(receivers[0]!.counters).toEqual(xfrmStatOf(`${folder}/n2.xfrm_stat`));
      expect(codesOf(notes)).toEqual(['cilium-version']);
      expect(notes[0]!.summary).toContain('derived for each tunnel, as Cilium from 1.17 on');
    });
  });

  it('padding that does not count is told, though the kernel takes it', async () => {
    const folder = `${CAPTURES}/crafted-esn`;
    const xfrmState = [`${folder}/n2.xfrm_state.txt`];
    const { notes } = await diagnoseFile(`${folder}/wire.pcap`, { xfrmState });
    const injected = JSON.parse(readFileSync(`${folder}/injected.json`, 'utf8')) as {
      kind: string;
      sent: number;
    }[];
    const count = injected.find(({ kind }) => kind === 'pad-bytes')!.sent;
    expect(notes).toMatchObject([
      { code: 'odd-padding', severity: 'info', basis: 'seen', counter: null, count },
    ]);
  });

  it('packets that a capture on the node sees twice are no leak', async () => {
    for (const name of ['vxlan-in-esp', 'fragments']) {
      const folder = `${CAPTURES}/${name}`;
      const { findings, notes } = await diagnoseFile(`${folder}/wire.pcap`, {
        keys: [`${folder}/keys`],
        nodes: [`${folder}/ciliumnodes.json`],
      });
      expect(findings).toEqual([]);
      expect(codesOf(notes)).toEqual(['fragmented', 'seen-twice']);
    }
  });
});
