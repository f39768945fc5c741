import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openSource } from '../../src/cli/disk-files.ts';
import { tempFolder } from '../support/temp-folder.ts';

const folder = tempFolder();
const CAPTURE = Uint8Array.of(
  0xd4,
  0xc3,
  0xb2,
  0xa1,
  2,
  0,
  4,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  4,
  0,
  1,
  0,
  0,
  0,
);

describe('what is given', () => {
  it('is no longer open when its beginning has been looked at', async () => {
    const names = Array.from({ length: 40 }, (_, i) => join(folder, `${i}`));
    for (const [i, name] of names.entries()) writeFileSync(name, i % 2 === 0 ? CAPTURE : 'a text');
    const before = readdirSync('/proc/self/fd').length;
    const sources = [];
    for (const name of names) sources.push(await openSource(name, true));
    expect(readdirSync('/proc/self/fd').length).toBeLessThan(before + 20);
    expect(sources.map(({ kind }) => kind)).toEqual(names.map((_, i) => (i % 2 === 0 ? 'capture' : 'file')));
    const [, text] = sources;
    if (text?.kind !== 'file') throw new Error('not a file');
    expect(new TextDecoder().decode(await text.file.read(2, 9))).toBe('text');
  });
});
