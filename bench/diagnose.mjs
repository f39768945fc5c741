/**
 * `npm run bench -- diagnose`: `esplane diagnose` beside tshark, which checks every ICV, and beside `esplane decrypt`, on
 * the same synthetic captures: packets a second, and peak memory by the size of the capture.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tsharkArgs } from './capture.mjs';
import { writeEspCapture } from './lib/esp-capture.mjs';
import { median } from './lib/machine.mjs';
import { measure } from './lib/process.mjs';
import { atExit } from './lib/undo.mjs';

const SIZE = 1400;
const ROUNDS = 3;
/** The large one is four times the small one: memory is not to grow with it. */
const PACKETS = [50_000, 200_000];
const QUICK_PACKETS = [5_000, 20_000];
const CLI = new URL('../dist/cli/main.js', import.meta.url).pathname;

/** Runs all contenders in turn and returns one row for each. */
export async function diagnose({ quick = false, log }) {
  const folder = mkdtempSync(join(tmpdir(), 'esplane-bench-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  const forget = atExit(remove);
  try {
    const rows = [];
    for (const packets of quick ? QUICK_PACKETS : PACKETS) {
      log(`  making a capture of ${packets} packets of ${SIZE} bytes`);
      writeEspCapture(folder, packets, SIZE);
      agree(esplane(folder, 'diagnose', '--json'), packets);
      rows.push(...(await race(folder, packets, quick ? 1 : ROUNDS, log)));
    }
    return rows;
  } finally {
    remove();
    forget();
  }
}

function esplane(folder, command, ...flags) {
  return [
    process.execPath,
    CLI,
    command,
    `${folder}/wire.pcap`,
    '--xfrm-state',
    `${folder}/state.txt`,
    ...flags,
  ];
}

async function race(folder, packets, rounds, log) {
  const hasTshark = spawnSync('tshark', ['--version']).status === 0;
  const contenders = [
    {
      name: 'tshark esp.icv_good',
      command: ['tshark', ...tsharkArgs(folder, 'esp.icv_good')],
      error: hasTshark ? undefined : 'no tshark: apt-get install tshark',
    },
    { name: 'esplane decrypt -q', command: esplane(folder, 'decrypt', '-q') },
    { name: 'esplane diagnose', command: esplane(folder, 'diagnose') },
  ].map((contender) => ({ ...contender, seconds: [], peaks: [] }));
  for (let round = 1; round <= rounds; round++) {
    for (const { name, command, error, seconds, peaks } of contenders) {
      if (error) continue;
      log(`  round ${round} of ${rounds}: ${name}, ${packets} packets`);
      const run = await measure(...command);
      seconds.push(run.seconds);
      peaks.push(run.peakMiB);
    }
  }
  const [yardstick] = contenders;
  return contenders.map(({ name, error, seconds, peaks }) => {
    const row = { bench: 'diagnose', contender: name, packets, size: SIZE };
    if (error) return { ...row, error };
    const ratios = seconds.map((own, k) => yardstick.seconds[k] / own);
    return {
      ...row,
      packetsPerSecond: Math.round(packets / median(seconds)),
      min: Math.round(packets / Math.max(...seconds)),
      max: Math.round(packets / Math.min(...seconds)),
      peakMiB: Math.round(Math.max(...peaks)),
      ratio: yardstick.error ? null : Number(median(ratios).toFixed(2)),
    };
  });
}

/** Nothing is timed before every packet was accepted, and nothing was found. */
function agree([command, ...args], packets) {
  const { stdout } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  const { streams, findings } = JSON.parse(stdout);
  if (streams[0].ok !== packets || streams[0].missing !== 0 || findings.length > 0) {
    throw new Error(`diagnose accepted ${streams[0].ok} of ${packets} packets: ${JSON.stringify(findings)}`);
  }
}
