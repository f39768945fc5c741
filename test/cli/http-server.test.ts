import { once } from 'node:events';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type HttpServer, type Pages, serve, type Where } from '../../src/cli/http-server.ts';
import { tempFolder } from '../support/cli.ts';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

const PAGES: Pages = { '/metrics': () => ({ type: 'text/plain', body: 'up 1\n' }) };

async function start(where: Where = { port: 0, host: '127.0.0.1' }, pages = PAGES): Promise<HttpServer> {
  const server = await serve(where, pages);
  open.push(server);
  return server;
}

/** A raw connection, which may then be as rude as it likes. */
async function dial(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  open.push({ close: () => socket.destroy() });
  await once(socket, 'connect');
  return socket;
}

/** Asks once, on a connection of its own. */
function ask(port: number, headers: Record<string, string> = {}, method = 'GET', path = '/metrics') {
  return new Promise<{ status: number | undefined; text: string; allow: string | undefined }>(
    (resolve, reject) => {
      const sent = request(
        { port, host: '127.0.0.1', path, method, headers, agent: false, setHost: !('Host' in headers) },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (part: string) => {
            text += part;
          });
          response.on('end', () =>
            resolve({ status: response.statusCode, text, allow: response.headers.allow }),
          );
        },
      );
      sent.on('error', reject).end();
    },
  );
}

describe('the HTTP server', () => {
  it('answers while more connections than it holds say nothing, or half of something', async () => {
    const { port } = await start();
    for (const begun of ['', 'GET /metrics HTTP/1.1\r\nX: ']) {
      const rude = await Promise.all(Array.from({ length: 100 }, () => dial(port!)));
      for (const socket of rude) if (begun !== '') socket.write(begun);
      expect(await ask(port!)).toMatchObject({ status: 200, text: 'up 1\n' });
      // Those that came first were let go, the others are still there.
      await expect.poll(() => rude.filter(({ closed }) => closed).length).toBeGreaterThanOrEqual(36);
      expect(rude.slice(-10).some(({ closed }) => closed)).toBe(false);
      for (const socket of rude) socket.destroy();
    }
  });

  it('lets no new connection break an answer that is under way', async () => {
    let go = () => {};
    const ready = new Promise<void>((resolve) => {
      go = resolve;
    });
    const pages: Pages = {
      '/metrics': async () => {
        await ready;
        return { type: 'text/plain', body: 'late\n' };
      },
    };
    const { port } = await start(undefined, pages);
    const asked = ask(port!);
    await Promise.all(Array.from({ length: 100 }, () => dial(port!)));
    go();
    expect(await asked).toMatchObject({ status: 200, text: 'late\n' });
  });

  it('serves many requests on one connection', async () => {
    const { port } = await start();
    const socket = await dial(port!);
    let text = '';
    socket.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    for (let n = 1; n <= 3; n++) {
      socket.write('GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n');
      await expect.poll(() => text.split('up 1').length - 1).toBe(n);
    }
  });

  it.each([
    ['127.0.0.1', 200],
    ['127.0.0.1:9962', 200],
    ['localhost', 200],
    ['LOCALHOST:80', 200],
    ['[::1]:80', 200],
    ['attacker.example', 421],
    ['127.0.0.1.attacker.example', 421],
    ['localhost.attacker.example:9962', 421],
    ['[::2]', 421],
    ['', 421],
  ])('on a loopback address answers the host %j with %i', async (Host, status) => {
    const { port } = await start();
    expect((await ask(port!, { Host })).status).toBe(status);
  });

  it('answers every host where it listens on all addresses, or on a socket', async () => {
    const { port } = await start({ port: 0 });
    expect((await ask(port!, { Host: 'node-1.example' })).status).toBe(200);
    const path = join(tempFolder(), 'sock');
    await start({ path });
    const sent = request({ socketPath: path, path: '/metrics', headers: { Host: 'esplane' } }).end();
    const [response] = await once(sent, 'response');
    expect(response.statusCode).toBe(200);
    response.resume();
  });

  it('says what it takes and what there is', async () => {
    const { port } = await start();
    expect(await ask(port!, {}, 'POST')).toEqual({
      status: 405,
      text: 'Method not allowed; use GET.\n',
      allow: 'GET, HEAD',
    });
    expect(await ask(port!, {}, 'GET', '/toString')).toMatchObject({
      status: 404,
      text: 'Not found. There is /metrics\n',
    });
  });
});
