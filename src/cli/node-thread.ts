/**
 * The data-plane thread of one running node. The loop blocks it.
 *
 * It runs soon, and not more than others: the kernel does ESP in interrupts, and a thread that waits for a processor behind
 * everything else on a busy host fills the queues on both its sides. With a larger share of the processor it would fill those of
 * the programs that the packets are for.
 * @module
 */
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { addon, addonProblem } from '../native/addon.ts';
import { failureOf, type PlaneMessage, type ThreadData } from './node-threads.ts';
import { type PlaneStats, runNode } from './running-node.ts';

/** µs that it runs for at a time, and so how soon it has its turn. */
const SLICE = 200;
/** Where the kernel has no slices of this kind (before Linux 6.12), a larger share has to do. */
const NICE = -5;

/**
 * Runs the data plane in this worker until it is told to stop.
 * @param hook runs in this thread after each report of statistics, four times a second
 */
export async function nodeThread(hook?: (stats: PlaneStats) => void): Promise<void> {
  const post = (message: PlaneMessage) => parentPort!.postMessage(message);
  runSoon();
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

function runSoon(): void {
  if (addonProblem() === undefined && addon().takeSlice(SLICE) === 0) return;
  try {
    // Of process 0, which on Linux is the thread that asks.
    setPriority(0, NICE);
  } catch {
    // Without the right (CAP_SYS_NICE) it runs like everything else.
  }
}
