/**
 * The control thread of one running node: see `node-threads.ts`. It gives way to the threads that carry packets: planning
 * for a thousand nodes takes seconds.
 * @module
 */
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { NodeControl } from './node-control.ts';
import { type ControlMessage, failureOf, type ThreadData, type ToControl } from './node-threads.ts';

const NICE = 10;

// Of process 0, which on Linux is the thread that asks. Every thread may lower its own.
setPriority(0, NICE);

const post = (message: ControlMessage) => parentPort!.postMessage(message);
const control = new NodeControl(workerData as ThreadData, post);
parentPort!.on('message', (message: ToControl) => {
  control.take(message);
  if (message.kind === 'stop') parentPort!.close();
});
try {
  await control.start();
} catch (error) {
  control.stop();
  post(failureOf(error));
  parentPort!.close();
}
