import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { connect } from 'node:net';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { esplane, tempFolder } from '../support/cli.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MAIN = `${ROOT}dist/cli/main.js`;
const PAGE = `${ROOT}dist/web/index.html`;

const running: ChildProcess[] = [];
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
});

/** Starts the command and waits for the address that it prints. */
async function serve(): Promise<{ url: string; child: ChildProcess }> {
  const child = spawn(process.execPath, [MAIN, 'lab', '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.push(child);
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout!.once('data', (text) => resolve(String(text).trim()));
    child.once('exit', (code) => reject(new Error(`ended with ${code}`)));
  });
  return { url, child };
}

describe('esplane lab', () => {
  const unbuilt = tempFolder();

  it('serves the page, to this machine alone', async () => {
    const { url } = await serve();
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
    const response = await fetch(url);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(response.headers.get('content-security-policy')).toBe("frame-ancestors 'none'");
    expect(await response.text()).toBe(readFileSync(PAGE, 'utf8'));
    expect((await fetch(url, { method: 'HEAD' })).headers.get('content-length')).toBe(
      String(readFileSync(PAGE).length),
    );
    expect((await fetch(url, { method: 'POST' })).status).toBe(405);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'ends with %s, also while somebody is connected',
    async (signal) => {
      const { url, child } = await serve();
      await fetch(url); // fetch keeps its connection
      const idle = connect(Number(new URL(url).port), '127.0.0.1');
      await once(idle, 'connect');
      const ended = once(child, 'exit');
      child.kill(signal);
      expect(await ended).toEqual([0, null]);
      await expect(fetch(url)).rejects.toThrow();
    },
  );

  it.each(['/../cli/main.js', '/%2e%2e/cli/main.js', '//etc/passwd', '/..%2f..%2fpackage.json', '/nothing'])(
    'has nothing at %s',
    async (path) => {
      const { url } = await serve();
      // Written by hand: fetch would tidy the path up.
      const socket = connect(Number(new URL(url).port), '127.0.0.1');
      socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
      let text = '';
      for await (const part of socket) text += part;
      expect(text).toMatch(/^HTTP\/1\.1 404 /);
      expect(text).toMatch(/Not found\. There is \/, \/index\.html\n$/);
    },
  );

  it('says when no browser opens', async () => {
    const args = [MAIN, 'lab', '--port', '0', '--open'];
    const child = spawn(process.execPath, args, {
      env: { PATH: '/nowhere' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.push(child);
    const text = (stream: Readable) =>
      new Promise<string>((resolve) => stream.once('data', (data) => resolve(String(data))));
    const [url, said] = await Promise.all([text(child.stdout), text(child.stderr)]);
    expect(said).toBe(`no browser opens here: open ${url.trim()} yourself\n`);
  });

  it('says when the port is taken', async () => {
    const { url } = await serve();
    const { port } = new URL(url);
    const { code, stderr } = esplane(['lab', '--port', port]);
    expect(code).toBe(2);
    expect(stderr).toBe(`esplane: --port: port ${port} is taken. Give another, or 0 for any.\n`);
  });

  it.each(['http', '65536', '-1', '1.5', ''])('takes no port “%s”', (port) => {
    const { code, stdout, stderr } = esplane(['lab', '--port', port]);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr.split('\n')[0]).toMatch(/--port <number>.* Give a number from 0 to 65535\.$/);
  });

  it('says what to do where the page is not built', () => {
    // The same program, seen through links, with no page beside it.
    for (const name of ['node_modules', 'package.json']) symlinkSync(`${ROOT}${name}`, `${unbuilt}/${name}`);
    mkdirSync(`${unbuilt}/dist`);
    for (const name of readdirSync(`${ROOT}dist`)) {
      if (name !== 'web') symlinkSync(`${ROOT}dist/${name}`, `${unbuilt}/dist/${name}`);
    }
    const flags = ['--preserve-symlinks', '--preserve-symlinks-main'];
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [...flags, `${unbuilt}/dist/cli/main.js`, 'lab'],
      { encoding: 'utf8' },
    );
    expect(stderr).toBe(
      `esplane: ${unbuilt}/dist/web/index.html: the page is not built. In a checkout, run \`npm run build:web\`.\n`,
    );
    expect(stdout).toBe('');
    expect(status).toBe(2);
  });
});
