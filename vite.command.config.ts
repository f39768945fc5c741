/**
 * Bundles the command: `dist/cli/main.js`, its threads, and the parts that they load, in place of what the compiler made of
 * these. A command then starts with some ten files, not with hundreds, each of which Node has to find, read and link. The
 * library's entry points, and all other files of `dist/`, stay as the compiler made them.
 *
 * Parts lie beside `main.js`, as the modules do that are in them: what goes by `import.meta.url` finds the same files.
 */
import { defineConfig } from 'vite';

/** What is started by its name: the command by a shell, and threads by the command. */
const STARTED = ['main', 'node-worker', 'control-worker', 'unpack-thread'];

/**
 * Parts that are made larger than they would come out by themselves, each with all that it imports and that is in none
 * before it: what every command needs, what most do, and what opens captures, with the usual engine. YAML alone is as much
 * as the second, and loaded where there is some to read.
 */
const PARTS = [
  { name: 'start', test: /rolldown\/runtime|\/src\/cli\/(?:output|hard-exit)\.ts$|\/commander\// },
  { name: 'packets', test: /\/src\/(?:base\/(?!yaml)|wire\/|ipsec\/)/ },
  { name: 'captures', test: /\/src\/(?:cli\/decrypt|crypto\/native)\.ts$/ },
];

export default defineConfig({
  build: {
    ssr: true,
    outDir: 'dist/cli',
    emptyOutDir: false,
    target: 'node20.19',
    license: { fileName: 'licenses.md' },
    rolldownOptions: {
      // What opens captures has the engine with it; it stays a part of its own for what has not.
      checks: { ineffectiveDynamicImport: false },
      input: Object.fromEntries(STARTED.map((name) => [name, `src/cli/${name}.ts`])),
      output: {
        entryFileNames: '[name].js',
        chunkFileNames: 'part-[name].js',
        // A `const` is folded into hot code, a `var` is read each time: hexadecimal text took a sixth more.
        topLevelVar: false,
        comments: { legal: true, annotation: false, jsdoc: false },
        codeSplitting: { groups: PARTS.map((part, i) => ({ ...part, priority: PARTS.length - i })) },
      },
    },
  },
  ssr: { noExternal: true, target: 'node' },
});
