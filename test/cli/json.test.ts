/**
 * What commands print with `--json` is what schema/esplane.schema.json says, with no field more.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { esplane, tempFolder } from '../support/cli.ts';
import { needs, SHARED, shared } from '../support/needs.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FAULTS = `${ROOT}pcaps/linux-6.1/faults-esn/`;
const VXLAN = `${ROOT}pcaps/linux-6.1/vxlan-in-esp/`;
const OLD = `${ROOT}pcaps/linux-6.1/esp-in-vxlan/`;
const CASE = `${ROOT}pcaps/diagnose/`;

/** Every object with named fields has no others. */
function closed(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(closed);
  if (typeof node !== 'object' || node === null) return node;
  const fields = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, closed(value)]));
  const isClosed = 'properties' in fields && !('additionalProperties' in fields);
  return isClosed ? { ...fields, additionalProperties: false } : fields;
}

const schema = closed(JSON.parse(readFileSync(`${ROOT}schema/esplane.schema.json`, 'utf8'))) as object;
const ajv = new Ajv({ allErrors: true, allowUnionTypes: true });
ajv.addSchema(schema, 'esplane');

/** What is wrong with a value, in a few lines. */
function faults(definition: string, value: unknown): string[] {
  const validate = ajv.getSchema(`esplane#/definitions/${definition}`)!;
  validate(value);
  return (validate.errors ?? [])
    .slice(0, 5)
    .map((error) => `${error.instancePath} ${error.message} ${JSON.stringify(error.params)}`);
}

const cluster = (folder: string) => [`${folder}keys`, `${folder}ciliumnodes.json`];
const files = (folder: string, ...names: string[]) => names.map((name) => `${folder}${name}`);
const pods = `${tempFolder()}/pods.json`;
writeFileSync(
  pods,
  JSON.stringify({ kind: 'Pod', metadata: { name: 'web' }, status: { podIP: '10.244.1.10' } }),
);
const FAULTS_FILES = [`${FAULTS}wire.pcap`, ...cluster(FAULTS)];
const CASE_FILES = files(
  CASE,
  'stale-boot-id.pcap',
  'nodes.json',
  'stale-boot-id.n1.xfrm_state.txt',
  'stale-boot-id.n2.xfrm_state.txt',
);

/** Commands, and which definitions their lines, or their one value, are of. */
const LINES: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['decrypt', ['decrypt', ...FAULTS_FILES, '--pods', pods, '--summary'], ['PacketLine', 'SummaryLine']],
  ['decrypt of VXLAN in ESP', ['decrypt', `${VXLAN}wire.pcap`, ...cluster(VXLAN)], ['PacketLine']],
  [
    'decrypt of ESP in VXLAN',
    ['decrypt', `${OLD}wire.pcap`, ...cluster(OLD), '--cilium', '1.17'],
    ['PacketLine'],
  ],
  ['decrypt without SAs', ['decrypt', `${FAULTS}wire.pcap`], ['PacketLine']],
  ['decrypt of two captures', ['decrypt', ...FAULTS_FILES, `${VXLAN}wire.pcap`, '-q'], ['SummaryLine']],
  ['check', ['check', ...FAULTS_FILES], ['CheckLine']],
  ['check of an SPI', ['check', ...FAULTS_FILES, '--spi', '3', '--verdict', 'drop'], ['CheckLine']],
  ['check of a pod', ['check', ...FAULTS_FILES, '--pods', pods, '--pod', 'web', '-c', '50'], ['CheckLine']],
  ['diagnose', ['diagnose', ...FAULTS_FILES], ['DiagnoseJson']],
  ['diagnose with states', ['diagnose', ...CASE_FILES], ['DiagnoseJson']],
  ['diagnose of two captures', ['diagnose', ...FAULTS_FILES, `${VXLAN}wire.pcap`], ['DiagnoseJson']],
  ['diagnose of texts', ['diagnose', ...CASE_FILES.slice(1)], ['DiagnoseJson']],
];
const VALUES: readonly (readonly [string, readonly string[], string])[] = [
  ['explain', ['explain', ...FAULTS_FILES, '--frame', '54'], 'ExplainJson'],
  ['explain of a drop', ['explain', ...FAULTS_FILES, '--frame', '61'], 'ExplainJson'],
  ['explain of a name', ['explain', 'XfrmInStateProtoError', 'replayed'], 'PagesJson'],
  ['sas', ['sas', ...cluster(FAULTS), '--show-keys'], 'SasJson'],
  ['xfrm', ['xfrm', `${CASE}stale-boot-id.n2.xfrm_state.txt`], 'XfrmOutput'],
];

