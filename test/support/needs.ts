/**
 * Loud skips: a test that needs something this machine may not have says what, and how to get it.
 *
 * With `ESPLANE_NO_SKIP=1` (set by `.ci/run`) a missing thing is a failure, so that the full suite cannot go
 * green by not running.
 * @module
 */
import { accessSync, closeSync, constants, existsSync, openSync, readFileSync } from 'node:fs';
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
  /** A function is called only when all needs before it are met: it may try the thing itself. */
  readonly there: boolean | (() => boolean);
  readonly remedy: string;
}

/** A program on the PATH, or with its folder. */
export function program(name: string, debianPackage: string): Need {
  return {
    what: `the program ${name}`,
    there: findProgram(name) !== undefined,
    remedy: `apt-get install ${debianPackage}`,
  };
}

/** Where a program on the PATH is, or one that is named with its folder. */
export function findProgram(name: string): string | undefined {
  if (name.startsWith('/')) return isExecutable(name) ? name : undefined;
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

/** Debian's Python, without what else the PATH may have under that name. */
export const PYTHON = '/usr/bin/python3';
export const PYTHON_NEED: Need = program(PYTHON, 'python3');

/** Prometheus's own reader of metrics. */
export const PROMTOOL: Need = program('promtool', 'prometheus');

/** The shared vectors, captures, or cases: inputs that people have, each with the right answer. */
export function shared(folder: 'captures' | 'captures-linux-7.2' | 'vectors' | 'cases'): Need {
  return {
    what: `../shared/${folder}`,
    there: existsSync(folder === 'captures' ? CAPTURES : `${SHARED}${folder}`),
    remedy: 'docs/testing.md says what belongs there',
  };
}

/** The cases of people's inputs, and what is right for each. */
export const CASES = `${SHARED}cases/`;
export const CASES_NEED: Need = {
  what: '../shared/cases',
  there: existsSync(CASES),
  remedy: 'docs/testing.md says what belongs there',
};

/** Runs `tests` when every need is met; otherwise skips them loudly, or fails under ESPLANE_NO_SKIP. */
export function needs(needed: readonly Need[], title: string, tests: () => void): void {
  const missing: Need[] = [];
  for (const need of needed) {
    const there = typeof need.there === 'boolean' ? need.there : missing.length > 0 || need.there();
    if (!there) missing.push(need);
  }
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
  remedy: 'apt-get install g++ make python3 libipsec-mb-dev libgcrypt20-dev, then npm run build:addon',
};

/** Capabilities of root that real links and network namespaces take, by their bits (linux/capability.h). */
const CAPABILITIES = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13, CAP_SYS_ADMIN: 21 } as const;

/** Names of {@link CAPABILITIES} that this process does not have. */
function capabilitiesMissing(): string[] {
  let effective = 0n;
  try {
    const [, hex] = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))!;
    effective = BigInt(`0x${hex}`);
  } catch {
    // Not Linux: there are none.
  }
  return Object.entries(CAPABILITIES)
    .filter(([, bit]) => ((effective >> BigInt(bit)) & 1n) === 0n)
    .map(([name]) => name);
}

const lacking = capabilitiesMissing();

/** Root with its capabilities, for devices, raw sockets and network namespaces. A container may take them away. */
export const ROOT: Need = {
  what: lacking.length === 0 ? 'root' : `root with ${lacking.join(', ')}`,
  there: process.getuid?.() === 0 && lacking.length === 0,
  remedy: 'run the tests as root, outside a container or in a privileged one',
};

/** TUN and TAP devices. */
export const TUN_DEVICE: Need = {
  what: '/dev/net/tun',
  there: opens('/dev/net/tun'),
  remedy: 'modprobe tun, or give the container the device',
};

function opens(path: string): boolean {
  try {
    closeSync(openSync(path, 'r+'));
    return true;
  } catch {
    return false;
  }
}

/** Debian's Chromium, for the tests of the lab. */
export const CHROMIUM: Need = program('chromium', 'chromium');
