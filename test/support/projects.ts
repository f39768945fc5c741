/**
 * Which tests are quick (`npm test`) and which run in the full suite only (`npm run test:all`).
 *
 * The rule: a quick test computes, in its own process, for seconds at most. Full only are tests that
 * - start programs (a command, a kernel, a peer, a browser) or read `dist/`, which what they import tells, so that no
 *   list has to be kept: they, or a file of `test/` that they import, import `node:child_process` or `playwright-core`;
 * - compute for long: these are named `*.long.test.ts`.
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROJECT = fileURLToPath(new URL('../../', import.meta.url));

/** All test files, as paths from the project's folder. */
export const TEST_FILES: readonly string[] = readdirSync(join(PROJECT, 'test'), {
  recursive: true,
  encoding: 'utf8',
})
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => `test/${file}`)
  .sort();

const known = new Map<string, boolean>();

/** Whether a file of `test/` needs more than its own process, by itself or by way of others that it imports. */
function reachesOut(file: string): boolean {
  const before = known.get(file);
  if (before !== undefined) return before;
  known.set(file, false); // for files that import each other
  const text = readFileSync(join(PROJECT, file), 'utf8');
  const imports = [...text.matchAll(/^(?:import|export) (?!type )[^;]*?from '([^']*)'/gm)];
  const answer =
    text.includes('../dist/') ||
    imports.some(([, from]) => {
      if (from === 'node:child_process' || from === 'playwright-core') return true;
      const path = join(dirname(file), from!);
      return from!.startsWith('.') && path.startsWith('test/') && reachesOut(path);
    });
  known.set(file, answer);
  return answer;
}

/** The tests of `npm test`. */
export const QUICK: readonly string[] = TEST_FILES.filter(
  (file) => !file.endsWith('.long.test.ts') && !reachesOut(file),
);
