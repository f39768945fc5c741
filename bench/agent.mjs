/**
 * `npm run bench -- agent`: an agent of a large cluster starts. All keys of all peers are derived, and a node of the
 * data plane holds the SAs, policies and routes. One core; in a thread with the limits of a running node's, which takes
 * a change of its plan in slices between batches of packets.
 * @module
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Agent } from '../dist/cilium/agent.js';
import { parseNodes } from '../dist/cilium/nodes.js';
import { THREAD_LIMITS } from '../dist/cli/start-node.js';
import { NodeEngine } from '../dist/crypto/node.js';
import { memoryPair, VirtualClock } from '../dist/index.js';
import { Node } from '../dist/node/node.js';

/** The goal: 1000 nodes, both families, tunnel mode, in 3 s and 400 MB. */
const NODES = 1000;
const GOAL_SECONDS = 3;
const GOAL_MB = 400;
/** And packets wait no longer for it than this, ms. */
const GOAL_SLICE_MS = 5;
/** What a running node gives a change of its plan between two batches, ms. */
const SLICE_MS = 0.3;
const KEY = (id, digit) => `${id}+ rfc4106(gcm(aes)) ${digit.repeat(40)} 128`;

export function agent({ quick, log }) {
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { bench: 'agent', quick },
    resourceLimits: THREAD_LIMITS,
  });
  return new Promise((resolve, reject) => {
    worker.on('error', reject);
    worker.on('message', ({ line, rows }) => (rows ? resolve(rows) : log(line)));
  });
}

if (!isMainThread && workerData?.bench === 'agent') {
  const log = (line) => parentPort.postMessage({ line });
  parentPort.postMessage({ rows: measureAll({ quick: workerData.quick, log }) });
}

function measureAll({ quick, log }) {
  const count = quick ? 100 : NODES;
  const nodes = parseNodes(JSON.stringify(Array.from({ length: count }, (_, i) => clusterNode(i))), 'nodes');
  const random = counter();
  const clock = new VirtualClock(0);
  const { a } = memoryPair(clock, { name: 'up', mtu: 1500 });
  const made = new Agent({ local: nodes[0], mode: 'tunnel', random });
  const node = new Node({
    name: 'node-0',
    plan: made.plan,
    outside: a,
    engine: new NodeEngine(),
    clock,
    random: (out) => {
      for (let i = 0; i < out.length; i++) out[i] = random() & 0xff;
    },
  });
  const rows = [];
  /** ms of each slice of the last change. */
  let slices = [];
  const measure = (what, run) => {
    const start = performance.now();
    run();
    const seconds = (performance.now() - start) / 1000;
    const mb = process.memoryUsage.rss() / 2 ** 20;
    const sas = node.sad.size;
    rows.push({
      bench: 'agent',
      case: `${count} nodes, v4 and v6, tunnel: ${what}`,
      seconds: round(seconds),
      sas,
      sasPerSecond: Math.round(sas / seconds),
      mb: Math.round(mb),
      changeMs: round(slices.reduce((sum, ms) => sum + ms, 0)),
      slices: slices.length,
      sliceP50: round(quantile(slices, 0.5)),
      sliceP99: round(quantile(slices, 0.99)),
      sliceMax: round(Math.max(...slices)),
      // At the start there are no packets yet.
      ok:
        seconds < GOAL_SECONDS &&
        mb < GOAL_MB &&
        (quick || rows.length === 0 || quantile(slices, 0.99) < GOAL_SLICE_MS),
    });
    const { changeMs, sliceP50, sliceP99, sliceMax } = rows.at(-1);
    log(`  ${what}: ${round(seconds)} s, ${sas} SAs, ${Math.round(mb)} MB`);
    log(
      `    change: ${changeMs} ms in ${slices.length} slices, p50 ${sliceP50}, p99 ${sliceP99}, longest ${sliceMax} ms`,
    );
  };
  const apply = () => {
    const change = node.changePlan(made.plan);
    slices = [];
    for (let isOver = false; !isOver; ) {
      const start = performance.now();
      const end = start + SLICE_MS;
      isOver = change.step(() => performance.now() >= end);
      slices.push(performance.now() - start);
    }
  };
  measure('starts', () => {
    made.setNodes(nodes, 0);
    made.loadKeys(KEY(3, '1'), 'keys', 0);
    apply();
  });
  measure('a new key beside the old one', () => {
    made.loadKeys(KEY(4, '2'), 'keys', 1000);
    apply();
  });
  measure('the old key reclaimed', () => {
    made.advance(600_000);
    apply();
  });
  measure('one node was rebooted', () => {
    made.setNode({ ...nodes[7], bootId: '00000000-0000-4000-8000-000000000000' }, 601_000);
    apply();
  });
  return rows;
}

/** Node `i` of the cluster, as a CiliumNode. */
export function clusterNode(i) {
  const hex = i.toString(16);
  const [hi, lo] = [i >> 8, i & 0xff];
  return {
    kind: 'CiliumNode',
    metadata: { name: `node-${i}` },
    spec: {
      addresses: [
        { type: 'InternalIP', ip: `192.168.${hi}.${lo}` },
        { type: 'InternalIP', ip: `fd07::${hex}` },
        { type: 'CiliumInternalIP', ip: `10.${100 + hi}.${lo}.1` },
        { type: 'CiliumInternalIP', ip: `fd00:10:${hex}::1` },
      ],
      bootid: `3f2a6c1e-8d4b-4e57-9a30-${hex.padStart(12, '0')}`,
      encryption: { key: 3 },
      ipam: { podCIDRs: [`10.${100 + hi}.${lo}.0/24`, `fd00:10:${hex}::/64`] },
    },
  };
}

/** Chance that repeats itself. */
export function counter() {
  let x = 1;
  return () => {
    x = (Math.imul(x, 1_103_515_245) + 12_345) >>> 0;
    return x >>> 8;
  };
}

function quantile(values, part) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}

function round(seconds) {
  return Math.round(seconds * 1000) / 1000;
}
