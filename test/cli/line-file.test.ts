import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LineFile } from '../../src/cli/line-file.ts';
import { tempFolder } from '../support/temp-folder.ts';

const modeOf = (file: string) => statSync(file).mode & 0o777;
const textOf = (file: string) => readFileSync(file, 'utf8');

describe('LineFile', () => {
  const place = () => join(tempFolder(), 'lines');

  it('appends or begins anew', () => {
    const name = place();
    writeFileSync(name, 'old\n');
    const more = new LineFile(name, { append: true });
    more.write('new\n');
    more.close();
    expect(textOf(name)).toBe('old\nnew\n');
    const anew = new LineFile(name, { append: false });
    anew.write('newer\n');
    anew.close();
    expect(textOf(name)).toBe('newer\n');
  });

  it('is for its owner alone, also where it was there for all; or has the mode that was asked for', () => {
    const name = place();
    writeFileSync(name, '');
    chmodSync(name, 0o644);
    new LineFile(name, { append: true }).close();
    expect(modeOf(name)).toBe(0o600);
    new LineFile(name, { append: true, mode: 0o640 }).close();
    expect(modeOf(name)).toBe(0o640);
  });

  it('goes on in a new file after another program has renamed it', () => {
    const name = place();
    const file = new LineFile(name, { append: true });
    file.write('1\n');
    renameSync(name, `${name}.old`);
    file.write('2\n');
    file.reopen();
    file.write('3\n');
    file.close();
    expect([textOf(`${name}.old`), textOf(name), modeOf(name)]).toEqual(['1\n2\n', '3\n', 0o600]);
  });

  it('goes on where it was when the name cannot be opened again', () => {
    const name = place();
    const file = new LineFile(name, { append: true });
    file.write('1\n');
    renameSync(name, `${name}.old`);
    spawnSync('mkfifo', [name]);
    expect(() => file.reopen()).toThrow(/cannot be written/);
    rmSync(name);
    file.write('2\n');
    file.close();
    expect(textOf(`${name}.old`)).toBe('1\n2\n');
  });

  it('has no hole after another program has copied and truncated it', () => {
    const name = place();
    for (const append of [true, false]) {
      const file = new LineFile(name, { append });
      file.write('1\n');
      copyFileSync(name, `${name}.copy`);
      truncateSync(name, 0);
      file.write('2\n');
      file.close();
      expect(textOf(name)).toBe('2\n');
    }
  });

  it('is renamed before it grows beyond its size, and so many of them stay', () => {
    const name = place();
    const file = new LineFile(name, { append: true, maxSize: 8, maxBackups: 2 });
    for (const line of ['aaa', 'bbb', 'ccc', 'ddd', 'eee', 'fff', 'ggg']) file.write(`${line}\n`);
    // One write is never divided, however long it is.
    file.write(`${'h'.repeat(20)}\n`);
    file.close();
    expect(readdirSync(join(name, '..')).sort()).toEqual(['lines', 'lines.1', 'lines.2']);
    expect(textOf(name)).toBe(`${'h'.repeat(20)}\n`);
    expect(textOf(`${name}.1`)).toBe('ggg\n');
    expect(textOf(`${name}.2`)).toBe('eee\nfff\n');
    expect(modeOf(name)).toBe(0o600);
  });

  it('keeps none where none is to be kept', () => {
    const name = place();
    const file = new LineFile(name, { append: true, maxSize: 4, maxBackups: 0 });
    file.write('aaa\n');
    file.write('bbb\n');
    file.close();
    expect(textOf(name)).toBe('bbb\n');
    expect(existsSync(`${name}.1`)).toBe(false);
  });

  it('ends with a whole line when the disk is full, also after it was truncated meanwhile', () => {
    const name = place();
    const source = new URL('../../dist/cli/line-file.js', import.meta.url).href;
    // A limit of the shell on the length of files (2 or 4 KiB) takes the part of the disk.
    const code = `
      const { LineFile } = await import(${JSON.stringify(source)});
      const { truncateSync } = await import('node:fs');
      const file = new LineFile(${JSON.stringify(name)}, { append: true });
      file.write('x'.repeat(1500) + '\\n');
      truncateSync(${JSON.stringify(name)}, 0);
      file.write('first\\n');
      try { file.write('y'.repeat(5000) + '\\n'); console.log('written'); } catch (error) { console.log(error.code); }
      file.write('last\\n');`;
    const { stdout, stderr } = spawnSync(
      'sh',
      [
        '-c',
        `ulimit -f 4; trap '' XFSZ; exec "$0" "$@"`,
        process.execPath,
        '--input-type=module',
        '-e',
        code,
      ],
      { encoding: 'utf8' },
    );
    expect([stdout, stderr]).toEqual(['ERR_OUTPUT\n', '']);
    expect(textOf(name)).toBe('first\nlast\n');
  });
});
