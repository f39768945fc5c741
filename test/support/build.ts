/**
 * Before all tests: makes `dist/` as new as `src/`, because the tests of the command line run what users run.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** The newest change below a folder, in ms since 1970. */
function newest(folder: string): number {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return Math.max(...files.map((file) => statSync(`${folder}/${file}`).mtimeMs));
}

/** Vitest calls this once. */
export function setup(): void {
  const changed = newest(`${ROOT}src`);
  const built = ['cli/main.js', 'web/index.html'].map((file) => `${ROOT}dist/${file}`);
  if (built.every((file) => existsSync(file) && statSync(file).mtimeMs >= changed)) return;
  const build = spawnSync('npm', ['run', '--silent', 'build'], { cwd: ROOT, encoding: 'utf8' });
  if (build.status !== 0) throw new Error(`npm run build failed:\n${build.stdout}${build.stderr}`);
}
