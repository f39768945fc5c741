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
  capture: ['wire'],
  ipsec: ['wire', 'crypto'],
  link: ['wire', 'capture', 'native'],
  cilium: ['wire', 'crypto', 'ipsec'],
  node: ['wire', 'crypto', 'ipsec', 'cilium', 'link'],
  sim: ['wire', 'crypto', 'capture', 'ipsec', 'link', 'cilium', 'node'],
  inspect: ['wire', 'crypto', 'capture', 'ipsec', 'cilium'],
  observe: ['wire', 'crypto', 'ipsec', 'link', 'cilium', 'node', 'sim', 'inspect'],
  web: ['wire', 'crypto', 'capture', 'ipsec', 'link', 'cilium', 'node', 'sim', 'inspect', 'observe'],
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
    'inspect',
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
const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) =>
  /(?<!\.d)\.tsx?$/.test(file),
);

/** Files of ours that a file imports, as paths in `src/`. */
function importsOf(file: string, text: string): string[] {
  const imports = text.matchAll(/(?:from|import) '(\.[^']*)'/g);
  return [...imports].map(([, path]) => posix.join(posix.dirname(file), path!));
}

describe('the rooms', () => {
  it('are all named here', () => {
    const rooms = new Set(files.filter((file) => file.includes('/')).map((file) => file.split('/')[0]!));
    expect([...rooms].filter((room) => !(room in ALLOWED))).toEqual([]);
  });

  it('stand in an order without cycles', () => {
    const above: string[] = [];
    for (const [room, uses] of Object.entries(ALLOWED)) {
      for (const used of uses) expect(above, `${room} uses ${used}`).toContain(used);
      above.push(room);
    }
  });
});

describe.each(files)('%s', (file) => {
  const text = readFileSync(`${SRC}${file}`, 'utf8');
  const room = file.includes('/') ? file.split('/')[0]! : undefined;

  it('imports only from rooms below', () => {
    if (room === undefined) return; // src/index.ts gathers from everywhere
    for (const to of importsOf(file, text).map((path) => path.split('/')[0])) {
      expect([room, 'base', ...ALLOWED[room]!], `${file} imports ${to}/`).toContain(to);
    }
  });

  it('imports in a browser only what runs there', () => {
    if (room !== 'web') return;
    for (const to of importsOf(file, text)) {
      expect(NODE_ONLY.filter((pattern) => pattern.test(to))).toEqual([]);
    }
  });

  it('runs in a browser, unless it is made for Node', () => {
    if (NODE_ONLY.some((pattern) => pattern.test(file))) return;
    expect(text.match(/from '(?:node:[^']*|prom-client)'|\bBuffer[.(]|\bprocess\./g) ?? []).toEqual([]);
  });

  it('asks nobody for time or chance', () => {
    if (room === 'base' || room === 'cli') return;
    expect(text.match(/\bDate\.now\(|\bMath\.random\(|\bsetTimeout\(|\bgetRandomValues\(/g) ?? []).toEqual(
      [],
    );
  });

  it('says what it is for', () => {
    expect(text.replace(/^#!.*\n/, '')).toMatch(/^\/\*\*\n[\s\S]*?@module\n/);
  });
});
