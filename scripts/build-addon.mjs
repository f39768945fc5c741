/**
 * `npm run build:addon`, and part of `npm ci`: compiles native/ when a compiler is there. When it cannot, one line
 * says what is missing, and everything that needs no addon still works; the install never fails for it.
 * `--must` makes a failure an error.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const must = process.argv.includes('--must');
const verbose = process.argv.includes('--verbose');
const native = fileURLToPath(new URL('../native', import.meta.url));

process.exitCode = build() || !must ? 0 : 1;

function build() {
  if (process.platform !== 'linux') return without('it is for Linux only', 'Nothing to do.');
  for (const program of [process.env.CXX ?? 'c++', 'make', 'python3']) {
    if (spawnSync(program, ['--version'], { stdio: 'ignore' }).error)
      return without(
        `there is no ${program}`,
        'apt-get install g++ make python3 libipsec-mb-dev libgcrypt20-dev, then npm run build:addon.',
      );
  }
  // npm brings node-gyp along and names it here.
  const gyp = process.env.npm_config_node_gyp;
  if (!gyp || !existsSync(gyp)) return without('npm names no node-gyp', 'Run npm run build:addon.');
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [gyp, 'rebuild', '-C', native, '--jobs=max'],
    {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    },
  );
  if (verbose || (must && status !== 0)) process.stderr.write(`${stdout}${stderr}`);
  if (status === 0) return true;
  const why =
    `${stdout}${stderr}`.split('\n').find((line) => /error[: ]/i.test(line)) ??
    `node-gyp ended with ${status}`;
  return without(why.trim(), 'npm run build:addon -- --must shows everything.');
}

function without(why, remedy) {
  console.error(
    `esplane: the native addon was not built: ${why}. Everything but real links works without it. ${remedy}`,
  );
  return false;
}
