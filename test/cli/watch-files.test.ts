import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { InputFiles } from '../../src/cli/input-files.ts';
import { watchFiles } from '../../src/cli/watch-files.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'esplane-watch-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const volume = (name: string, text: string) => {
  mkdirSync(join(folder, name));
  writeFileSync(join(folder, name, 'keys'), text);
  symlinkSync(name, join(folder, '..tmp'));
  renameSync(join(folder, '..tmp'), join(folder, '..data'));
};

it.each([
  ['the swap of a Secret volume', () => volume('..2', 'b')],
  ['a write in place', () => writeFileSync(join(folder, 'plain'), 'longer')],
  [
    'a rename over it',
    () => {
      writeFileSync(join(folder, 'other'), 'z');
      renameSync(join(folder, 'other'), join(folder, 'plain'));
    },
  ],
  ['its removal', () => rmSync(join(folder, 'plain'))],
  // No event tells of this one: the folder was not there to be watched.
  [
    'a file in a folder that comes later',
    () => {
      mkdirSync(join(folder, 'late'));
      writeFileSync(join(folder, 'late', 'keys'), 'x');
    },
  ],
])('sees %s', async (_, change) => {
  volume('..1', 'a');
  symlinkSync('..data/keys', join(folder, 'keys'));
  writeFileSync(join(folder, 'plain'), 'a');
  const changed = vi.fn();
  const files = ['keys', 'plain', 'late/keys'].map((name) => join(folder, name));
  const end = await watchFiles(files, new InputFiles(), changed);
  try {
    change();
    await vi.waitFor(() => expect(changed).toHaveBeenCalled(), 6000);
    writeFileSync(join(folder, 'unrelated'), 'x');
    const { length } = changed.mock.calls;
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(changed).toHaveBeenCalledTimes(length);
  } finally {
    end();
  }
});
