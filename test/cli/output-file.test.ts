import { spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { OutputFile, writeWhole } from '../../src/cli/output-file.ts';
import { esplane, tempFolder } from '../support/cli.ts';
import { type Need, needs, ROOT } from '../support/needs.ts';

const TEXT = new TextEncoder().encode('whole');

describe('OutputFile', () => {
  const folder = tempFolder();
  let n = 0;
  /** A folder of its own. */
  const place = (): string => {
    const path = join(folder, String(n++));
    mkdirSync(path);
    return path;
  };

  it('has its name when it is whole, and another until then', () => {
    const name = join(place(), 'out');
    const file = new OutputFile(name);
    file.write(TEXT);
    expect(existsSync(name)).toBe(false);
    expect(readFileSync(file.partialName, 'utf8')).toBe('whole');
    file.finish();
    expect(readFileSync(name, 'utf8')).toBe('whole');
    expect(statSync(name).mode & 0o777).toBe(0o600);
    expect(existsSync(file.partialName)).toBe(false);
  });

  it('is kept as NAME.partial where the work ended early, for its owner alone', () => {
    const at = place();
    const name = join(at, 'out');
    writeFileSync(`${name}.partial`, 'older', { mode: 0o644 });
    const file = new OutputFile(name);
    file.write(TEXT);
    expect(file.keepPart()).toBe(`${name}.partial`);
    expect(readFileSync(`${name}.partial`, 'utf8')).toBe('whole');
    expect(statSync(`${name}.partial`).mode & 0o777).toBe(0o600);
    expect(readdirSync(at)).toEqual(['out.partial']);
  });

  it('may be written twice at a time: the last whole one has the name', () => {
    const at = place();
    const files = [new OutputFile(join(at, 'out')), new OutputFile(join(at, 'out'))];
    files.forEach((file, i) => {
      file.write(new TextEncoder().encode(String(i)));
    });
    for (const file of files) file.finish();
    expect(readFileSync(join(at, 'out'), 'utf8')).toBe('1');
    expect(readdirSync(at)).toEqual(['out']);
  });

  it('follows no link that waits where its parts were once written', () => {
    const at = place();
    writeFileSync(join(at, 'precious'), 'precious');
    symlinkSync('precious', join(at, 'out.partial'));
    const file = new OutputFile(join(at, 'out'));
    file.write(TEXT);
    file.finish();
    expect(readFileSync(join(at, 'precious'), 'utf8')).toBe('precious');
  });

  it('replaces a link itself, and refuses a FIFO, where it does not follow', () => {
    const at = place();
    writeFileSync(join(at, 'precious'), 'precious');
    symlinkSync('precious', join(at, 'out'));
    writeWhole(join(at, 'out'), 'whole', { mode: 0o644, follows: false });
    expect(readFileSync(join(at, 'precious'), 'utf8')).toBe('precious');
    expect(lstatSync(join(at, 'out')).isFile()).toBe(true);
    expect(statSync(join(at, 'out')).mode & 0o777).toBe(0o644);
    spawnSync('mkfifo', [join(at, 'fifo')]);
    expect(() => writeWhole(join(at, 'fifo'), 'whole', { follows: false })).toThrow(/it is a FIFO/);
    expect(readdirSync(at).sort()).toEqual(['fifo', 'out', 'precious']);
  });

  it('ends as NAME.partial when the program ends at once', () => {
    const at = place();
    const source = new URL('../../dist/cli/output-file.js', import.meta.url).href;
    const code = `const { OutputFile } = await import(${JSON.stringify(source)});
      new OutputFile('out').write(new TextEncoder().encode('part')); process.exit(3);`;
    const { status } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { cwd: at });
    expect([status, readdirSync(at)]).toEqual([3, ['out.partial']]);
  });

  it('leaves nothing when it is discarded, and stays when it was whole', () => {
    const at = place();
    new OutputFile(join(at, 'gone')).discard();
    const file = new OutputFile(join(at, 'out'));
    file.finish();
    file.discard();
    expect(readdirSync(at)).toEqual(['out']);
  });

  it('writes through a link', () => {
    const at = place();
    writeFileSync(join(at, 'real'), 'before');
    symlinkSync('real', join(at, 'link'));
    const file = new OutputFile(join(at, 'link'));
    file.write(TEXT);
    file.finish();
    expect(readlinkSync(join(at, 'link'))).toBe('real');
    expect(readFileSync(join(at, 'real'), 'utf8')).toBe('whole');
  });

  it.each([
    ['a folder', (at: string) => at, /: it is a folder\. Name a file\./],
    ['a folder that is not there', (at: string) => join(at, 'no', 'out'), /its folder does not exist/],
    ['no name', () => '', /^'': cannot be written: no file can be called that/],
  ])('refuses %s before there is any work', (_, name, why) => {
    const at = place();
    expect(() => new OutputFile(name(at))).toThrow(why);
    expect(readdirSync(at)).toEqual([]);
  });

  it('writes into a FIFO', async () => {
    const name = join(place(), 'fifo');
    spawnSync('mkfifo', [name]);
    const reader = spawn('cat', [name]);
    let read = '';
    reader.stdout.on('data', (bytes) => {
      read += bytes;
    });
    const file = new OutputFile(name);
    file.write(TEXT);
    file.finish();
    await new Promise((resolve) => reader.once('close', resolve));
    expect(read).toBe('whole');
    expect(lstatSync(name).isFIFO()).toBe(true);
  });
});

/** Device files, tried: a container may forbid them to root too. */
const DEVICES: Need = {
  what: 'the right to make device files',
  there: () => {
    const folder = mkdtempSync(join(tmpdir(), 'esplane-test-'));
    const made = spawnSync('mknod', [join(folder, 'null'), 'c', '1', '3']).status === 0;
    try {
      if (made) appendFileSync(join(folder, 'null'), 'x');
      return made;
    } catch {
      return false; // a file system without devices
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  remedy: 'run the tests as root, outside a container',
};

needs([ROOT, DEVICES], 'OutputFile on a device', () => {
  const folder = tempFolder();

  // As root a file put in the place of /dev/null would stay there for everybody.
  it('writes to a device and leaves it one', () => {
    const device = join(folder, 'null');
    spawnSync('mknod', [device, 'c', '1', '3']);
    const file = new OutputFile(device);
    file.write(TEXT);
    file.finish();
    expect(lstatSync(device).isCharacterDevice()).toBe(true);
    expect(readdirSync(folder)).toEqual(['null']);
  });

  it('says in one line that a device is full', () => {
    const device = join(folder, 'full');
    spawnSync('mknod', [device, 'c', '1', '7']);
    const { code, stderr } = esplane(['demo', '-w', device]);
    expect(stderr).toBe(
      `esplane: ${device}: cannot be written: the disk is full. Make room, or name another place.\n`,
    );
    expect(code).toBe(2);
  });
});
