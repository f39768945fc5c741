/**
 * `npm run bench -- wire|replay|codec|decrypt|tunnel [--json] [--quick] [--save]`
 *
 * Rows go to standard output, as a table or, with `--json`, one object a line; progress goes to standard error.
 * `--save` also writes `bench/results/NAME.json` with the machine's facts.
 * @module
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { codec } from './codec.mjs';
import { decrypt } from './decrypt.mjs';
import { machine } from './lib/machine.mjs';
import { replay } from './replay.mjs';
import { tunnel } from './tunnel.mjs';
import { wire } from './wire.mjs';

const BENCHES = { wire, replay, codec, decrypt, tunnel };

const flags = new Set(process.argv.slice(2).filter((word) => word.startsWith('--')));
const names = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const unknown = [
  ...names.filter((name) => !(name in BENCHES)),
  ...[...flags].filter((flag) => !['--json', '--quick', '--save', '--help'].includes(flag)),
];

if (flags.has('--help') || unknown.length > 0) {
  const usage = `usage: npm run bench -- [${Object.keys(BENCHES).join('|')}] [--json] [--quick] [--save]`;
  console.error(unknown.length > 0 ? `unknown: ${unknown.join(' ')}\n${usage}` : usage);
  process.exit(unknown.length > 0 ? 2 : 0);
}
if (!existsSync(new URL('../dist/index.js', import.meta.url))) {
  console.error('There is no dist/: run npm run build first.');
  process.exit(2);
}

for (const name of names.length > 0 ? names : Object.keys(BENCHES)) {
  console.error(`bench ${name} …`);
  const quick = flags.has('--quick');
  const rows = await BENCHES[name]({ quick, log: console.error, ...(quick && { packets: 20_000 }) });
  if (flags.has('--json')) for (const row of rows) console.log(JSON.stringify(row));
  else printTable(rows);
  if (flags.has('--save')) {
    const folder = new URL('./results/', import.meta.url);
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      new URL(`${name}.json`, folder),
      `${JSON.stringify({ machine: machine(), rows }, null, 1)}\n`,
    );
  }
}

function printTable(rows) {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter(
    (column) => column !== 'bench',
  );
  const cells = [columns, ...rows.map((row) => columns.map((column) => String(row[column] ?? '-')))];
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i].length)));
  for (const line of cells)
    console.log(
      line
        .map((cell, i) => cell.padEnd(widths[i]))
        .join('  ')
        .trimEnd(),
    );
}
