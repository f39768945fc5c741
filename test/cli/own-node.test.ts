import {
  chmodSync,
  lstatSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeOwnNode } from '../../src/cli/own-node.ts';
import { tempFolder } from '../support/temp-folder.ts';

describe('writeOwnNode', () => {
  it('is for its owner alone, until the owner lets others read it', () => {
    const file = join(tempFolder(), 'me.json');
    writeOwnNode(file, 'first');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    chmodSync(file, 0o666);
    writeOwnNode(file, 'second');
    expect([readFileSync(file, 'utf8'), statSync(file).mode & 0o777]).toEqual(['second', 0o644]);
  });

  it('follows no link that another user has put in its folder', () => {
    const folder = tempFolder();
    const precious = join(folder, 'precious');
    writeFileSync(precious, 'precious');
    const file = join(folder, 'me.json');
    for (const name of [`${file}.partial`, file]) symlinkSync(precious, name);
    writeOwnNode(file, 'text');
    expect(readFileSync(precious, 'utf8')).toBe('precious');
    expect([lstatSync(file).isFile(), readFileSync(file, 'utf8')]).toEqual([true, 'text']);
    expect(readdirSync(folder).sort()).toEqual(['me.json', 'me.json.partial', 'precious']);
  });
});
