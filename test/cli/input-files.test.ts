import { spawnSync } from 'node:child_process';
import { mkdirSync, type PathLike, promises, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { INPUT, InputFiles } from '../../src/cli/input-files.ts';
import { tempFolder } from '../support/cli.ts';

const folder = tempFolder();
const at = (name: string) => join(folder, name);

it('reads a text whole, through a link, and what has a size of 0 and is none', async () => {
  const text = 'ä€𝄞'.repeat(300_000);
  writeFileSync(at('text'), text);
  symlinkSync('text', at('link'));
  const files = new InputFiles();
  expect(await files.read(at('link'), INPUT.nodes)).toBe(text);
  writeFileSync(at('empty'), '');
  expect(await files.read(at('empty'), INPUT.keys)).toBe('');
  expect(await files.read('/proc/self/status', INPUT.keys)).toMatch(/^Name:/);
});

it('reads UTF-16, as Windows PowerShell writes it', async () => {
  writeFileSync(at('utf16'), Buffer.from(`\ufeff${'kind: List\r\n'.repeat(9000)}`, 'utf16le'));
  expect(await new InputFiles().read(at('utf16'), INPUT.nodes)).toBe('kind: List\r\n'.repeat(9000));
});

it.each([
  [
    'a FIFO',
    () => spawnSync('mkfifo', [at('fifo')]),
    'fifo',
    'is a FIFO, and a node reads regular files only',
  ],
  ['a folder', () => mkdirSync(at('dir')), 'dir', 'is a folder, and a node reads regular files only'],
  ['a device', () => symlinkSync('/dev/zero', at('zero')), 'zero', 'is a device, and a node reads regular'],
  ['nothing', () => {}, 'missing', 'no such file. Check the name.'],
  [
    'a link to nothing',
    () => symlinkSync('nowhere', at('dangling')),
    'dangling',
    'no such file. Check the name.',
  ],
  ['a link to itself', () => symlinkSync('loop', at('loop')), 'loop', 'cannot be read (ELOOP)'],
  [
    'a sparse file of 1 GB',
    () => {
      writeFileSync(at('sparse'), '');
      truncateSync(at('sparse'), 1e9);
    },
    'sparse',
    'is larger than the 1 MiB that a keys file may have. Check that it is the right file.',
  ],
])('refuses %s at once, by name', async (_, make, name, why) => {
  make();
  const began = performance.now();
  await expect(new InputFiles().read(at(name), INPUT.keys)).rejects.toThrow(`${at(name)}: ${why}`);
  expect(performance.now() - began).toBeLessThan(2000);
});

it('refuses a socket', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(at('socket'), resolve));
  await expect(new InputFiles().read(at('socket'), INPUT.keys)).rejects.toThrow('is a socket');
  server.close();
});

it('stops at the limit in a file whose size says nothing', async () => {
  // A file that grows as fast as it is read.
  const open = async (file: PathLike, flags?: string | number) => {
    const handle = await promises.open(file, flags);
    handle.read = (async (buffer: Uint8Array) => ({
      bytesRead: buffer.length,
      buffer,
    })) as typeof handle.read;
    return handle;
  };
  writeFileSync(at('growing'), 'x');
  const files = new InputFiles({ fileSystem: { ...promises, open } });
  await expect(files.read(at('growing'), INPUT.keys)).rejects.toThrow('larger than the 1 MiB');
});

it('gives up a call that hangs, asks nothing more in that folder until it is back, and then goes on', async () => {
  writeFileSync(at('slow'), 'slow');
  writeFileSync(at('beside'), 'beside');
  mkdirSync(at('elsewhere'));
  writeFileSync(at('elsewhere/good'), 'good');
  let back: () => void = () => {};
  const hang = new Promise<void>((resolve) => {
    back = resolve;
  });
  const stat = vi.fn(async (...args: Parameters<typeof promises.stat>) => {
    if (String(args[0]) === at('slow')) await hang;
    return promises.stat(...args);
  }) as unknown as typeof promises.stat;
  const files = new InputFiles({ patience: 50, fileSystem: { ...promises, stat } });
  const late = 'its file system did not answer within 0.05 s. Check the mount that it is on.';
  await expect(files.read(at('slow'), INPUT.keys)).rejects.toThrow(`${at('slow')}: ${late}`);
  const calls = vi.mocked(stat).mock.calls.length;
  for (let i = 0; i < 20; i++) {
    await expect(files.read(at('slow'), INPUT.keys)).rejects.toThrow(late);
    await expect(files.read(at('beside'), INPUT.keys)).rejects.toThrow(late);
    expect(await files.state(at('slow'))).toContain(late);
  }
  expect(stat).toHaveBeenCalledTimes(calls);
  expect(await files.read(at('elsewhere/good'), INPUT.keys)).toBe('good');
  back();
  await vi.waitFor(async () => expect(await files.read(at('slow'), INPUT.keys)).toBe('slow'));
  expect(await files.read(at('beside'), INPUT.keys)).toBe('beside');
});

it('tells contents apart without reading them', async () => {
  const files = new InputFiles();
  const states = [await files.state(at('one'))];
  writeFileSync(at('one'), 'a');
  states.push(await files.state(at('one')));
  writeFileSync(at('one'), 'bb');
  states.push(await files.state(at('one')));
  expect(new Set(states).size).toBe(3);
  expect(await files.state(at('one'))).toBe(states[2]);
  expect([await files.exists(at('one')), await files.exists(at('two'))]).toEqual([true, false]);
});
