/**
 * A small HTTP server for pages that are made when asked for: on a TCP port, or on a Unix socket.
 * @module
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Page {
  readonly type: string;
  readonly body: string;
}

/** Pages by path. `undefined` is "not yet". */
export type Pages = Readonly<Record<string, () => Page | undefined | Promise<Page | undefined>>>;

export interface HttpServer {
  /** The port, where there is one. */
  readonly port: number | undefined;
  /** Ends it, and what is still being answered with it. */
  close(): Promise<void>;
}

/** More than any number of scrapers; a leak of connections must not take descriptors from the node. */
const MAX_CONNECTIONS = 64;
/** ms for a request to be there. */
const REQUEST_TIMEOUT = 10_000;
const TEXT = 'text/plain; charset=utf-8';

/**
 * Listens.
 * @param where a port and host (left out, all addresses), or the path of a socket
 * @throws {NodeJS.ErrnoException} when that is not to be had
 */
export async function serve(
  where: { readonly port: number; readonly host?: string } | { readonly path: string },
  pages: Pages,
): Promise<HttpServer> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT }, (request, response) => {
    answer(pages, request, response).catch((error: Error) => {
      if (!response.headersSent) write(request, response, 500, { type: TEXT, body: `${error.message}\n` });
      else response.destroy();
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const address = server.address() as AddressInfo | string | null;
  return {
    port: address !== null && typeof address === 'object' ? address.port : undefined,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(pages: Pages, request: IncomingMessage, response: ServerResponse): Promise<void> {
  // Without the query: nothing here has one.
  const path = (request.url ?? '/').replace(/[?#].*$/, '');
  const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
  if (!page) {
    const known = Object.keys(pages).join(', ');
    write(request, response, 404, { type: TEXT, body: `Not here. There is ${known}\n` });
  } else if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    write(request, response, 405, { type: TEXT, body: 'GET it.\n' });
  } else {
    const made = await page();
    if (made) write(request, response, 200, made);
    else write(request, response, 503, { type: TEXT, body: 'The node is starting.\n' });
  }
}

function write(request: IncomingMessage, response: ServerResponse, status: number, page: Page): void {
  response.writeHead(status, {
    'Content-Type': page.type,
    'Content-Length': new TextEncoder().encode(page.body).length,
    'Cache-Control': 'no-store',
  });
  response.end(request.method === 'HEAD' ? undefined : page.body);
}
