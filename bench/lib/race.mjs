/**
 * A race of whole tunnels. Every contender has a pair of namespaces of its own and is started once; all of them agree
 * before anything is timed; then one figure after the other is taken, contenders in turn, round after round.
 *
 * A ratio is that of one round: this kind of machine changes its speed from minute to minute.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { agree } from './agree.mjs';
import { CannotRun } from './cannot-run.mjs';
import { median } from './machine.mjs';
import { makePair, sleep, until } from './network.mjs';

/** What the race itself needs. */
const PROGRAMS = {
  ip: 'iproute2',
  iperf3: 'iperf3',
  ping: 'iputils-ping',
  tcpdump: 'tcpdump',
  perl: 'perl-base',
};

const PINGS = 300;
/** Seconds between two pings. */
const PING_EVERY = 0.005;

/** Bytes of a UDP payload that make an IPv4 packet of so many bytes. */
const payload = (packet) => packet - 28;

/** What can be measured, by name. Each takes one sample: a number, or a list of times. */
const MEASURES = {
  tcp1: { unit: 'gbps', take: (run, seconds) => tcp(run, seconds, 1) },
  tcp4: { unit: 'gbps', take: (run, seconds) => tcp(run, seconds, 4) },
  udp64: { unit: 'packets', bytes: 64, take: (run, seconds) => udp(run, seconds, 64) },
  udp1400: { unit: 'packets', bytes: 1400, take: (run, seconds) => udp(run, seconds, 1400) },
  latency: { unit: 'ms', take: pings },
  latencyHalfLoad: { unit: 'ms', take: pingsUnderLoad },
};

/**
 * @param bench name for the rows
 * @param contenders each `{ name, wire, readable, tap, start }`; the first is the yardstick unless `yardstick` says
 * @param measures `{ what, rounds, seconds }`, in the order in which they are taken
 * @returns rows `{ bench, contender, gbps, min, max, ratio, what, … }`, or `{ bench, contender, error }`
 */
export async function race({ bench, contenders, yardstick = contenders[0].name, measures, log }) {
  const missing = whatIsMissing();
  if (missing) return contenders.map(({ name }) => ({ bench, contender: name, error: missing }));
  const runs = contenders.map((contender) => ({ contender, name: contender.name, samples: {} }));
  try {
    for (const run of runs) {
      log(`  ${run.name}: starts, and sends a file`);
      await attempt(run, async () => {
        run.pair = await makePair();
        run.ends = await run.contender.start(run.pair);
        await agree(run.pair, run.contender, run.ends);
        run.pair.startIn(1, ['iperf3', '-s', '-B', run.ends.to]);
        await until(
          async () => (await run.pair.runIn(1, 'ss', '-tln')).includes(':5201'),
          10_000,
          'iperf3 -s',
        );
      });
    }
    for (const { what, rounds, seconds } of measures) {
      for (let round = 1; round <= rounds; round++) {
        for (const run of runs) {
          if (run.error) continue;
          log(`  ${what}, round ${round} of ${rounds}: ${run.name}`);
          await attempt(run, async () => {
            const sample = await MEASURES[what].take(run, seconds);
            run.samples[what] = [...(run.samples[what] ?? []), sample];
          });
        }
      }
    }
  } finally {
    for (const { pair } of runs) await pair?.close();
  }
  return runs.flatMap((run) =>
    rowsOf(
      bench,
      run,
      runs.find(({ name }) => name === yardstick),
    ),
  );
}

function whatIsMissing() {
  if (process.getuid() !== 0) return 'not root: it makes namespaces';
  for (const [program, debian] of Object.entries(PROGRAMS))
    if (spawnSync('which', [program]).status !== 0) return `no ${program}: apt-get install ${debian}`;
  return undefined;
}

/** A contender that fails is out, with the reason. What this host does not have is no failure. */
async function attempt(run, act) {
  try {
    await act();
  } catch (error) {
    run.error = error.message.trim().split('\n').at(-1);
    run.ok = error instanceof CannotRun;
    await run.pair?.close();
    run.pair = undefined;
  }
}

async function iperf({ pair, ends }, ...args) {
  const client = ['iperf3', '-J', '--connect-timeout', '5000', '-c', ends.to, '-B', ends.from];
  return JSON.parse(await pair.runIn(0, ...client, ...args)).end;
}

async function tcp(run, seconds, streams) {
  // The first second is the slow start's.
  const end = await iperf(run, '-O', '1', '-t', String(seconds), '-P', String(streams));
  return end.sum_received.bits_per_second / 1e9;
}

/** Packets that arrived, a second, while the sender sends what it can. */
async function udp(run, seconds, bytes) {
  const length = payload(bytes);
  const { sum_received: got } = await iperf(run, ...`-u -b 0 -l ${length} -t ${seconds}`.split(' '));
  // Of packets sent less packets lost, those behind the last one that arrived would count as arrived.
  return got.bytes / length / got.seconds;
}

/** Round trips, ms. */
async function pings({ pair, ends }) {
  const ping = ['ping', '-c', String(PINGS), '-i', String(PING_EVERY), '-I', ends.from, ends.to];
  const text = await pair.runIn(0, ...ping);
  return [...text.matchAll(/time=([\d.]+)/g)].map(([, ms]) => Number(ms));
}

/** The same while one TCP stream takes half of what the contender has. */
async function pingsUnderLoad(run) {
  const half = (median(run.samples.tcp1) / 2) * 1e9;
  const load = iperf(run, '-b', String(Math.round(half)), '-t', '4');
  load.catch(() => {});
  await sleep(1000);
  const times = await pings(run);
  await load;
  return times;
}

function rowsOf(bench, { name, error, ok, samples }, yard) {
  const base = { bench, contender: name };
  // Without all its figures a contender has none.
  if (error) return [{ ...base, error, ...(!ok && { ok }) }];
  return Object.entries(samples).map(([what, values]) => {
    const { unit, bytes } = MEASURES[what];
    if (unit === 'ms') {
      const sorted = values.flat().sort((a, b) => a - b);
      const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
      return { ...base, what, p50ms: at(0.5), p99ms: at(0.99), lost: values.length * PINGS - sorted.length };
    }
    const gbps = (value) => Number((unit === 'gbps' ? value : (value * bytes * 8) / 1e9).toFixed(3));
    const ratios = yard?.error === undefined ? values.map((value, k) => value / yard.samples[what][k]) : [];
    return {
      ...base,
      gbps: gbps(median(values)),
      min: gbps(Math.min(...values)),
      max: gbps(Math.max(...values)),
      ratio: ratios.length > 0 ? Number(median(ratios).toFixed(4)) : null,
      what,
      rounds: values.length,
      ...(unit === 'packets' && { packetsPerSecond: Math.round(median(values)) }),
    };
  });
}
