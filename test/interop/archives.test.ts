/**
 * Archives that the usual programs write.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { memoryFile, walk } from '../../src/inspect/files/walk.ts';
import { needs, PYTHON, PYTHON_NEED, program } from '../support/needs.ts';
import { tempFolder } from '../support/temp-folder.ts';

const FILES: Readonly<Record<string, string>> = {
  'top/cmd/hostname.txt': 'node-1\n',
  'top/cmd/empty.txt': '',
  'top/cmd/long.txt': Array.from({ length: 50_000 }, (_, i) => `${i} ${Math.sin(i)}\n`).join(''),
  [`top/${'a-long-name-'.repeat(7)}/${'of-a-file-'.repeat(12)}.txt`]: 'x',
  [`top/${'deep/'.repeat(70)}größe`]: 'y',
};

function folder(): string {
  const path = tempFolder();
  for (const [name, text] of Object.entries(FILES)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  return path;
}

async function textsOf(
  file: string,
  wants: (path: readonly string[]) => boolean = () => true,
): Promise<Record<string, string>> {
  const texts: Record<string, string> = {};
  const given = memoryFile('f', new Uint8Array(readFileSync(file)));
  const onDamage = (error: Error) => expect.unreachable(error.message);
  for await (const entry of walk(given, { wants, onDamage })) {
    texts[entry.path.slice(1).join('/')] = await entry.text();
  }
  return texts;
}

needs([program('tar', 'tar'), program('gzip', 'gzip')], 'tar', () => {
  it.each(['gnu', 'oldgnu', 'pax', 'posix', 'ustar'])('of the format %s', async (format) => {
    const path = folder();
    const names = format === 'ustar' ? ['top/cmd'] : ['top'];
    execFileSync('tar', [`--format=${format}`, '-czf', 'a.tar.gz', ...names], { cwd: path });
    const should = Object.entries(FILES).filter(
      ([name]) => names[0] === 'top' || name.startsWith('top/cmd/'),
    );
    expect(await textsOf(join(path, 'a.tar.gz'))).toEqual(Object.fromEntries(should));
  });

  it('with links, folders and a file with holes', async () => {
    const path = folder();
    execFileSync('ln', ['-s', 'hostname.txt', 'top/cmd/link.txt'], { cwd: path });
    execFileSync('ln', ['top/cmd/hostname.txt', 'top/cmd/second.txt'], { cwd: path });
    execFileSync('truncate', ['-s', '1M', 'top/holes'], { cwd: path });
    execFileSync('tar', ['-cSf', 'a.tar', 'top'], { cwd: path });
    const texts = await textsOf(join(path, 'a.tar'));
    expect(texts['top/cmd/long.txt']).toBe(FILES['top/cmd/long.txt']);
    expect(Object.keys(texts)).not.toContain('top/cmd/link.txt');
  });
});

needs([program('tar', 'tar'), program('zstd', 'zstd')], 'tar.zst', () => {
  it.each(['-1', '-19', '--ultra -22 --long=27'])('packed with zstd %s', async (options) => {
    const path = folder();
    execFileSync('tar', ['-cf', 'a.tar', 'top'], { cwd: path });
    execFileSync('zstd', ['-q', ...options.split(' '), 'a.tar'], { cwd: path });
    expect(await textsOf(join(path, 'a.tar.zst'))).toEqual(FILES);
  });
});

needs([PYTHON_NEED], 'zip', () => {
  describe('of Python', () => {
    it.each(['ZIP_STORED', 'ZIP_DEFLATED'])('with %s', async (method) => {
      const path = folder();
      const script = `import os, zipfile
z = zipfile.ZipFile('a.zip', 'w', zipfile.${method})
for root, _, names in os.walk('top'):
    z.write(root)
    for name in names: z.write(os.path.join(root, name))
z.close()`;
      execFileSync(PYTHON, ['-c', script], { cwd: path });
      expect(await textsOf(join(path, 'a.zip'))).toEqual(FILES);
    });

    it('with the directory of Zip64, and data behind other data', async () => {
      const path = folder();
      const script = `import zipfile
z = zipfile.ZipFile('a.zip', 'w', zipfile.ZIP_DEFLATED)
with z.open(zipfile.ZipInfo('big'), 'w', force_zip64=True) as f: f.write(b'x' * 100)
for i in range(70000): z.writestr('f%d' % i, '')
z.close()`;
      execFileSync(PYTHON, ['-c', script], { cwd: path });
      let entries = 0;
      const texts = await textsOf(join(path, 'a.zip'), ([, name]) => {
        entries++;
        return name === 'big' || name === 'f69999';
      });
      expect(texts).toEqual({ big: 'x'.repeat(100), f69999: '' });
      expect(entries).toBe(70_001);
    });
  });
});
