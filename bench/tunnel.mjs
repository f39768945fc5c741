/**
 * `npm run bench -- tunnel`: whole tunnels between two namespaces on this host, in turn, round after round.
 *
 * iperf3 TCP with 1 and 4 streams, UDP packets/s at 64 and 1400 bytes of payload, and the round trip of small packets.
 * The yardstick is the bare veth pair under the same load.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { contenders } from './lib/contenders.mjs';
import { median } from './lib/machine.mjs';
import { makeNetwork, until } from './lib/network.mjs';

/** What is measured of each contender. */
const WHATS = ['tcp1', 'tcp4', 'udp64', 'udp1400', 'latency'];

/** @param quick one short round of one stream, for CI */
export async function tunnel({ quick = false, log }) {
  if (process.getuid() !== 0)
    return [{ bench: 'tunnel', contender: 'all', error: 'run as root: it makes namespaces' }];
  if (spawnSync('which', ['iperf3']).status !== 0)
    return [{ bench: 'tunnel', contender: 'all', error: 'no iperf3: apt-get install iperf3' }];
  const net = makeNetwork();
  const results = new Map();
  try {
    const rounds = quick ? 1 : 3;
    const seconds = quick ? 1 : 3;
    for (let round = 1; round <= rounds; round++) {
      for (const { name, start } of contenders()) {
        log(`  round ${round} of ${rounds}: ${name}`);
        const seen = results.get(name) ?? { name };
        results.set(name, seen);
        if (seen.error) continue;
        try {
          const running = await start(net);
          try {
            await measure(net, running, seen, seconds, quick);
          } finally {
            await running.stop();
          }
        } catch (error) {
          seen.error = error.message.trim().split('\n').at(-1);
        }
      }
    }
  } finally {
    net.remove();
  }
  return rowsOf([...results.values()]);
}

async function measure(net, { to, from }, seen, seconds, quick) {
  const keep = (what, value) => {
    seen[what] = [...(seen[what] ?? []), value];
  };
  // The first packets pay for addresses and compilers: they are not counted, and they show that it works.
  net.run(0, 'ping', '-c', '3', '-i', '0.2', '-W', '5', '-I', from, to);
  const server = net.start(1, ['iperf3', '-s', '-B', to]);
  try {
    await until(() => net.run(1, 'ss', '-tln').includes(':5201'), 5000, 'iperf3 -s');
    const iperf = (...args) => JSON.parse(net.run(0, 'iperf3', '-J', '-c', to, '-B', from, ...args));
    const tcp = (streams) =>
      iperf('-O', '1', '-t', String(seconds), '-P', String(streams)).end.sum_received.bits_per_second / 1e9;
    const udp = (length) => {
      const { end } = iperf('-u', '-b', '0', '-l', String(length), '-t', String(seconds));
      const { packets, lost_packets: lost } = end.sum;
      return (packets - lost) / seconds;
    };
    keep('tcp1', tcp(1));
    if (quick) return;
    keep('tcp4', tcp(4));
    keep('udp64', udp(64));
    keep('udp1400', udp(1360));
    keep('latency', roundTrips(net, from, to));
  } finally {
    server.kill('SIGTERM');
    await new Promise((resolve) => server.once('close', resolve));
  }
}

/** Round trips of 300 pings, ms, without other load. */
function roundTrips(net, from, to) {
  const text = net.run(0, 'ping', '-c', '300', '-i', '0.005', '-I', from, to);
  return [...text.matchAll(/time=([\d.]+)/g)].map(([, ms]) => Number(ms));
}

function rowsOf(results) {
  const rows = [];
  const yard = results[0];
  for (const seen of results) {
    const base = { bench: 'tunnel', contender: seen.name };
    if (seen.error) {
      rows.push({ ...base, error: seen.error });
      continue;
    }
    for (const what of WHATS) {
      const values = seen[what];
      if (!values) continue;
      if (what === 'latency') {
        const sorted = values.flat().sort((a, b) => a - b);
        const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
        rows.push({ ...base, what, p50ms: at(0.5), p99ms: at(0.99) });
        continue;
      }
      const unit = what.startsWith('tcp') ? 'gbps' : 'packetsPerSecond';
      const round = (value) => (unit === 'gbps' ? Number(value.toFixed(3)) : Math.round(value));
      // Each round beside the yardstick of the same round: this machine changes its speed from minute to minute.
      const ratios = values.map((value, k) => value / yard[what][k]);
      rows.push({
        ...base,
        what,
        [unit]: round(median(values)),
        min: round(Math.min(...values)),
        max: round(Math.max(...values)),
        ratio: Number(median(ratios).toFixed(3)),
      });
    }
  }
  return rows;
}