describe('the schema', () => {
  it.each(LINES)('says what %s prints, line by line', (_, args, definitions) => {
    const { stdout } = esplane([...args, '--json']);
    const lines = stdout.trimEnd().split('\n');
    const used = new Set<string>();
    for (const line of lines) {
      const value = JSON.parse(line) as object;
      const of = definitions.length > 1 && 'summary' in value ? definitions[1]! : definitions[0]!;
      used.add(of);
      expect(faults(of, value), line.slice(0, 400)).toEqual([]);
    }
    expect([...used].sort()).toEqual([...definitions].sort());
  });

  it.each(VALUES)('says what %s prints', (_, args, definition) => {
    const { stdout } = esplane([...args, '--json']);
    expect(faults(definition, JSON.parse(stdout))).toEqual([]);
  });

  it('says what capture prints between the packets', () => {
    const args = ['capture', '-', ...cluster(FAULTS), '--json', '--diagnose', '--explain', '--summary'];
    const { stdout } = esplane(args, readFileSync(`${FAULTS}wire.pcap`));
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    // Findings come at intervals, and this capture is over before; they are those of the diagnosis.
    const kinds = new Set<string>();
    for (const value of lines) {
      const of = 'frame' in value ? 'PacketLine' : 'summary' in value ? 'SummaryLine' : 'CaptureLine';
      kinds.add(of === 'CaptureLine' ? Object.keys(value)[0]! : of);
      expect(faults(of, value)).toEqual([]);
    }
    expect([...kinds].sort()).toEqual(['PacketLine', 'SummaryLine', 'diagnosis', 'explanation']);
  });

  it('refuses a field that it does not name, a missing one, and a wrong type', () => {
    const { stdout } = esplane(['decrypt', ...FAULTS_FILES, '--json', '-c', '1']);
    const line = JSON.parse(stdout) as Record<string, unknown>;
    const { seq: _, ...without } = line;
    expect(faults('PacketLine', line)).toEqual([]);
    for (const bad of [{ ...line, more: 1 }, without, { ...line, spi: '3' }, { ...line, schema: 2 }])
      expect(faults('PacketLine', bad)).toHaveLength(1);
    const nested = { ...line, packet: { ...(line['packet'] as object), ttl: 64 } };
    expect(faults('PacketLine', nested)).not.toEqual([]);
  });
});

needs([shared('captures-linux-7.2')], 'captures of Linux 7.2', () => {
  const folder = `${SHARED}captures-linux-7.2/iptfs-fragment/`;
  const given = files(folder, 'wire.pcap', 'n1.xfrm_state.txt', 'n2.xfrm_state.txt');

  it('says what commands print of IP-TFS', () => {
    const lines = esplane(['decrypt', ...given, '--json'])
      .stdout.trimEnd()
      .split('\n');
    expect(lines).toHaveLength(54);
    for (const line of lines) expect(faults('PacketLine', JSON.parse(line)), line.slice(0, 400)).toEqual([]);
    const printed = (...args: string[]): unknown => JSON.parse(esplane([...args, '--json']).stdout);
    expect(faults('DiagnoseJson', printed('diagnose', ...given))).toEqual([]);
    expect(faults('ExplainJson', printed('explain', ...given, '--frame', '40'))).toEqual([]);
    expect(faults('SasJson', printed('sas', given[1]!))).toEqual([]);
  });
});
