/**
 * `esplane node` as a process of its own, and what it says as JSON lines.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ReadyFacts, RunningStats } from '../../src/cli/running-node.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const START_MS = 20_000;

export interface ReadyLine extends ReadyFacts {
  readonly metrics?: string;
  readonly statusSocket?: string;
}

export class NodeProcess {
  readonly process: ChildProcess;
  /** What it said when it was ready. */
  ready: ReadyLine | undefined;
  /** Lines of standard error. */
  errors = '';
  /** The last report. */
  stats: RunningStats | undefined;

  private constructor(child: ChildProcess) {
    this.process = child;
  }

  /** Starts it and waits until it runs. @param statsEvery seconds between two reports @throws {Error} with what it said when it ends before */
  static async start(
    config: string,
    environment: NodeJS.ProcessEnv = {},
    statsEvery = 0.2,
  ): Promise<NodeProcess> {
    const args = [MAIN, 'node', '--config', config, '--json', '--stats', String(statsEvery)];
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      // Its socket is beside its configuration: tests run side by side, with nodes of one name.
      env: {
        ...process.env,
        ESPLANE_RUN_DIR: dirname(config),
        ESPLANE_STATE_DIR: `${dirname(config)}/state`,
        ...environment,
      },
    });
    const node = new NodeProcess(child);
    child.stderr!.on('data', (bytes: Buffer) => {
      node.errors = (node.errors + bytes.toString()).slice(-2000);
    });
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        reject(new Error(`esplane node does not start: ${node.errors}`));
      }, START_MS);
      createInterface({ input: child.stdout! }).on('line', (line) => {
        const said = JSON.parse(line) as { event: string; stats?: RunningStats };
        if (said.event === 'ready') {
          clearTimeout(timer);
          node.ready = said as unknown as ReadyLine;
          resolve();
        } else if (said.event === 'stats') node.stats = said as unknown as RunningStats;
        else if (said.event === 'stopped') node.stats = said.stats!;
      });
      child.once('close', () => {
        clearTimeout(timer);
        reject(new Error(`esplane node ended: ${node.errors}`));
      });
    });
    return node;
  }

  /** Waits for a report that meets `condition`. @throws {Error} with what it said when it ends before, or takes too long */
  async until(condition: (stats: RunningStats) => boolean, timeout = 10_000): Promise<RunningStats> {
    const end = Date.now() + timeout;
    while (this.stats === undefined || !condition(this.stats)) {
      if (this.process.exitCode !== null)
        throw new Error(`ended with ${this.process.exitCode}: ${this.errors}`);
      if (Date.now() > end)
        throw new Error(`no such report in ${timeout} ms: ${this.errors}${JSON.stringify(this.stats)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return this.stats;
  }

  /** Ends it in order. @returns its last statistics */
  async stop(): Promise<RunningStats> {
    if (this.process.exitCode === null) {
      const closed = once(this.process, 'close');
      this.process.kill('SIGTERM');
      await closed;
    }
    if (this.process.exitCode !== 0) throw new Error(`ended with ${this.process.exitCode}: ${this.errors}`);
    return this.stats!;
  }
}
