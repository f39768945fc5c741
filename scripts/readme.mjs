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
    `\`${codec.machine.command}\` (one SA, batches of 32, nanoseconds a packet; in brackets, the ratio to the backend's cipher alone):`,
    '',
    '| bytes | node seal | node open | noble seal | noble open |',
    '|---|---|---|---|---|',
    ...[...new Set(codec.rows.map((r) => r.size))].map((size) => {
      const cell = (engine, op) => {
        const r = codec.rows.find(
          (row) => row.size === size && row.engine === engine && row.op === op && row.batch === 32,
        );
        return `${thousands(r.nsPerPacket)} (${r.ratio})`;
      };
      return `| ${size} | ${cell('node', 'seal')} | ${cell('node', 'open')} | ${cell('noble', 'seal')} | ${cell('noble', 'open')} |`;
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
