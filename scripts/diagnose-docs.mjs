// Writes the tables of docs/diagnose.md from the drop table and the table of findings: `node scripts/diagnose-docs.mjs`.
// `--check` only says whether they are as they should be (test/inspect/diagnose/docs.test.ts).
import { readFileSync, writeFileSync } from 'node:fs';
import { FINDINGS } from '../dist/inspect/diagnose/table.js';
import { DROPS } from '../dist/ipsec/drop.js';

const FILE = new URL('../docs/diagnose.md', import.meta.url);

const BASES = {
  seen: 'seen',
  told: 'told',
  sa: "told where the receiver's own text is given, otherwise assumed",
};

/** A finding a heading, so that each can be linked to. */
function findings() {
  return FINDINGS.flatMap(({ code, severity, basis, means, proof, remedy }) => [
    `### ${code}`,
    '',
    `*${severity}.* ${means}`,
    '',
    `**Known by:** ${proof} Basis: ${BASES[basis]}.`,
    '',
    `**To do:** ${remedy}`,
    '',
  ])
    .join('\n')
    .trimEnd();
}

/** A counter a heading; several reasons raise one. */
function counters() {
  const byCounter = new Map();
  for (const row of DROPS) {
    const name = row.counter ?? row.elsewhere;
    byCounter.set(name, [...(byCounter.get(name) ?? []), row]);
  }
  return [...byCounter]
    .flatMap(([name, rows]) => [
      `### ${name}`,
      '',
      ...rows.map(({ reason, rule, look }) => `- \`${reason}\`: ${look} (${rule})`),
      '',
    ])
    .join('\n')
    .trimEnd();
}

const before = readFileSync(FILE, 'utf8');
let text = before;
for (const [name, make] of Object.entries({ findings, counters })) {
  const marks = new RegExp(`(<!-- begin: ${name} -->\\n)[\\s\\S]*?(<!-- end: ${name} -->)`);
  text = text.replace(marks, (_, begin, end) => `${begin}\n${make()}\n\n${end}`);
}
if (!process.argv.includes('--check')) writeFileSync(FILE, text);
else if (text !== before) {
  console.error('docs/diagnose.md is not what the tables say: node scripts/diagnose-docs.mjs');
  process.exit(1);
}
