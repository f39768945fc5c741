/**
 * `npm run bench -- decrypt`: `esplane decrypt` beside tshark, on the same synthetic captures.
 *
 * Both check every ICV. tshark prints one field a packet, esplane prints nothing (`-q`), one line, or JSON.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeEspSa } from '../dist/inspect/esp-sa.js';
import { captureSa, writeEspCapture } from './lib/esp-capture.mjs';
import { median } from './lib/machine.mjs';
import { measure } from './lib/process.mjs';

const SIZE = 1400;
const ROUNDS = 3;
const CLI = new URL('../dist/cli/main.js', import.meta.url).pathname;

/** Runs all contenders in turn and returns one row for each. */
export async function capture({ packets = 200_000, log }) {
  const folder = mkdtempSync(join(tmpdir(), 'esplane-bench-'));
  try {
    const rows = [];
    for (const count of [packets / 4, packets]) {
      log(`making a capture of ${count} packets of ${SIZE} bytes`);
      writeEspCapture(folder, count, SIZE);
      rows.push(...(await race(folder, count, log)));
    }
    return rows;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function race(folder, packets, log) {
  const wire = `${folder}/wire.pcap`;
  const sas = ['--xfrm-state', `${folder}/state.txt`];
  const esplane = (...flags) => [process.execPath, [CLI, 'decrypt', wire, ...sas, ...flags]];
  const contenders = [
    { name: 'tshark esp.icv_good', run: ['tshark', tsharkArgs(wire)] },
    { name: 'esplane decrypt -q', run: esplane('-q') },
    { name: 'esplane decrypt', run: esplane() },
    { name: 'esplane decrypt --json', run: esplane('--json') },
    { name: 'esplane decrypt --crypto noble -q', run: esplane('--crypto', 'noble', '-q') },
  ].map((contender) => ({ ...contender, seconds: [], peaks: [] }));
  const hasTshark = spawnSync('tshark', ['--version']).status === 0;
  if (hasTshark) agree(contenders, packets);
  for (let round = 0; round < ROUNDS; round++) {
    for (const contender of contenders) {
      if (contender.run[0] === 'tshark' && !hasTshark) continue;
      log(`round ${round + 1}: ${contender.name}, ${packets} packets`);
      const { seconds, peakMiB } = await measure(...contender.run);
      contender.seconds.push(seconds);
      contender.peaks.push(peakMiB);
    }
  }
  const rateOf = ({ seconds }) => packets / median(seconds);
  const yardstick = contenders[0];
  return contenders.map((contender) => {
    const row = { bench: 'decrypt', contender: contender.name, packets, size: SIZE };
    if (contender.seconds.length === 0)
      return { ...row, missing: 'tshark is not installed: apt-get install tshark' };
    return {
      ...row,
      packetsPerSecond: Math.round(rateOf(contender)),
      min: Math.round(packets / Math.max(...contender.seconds)),
      max: Math.round(packets / Math.min(...contender.seconds)),
      gbps: Number(((rateOf(contender) * SIZE * 8) / 1e9).toFixed(2)),
      peakMiB: Math.round(Math.max(...contender.peaks)),
      ratio: hasTshark ? Number((rateOf(contender) / rateOf(yardstick)).toFixed(2)) : null,
    };
  });
}

function tsharkArgs(wire) {
  const line = writeEspSa([captureSa()], { showKeys: true }).trim();
  return [
    ...['-r', wire, '-o', 'esp.enable_encryption_decode:TRUE', '-o', 'esp.enable_authentication_check:TRUE'],
    ...[
      '-o',
      'esp.do_esp_sequence_analysis:FALSE',
      '-o',
      `uat:esp_sa:${line}`,
      '-T',
      'fields',
      '-e',
      'esp.icv_good',
    ],
  ];
}

/** Nothing is timed before both have opened every packet. */
function agree([tshark, , lines], packets) {
  const run = ([command, args]) => spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 30 }).stdout;
  const good = run(tshark.run)
    .split('\n')
    .filter((line) => line === '1' || line === 'True').length;
  const opened = run(lines.run)
    .split('\n')
    .filter((line) => / IP 10\.0\.1\.10\.1234 > 10\.0\.2\.20\.5678: UDP/.test(line)).length;
  if (good !== packets || opened !== packets) {
    throw new Error(
      `the contenders do not agree: of ${packets} packets tshark opened ${good}, esplane ${opened}`,
    );
  }
}
