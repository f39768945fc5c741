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
  demo: () => run(['demo', '--no-write'], (out) => out),
};

let text = readFileSync(new URL('README.md', root), 'utf8');
for (const [name, make] of Object.entries(sections)) {
  const marks = new RegExp(`(<!-- begin: ${name} -->\\n)[\\s\\S]*?(<!-- end: ${name} -->)`);
  text = text.replace(marks, (_, begin, end) => `${begin}\n${make()}\n\n${end}`);
}
writeFileSync(new URL('README.md', root), text);
