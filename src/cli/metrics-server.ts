/**
 * `--metrics ADDR`: a node's metrics over HTTP, for Prometheus.
 * @module
 */
import { InputError } from '../base/errors.ts';
import type { Observed } from '../observe/observed.ts';
import { CONTENT_TYPE, prometheusText } from '../observe/prometheus.ts';
import { type HttpServer, type Page, serve } from './http-server.ts';
import type { MetricsAddress } from './metrics-address.ts';

export interface MetricsServer extends HttpServer {
  /** Where to scrape. */
  readonly url: string;
}

const WHAT_TO_DO: Readonly<Record<string, string>> = {
  EADDRINUSE: 'Choose another port, or end what listens there: ss -ltnp shows it.',
  EADDRNOTAVAIL: 'No interface here has this address: look with ip addr.',
  EACCES: 'Choose a port above 1023, or run as root.',
  ENOTFOUND: 'Nobody knows this host: give an address.',
};
const PROBLEMS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is taken',
  EADDRNOTAVAIL: 'is no address of this host',
  EACCES: 'is a port that only root may take',
  ENOTFOUND: 'names no host',
};

/**
 * Starts it.
 * @param observe what there is to see now; `undefined` while there is nothing yet
 * @throws {InputError} when it cannot listen there
 */
export async function serveMetrics(
  address: MetricsAddress,
  name: string,
  observe: () => Observed | undefined,
): Promise<MetricsServer> {
  const { text, host, port } = address;
  try {
    const server = await serve(
      { port, ...(host !== undefined && { host }) },
      {
        '/': () => home(name),
        '/metrics': async () => {
          const observed = observe();
          return observed && { type: CONTENT_TYPE, body: await prometheusText(observed) };
        },
      },
    );
    const shown = host?.includes(':') ? `[${host}]` : (host ?? 'localhost');
    return { ...server, url: `http://${shown}:${server.port}/metrics` };
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    throw new InputError(
      { source: `metrics on ${text}` },
      PROBLEMS[code] ?? message,
      WHAT_TO_DO[code] ?? 'Give an address of this host and a port, such as 127.0.0.1:9962.',
    );
  }
}

function home(name: string): Page {
  const shown = name.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  return {
    type: 'text/html; charset=utf-8',
    body: `<!doctype html><html lang="en"><title>esplane: ${shown}</title><h1>esplane node ${shown}</h1><p><a href="/metrics">Metrics</a> for Prometheus.</p></html>\n`,
  };
}
