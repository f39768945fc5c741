import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { HttpServer } from '../../src/cli/http-server.ts';
import {
  askStatus,
  nodeOf,
  openStatusSocket,
  runningSockets,
  socketOf,
} from '../../src/cli/status-socket.ts';
import { tempFolder } from '../support/temp-folder.ts';

const DIST = fileURLToPath(new URL('../../dist/cli/status-socket.js', import.meta.url));
const folder = tempFolder();
const open: HttpServer[] = [];
const before = process.env['ESPLANE_RUN_DIR'];
beforeEach(() => {
  process.env['ESPLANE_RUN_DIR'] = folder;
});
afterEach(async () => {
  if (before === undefined) delete process.env['ESPLANE_RUN_DIR'];
  else process.env['ESPLANE_RUN_DIR'] = before;
  for (const server of open.splice(0)) await server.close();
});

const answer = {
  name: 'n',
  cilium: '1.18',
  interfaces: ['eth0'],
  stats: { keys: 2, xfrm: {}, sas: [{ direction: 'out', reqid: 1, seqLo: 5 }] },
};
const start = async (path: string, body = JSON.stringify(answer)) => {
  const server = await openStatusSocket(path, { '/status': () => ({ type: 'application/json', body }) });
  open.push(server);
};

/** A socket without a listener, as a killed node leaves it. */
function leave(path: string): void {
  const code = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', code]);
  expect(existsSync(path)).toBe(true);
}

it('is for its user alone, and answers', async () => {
  const path = socketOf('a/b');
  expect(path).toBe(join(folder, 'a%2Fb.sock'));
  await start(path);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect((await askStatus(path)).stats.sas[0]).toMatchObject({ seqLo: 5 });
  expect((await runningSockets()).map(nodeOf)).toEqual(['a/b']);
  expect(nodeOf('/x/%.sock')).toBe('%');
  await open.pop()!.close();
  expect(existsSync(path)).toBe(false);
  expect(await runningSockets()).toEqual([]);
});

it('leaves alone what its successor has put in its place', async () => {
  const path = join(folder, 'successor.sock');
  await start(path);
  const first = open.pop()!;
  rmSync(path);
  await start(path, JSON.stringify({ ...answer, name: 'second' }));
  await first.close();
  expect((await askStatus(path)).name).toBe('second');
  expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
});

it('leaves it alone also when its program ends at once', async () => {
  const path = join(folder, 'exit.sock');
  const code = `import { openStatusSocket } from ${JSON.stringify(DIST)};
    await openStatusSocket(${JSON.stringify(path)}, {});
    console.log('open');
    process.stdin.once('data', () => process.exit(0));`;
  const end = async (child: ChildProcess) => {
    const ended = once(child, 'exit');
    child.stdin!.write('x');
    await ended;
  };
  const run = async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', code]);
    await once(child.stdout, 'data');
    return child;
  };
  await end(await run());
  expect(existsSync(path), 'its own it removes').toBe(false);
  const child = await run();
  rmSync(path);
  await start(path);
  await end(child);
  expect((await askStatus(path)).name).toBe('n');
});

it('takes the place of one that a killed node left, and of nothing else', async () => {
  const path = join(folder, 'stale.sock');
  leave(path);
  expect(await runningSockets()).toEqual([]);
  await expect(askStatus(path)).rejects.toThrow('no node listens there');
  await start(path);
  expect((await askStatus(path)).name).toBe('n');
  await expect(start(path)).rejects.toThrow('another node listens there');
  const file = join(folder, 'file.sock');
  writeFileSync(file, 'precious');
  await expect(start(file)).rejects.toThrow('is there and is no socket');
  await expect(start(join(folder, 'x'.repeat(108)))).rejects.toThrow('longer than the 107 bytes');
});

it('says what is wrong with one that is no node', async () => {
  const odd = join(folder, 'odd.sock');
  await start(odd, '{"name":1}');
  await expect(askStatus(odd)).rejects.toThrow('is no esplane node');
  await expect(askStatus(join(folder, 'none.sock'))).rejects.toThrow('no node listens there');
  const noHttp = createServer((socket) => socket.resume().end('hello\n'));
  const path = join(folder, 'hello.sock');
  await new Promise<void>((resolve) => noHttp.listen(path, resolve));
  chmodSync(path, 0o600);
  await expect(askStatus(path)).rejects.toThrow(path);
  await new Promise((resolve) => noHttp.close(resolve));
});
