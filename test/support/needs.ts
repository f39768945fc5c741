/**
 * Loud skips: a test that needs something this machine may not have says what, and how to get it.
 *
 * With `ESPLANE_NO_SKIP=1` (set by `.ci/run`) a missing thing is a failure, so that the full suite cannot go
 * green by not running.
 * @module
 */
import { accessSync, constants, existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'vitest';
import { addonProblem } from '../../src/native/addon.ts';

/** The folder with captures and vectors that stands beside the project. */
export const SHARED = fileURLToPath(new URL('../../../shared/', import.meta.url));

/** Captures of a real kernel: the shared ones, or the copies that the project keeps. */
export const CAPTURES = existsSync(`${SHARED}captures`)
  ? `${SHARED}captures`
  : fileURLToPath(new URL('../../pcaps/linux-6.1', import.meta.url));

export interface Need {
  readonly what: string;
  readonly there: boolean;
  readonly remedy: string;
}

/** A program on the PATH. */
export function program(name: string, debianPackage: string): Need {
  return {
    what: `the program ${name}`,
    there: findProgram(name) !== undefined,
    remedy: `apt-get install ${debianPackage}`,
  };
}

/** Where a program on the PATH is. */
export function findProgram(name: string): string | undefined {
  const paths = (process.env['PATH'] ?? '').split(':').filter(Boolean);
  return paths.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Prometheus's own reader of metrics. */
export const PROMTOOL: Need = program('promtool', 'prometheus');

/** The shared vectors, or captures. */
export function shared(folder: 'captures' | 'vectors'): Need {
  return {
    what: `../shared/${folder}`,
    there: existsSync(folder === 'captures' ? CAPTURES : `${SHARED}${folder}`),
    remedy: 'docs/testing.md says what belongs there',
  };
}

/** Runs `tests` when every need is met; otherwise skips them loudly, or fails under ESPLANE_NO_SKIP. */
export function needs(needed: readonly Need[], title: string, tests: () => void): void {
  const missing = needed.filter((need) => !need.there);
  if (missing.length === 0) {
    describe(title, tests);
    return;
  }
  const why = missing.map((need) => `${need.what} is missing: ${need.remedy}`).join('; ');
  if (process.env['ESPLANE_NO_SKIP'] === '1') {
    describe(title, () => {
      it('runs', () => {
        throw new Error(why);
      });
    });
    return;
  }
  process.stderr.write(`SKIPPED: ${title}: ${why}\n`);
  // The tests themselves are not collected: they may read what is missing.
  describe(title, () => {
    it.skip(why, () => {});
  });
}

/** The native addon, built. */
export const ADDON: Need = {
  what: 'the native addon',
  there: addonProblem() === undefined,
  remedy: 'apt-get install g++ make python3 libipsec-mb-dev, then npm run build:addon',
};

/** Root, for devices, raw sockets and network namespaces. */
export const ROOT: Need = {
  what: 'root',
  there: process.getuid?.() === 0,
  remedy: 'run the tests as root',
};

/** Debian's Chromium, for the tests of the lab. */
export const CHROMIUM: Need = {
  what: 'Chromium',
  there: existsSync('/usr/bin/chromium'),
  remedy: 'apt-get install chromium',
};
