/**
 * The thread of one running node. The loop blocks it; whoever started it has the main thread for people.
 * @module
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { NodeConfig } from './node-config.ts';
import { runNode } from './running-node.ts';
import type { WorkerMessage } from './start-node.ts';

const { config, control } = workerData as { config: NodeConfig; control: Int32Array };
const post = (message: WorkerMessage) => parentPort!.postMessage(message);

try {
  const stats = await runNode(config, control, {
    ready: (facts, wakeFd) => post({ kind: 'ready', facts, wakeFd }),
    stats: (now) => post({ kind: 'stats', stats: now }),
    warn: (line) => post({ kind: 'warn', line }),
    flows: (batch) => parentPort!.postMessage({ kind: 'flows', batch } satisfies WorkerMessage, [batch.rows]),
  });
  post({ kind: 'stopped', stats });
} catch (error) {
  const { message, code } = error as Error & { code?: string };
  post({ kind: 'failed', message, isOurs: code?.startsWith('ERR_') ?? false });
}
