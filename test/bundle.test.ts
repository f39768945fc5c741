/** What is loaded: by a bundler for one function of the package, and by the bundled command. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { describe, expect, it } from 'vitest';
import { MAIN, tempFolder } from './support/cli.ts';

const INDEX = fileURLToPath(new URL('../dist/index.js', import.meta.url));

const CLI = fileURLToPath(new URL('../dist/cli/', import.meta.url));
const STATES = fileURLToPath(new URL('../pcaps/linux-6.1/native-v4/n1.xfrm_state.txt', import.meta.url));
const PACKAGE = fileURLToPath(new URL('../package.json', import.meta.url));

const folder = tempFolder();

/** Bytes of a bundle of one import, minified. */
async function bundled(name: string): Promise<number> {
  const entry = join(folder, `${name}.mjs`);
  writeFileSync(entry, `export { ${name} } from ${JSON.stringify(INDEX)};\n`);
  const output = await build({
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      minify: true,
      lib: { entry, formats: ['es'], fileName: 'out' },
      rollupOptions: { external: [/^node:/] },
    },
  });
  const [result] = [output].flat();
  if (!result || !('output' in result)) throw new Error('the bundler watches instead of building');
  return result.output.reduce((sum, part) => sum + (part.type === 'chunk' ? part.code.length : 0), 0);
}

describe('a bundle of one function', () => {
  it.each([
    ['parseAddress', 20_000],
    ['parseKeys', 40_000],
  ])('%s takes at most %i bytes', async (name, most) => {
    const size = await bundled(name);
    expect(size).toBeGreaterThan(1000);
    expect(size).toBeLessThan(most);
  });
});

/** A loader's hook (node:module) that prints what is loaded. */
const HOOK = `import { writeSync } from 'node:fs';
export async function load(url, context, next) {
  if (url.startsWith('file:')) writeSync(2, 'loaded ' + url + '\\n');
  return next(url, context);
}
`;

describe('the command', () => {
  it('starts with few files, all of them its own', () => {
    const capture = STATES.replace(/[^/]*$/, 'wire.pcap');
    writeFileSync(join(folder, 'hook.mjs'), HOOK);
    writeFileSync(
      join(folder, 'register.mjs'),
      `import { register } from 'node:module'; register(${JSON.stringify(`file://${folder}/hook.mjs`)});`,
    );
    const { status, stderr } = spawnSync(
      process.execPath,
      ['--import', `file://${folder}/register.mjs`, MAIN, 'decrypt', '-q', capture, '--xfrm-state', STATES],
      { encoding: 'utf8' },
    );
    expect([status, stderr]).toEqual([0, expect.stringMatching(/^.*74 frames/m)]);
    const loaded = stderr.match(/^loaded .*$/gm)!;
    expect(loaded.filter((line) => !line.startsWith(`loaded file://${CLI}`))).toEqual([]);
    expect(loaded.length).toBeGreaterThan(2);
    expect(loaded.length).toBeLessThan(20);
  });

  // `main.js` waits for its commands at its top level: a part that imports it would wait for itself.
  it('has no part that imports what starts it', () => {
    const parts = readdirSync(CLI).filter((name) => /^part-.*\.js$/.test(name));
    expect(parts.length).toBeGreaterThan(20);
    const importers = parts.filter((name) => /from "\.\/(?!part-)/.test(readFileSync(CLI + name, 'utf8')));
    expect(importers).toEqual([]);
  });

  it('brings the licences of what is in it', () => {
    const { dependencies } = JSON.parse(readFileSync(PACKAGE, 'utf8')) as { dependencies: object };
    const licences = readFileSync(`${CLI}licenses.md`, 'utf8');
    // The addon is built with the last one, from its own package.
    const bundled = Object.keys(dependencies).filter((name) => name !== 'node-addon-api');
    expect(bundled.filter((name) => !licences.includes(`## ${name} - `))).toEqual([]);
  });
});
