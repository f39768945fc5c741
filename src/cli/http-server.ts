/**
 * A small HTTP server for pages that are made when asked for: on a TCP port, or on a Unix socket.
 *
 * It holds a bounded number of connections, and lets the one go that has been idle longest when another comes: clients
 * that connect and say nothing keep no scraper out. On a loopback address it answers only requests that name a loopback
 * host, so that a web page whose name leads there (DNS rebinding) reads nothing.
 * @module
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, isIP, type Socket } from 'node:net';

export interface Page {
  readonly type: string;
  readonly body: string | Uint8Array;
}

/** Pages by path. `undefined` is "not yet". */
export type Pages = Readonly<Record<string, () => Page | undefined | Promise<Page | undefined>>>;

/** A port and host (left out, all addresses), or the path of a socket. */
export type Where = { readonly port: number; readonly host?: string } | { readonly path: string };

export interface HttpServer {
  /** The port, where there is one. */
  readonly port: number | undefined;
  /** Ends it, and what is still being answered with it. */
  close(): Promise<void>;
}

/** More than any number of scrapers; a leak of connections must not take descriptors from the node. */
const MAX_CONNECTIONS = 64;
/** ms for a request to be there, and for an answer to be taken. */
const REQUEST_TIMEOUT = 10_000;
const TEXT = 'text/plain; charset=utf-8';

/**
 * Listens.
 * @param headers of every answer
 * @throws {NodeJS.ErrnoException} when that cannot be had
 */
export async function serve(
  where: Where,
  pages: Pages,
  headers: Readonly<Record<string, string>> = {},
): Promise<HttpServer> {
  const isOurs = hostCheck(where);
  const connections = new Connections();
  const timeouts = { requestTimeout: REQUEST_TIMEOUT, headersTimeout: REQUEST_TIMEOUT };
  const server = createServer({ ...timeouts, connectionsCheckingInterval: 1000 }, (request, response) => {
    connections.begin(request.socket, response);
    for (const [name, value] of Object.entries({ 'Cache-Control': 'no-store', ...headers }))
      response.setHeader(name, value);
    answer(pages, isOurs, request, response).catch((error: Error) => {
      if (!response.headersSent) write(request, response, 500, { type: TEXT, body: `${error.message}\n` });
      else response.destroy();
    });
  });
  server.timeout = REQUEST_TIMEOUT;
  server.on('connection', (socket: Socket) => connections.add(socket));
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

/** The open connections, those idle for longest first. */
class Connections {
  readonly #idle = new Set<Socket>();
  readonly #busy = new Set<Socket>();

  add(socket: Socket): void {
    if (this.#idle.size + this.#busy.size >= MAX_CONNECTIONS) {
      const [oldest = socket] = this.#idle;
      this.#idle.delete(oldest);
      oldest.destroy();
      if (oldest === socket) return;
    }
    this.#idle.add(socket);
    socket.once('close', () => {
      this.#idle.delete(socket);
      this.#busy.delete(socket);
    });
  }

  /** A whole request has come: its connection stays until the answer is taken. */
  begin(socket: Socket, response: ServerResponse): void {
    this.#idle.delete(socket);
    this.#busy.add(socket);
    response.once('close', () => {
      if (this.#busy.delete(socket) && !socket.destroyed) this.#idle.add(socket);
    });
  }
}

/** Whether a request's Host header may be answered (RFC 9110 §7.2). */
function hostCheck(where: Where): (host: string | undefined) => boolean {
  // Of other addresses it is not known by which names scrapers reach them.
  if ('path' in where || where.host === undefined || !isLoopback(where.host)) return () => true;
  return (host) => {
    if (host === undefined) return true;
    const name = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(host);
    return name !== null && isLoopback(name[1] ?? name[2] ?? '');
  };
}

function isLoopback(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith('127.');
  return host === '::1' || host.toLowerCase() === 'localhost';
}

async function answer(
  pages: Pages,
  isOurs: (host: string | undefined) => boolean,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const say = (status: number, body: string) => write(request, response, status, { type: TEXT, body });
  if (!isOurs(request.headers.host)) {
    say(421, 'This server answers only to localhost, 127.0.0.1 and [::1].\n');
    return;
  }
  // Without the query: nothing here has one.
  const path = (request.url ?? '/').replace(/[?#].*$/, '');
  const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
  if (!page) say(404, `Not found. There is ${Object.keys(pages).join(', ')}\n`);
  else if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    say(405, 'Method not allowed; use GET.\n');
  } else {
    const made = await page();
    if (made) write(request, response, 200, made);
    else say(503, 'The node is starting.\n');
  }
}

function write(request: IncomingMessage, response: ServerResponse, status: number, page: Page): void {
  const { type, body } = page;
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body;
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': bytes.length });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}
