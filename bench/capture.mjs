/**
 * `npm run bench -- capture`: `esplane decrypt` beside tshark, on the same synthetic captures.
 *
 * Both check every ICV. tshark prints one field a packet; esplane prints nothing (`-q`), one line, or JSON. The cipher is
 * the quickest that is here, which is the addon's, and then each of the others.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toHex } from '../dist/base/bytes.js';
import { nativeProblem } from '../dist/crypto/native.js';
import { writeEspSa } from '../dist/sa-text/esp-sa.js';
import { captureSa, innerPacket, writeEspCapture } from './lib/esp-capture.mjs';
import { median } from './lib/machine.mjs';
import { countLines, measure } from './lib/process.mjs';
import { atExit } from './lib/undo.mjs';

const SIZE = 1400;
const ROUNDS = 3;
/** Packets of the two captures: in the small one the start of a program counts, in the large one its rate. */
const PACKETS = [50_000, 500_000];
const QUICK_PACKETS = [5_000, 20_000];
/** Above this the slowest cipher sits out. */
const PATIENCE = 100_000;
const CLI = new URL('../dist/cli/main.js', import.meta.url).pathname;

/** Runs all contenders in turn and returns one row for each. */
export async function capture({ quick = false, log }) {
  const folder = mkdtempSync(join(tmpdir(), 'esplane-bench-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  const forget = atExit(remove);
  try {
    const rows = [];
    for (const packets of quick ? QUICK_PACKETS : PACKETS) {
      log(`  making a capture of ${packets} packets of ${SIZE} bytes`);
      writeEspCapture(folder, packets, SIZE);
      const contenders = contendersFor(folder, packets);
      // The large one is the small one and more of the same.
      if (rows.length === 0) await agree(contenders, folder, packets, log);
      rows.push(...(await race(contenders, packets, quick ? 1 : ROUNDS, log)));
    }
    return rows;
  } finally {
    remove();
    forget();
  }
}

function contendersFor(folder, packets) {
  const esplane = (crypto, ...flags) => {
    const engine = crypto ?? quickest();
    return {
      name: ['esplane decrypt', ...flags, ...(crypto ? ['--crypto', crypto] : [])].join(' '),
      engine,
      command: [process.execPath, CLI, 'decrypt', ...esplaneArgs(folder, engine), ...flags],
      error: ['ipsec-mb', 'openssl'].includes(engine) ? nativeProblem(engine) : undefined,
    };
  };
  const contenders = [
    {
      name: 'tshark esp.icv_good',
      command: ['tshark', ...tsharkArgs(folder, 'esp.icv_good')],
      error:
        spawnSync('tshark', ['--version']).status === 0 ? undefined : 'no tshark: apt-get install tshark',
    },
    esplane(undefined, '-q'),
    esplane(undefined),
    esplane(undefined, '--json'),
    esplane('openssl', '-q'),
    esplane('node', '-q'),
    ...(packets <= PATIENCE ? [esplane('noble', '-q')] : []),
  ];
  return contenders.map((contender) => ({ ...contender, seconds: [], peaks: [] }));
}

/** What `--crypto auto` takes. */
function quickest() {
  return ['ipsec-mb', 'openssl'].find((name) => nativeProblem(name) === undefined) ?? 'node';
}

function esplaneArgs(folder, engine) {
  return [`${folder}/wire.pcap`, '--xfrm-state', `${folder}/state.txt`, '--crypto', engine];
}

/** What makes tshark check every ICV of the capture in `folder`, and print `fields`. */
export function tsharkArgs(folder, ...fields) {
  const line = writeEspSa([captureSa()], { showKeys: true }).trim();
  const preferences = [
    'esp.enable_encryption_decode:TRUE',
    'esp.enable_authentication_check:TRUE',
    'esp.do_esp_sequence_analysis:FALSE',
    `uat:esp_sa:${line}`,
  ];
  return [
    ...['-r', `${folder}/wire.pcap`, ...preferences.flatMap((preference) => ['-o', preference])],
    ...['-T', 'fields', ...fields.flatMap((field) => ['-e', field])],
  ];
}

/** Nothing is timed before all have the bytes of every packet, and call its ICV good. */
async function agree(contenders, folder, packets, log) {
  const inner = toHex(innerPacket(SIZE));
  const all = async (name, command, isGood) => {
    log(`  every byte of every packet: ${name}`);
    const good = await countLines(command, isGood);
    if (good !== packets)
      throw new Error(
        `the contenders do not agree: ${name} opened ${good} of ${packets} packets as they were`,
      );
  };
  const [tshark, ...ours] = contenders;
  if (!tshark.error) {
    const payload = inner.slice(2 * 28);
    const command = ['tshark', ...tsharkArgs(folder, 'esp.icv_good', 'udp.payload')];
    await all('tshark', command, (line) => /^(1|True)\t/.test(line) && line.endsWith(`\t${payload}`));
  }
  for (const engine of new Set(ours.filter(({ error }) => !error).map((contender) => contender.engine))) {
    const command = [process.execPath, CLI, 'decrypt', ...esplaneArgs(folder, engine), '--json'];
    await all(`esplane, ${engine}`, command, (line) => line.includes(`"inner":"${inner}"`));
  }
}

async function race(contenders, packets, rounds, log) {
  for (let round = 1; round <= rounds; round++) {
    for (const contender of contenders) {
      if (contender.error) continue;
      log(`  round ${round} of ${rounds}: ${contender.name}, ${packets} packets`);
      const { seconds, peakMiB } = await measure(...contender.command);
      contender.seconds.push(seconds);
      contender.peaks.push(peakMiB);
    }
  }
  const [yardstick] = contenders;
  return contenders.map(({ name, engine, error, seconds, peaks }) => {
    const row = { bench: 'capture', contender: name, ...(engine && { engine }), packets, size: SIZE };
    if (error) return { ...row, error };
    const rate = packets / median(seconds);
    const ratios = seconds.map((own, k) => yardstick.seconds[k] / own);
    return {
      ...row,
      packetsPerSecond: Math.round(rate),
      min: Math.round(packets / Math.max(...seconds)),
      max: Math.round(packets / Math.min(...seconds)),
      gbps: Number(((rate * SIZE * 8) / 1e9).toFixed(2)),
      peakMiB: Math.round(Math.max(...peaks)),
      ratio: yardstick.error ? null : Number(median(ratios).toFixed(2)),
    };
  });
}
