/**
 * What a running node is seen through: its metrics on a port, its status on a socket. Both are in the network namespace
 * that the program was started in, wherever the node's links are.
 * @module
 */
import { InputError } from '../base/errors.ts';
import { DEFAULT_VERSION, formatVersion, parseVersion } from '../cilium/version.ts';
import type { Observed } from '../observe/observed.ts';
import type { FlowOutput } from './flow-output.ts';
import type { MetricsAddress } from './metrics-address.ts';
import type { NodeConfig } from './node-config.ts';
import type { RunningNode } from './start-node.ts';
import { openStatusSocket, socketOf } from './status-socket.ts';

export class NodeObservers {
  readonly #config: NodeConfig;
  readonly #version: string;
  readonly #warn: (line: string) => void;
  readonly #closers: (() => Promise<void>)[] = [];
  /** To be said once the node runs: one that does not start has one line to say. */
  #warning: string | undefined;
  #node: RunningNode | undefined;
  #flows: FlowOutput | undefined;
  /** Where to scrape; absent unless asked for. */
  metricsUrl: string | undefined;
  /** Path of the status socket; absent when there is none. */
  statusSocket: string | undefined;

  private constructor(config: NodeConfig, version: string, warn: (line: string) => void) {
    this.#config = config;
    this.#version = version;
    this.#warn = warn;
  }

  /**
   * Opens them before the node starts, so that a port that is taken stops it before it has made anything.
   * @param version of this program
   * @param warn gets a line when the status socket, which was not asked for, cannot be had
   * @throws {InputError} when what was asked for cannot be had
   */
  static async open(
    config: NodeConfig,
    metrics: MetricsAddress | undefined,
    version: string,
    warn: (line: string) => void,
  ): Promise<NodeObservers> {
    const observers = new NodeObservers(config, version, warn);
    try {
      if (metrics) await observers.#serveMetrics(metrics);
      await observers.#openSocket();
      return observers;
    } catch (error) {
      await observers.close();
      throw error;
    }
  }

  /** From now on there is something to see. */
  watch(node: RunningNode, flows?: FlowOutput): void {
    this.#node = node;
    this.#flows = flows;
    if (this.#warning !== undefined) this.#warn(this.#warning);
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0)) await close();
  }

  async #serveMetrics(address: MetricsAddress): Promise<void> {
    const { serveMetrics } = await import('./metrics-server.ts');
    const server = await serveMetrics(address, this.#config.name, () => this.#observe());
    this.#closers.push(() => server.close());
    this.metricsUrl = server.url;
  }

  async #openSocket(): Promise<void> {
    const { 'status-socket': chosen, name } = this.#config;
    if (chosen === false) return;
    const path = chosen ?? socketOf(name);
    try {
      const server = await openStatusSocket(path, { '/status': () => this.#status() });
      // Which removes it, too.
      this.#closers.push(() => server.close());
      this.statusSocket = path;
    } catch (error) {
      if (chosen !== undefined || !(error instanceof InputError)) throw error;
      this.#warning = `${name}: no status socket: ${error.message}`;
    }
  }

  #status() {
    const stats = this.#node?.stats();
    if (!this.#node || !stats) return undefined;
    const { cilium, name } = this.#config;
    const body = {
      name,
      cilium: formatVersion(cilium === undefined ? DEFAULT_VERSION : parseVersion(cilium)),
      interfaces: [this.#node.facts.device],
      threads: this.#node.threads(),
      stats,
    };
    return { type: 'application/json', body: `${JSON.stringify(body)}\n` };
  }

  #observe(): Observed | undefined {
    const stats = this.#node?.stats();
    if (!this.#node || !stats) return undefined;
    const { user, system } = process.cpuUsage();
    return {
      stats,
      links: { inside: stats.inside, outside: stats.outside },
      ...(stats.agent && { agent: stats.agent }),
      threads: this.#node.threads(),
      ...(this.#flows && { flows: this.#flows.report() }),
      program: {
        version: this.#version,
        cipher: this.#node.facts.cipher,
        runtime: `node ${process.version}`,
        startedAt: performance.timeOrigin,
        cpuSeconds: (user + system) / 1e6,
        residentBytes: process.memoryUsage.rss(),
      },
    };
  }
}
