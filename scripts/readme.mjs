// Runs the examples of README.md and puts their real output between the marks: `node scripts/readme.mjs`.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const root = new URL('../', import.meta.url);
const native = '../shared/captures/native-v4';
const faults = '../shared/captures/faults-esn';

function run(args, { shown = args, lines }) {
  const { stdout, stderr } = spawnSync('node', ['dist/cli/main.js', ...args], {
    cwd: root,
    encoding: 'utf8',
  });
  const text = lines(stdout.trimEnd().split('\n'), stderr.trimEnd().split('\n'));
  return `    $ esplane ${shown.join(' ')}\n${text.map((line) => `    ${line}`.trimEnd()).join('\n')}`;
}

const sources = (folder) => ['--keys', `${folder}/keys`, '--nodes', `${folder}/ciliumnodes.json`];
const shownSources = ['--keys', 'keys.yaml', '--nodes', 'nodes.json'];
const sections = {
  decrypt: () =>
    run(['decrypt', `${faults}/wire.pcap`, ...sources(faults)], {
      shown: ['decrypt', 'node-2.pcap', ...shownSources],
      lines: (out, err) => [
        ...out.slice(52, 56),
        '…',
        ...out.slice(59, 61),
        '…',
        ...err.map((line) => line.replace(`${faults}/wire.pcap`, 'node-2.pcap')),
      ],
    }),
  sas: () =>
    run(['sas', ...sources(native)], {
      shown: ['sas', ...shownSources],
      lines: (out) => out.slice(0, 5),
    }),
  demo: () => run(['demo', '--no-write'], { lines: (out) => out }),
};

let text = readFileSync(new URL('README.md', root), 'utf8');
for (const [name, make] of Object.entries(sections)) {
  const marks = new RegExp(`(<!-- begin: ${name} -->\\n)[\\s\\S]*?(<!-- end: ${name} -->)`);
  text = text.replace(marks, (_, begin, end) => `${begin}\n${make()}\n\n${end}`);
}
writeFileSync(new URL('README.md', root), text);
