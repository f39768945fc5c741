/**
 * The captures of a Linux kernel as a user would give them to the lab: which files, and what is to come out.
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs';
import { CAPTURES } from './needs.ts';

/** One way to open one capture. */
export interface OwnCapture {
  readonly title: string;
  readonly folder: string;
  /** The capture first, then what opens it. */
  readonly files: readonly string[];
  readonly cilium: string;
  /** File of the lines that `decrypt --json` is to say. */
  readonly expected: string;
}

interface Flags {
  readonly keys?: readonly string[];
  readonly xfrm?: readonly string[];
  readonly 'keys-expected'?: string;
}

/** Every capture, by keys and nodes and by the kernel's text, as `flags.json` beside it says. */
export function ownCaptures(): OwnCapture[] {
  const folders = readdirSync(CAPTURES, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return folders.flatMap(({ name }) => {
    const folder = `${CAPTURES}/${name}`;
    const flags = JSON.parse(readFileSync(`${folder}/flags.json`, 'utf8')) as Flags;
    const ways = [
      { by: 'keys and nodes', given: flags.keys, expected: flags['keys-expected'] ?? 'expected.jsonl' },
      { by: "the kernel's text", given: flags.xfrm, expected: 'expected.jsonl' },
    ];
    return ways.flatMap(({ by, given, expected }) => {
      if (!given) return [];
      const version = given.indexOf('--cilium');
      return {
        title: `${name} by ${by}`,
        folder,
        files: [
          'wire.pcap',
          ...given.filter((word) => word.startsWith('@')).map((word) => word.slice(1)),
        ].map((file) => `${folder}/${file}`),
        cilium: version < 0 ? '1.18' : given[version + 1]!,
        expected: `${folder}/${expected}`,
      };
    });
  });
}
