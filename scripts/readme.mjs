// Runs the examples of README.md and puts their real output between the marks: `node scripts/readme.mjs`.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const root = new URL('../', import.meta.url);
const native = 'pcaps/linux-6.1/native-v4';
const faults = 'pcaps/linux-6.1/faults-esn';

function run(args, lines) {
  const { stdout, stderr } = spawnSync('node', ['dist/cli/main.js', ...args], {
    cwd: root,
    encoding: 'utf8',
  });
  const text = lines(stdout.trimEnd().split('\n'), stderr.trimEnd().split('\n'));
  return `    $ npx esplane ${args.join(' ')}\n${text.map((line) => `    ${line}`.trimEnd()).join('\n')}`;
}

const sources = (folder) => ['--keys', `${folder}/keys`, '--nodes', `${folder}/ciliumnodes.json`];
const ENGINES = ['ipsec-mb', 'openssl', 'node', 'noble'];

/** The race of whole tunnels: one row a contender. */
function tunnelTable({ machine, rows }) {
  const names = [...new Set(rows.map((row) => row.contender))];
  const of = (name, what) => rows.find((row) => row.contender === name && row.what === what);
  const rate = (row, unit) => (row ? `${row[unit].toLocaleString('en-US')} (${row.ratio})` : '-');
  return [
    `\`${machine.command}\` (two namespaces on these two cores, joined by veth; in brackets, the ratio to the bare veth of the same round; ping, no other load):`,
    '',
    '| | TCP, 1 stream, Gbit/s | TCP, 4 streams | UDP packets/s, 64 bytes | 1400 bytes | ping p50 / p99 ms |',
    '|---|---|---|---|---|---|',
    ...names.map((name) => {
      const error = rows.find((row) => row.contender === name && row.error)?.error;
      if (error) return `| ${name} | ${error} | | | | |`;
      const ping = of(name, 'latency');
      return `| ${name} | ${rate(of(name, 'tcp1'), 'gbps')} | ${rate(of(name, 'tcp4'), 'gbps')} | ${rate(of(name, 'udp64'), 'packetsPerSecond')} | ${rate(of(name, 'udp1400'), 'packetsPerSecond')} | ${ping ? `${ping.p50ms} / ${ping.p99ms}` : '-'} |`;
    }),
  ];
}

/** Tables of the results that `npm run bench -- … --save` wrote. */
function figures() {
  const read = (name) => JSON.parse(readFileSync(new URL(`bench/results/${name}.json`, root), 'utf8'));
  const decrypt = read('decrypt');
  const codec = read('codec');
  const thousands = (n) => n.toLocaleString('en-US');
  const { machine: m } = decrypt;
  return [
    `Measured on ${m.date}: ${m.cpu}, ${m.cores} cores, ${m.kernel}, Node ${m.node.slice(1)}, OpenSSL ${m.openssl}, tshark ${m.tshark}.`,
    'Absolute figures move from minute to minute on this machine; the ratio is what counts.',
    '',
    `\`${m.command}\` (AES-128-GCM, packets of 1400 bytes, every ICV checked, median of the rounds, in turn):`,
    '',
    '| | packets | packets/s | Gbit/s | peak memory | to tshark |',
    '|---|---|---|---|---|---|',
    ...decrypt.rows.map(
      (r) =>
        `| ${r.contender} | ${thousands(r.packets)} | ${thousands(r.packetsPerSecond)} (${thousands(r.min)} to ${thousands(r.max)}) | ${r.gbps} | ${r.peakMiB} MiB | ${r.ratio} |`,
    ),
    '',
    ...tunnelTable(read('tunnel')),
    '',
    `\`${codec.machine.command}\` (one SA, batches of 64, nanoseconds a packet; in brackets, the ratio to the bare cipher):`,
    '',
    `| bytes | ${ENGINES.flatMap((engine) => [`${engine} seal`, `${engine} open`]).join(' | ')} |`,
    `|---|${'---|'.repeat(ENGINES.length * 2)}`,
    ...[...new Set(codec.rows.map((r) => r.size))].map((size) => {
      const cell = (engine, op) => {
        const r = codec.rows.find(
          (row) =>
            row.size === size && row.engine === engine && row.op === op && row.batch === 64 && row.sas === 1,
        );
        return r ? `${thousands(Math.round(r.nsPerPacket))} (${r.ratio})` : '-';
      };
      return `| ${size} | ${ENGINES.flatMap((engine) => [cell(engine, 'seal'), cell(engine, 'open')]).join(' | ')} |`;
    }),
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
  sas: () => run(['sas', ...sources(native)], (out) => out.slice(0, 5)),
  figures,
  demo: () => run(['demo', '--no-write'], (out) => out),
};

let text = readFileSync(new URL('README.md', root), 'utf8');
for (const [name, make] of Object.entries(sections)) {
  const marks = new RegExp(`(<!-- begin: ${name} -->\\n)[\\s\\S]*?(<!-- end: ${name} -->)`);
  text = text.replace(marks, (_, begin, end) => `${begin}\n${make()}\n\n${end}`);
}
writeFileSync(new URL('README.md', root), text);
