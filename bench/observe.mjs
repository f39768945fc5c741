/**
 * `npm run bench -- observe`: what it costs to be looked at.
 *
 * Flows: two nodes in memory send each other batches, with no observer (the yardstick), with every flow recorded as
 * `--flows` has it, and with a filter that wants drops alone. Then how many flows a second the other thread makes lines of.
 * Metrics: a scrape of a node in a cluster of 1000, both families, tunnel mode.
 * @module
 */
import { Agent } from '../dist/cilium/agent.js';
import { planAgent } from '../dist/cilium/agent-plan.js';
import { parseKeys } from '../dist/cilium/keys.js';
import { parseNodes } from '../dist/cilium/nodes.js';
import { DEFAULT_VERSION } from '../dist/cilium/version.js';
import { makeEngine } from '../dist/cli/engine.js';
import { Batch, memoryPair, VirtualClock } from '../dist/index.js';
import { Node } from '../dist/node/node.js';
import { compactLine } from '../dist/observe/flow-compact.js';
import { FlowReader } from '../dist/observe/flow-json.js';
import { FlowObserver } from '../dist/observe/flow-observer.js';
import { FlowRecorder } from '../dist/observe/flow-recorder.js';
import { prometheusText } from '../dist/observe/prometheus.js';
import * as ipv4 from '../dist/wire/ipv4.js';
import { clusterNode, counter } from './agent.mjs';
import { innerPacket } from './lib/esp-capture.mjs';
import { median } from './lib/machine.mjs';

const KEY = `3+ rfc4106(gcm(aes)) ${'1'.repeat(40)} 128`;
const NODES = 1000;
const ROUNDS = 7;
const SIZE = 500;
const BATCH = 64;
const random = (out) => out.fill(7);
const PAIRS = [0, 1];

export async function observe({ quick, log }) {
  const rows = [];
  const add = (row) => {
    rows.push({ bench: 'observe', ...row });
    log(`  ${row.case}: ${row.packetsPerSecond ?? row.linesPerSecond ?? row.seconds}`);
  };
  await flows(quick, add);
  await scrape(quick, add);
  return rows;
}

async function flows(quick, add) {
  const engine = await makeEngine('auto');
  const clock = new VirtualClock(0);
  const recorders = {
    'nobody looks on': undefined,
    'every flow recorded': new FlowRecorder({ clock }),
    'drops alone wanted': new FlowRecorder({ clock, filter: { verdict: 'DROPPED' } }),
  };
  const contenders = Object.entries(recorders).map(([name, recorder]) => ({
    name,
    recorder,
    nodes: pair(engine, recorder),
    rates: [],
  }));
  const packets = quick ? 20_000 : 400_000;
  for (const { nodes, recorder } of contenders) carry(nodes, recorder, 20_000);
  for (let round = 0; round < (quick ? 1 : ROUNDS); round++)
    for (const { nodes, recorder, rates } of contenders) rates.push(carry(nodes, recorder, packets));
  const [alone] = contenders;
  for (const { name, rates } of contenders)
    add({
      case: `packets between two nodes, ${SIZE} bytes, ${engine.name}: ${name}`,
      packetsPerSecond: Math.round(median(rates)),
      ratio: round(median(rates.map((rate, i) => rate / alone.rates[i]))),
    });
  const recorder = recorders['every flow recorded'];
  for (const [name, format] of [
    ['JSON', JSON.stringify],
    ['compact', compactLine],
  ]) {
    const reader = new FlowReader({ random });
    const rates = [];
    for (let round = 0; round < (quick ? 2 : ROUNDS); round++) {
      carry(contenders[1].nodes, undefined, 5000);
      const batch = recorder.take();
      const start = performance.now();
      let lines = 0;
      for (const line of reader.read(batch)) lines += format(line).length > 0 ? 1 : 0;
      rates.push((lines * 1000) / (performance.now() - start));
    }
    add({ case: `flows as lines, ${name}`, linesPerSecond: Math.round(median(rates)) });
  }
}

