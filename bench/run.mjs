/**
 * `npm run bench -- NAME… [--json] [--quick] [--save]`
 *
 * Rows go to standard output, as a table or, with `--json`, one object a line; progress goes to standard error.
 * `--save` also writes `bench/results/NAME.json` with the machine's facts.
 * @module
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { machine } from './lib/machine.mjs';

const NAMES = [
  'wire',
  'replay',
  'codec',
  'agent',
  'sim',
  'observe',
  'capture',
  'diagnose',
  'tunnel',
  'xfrm',
  'steady',
];
const USAGE = `usage: npm run bench -- ${NAMES.join('|')}|all … [--json] [--quick] [--save]

  --json         one object a line
  --quick        less of everything, to see that it runs
  --save         write bench/results/NAME.json; then: node scripts/readme.mjs
  --only TEXT    tunnel: contenders whose name has this in it, and the yardstick
  --minutes N    steady: how long (default 10)

Example:
  $ npm run bench -- tunnel --only udp
  $ npm run bench -- all --save && node scripts/readme.mjs    # every figure of README.md; half an hour, as root`;

const { names, options } = readArguments();
if (!existsSync(new URL('../dist/index.js', import.meta.url))) {
  console.error('There is no dist/: run npm run build first.');
  process.exit(2);
}
for (const name of names) {
  console.error(`bench ${name} …`);
  try {
    const { [name]: run } = await import(`./${name}.mjs`);
    const rows = await run({ ...options, log: console.error });
    print(rows);
    if (rows.some(({ ok }) => ok === false)) process.exitCode = 1;
    if (options.save) save(name, rows);
  } catch (error) {
    // The others still have their turn.
    console.error(`bench ${name} failed: ${error.stack}`);
    process.exitCode = 1;
  }
}

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'boolean' },
        quick: { type: 'boolean', default: false },
        save: { type: 'boolean' },
        only: { type: 'string', default: '' },
        minutes: { type: 'string' },
        help: { type: 'boolean' },
      },
    });
    if (values.help) {
      console.error(USAGE);
      process.exit(0);
    }
    const asked = positionals.includes('all') ? NAMES : positionals;
    const unknown = asked.filter((name) => !NAMES.includes(name));
    if (unknown.length > 0) throw new Error(`unknown: ${unknown.join(' ')}`);
    if (asked.length === 0) throw new Error('which?');
    const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
    if (minutes !== undefined && !(minutes > 0)) throw new Error('--minutes: a number above 0');
    return { names: asked, options: { ...values, minutes } };
  } catch (error) {
    console.error(`${error.message}\n${USAGE}`);
    process.exit(2);
  }
}

function print(rows) {
  if (options.json) for (const row of rows) console.log(JSON.stringify(row));
  else printTable(rows);
}

function save(name, rows) {
  const folder = new URL('./results/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  const text = JSON.stringify({ machine: machine(), rows }, null, 1);
  writeFileSync(new URL(`${name}.json`, folder), `${text}\n`);
}

/** Notes stand below: they are the same for many rows. */
function printTable(rows) {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter(
    (column) => column !== 'bench' && column !== 'note',
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
  for (const note of new Set(rows.map((row) => row.note).filter(Boolean))) console.log(`(${note})`);
}
