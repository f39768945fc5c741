// Writes schema/esplane.schema.json from scripts/json-types.ts: `node scripts/json-schema.mjs`. The generator is fetched by npx, since
// it is needed seldom; test/cli/json.test.ts holds the schema against what commands print.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const GENERATOR = 'ts-json-schema-generator@2.4.0';
const root = fileURLToPath(new URL('../', import.meta.url));
const text = execFileSync(
  'npx',
  [
    '-y',
    GENERATOR,
    '--path',
    'scripts/json-types.ts',
    '--tsconfig',
    'tsconfig.json',
    '--type',
    '*',
    '--no-type-check',
  ],
  { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 },
);
const { definitions } = JSON.parse(text);
const schema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'What esplane prints with --json: docs/json.md says which command prints which definition',
  definitions: open(definitions),
};
mkdirSync(`${root}schema`, { recursive: true });
writeFileSync(`${root}schema/esplane.schema.json`, `${JSON.stringify(schema, null, 2)}\n`);

/** Fields may be added: what is not named here is allowed. */
function open(node) {
  if (Array.isArray(node)) return node.map(open);
  if (typeof node !== 'object' || node === null) return node;
  return Object.fromEntries(
    Object.entries(node)
      .filter(([key, value]) => key !== 'additionalProperties' || value !== false)
      .map(([key, value]) => [key, open(value)]),
  );
}
