// Runs the examples of README.md and puts their real output between the marks, and the saved figures of the benchmarks
// there and into bench/README.md: `node scripts/readme.mjs`, or `node scripts/readme.mjs SECTION…` for some examples.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { goalsTable } from './goals.mjs';
import { tunnelPicture } from './picture.mjs';

const root = new URL('../', import.meta.url);
const native = 'pcaps/linux-6.1/native-v4';
const faults = 'pcaps/linux-6.1/faults-esn';

/** Columns of a command that still fit a page. */
const MOST_COLUMNS = 110;

const MAIN = new URL('dist/cli/main.js', root).pathname;

function run(args, lines, folder = '') {
  const { stdout, stderr, status } = spawnSync('node', [MAIN, ...args], {
    cwd: new URL(folder, root),
    encoding: 'utf8',
  });
  // An example that fails is no example.
  if (status !== 0) throw new Error(`esplane ${args.join(' ')} ended with ${status}: ${stderr.trim()}`);
  const text = lines(stdout.trimEnd().split('\n'), stderr.trimEnd().split('\n'));
  const cd = folder === '' ? '' : `    $ cd ${folder}\n`;
  return `${cd}    $ ${folded(['npx', 'esplane', ...args])}\n${text.map((line) => `    ${line}`.trimEnd()).join('\n')}`;
}

/** A command in lines that fit a page, options with their values. */
function folded(words) {
  const lines = [''];
  for (const part of words.join(' ').split(/ (?=--)/)) {
    const line = `${lines.at(-1)} ${part}`.trimStart();
    if (line.length > MOST_COLUMNS && lines.at(-1) !== '') lines.push(part);
    else lines[lines.length - 1] = line;
  }
  return lines.join(' \\\n        ');
}

const sources = (folder) => ['--keys', `${folder}/keys`, '--nodes', `${folder}/ciliumnodes.json`];
const staleBootId = [
  ...['--keys', 'keys', '--nodes', 'nodes.old.json', '--nodes', 'nodes.json'],
  ...['--xfrm-state', 'stale-boot-id.n2.xfrm_state.txt', '--xfrm-state', 'stale-boot-id.n1.xfrm_state.txt'],
];
const ENGINES = ['ipsec-mb', 'openssl', 'node', 'noble'];

/** `bench/results/NAME.json`; of a benchmark that was not saved yet, no rows. */
function results(name) {
  const file = new URL(`bench/results/${name}.json`, root);
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { rows: [] };
}
const rowsOf = (name) => results(name).rows;

const thousands = (n) => n.toLocaleString('en-US');

/** A race of whole tunnels: one row a contender. */
function raceTable({ rows }) {
  const COLUMNS = [
    ['tcp1', 'TCP, 1 stream, Gbit/s', (r) => `${r.gbps} (${r.ratio})`],
    ['tcp4', 'TCP, 4 streams', (r) => `${r.gbps} (${r.ratio})`],
    ['tcp16', 'TCP, 16 streams', (r) => `${r.gbps} (${r.ratio})`],
    ['udp64', 'UDP packets/s, 64 bytes', (r) => `${thousands(r.packetsPerSecond)} (${r.ratio})`],
    ['udp64gso', '64 bytes by GSO', (r) => `${thousands(r.packetsPerSecond)} (${r.ratio})`],
    ['udp1400', '1400 bytes', (r) => `${thousands(r.packetsPerSecond)} (${r.ratio})`],
    ['tcp1', 'CPU ms/Gbit, 1 stream', (r) => r.cpuMsPerGbit ?? '-'],
    ['latency', 'ping p50 / p99 ms', (r) => `${r.p50ms} / ${r.p99ms}`],
    ['latencyHalfLoad', 'at half load', (r) => `${r.p50ms} / ${r.p99ms}`],
  ].filter(([what]) => rows.some((row) => row.what === what));
  return [
    `| | ${COLUMNS.map(([, title]) => title).join(' | ')} |`,
    `|---|${'---|'.repeat(COLUMNS.length)}`,
    ...[...new Set(rows.map((row) => row.contender))].map((name) => {
      const own = rows.filter((row) => row.contender === name);
      const error = own.find((row) => row.error)?.error;
      const cells = COLUMNS.map(([what, , text], k) => {
        if (error) return k === 0 ? error : '';
        const row = own.find((r) => r.what === what);
        return row ? text(row) : '-';
      });
      const version = own.find((row) => row.version)?.version;
      return `| ${name}${version ? ` ${version}` : ''} | ${cells.join(' | ')} |`;
    }),
  ];
}

function captureTable({ rows }) {
  return [
    '| | packets | packets/s | Gbit/s | peak memory | to tshark |',
    '|---|---|---|---|---|---|',
    ...rows.map((r) =>
      r.error
        ? `| ${r.contender} | ${thousands(r.packets)} | ${r.error} | | | |`
        : `| ${r.contender} | ${thousands(r.packets)} | ${thousands(r.packetsPerSecond)} (${thousands(r.min)} to ${thousands(r.max)}) | ${r.gbps} | ${r.peakMiB} MiB | ${r.ratio} |`,
    ),
  ];
}

