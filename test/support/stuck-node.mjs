/**
 * A node whose thread that carries packets hangs: `stuck-node.mjs CONFIG`. Half a second after it has begun it computes
 * without end or, where FIFO is in the environment, waits in the kernel for a writer of that, as a driver that hangs would.
 * Everything else is the built `esplane node`: signals, status socket, the other threads.
 */
import { openSync } from 'node:fs';
import { isMainThread, workerData } from 'node:worker_threads';
import { readNodeConfig } from '../../dist/cli/node-config.js';
import { NodeObservers } from '../../dist/cli/node-observers.js';
import { nodeThread } from '../../dist/cli/node-thread.js';
import { onSignals } from '../../dist/cli/signals.js';
import { startNode } from '../../dist/cli/start-node.js';

if (isMainThread) await main();
else await hangingThread();

async function main() {
  const warn = (line) => console.error(line);
  const config = await readNodeConfig(process.argv[2]);
  const observers = await NodeObservers.open(config, undefined, '0', warn);
  const stopping = new AbortController();
  onSignals({ stop: () => stopping.abort() });
  const node = await startNode(config, warn, { worker: new URL(import.meta.url), signal: stopping.signal });
  observers.watch(node);
  console.log('ready');
  await node.ended;
  await observers.close();
  console.log('ended');
  process.exit();
}

async function hangingThread() {
  if (!workerData.config) throw new Error('a worker of startNode');
  let reports = 0;
  await nodeThread(() => {
    if (++reports < 3) return;
    if (process.env.FIFO) openSync(process.env.FIFO, 'r');
    for (;;);
  });
}
