/**
 * Starts a node in a thread of its own, and talks to it without stopping it: it reports its statistics by itself, and
 * looks at three words of shared memory between batches.
 * @module
 */
import { Worker } from 'node:worker_threads';
import { EsplaneError } from '../base/errors.ts';
import { wakePoller } from '../native/system.ts';
import type { FlowBatch } from '../observe/flow-recorder.ts';
import type { NodeConfig } from './node-config.ts';
import { CONTROL, type ReadyFacts, type RunningStats } from './running-node.ts';

/** What the thread of a node says. */
export type WorkerMessage =
  | { readonly kind: 'ready'; readonly facts: ReadyFacts; readonly wakeFd: number }
  | { readonly kind: 'stats'; readonly stats: RunningStats }
  | { readonly kind: 'warn'; readonly line: string }
  | { readonly kind: 'flows'; readonly batch: FlowBatch }
  | { readonly kind: 'stopped'; readonly stats: RunningStats }
  | { readonly kind: 'failed'; readonly message: string; readonly isOurs: boolean };

export interface RunningNode {
  readonly facts: ReadyFacts;
  /** The last report: a quarter of a second old, or somewhat more where there are thousands of SAs. */
  stats(): RunningStats | undefined;
  /** Reads the files again and goes on with what they say. */
  reload(): void;
  /** The same for the files that are watched. */
  changed(): void;
  /** Tells it to stop; {@link ended} then tells the rest. */
  stop(): void;
  /** Its last statistics. Rejects when it ended by itself, with one line that says why. */
  readonly ended: Promise<RunningStats>;
}

/**
 * Starts a node and waits until it runs.
 * @param warn gets lines about what does not stop it
 * @param flows gets its flows, if the configuration wants them
 * @throws {EsplaneError} when it cannot start
 */
export function startNode(
  config: NodeConfig,
  warn: (line: string) => void,
  flows?: (batch: FlowBatch) => void,
): Promise<RunningNode> {
  const control = new Int32Array(new SharedArrayBuffer(4 * CONTROL.WORDS));
  const worker = new Worker(new URL('./node-worker.js', import.meta.url), {
    workerData: { config, control },
  });
  return new Promise((started, refused) => {
    let last: RunningStats | undefined;
    let wakeFd = -1;
    const ended = new Promise<RunningStats>((resolve, reject) => {
      const fail = (error: Error) => {
        refused(error);
        reject(error);
      };
      const set = (word: number) => {
        Atomics.store(control, word, 1);
        if (wakeFd >= 0) wakePoller(wakeFd);
      };
      worker.on('message', (message: WorkerMessage) => {
        switch (message.kind) {
          case 'ready':
            wakeFd = message.wakeFd;
            started({
              facts: message.facts,
              stats: () => last,
              reload: () => set(CONTROL.RELOAD),
              changed: () => set(CONTROL.CHANGED),
              stop: () => set(CONTROL.STOP),
              ended,
            });
            break;
          case 'stats':
            last = message.stats;
            break;
          case 'warn':
            warn(message.line);
            break;
          case 'flows':
            flows?.(message.batch);
            Atomics.add(control, CONTROL.FLOWS, 1);
            break;
          case 'stopped':
            wakeFd = -1;
            last = message.stats;
            resolve(message.stats);
            break;
          case 'failed':
            wakeFd = -1;
            fail(
              message.isOurs
                ? new EsplaneError('ERR_NODE', `${config.name}: ${message.message}`)
                : new Error(`${config.name}: ${message.message}`),
            );
        }
      });
      worker.on('error', fail);
      worker.on('exit', (code) =>
        fail(new EsplaneError('ERR_NODE', `${config.name}: its thread ended with ${code}`)),
      );
    });
    // Whoever started it may only look at it later.
    ended.catch(() => {});
  });
}
