/**
 * Lets the benchmarks import the TypeScript of `test/support`, which nothing builds: the guest is booted there and here
 * by the same code.
 * @module
 */
import { readFile } from 'node:fs/promises';
import { register } from 'node:module';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** From now on `import()` takes `.ts`. */
export function loadTypeScript() {
  register(import.meta.url);
}

/** A loader's hook (node:module): types are taken off. */
export async function load(url, context, nextLoad) {
  if (!url.endsWith('.ts')) return nextLoad(url, context);
  const { outputText: source } = ts.transpileModule(await readFile(fileURLToPath(url), 'utf8'), {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  });
  return { format: 'module', source, shortCircuit: true };
}
