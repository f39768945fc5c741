/**
 * A race of whole tunnels. Every contender has a pair of namespaces of its own and is started once; all of them agree
 * before anything is timed; then one figure after the other is taken, contenders in turn, round after round.
 *
 * A ratio is that of one round: this kind of machine changes its speed from minute to minute.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { agree } from './agree.mjs';
import { CannotRun } from './cannot-run.mjs';
import { compile } from './compile.mjs';
import { median } from './machine.mjs';
import { ended, makePair, sleep, until } from './network.mjs';

/** What the race itself needs. */
const PROGRAMS = {
  ip: 'iproute2',
  iperf3: 'iperf3',
  ping: 'iputils-ping',
  tcpdump: 'tcpdump',
  perl: 'perl-base',
};

const PINGS = 300;
/** Of the clock in /proc, a second: every Linux has so many. */
const TICKS = 100;
/** Seconds between two pings. */
const PING_EVERY = 0.005;

/** Datagrams that one call hands over where a sender has UDP GSO. */
const SEGMENTS = 32;

/**
 * What can be measured, by name. Each takes one sample: a list of times, or what was carried in a second (`value`) and in all
 * (`bits`).
 */
const MEASURES = {
  tcp1: { unit: 'gbps', take: (run, seconds) => tcp(run, seconds, 1) },
  tcp4: { unit: 'gbps', take: (run, seconds) => tcp(run, seconds, 4) },
  tcp16: { unit: 'gbps', take: (run, seconds) => tcp(run, seconds, 16) },
  udp64: { unit: 'packets', bytes: 64, take: (run, seconds) => udp(run, seconds, 64) },
  udp64gso: { unit: 'packets', bytes: 64, take: (run, seconds) => udp(run, seconds, 64, SEGMENTS) },
  udp1400: { unit: 'packets', bytes: 1400, take: (run, seconds) => udp(run, seconds, 1400) },
  latency: { unit: 'ms', take: pings },
  latencyHalfLoad: { unit: 'ms', take: pingsUnderLoad },
};

/**
 * @param bench name for the rows
 * @param contenders each `{ name, wire, readable, tap, start }`; the first is the yardstick unless `yardstick` says
 * @param measures `{ what, rounds, seconds }`, in the order in which they are taken
 * @returns rows `{ bench, contender, gbps, min, max, ratio, cpuMsPerGbit, what, … }`, or `{ bench, contender, error }`
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
        run.version = run.contender.version?.();
        await agree(run.pair, run.contender, run.ends);
        run.tunnel = run.pair.pids();
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
            const before = cpuMs(run.tunnel);
            const sample = await MEASURES[what].take(run, seconds);
            const cpu = cpuMs(run.tunnel) - before;
            run.samples[what] = [...(run.samples[what] ?? []), { sample, cpu }];
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
  return JSON.parse(await pair.runIn(0, ...client, ...args));
}

async function tcp(run, seconds, streams) {
  // The first second is the slow start's; the processes worked for it, too.
  const { end, intervals } = await iperf(run, '-O', '1', '-t', String(seconds), '-P', String(streams));
  const bits = intervals.reduce((sum, interval) => sum + 8 * interval.sum.bytes, 0);
  return { value: end.sum_received.bits_per_second / 1e9, bits };
}

/** Packets that arrived, a second, while the sender sends what it can. @param segments in one message */
async function udp({ pair, ends }, seconds, bytes, segments = 1) {
  const program = compile('udp-load');
  const receiver = pair.startIn(1, [program, 'receive', ends.to, String(seconds + 1)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  receiver.stdout.on('data', (text) => {
    said += text;
  });
  await until(() => said.includes('ready'), 5000, 'the receiver of UDP');
  await pair.runIn(0, program, 'send', ends.from, ends.to, ...[bytes, seconds, segments].map(String));
  await ended(receiver);
  const [packets, took] = said.split('\n')[1].split(' ').map(Number);
  if (packets < 2) throw new Error('no UDP packet arrived');
  return { value: packets / took, bits: packets * bytes * 8 };
}

/** Round trips, ms. */
async function pings({ pair, ends }) {
  const ping = ['ping', '-c', String(PINGS), '-i', String(PING_EVERY), '-I', ends.from, ends.to];
  const text = await pair.runIn(0, ...ping);
  return [...text.matchAll(/time=([\d.]+)/g)].map(([, ms]) => Number(ms));
}

/** The same while one TCP stream takes half of what the contender has. */
async function pingsUnderLoad(run) {
  const half = (median(run.samples.tcp1.map(({ sample }) => sample.value)) / 2) * 1e9;
  const load = iperf(run, '-b', String(Math.round(half)), '-t', '4');
  load.catch(() => {});
  await sleep(1000);
  const times = await pings(run);
  await load;
  return times;
}

function rowsOf(bench, { name, error, ok, samples, version }, yard) {
  const base = { bench, contender: name, ...(version !== undefined && { version }) };
  // Without all its figures a contender has none.
  if (error) return [{ ...base, error, ...(!ok && { ok }) }];
  return Object.entries(samples).map(([what, taken]) => {
    const { unit, bytes } = MEASURES[what];
    if (unit === 'ms') {
      const sorted = taken.flatMap(({ sample }) => sample).sort((a, b) => a - b);
      const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
      return { ...base, what, p50ms: at(0.5), p99ms: at(0.99), lost: taken.length * PINGS - sorted.length };
    }
    const values = taken.map(({ sample }) => sample.value);
    const gbps = (value) => Number((unit === 'gbps' ? value : (value * bytes * 8) / 1e9).toFixed(3));
    const ratios =
      yard?.error === undefined ? values.map((value, k) => value / yard.samples[what][k].sample.value) : [];
    const costs = taken.map(({ sample, cpu }) => cpu / (sample.bits / 1e9));
    return {
      ...base,
      gbps: gbps(median(values)),
      min: gbps(Math.min(...values)),
      max: gbps(Math.max(...values)),
      ratio: ratios.length > 0 ? Number(median(ratios).toFixed(4)) : null,
      what,
      rounds: values.length,
      // Where the tunnel is the kernel's, no process has its time.
      ...(costs.some((cost) => cost > 0) && { cpuMsPerGbit: Number(median(costs).toFixed(1)) }),
      ...(unit === 'packets' && { packetsPerSecond: Math.round(median(values)) }),
    };
  });
}

/** ms of CPU time, user's and system's, that processes have had so far. */
function cpuMs(pids) {
  let ticks = 0;
  for (const pid of pids) {
    try {
      // The name may hold blanks and brackets; what follows it begins with the state, field 3.
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
      ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      // it has ended
    }
  }
  return (ticks * 1000) / TICKS;
}
