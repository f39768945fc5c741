/**
 * The control thread of one running node: see `node-threads.ts`.
 * @module
 */
import { parentPort, workerData } from 'node:worker_threads';
import { NodeControl } from './node-control.ts';
import { type ControlMessage, failureOf, type ThreadData, type ToControl } from './node-threads.ts';

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
