/**
 * The rooms of the house and who may import whom (`docs/architecture.md`), as a test.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** A room may always import itself and `base`. Each may use only rooms that stand above it in this list. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  base: [],
  native: [],
  wire: [],
  crypto: ['wire', 'native'],
  capture: [],
  ipsec: ['wire', 'crypto'],
  link: ['wire', 'capture', 'native'],
  cilium: ['wire', 'crypto', 'ipsec'],
  node: ['wire', 'crypto', 'ipsec', 'cilium', 'link'],
  sim: ['wire', 'crypto', 'capture', 'ipsec', 'link', 'cilium', 'node'],
  'sa-text': ['wire', 'crypto', 'ipsec', 'cilium'],
  inspect: ['wire', 'crypto', 'capture', 'ipsec', 'cilium', 'sa-text'],
  conform: ['wire', 'crypto', 'capture', 'ipsec', 'sa-text', 'inspect'],
  observe: ['wire', 'ipsec', 'link', 'cilium', 'node'],
  web: [
    'wire',
    'crypto',
    'capture',
    'ipsec',
    'link',
    'cilium',
    'node',
    'sim',
    'sa-text',
    'inspect',
    'observe',
  ],
  cli: [
    'native',
    'wire',
    'crypto',
    'capture',
    'ipsec',
    'link',
    'cilium',
    'node',
    'sim',
    'sa-text',
    'inspect',
    'conform',
    'observe',
  ],
};

/** Files that may use what only Node has; everything else also runs in a browser. */
const NODE_ONLY = [
  /^cli\//,
  /^native\//,
  /^crypto\/(node|native)\.ts$/,
  /^link\/(tun|raw|packet|udp|socket|monitor)\.ts$/,
  // prom-client asks for `util`, `http` and `cluster`.
  /^observe\/prometheus\.ts$/,
];

const SRC = fileURLToPath(new URL('../src/', import.meta.url));
const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => /(?<!\.d)\.tsx?$/.test(file))
  .map((file) => ({ file, room: roomOf(file), text: readFileSync(`${SRC}${file}`, 'utf8') }));

/** The room of a file; none for `index.ts`. */
function roomOf(path: string): string | undefined {
  return path.includes('/') ? path.split('/')[0] : undefined;
}

/** Files of ours that a file imports, as paths in `src/`. */
function importsOf(file: string, text: string): string[] {
  const imports = text.matchAll(/(?:from|import) '(\.[^']*)'/g);
  return [...imports].map(([, path]) => posix.join(posix.dirname(file), path!));
}

/** What a file has that it may not have, a line for each. */
type Check = (file: string, text: string, room: string | undefined) => readonly string[];

/** What a check finds in all of `src/`, as `FILE: WHAT`. */
function violations(check: Check): string[] {
  return sources.flatMap(({ file, text, room }) => check(file, text, room).map((what) => `${file}: ${what}`));
}

/** Matches of a pattern, as they stand in the text. */
const found = (text: string, pattern: RegExp): string[] => text.match(pattern) ?? [];

describe('the rooms', () => {
  it('are all named here, stand in an order without cycles, and have no permission that nothing uses', () => {
    const rooms = new Set(sources.flatMap(({ room }) => room ?? []));
    expect([...rooms].filter((room) => !(room in ALLOWED))).toEqual([]);
    const above: string[] = [];
    const wrong: string[] = [];
    for (const [room, uses] of Object.entries(ALLOWED)) {
      const inUse = new Set(
        sources
          .filter((source) => source.room === room)
          .flatMap(({ file, text }) => importsOf(file, text).map(roomOf)),
      );
      for (const used of uses) {
        if (!above.includes(used)) wrong.push(`${room} uses ${used}, which does not stand above it`);
        if (!inUse.has(used)) wrong.push(`${room} may use ${used}, and does not`);
      }
      above.push(room);
    }
    expect(wrong).toEqual([]);
  });

  it('import only from rooms above, and the lab only what runs in a browser', () => {
    expect(
      violations((file, text, room) => {
        if (room === undefined) return []; // src/index.ts gathers from everywhere
        const may = [room, 'base', ...(ALLOWED[room] ?? [])];
        return importsOf(file, text).filter(
          (path) =>
            !may.includes(roomOf(path)!) ||
            (room === 'web' && NODE_ONLY.some((pattern) => pattern.test(path))),
        );
      }),
    ).toEqual([]);
  });
});

describe('every file', () => {
  it('runs in a browser, unless it is made for Node', () => {
    expect(
      violations((file, text) =>
        NODE_ONLY.some((pattern) => pattern.test(file))
          ? []
          : found(text, /from '(?:node:[^']*|prom-client)'|\bBuffer[.(]|\bprocess\./g),
      ),
    ).toEqual([]);
  });

  it('is given time and chance, and does not ask for them', () => {
    expect(
      violations((_, text, room) =>
        room === 'base' || room === 'cli'
          ? []
          : found(text, /\bDate\.now\(|\bMath\.random\(|\bsetTimeout\(|\bgetRandomValues\(/g),
      ),
    ).toEqual([]);
  });

  it('says what it is for', () => {
    expect(
      violations((_, text) =>
        /^(?:#!.*\n)?\/\*\*\n[\s\S]*?@module\n/.test(text)
          ? []
          : ['no comment with @module at its beginning'],
      ),
    ).toEqual([]);
  });
});

it('decrypt and diagnose of plain texts start without the readers of YAML and JSON', () => {
  const texts = new Map(sources.map(({ file, text }) => [file, text]));
  const reached = new Set(['cli/decrypt.ts', 'cli/diagnose.ts']);
  // What is imported for its types alone, or when it is needed, is not loaded.
  for (const file of reached) {
    const text = texts.get(file)!.replace(/^(?:import|export) type [^;]*;/gm, '');
    for (const path of importsOf(file, text)) if (texts.has(path)) reached.add(path);
  }
  const large = [...reached].filter((file) => /from '(?:zod|yaml)'/.test(texts.get(file)!));
  expect(large).toEqual([]);
});