/** One SA, batches of 64. */
function codecTable({ rows }) {
  return [
    `| bytes | ${ENGINES.flatMap((engine) => [`${engine} seal`, `${engine} open`]).join(' | ')} |`,
    `|---|${'---|'.repeat(ENGINES.length * 2)}`,
    ...[...new Set(rows.map((r) => r.size))].map((size) => {
      const cell = (engine, op) => {
        const r = rows.find(
          (row) =>
            row.size === size && row.engine === engine && row.op === op && row.batch === 64 && row.sas === 1,
        );
        return r ? `${thousands(Math.round(r.nsPerPacket))} (${r.ratio})` : '-';
      };
      return `| ${size} | ${ENGINES.flatMap((engine) => [cell(engine, 'seal'), cell(engine, 'open')]).join(' | ')} |`;
    }),
  ];
}

/** The figures, as `npm run bench -- all --save` left them. */
function figures() {
  const [capture, tunnel, xfrm, codec] = ['capture', 'tunnel', 'xfrm', 'codec'].map(results);
  const { machine: m } = tunnel;
  const command = ({ machine }) => (machine ? `\`${machine.command}\`, ${machine.date}` : 'not measured yet');
  const note = xfrm.rows.find((row) => row.note)?.note;
  return [
    `${m.cpu}, ${m.cores} cores, ${m.kernel}, Node ${m.node.slice(1)}, OpenSSL ${m.openssl}.`,
    'Absolute figures move from minute to minute on this machine; the ratio is what counts.',
    '',
    '![Bars: TCP throughput of esplane, wireguard-go and strongSwan beside the bare veth pair](bench/results/tunnel.svg)',
    '',
    ...goalsTable(rowsOf),
    '',
    `**Tunnels** (${command(tunnel)}; two namespaces joined by veth;\nin brackets, the ratio to the bare veth of the same round):`,
    '',
    ...raceTable(tunnel),
    '',
    `**The kernel's xfrm** (${command(xfrm)};\n${note ? `${note};\n` : ''}in brackets, the ratio to kernel xfrm):`,
    '',
    ...raceTable(xfrm),
    '',
    `**Captures** (${command(capture)}; AES-128-GCM, packets of 1400 bytes, every ICV checked):`,
    '',
    ...captureTable(capture),
    '',
    `**Encapsulation and decapsulation** (${command(codec)};\nnanoseconds a packet, one SA, batches of 64; in brackets, the ratio to the bare cipher):`,
    '',
    ...codecTable(codec),
  ].join('\n');
}

const sections = {
  decrypt: () =>
    run(['decrypt', `${faults}/wire.pcap`, ...sources(faults)], (out, err) => [
      '…',
      ...out.slice(52, 56),
      '…',
      ...out.slice(59, 61),
      '…',
      ...err,
    ]),
  diagnose: () => run(['diagnose', 'stale-boot-id.sysdump.zip'], (out) => out, 'pcaps/diagnose/'),
  secret: () =>
    run(
      ['diagnose', 'nodes.old.json', 'keys', 'stale-boot-id.sysdump.zip'],
      (out) => ['…', ...out.slice(2, out.indexOf('', 2)), '…'],
      'pcaps/diagnose/',
    ),
  explain: () =>
    run(
      ['explain', `${faults}/wire.pcap`, '--frame', '55', '--brief', '--width', '100', ...sources(faults)],
      (out) => {
        const esp = out.findIndex((line) => line.includes(' ESP: '));
        const inner = out.findIndex((line) => line.includes('Decrypted, '));
        return [...out.slice(0, 2), '…', ...out.slice(esp, inner + 2), '…', ...out.slice(-5)];
      },
    ),
  sas: () => run(['sas', ...sources(native)], (out) => out.slice(0, 5)),
  figures,
  run: () => run(['run', 'examples/rotation-old-order.yaml'], (out) => out),
  flows: () =>
    run(['run', 'examples/replay.yaml', '--flows', '-', '--flows-format', 'compact'], (out) => [
      ...out.slice(0, 3),
      '…',
      out.find((line) => line.includes(' DROPPED ')),
      '…',
    ]),
  demo: () => run(['demo', '--no-write'], (out) => out),
};

/** Of docs/diagnose.md. */
const capture = () =>
  run(['diagnose', 'stale-boot-id.pcap', ...staleBootId], (out) => out, 'pcaps/diagnose/');
const goals = () => goalsTable(rowsOf).join('\n');

const wanted = process.argv.slice(2);
if (wanted.length > 0) {
  const ofReadme = wanted.filter((name) => name !== 'capture');
  fill('README.md', Object.fromEntries(ofReadme.map((name) => [name, sections[name]])));
  if (ofReadme.length < wanted.length) fill('docs/diagnose.md', { capture });
} else {
  writeFileSync(new URL('bench/results/tunnel.svg', root), tunnelPicture(results('tunnel')));
  fill('README.md', sections);
  fill('bench/README.md', { goals });
  fill('docs/diagnose.md', { capture });
}

function fill(name, made) {
  let text = readFileSync(new URL(name, root), 'utf8');
  for (const [section, make] of Object.entries(made)) {
    const marks = new RegExp(`(<!-- begin: ${section} -->\\n)[\\s\\S]*?(<!-- end: ${section} -->)`);
    text = text.replace(marks, (_, begin, end) => `${begin}\n${make()}\n\n${end}`);
  }
  writeFileSync(new URL(name, root), text);
}
