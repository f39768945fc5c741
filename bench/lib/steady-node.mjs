/**
 * One node of the steady-state check: the same threads as `esplane node`, of which the one that carries packets looks at
 * its heap whenever it reports. `node steady-node.mjs CONFIG` prints JSON lines and ends on SIGTERM.
 *
 * Lines: `{"ready":true}`; four times a second `{"at":ms,"packets":n,"heap":bytes,"rss":bytes}`; and at the end
 * `{"gcs":[ms,…]}`, when the collector ran in that thread, by the same clock.
 * @module
 */
import { writeSync } from 'node:fs';
import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import { isMainThread } from 'node:worker_threads';
import { readNodeConfig } from '../../dist/cli/node-config.js';
import { nodeThread } from '../../dist/cli/node-thread.js';
import { startNode } from '../../dist/cli/start-node.js';

if (isMainThread) await main();
else await node();

async function main() {
  const config = await readNodeConfig(process.argv[2]);
  const running = await startNode(config, (line) => console.error(line), {
    worker: new URL(import.meta.url),
  });
  process.once('SIGTERM', () => running.stop());
  say({ ready: true });
  await running.ended;
}

async function node() {
  const gcs = [];
  // The loop blocks this thread: what the observer is told waits until the end.
  const observer = new PerformanceObserver((list) =>
    gcs.push(...list.getEntries().map((gc) => gc.startTime)),
  );
  observer.observe({ entryTypes: ['gc'] });
  await nodeThread((stats) => {
    const { used_heap_size: heap } = getHeapStatistics();
    const packets = stats.out.packets + stats.in.packets;
    say({ at: performance.now(), packets, heap, rss: process.memoryUsage.rss() });
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  observer.disconnect();
  say({ gcs });
}

function say(line) {
  writeSync(1, `${JSON.stringify(line)}\n`);
}
