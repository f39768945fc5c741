/**
 * One node of the steady-state check: the same loop as `esplane node`, in a thread of its own, which looks at its heap
 * whenever the loop reports. `node steady-node.mjs CONFIG` prints JSON lines and ends on SIGTERM.
 *
 * Lines: `{"ready":true}`; four times a second `{"at":ms,"packets":n,"heap":bytes,"rss":bytes}`; and at the end
 * `{"gcs":[ms,…]}`, when the collector ran in that thread, by the same clock.
 * @module
 */
import { writeSync } from 'node:fs';
import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { readNodeConfig } from '../../dist/cli/node-config.js';
import { CONTROL, runNode } from '../../dist/cli/running-node.js';
import { wakePoller } from '../../dist/native/system.js';

if (isMainThread) main();
else await node();

function main() {
  const control = new Int32Array(new SharedArrayBuffer(4 * CONTROL.WORDS));
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { config: readNodeConfig(process.argv[2]), control },
  });
  worker.on('message', ({ wakeFd }) => {
    process.once('SIGTERM', () => {
      Atomics.store(control, CONTROL.STOP, 1);
      wakePoller(wakeFd);
    });
    say({ ready: true });
  });
  worker.on('error', (error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}

async function node() {
  const gcs = [];
  // The loop blocks this thread: what the observer is told waits until the end.
  const observer = new PerformanceObserver((list) =>
    gcs.push(...list.getEntries().map((gc) => gc.startTime)),
  );
  observer.observe({ entryTypes: ['gc'] });
  await runNode(workerData.config, workerData.control, {
    ready: (_, wakeFd) => parentPort.postMessage({ wakeFd }),
    stats: (stats) => {
      const { used_heap_size: heap } = getHeapStatistics();
      const packets = stats.out.packets + stats.in.packets;
      say({ at: performance.now(), packets, heap, rss: process.memoryUsage.rss() });
    },
    warn: (line) => console.error(line),
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  observer.disconnect();
  say({ gcs });
}

function say(line) {
  writeSync(1, `${JSON.stringify(line)}\n`);
}
