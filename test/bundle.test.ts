/** What a bundler takes of the package for one function: what that function needs, and no more. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { describe, expect, it } from 'vitest';
import { tempFolder } from './support/cli.ts';

const INDEX = fileURLToPath(new URL('../dist/index.js', import.meta.url));

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
