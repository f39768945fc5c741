import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseVersion } from '../../src/cilium/version.ts';
import type { SaOptions } from '../../src/cli/sa-options.ts';
import { NobleEngine } from '../../src/crypto/noble.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { decryptBytes, decryptFile, fixedFields, type Line, readLines } from '../support/decrypt.ts';
import { CAPTURES, needs, shared } from '../support/needs.ts';
import { IS_LONG, sample } from '../support/sample.ts';

interface Flags {
  readonly keys?: readonly string[];
  readonly xfrm?: readonly string[];
  readonly 'keys-expected'?: string;
}

/** The command-line flags in `flags.json`, where `@` stands for the folder. */
function optionsOf(folder: string, flags: readonly string[]): Partial<SaOptions> {
  const file = (name: string) => flags[flags.indexOf(name) + 1]!.replace('@', `${folder}/`);
  const options: { -readonly [K in keyof SaOptions]?: SaOptions[K] } = {};
  if (flags.includes('--keys')) options.keys = [file('--keys')];
  if (flags.includes('--nodes')) options.nodes = [file('--nodes')];
  if (flags.includes('--xfrm-state')) options.xfrmState = [file('--xfrm-state')];
  if (flags.includes('--cilium')) options.cilium = parseVersion(flags[flags.indexOf('--cilium') + 1]!);
  return options;
}

needs([shared('captures')], 'captures of a Linux kernel, decrypted', () => {
  const folders = readdirSync(CAPTURES, { withFileTypes: true }).filter((entry) => entry.isDirectory());

  it('are all here', () => {
    expect(folders.map((folder) => folder.name)).toHaveLength(13);
  });

  describe.each(folders.map((folder) => folder.name))('%s', (name) => {
    const folder = `${CAPTURES}/${name}`;
    const flags = JSON.parse(readFileSync(`${folder}/flags.json`, 'utf8')) as Flags;
    const sources = [
      { source: 'keys and nodes', flags: flags.keys, expected: flags['keys-expected'] ?? 'expected.jsonl' },
      { source: "the kernel's text", flags: flags.xfrm, expected: 'expected.jsonl' },
    ];
    for (const { source, flags: given, expected } of sources) {
      if (!given) continue;
      for (const engine of [new NodeEngine(), ...(IS_LONG ? [new NobleEngine()] : [])]) {
        it(`from ${source}, by ${engine.name}`, async () => {
          const lines: Line[] = await decryptFile(`${folder}/wire.pcap`, optionsOf(folder, given), engine);
          expect(lines.map(fixedFields)).toEqual(readLines(`${folder}/${expected}`));
        });
      }
    }

    it.each(sample([3000, 97, 100_000], 3))('in place, in a buffer of %i bytes', async (chunk) => {
      const bytes = readFileSync(`${folder}/wire.pcap`);
      const options = optionsOf(folder, flags.xfrm ?? flags.keys!);
      const copied = await decryptBytes(bytes, options, new NodeEngine());
      expect(await decryptBytes(bytes, options, new NodeEngine(), chunk)).toEqual(copied);
    });

    it("counts what the receiver's kernel counted", async () => {
      const given = flags.xfrm ?? flags.keys!;
      const counted: Record<string, number> = {};
      for (const line of await decryptFile(
        `${folder}/wire.pcap`,
        optionsOf(folder, given),
        new NodeEngine(),
      )) {
        if (line.counter) counted[line.counter] = (counted[line.counter] ?? 0) + 1;
      }
      const kernel: Record<string, number> = {};
      for (const [, counter, count] of readFileSync(`${folder}/n2.xfrm_stat`, 'utf8').matchAll(
        /^(\w+)\s+(\d+)$/gm,
      )) {
        if (Number(count) > 0) kernel[counter!] = Number(count);
      }
      expect(counted).toEqual(kernel);
    });
  });
});
