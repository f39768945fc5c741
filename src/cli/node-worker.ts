/**
 * The thread of one running node. The loop blocks it; whoever started it has the main thread for people.
 *
 * It goes before others where it may: the kernel does ESP in interrupts, and a thread that waits for a processor behind
 * everything else on a busy host fills the queues on both its sides.
 * @module
 */
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import type { NodeConfig } from './node-config.ts';
import { runNode } from './running-node.ts';
import type { WorkerMessage } from './start-node.ts';

const { config, control } = workerData as { config: NodeConfig; control: Int32Array };
const post = (message: WorkerMessage) => parentPort!.postMessage(message);

/** As Open vSwitch runs its daemon. */
const NICE = -10;

try {
  // Of process 0, which on Linux is the thread that asks.
  setPriority(0, NICE);
} catch {
  // Without the right (CAP_SYS_NICE) it runs like everything else.
}

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
