/**
 * The data-plane thread of one running node. The loop blocks it.
 *
 * It goes before others where it may: the kernel does ESP in interrupts, and a thread that waits for a processor behind
 * everything else on a busy host fills the queues on both its sides.
 * @module
 */
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { failureOf, type PlaneMessage, type ThreadData } from './node-threads.ts';
import { type PlaneStats, runNode } from './running-node.ts';

/** As Open vSwitch runs its daemon. */
const NICE = -10;

/**
 * Runs the data plane in this worker until it is told to stop.
 * @param hook runs in this thread after each report of statistics, four times a second
 */
export async function nodeThread(hook?: (stats: PlaneStats) => void): Promise<void> {
  const post = (message: PlaneMessage) => parentPort!.postMessage(message);
  try {
    // Of process 0, which on Linux is the thread that asks.
    setPriority(0, NICE);
  } catch {
    // Without the right (CAP_SYS_NICE) it runs like everything else.
  }
  try {
    const stats = await runNode(workerData as ThreadData, {
      ready: (facts) => post({ kind: 'ready', facts }),
      sas: (sas) => post({ kind: 'sas', sas }),
      stats: (now) => {
        post({ kind: 'stats', stats: now });
        hook?.(now);
      },
      warn: (line) => post({ kind: 'warn', line }),
      flows: (batch) =>
        parentPort!.postMessage({ kind: 'flows', batch } satisfies PlaneMessage, [batch.rows]),
    });
    post({ kind: 'stopped', stats });
  } catch (error) {
    post(failureOf(error));
  }
}