/** Two nodes, one pod range each, joined in memory. */
function pair(engine, recorder) {
  const clock = new VirtualClock(0);
  const wire = memoryPair(clock, { mtu: 1500, queue: BATCH });
  const cluster = parseNodes(JSON.stringify(PAIRS.map(clusterNode)), 'nodes');
  const keys = parseKeys(KEY, 'keys', DEFAULT_VERSION);
  const delivered = { count: 0 };
  const nodes = PAIRS.map((i) => {
    const node = new Node({
      name: `node-${i}`,
      plan: planAgent(cluster[i], keys, cluster, new Map([[`node-${1 - i}`, 7]]), { mode: 'native' }),
      outside: i === 0 ? wire.a : wire.b,
      engine,
      clock,
      random,
      capacity: BATCH,
      ...(recorder && { observer: new FlowObserver(recorder, BATCH) }),
    });
    node.addInside('pods', cluster[i].podCidrs, {
      name: 'pods',
      medium: 'ip',
      mtu: 1500,
      send: ({ count }) => {
        delivered.count += count;
        return count;
      },
      receive() {},
      close() {},
    });
    return node;
  });
  return { nodes, clock, delivered, batch: new Batch({ capacity: BATCH }) };
}

/** Packets a second, both ways together. What was recorded is taken away as the thread of a node does. */
function carry({ nodes, clock, delivered, batch }, recorder, packets) {
  const ways = PAIRS.map((i) => {
    const packet = innerPacket(SIZE);
    packet.set([10, 100, i, 2, 10, 100, 1 - i, 2], ipv4.SRC_AT);
    ipv4.fillChecksum(packet, 0);
    return packet;
  });
  const before = delivered.count;
  const start = performance.now();
  for (let sent = 0; sent < packets; sent += 2 * BATCH) {
    for (const i of PAIRS) {
      batch.clear();
      for (let k = 0; k < BATCH; k++) batch.push(ways[i]);
      nodes[i].fromPods(batch);
    }
    clock.run();
    if (sent % (32 * BATCH) === 0) recorder?.take();
  }
  const seconds = (performance.now() - start) / 1000;
  const carried = delivered.count - before;
  if (carried < packets) throw new Error(`of ${packets} packets ${carried} arrived`);
  return carried / seconds;
}

async function scrape(quick, add) {
  const count = quick ? 100 : NODES;
  const nodes = parseNodes(JSON.stringify(Array.from({ length: count }, (_, i) => clusterNode(i))), 'nodes');
  const clock = new VirtualClock(0);
  const agent = new Agent({ local: nodes[0], mode: 'tunnel', random: counter() });
  agent.setNodes(nodes, 0);
  agent.loadKeys(KEY, 'keys', 0);
  const engine = await makeEngine('auto');
  const { a } = memoryPair(clock, { mtu: 1500 });
  const node = new Node({ name: 'node-0', plan: agent.plan, outside: a, engine, clock, random });
  const cases = { 'a report of the node': [], 'a scrape': [] };
  let bytes = 0;
  for (let round = 0; round < (quick ? 1 : ROUNDS); round++) {
    const start = performance.now();
    const stats = node.stats();
    const reported = performance.now();
    bytes = (await prometheusText({ stats })).length;
    cases['a report of the node'].push(reported - start);
    cases['a scrape'].push(performance.now() - reported);
  }
  const sas = node.sad.size;
  for (const [name, times] of Object.entries(cases))
    add({
      case: `${count} nodes, v4 and v6, tunnel: ${name}`,
      seconds: round(median(times) / 1000),
      max: round(Math.max(...times) / 1000),
      sas,
      ...(name === 'a scrape' && { mb: round(bytes / 2 ** 20) }),
    });
}

function round(x) {
  return Math.round(x * 1000) / 1000;
}
