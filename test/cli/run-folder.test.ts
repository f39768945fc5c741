import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { makeRunFolder, removeRunFolders } from '../../src/cli/run-folder.ts';

const parent = mkdtempSync(join(tmpdir(), 'esplane-test-'));
afterEach(() => rmSync(parent, { recursive: true, force: true }));

/** No process has it: it is above what Linux gives out. */
const GONE = 2 ** 22 + 1;

it('removes what a killed run left, and nothing else', () => {
  const dead = makeRunFolder(parent, GONE);
  writeFileSync(join(dead, 'keys'), '3+ rfc4106(gcm(aes)) …');
  expect(statSync(dead).mode & 0o077, 'for nobody else').toBe(0);
  const alive = makeRunFolder(parent, process.pid);
  const other = join(parent, 'esplane-run-notes');
  mkdirSync(other);
  const link = join(parent, `esplane-run-${GONE}-abcdef`);
  symlinkSync(other, link);
  expect(removeRunFolders(parent)).toEqual([dead]);
  expect([dead, alive, other, link].map((path) => existsSync(path))).toEqual([false, true, true, true]);
  expect(removeRunFolders(parent)).toEqual([]);
});
