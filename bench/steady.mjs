/**
 * `npm run bench -- steady [--minutes N]`: does a node under load allocate for its packets, and does its memory grow?
 *
 * Two nodes, ESP in UDP, one TCP stream each way. Four times a second each node's own thread says how large its heap
 * is and how many packets it has seen. What the heap grows by between two such looks, less what it grows by without
 * load (the report itself), is what packets cost; looks with a collection between them are left out. The collector's
 * runs are counted by the thread's own observer.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { writeNode } from './lib/contenders/esplane.mjs';
import { median } from './lib/machine.mjs';
import { ended, makePair, sleep, until } from './lib/network.mjs';

const NODE = fileURLToPath(new URL('./lib/steady-node.mjs', import.meta.url));
const [FROM, TO] = ['10.244.1.1', '10.244.2.1'];
const LINK = 'udp';

/**
 * Bytes a packet. The smallest object takes 12, so less than this is not for each packet; what there is comes with each
 * turn of the loop, such as the time of day.
 */
const MOST_BYTES_PER_PACKET = 1;
/** Six seconds cannot tell memory that grows from compilers at work: `--quick` only looks for an object for each packet. */
const MOST_WHEN_QUICK = 12;
/** MiB by which the resident set may differ between the beginning and the end. */
const MOST_GROWTH = 4;

/** @param minutes of load, after the compilers are done */
export async function steady({ quick = false, minutes = quick ? 0.1 : 10, log }) {
  const missing = ['iperf3', 'ip'].find((program) => spawnSync('which', [program]).status !== 0);
  if (missing) return [{ bench: 'steady', error: `no ${missing}: apt-get install iperf3 iproute2` }];
  if (process.getuid() !== 0) return [{ bench: 'steady', error: 'not root: it makes namespaces' }];
  const seconds = minutes * 60;
  const pair = await makePair();
  try {
    const nodes = [];
    for (const i of [0, 1]) nodes.push(await startNode(pair, i));
    pair.startIn(1, ['iperf3', '-s', '-B', TO]);
    await until(async () => (await pair.runIn(1, 'ss', '-tln')).includes(':5201'), 10_000, 'iperf3 -s');
    log('  the compilers have their turn');
    await load(pair, quick ? 5 : 20);
    log('  no load');
    const idle = await watch(nodes, () => sleep(quick ? 3000 : 10_000));
    log(`  load, ${minutes} minutes`);
    let gbps;
    const busy = await watch(nodes, async () => {
      gbps = await load(pair, seconds, log);
    });
    const rows = [];
    for (const [i, node] of nodes.entries())
      rows.push(rowOf(await node.stop(), { quick, minutes, gbps, idle: idle[i], busy: busy[i] }));
    return rows;
  } finally {
    await pair.close();
  }
}

async function startNode(pair, i) {
  const child = pair.start([process.execPath, NODE, writeNode(pair, i, LINK)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = [];
  let rest = '';
  child.stdout.on('data', (bytes) => {
    const parts = (rest + bytes).split('\n');
    rest = parts.pop();
    lines.push(...parts.map((line) => JSON.parse(line)));
  });
  const gone = () => child.exitCode !== null;
  await until(() => lines.some(({ ready }) => ready) || gone(), 30_000, `node-${i + 1}`);
  if (gone()) throw new Error(`node-${i + 1} ended`);
  return {
    /** How many lines there are so far. */
    now: () => lines.length,
    /** Ends it. Returns its name, and all that it said. */
    async stop() {
      child.kill('SIGTERM');
      await ended(child);
      return { name: `node-${i + 1}`, lines };
    },
  };
}

/** Which lines of each node fall into the time that `act` takes. */
async function watch(nodes, act) {
  const from = nodes.map((node) => node.now());
  await act();
  return nodes.map((node, k) => [from[k], node.now()]);
}

/** One TCP stream each way. Returns Gbit/s, both together. */
async function load(pair, seconds, log) {
  const startedAt = Date.now();
  const timer = setInterval(() => log?.(`  ${Math.round((Date.now() - startedAt) / 1000)} s`), 60_000);
  try {
    // A client a minute: it keeps every interval in memory, and a command may not take longer.
    let bits = 0;
    for (let left = seconds; left > 0; left -= 50) {
      const part = Math.max(1, Math.min(50, Math.round(left)));
      const client = ['iperf3', '-J', '-c', TO, '-B', FROM, '--bidir', '-t', String(part)];
      const { end } = JSON.parse(await pair.runIn(0, ...client));
      bits += (end.sum_received.bits_per_second + end.sum_received_bidir_reverse.bits_per_second) * part;
    }
    return bits / seconds / 1e9;
  } finally {
    clearInterval(timer);
  }
}

function rowOf({ name, lines }, { quick, minutes, gbps, idle, busy }) {
  const looks = (part) => lines.slice(...part).filter(({ heap }) => heap !== undefined);
  const { gcs } = lines.find((line) => line.gcs !== undefined);
  const rest = growth(looks(idle), gcs);
  // What is between two loads of a minute does no harm: it has few packets.
  const under = looks(busy).slice(4);
  const work = growth(under, gcs);
  const bytesPerPacket = (work.bytes - (rest.bytes / rest.looks) * work.looks) / work.packets;
  const [first, last] = [under[0], under.at(-1)];
  const share = Math.max(1, Math.floor(under.length / 10));
  const rssAt = (part) => median(part.map(({ rss }) => rss)) / 2 ** 20;
  const early = rssAt(under.slice(share, 2 * share));
  const late = rssAt(under.slice(-share));
  const noAllocation = bytesPerPacket < (quick ? MOST_WHEN_QUICK : MOST_BYTES_PER_PACKET);
  const flat = quick || late - early < MOST_GROWTH;
  const round = (value, digits) => Number(value.toFixed(digits));
  return {
    bench: 'steady',
    node: name,
    minutes,
    gbps: round(gbps, 3),
    packets: last.packets - first.packets,
    bytesPerPacket: round(bytesPerPacket, 4),
    bytesPerReport: Math.round(rest.bytes / rest.looks),
    collections: gcs.filter((at) => at >= first.at && at <= last.at).length,
    rssEarlyMiB: round(early, 1),
    rssLateMiB: round(late, 1),
    ok: noAllocation && flat,
    verdict: [
      noAllocation ? 'no allocation per packet' : 'ALLOCATES PER PACKET',
      flat ? 'memory flat' : 'MEMORY GROWS',
    ].join(', '),
  };
}

/** What the heap grew by from look to look, where no collection came between. */
function growth(looks, gcs) {
  const sum = { bytes: 0, packets: 0, looks: 0 };
  for (let k = 1; k < looks.length; k++) {
    const [a, b] = [looks[k - 1], looks[k]];
    if (gcs.some((at) => at >= a.at && at <= b.at) || b.heap < a.heap) continue;
    sum.bytes += b.heap - a.heap;
    sum.packets += b.packets - a.packets;
    sum.looks++;
  }
  return sum;
}
