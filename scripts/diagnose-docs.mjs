// Writes the tables of docs/diagnose.md from the drop table and the table of findings: `node scripts/diagnose-docs.mjs`.
// `--check` only says whether they are as they should be (test/inspect/diagnose/docs.test.ts).
import { readFileSync, writeFileSync } from 'node:fs';
import { counterPages, findingPages } from '../dist/inspect/diagnose/pages.js';

const FILE = new URL('../docs/diagnose.md', import.meta.url);

/** A finding a heading, so that each can be linked to. */
function findings() {
  return findingPages()
    .flatMap(({ title, paragraphs: [means, ...others] }) => [
      `### ${title}`,
      '',
      `*${means.label}.* ${means.text}`,
      '',
      ...others.flatMap(({ label, text }) => [`**${label}:** ${text}`, '']),
    ])
    .join('\n')
    .trimEnd();
}

/** A counter a heading; several reasons raise one. */
function counters() {
  return counterPages()
    .flatMap(({ title, paragraphs }) => [
      `### ${title}`,
      '',
      ...paragraphs.map(({ label, text }) => `- ${label === undefined ? '' : `\`${label}\`: `}${text}`),
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
