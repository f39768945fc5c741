import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { makePaint } from '../../src/cli/paint.ts';
import { scenarioText } from '../../src/cli/scenario-text.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import type { FindingCode } from '../../src/inspect/diagnose/table.ts';
import type { ScenarioReport } from '../../src/sim/report.ts';
import { type CliResult, esplane, MAIN, tempFolder } from '../support/cli.ts';
import { decryptBytes } from '../support/decrypt.ts';
import { codesOf, diagnoseFile } from '../support/diagnose.ts';
import { expectSameCounts } from '../support/scenario.ts';

const EXAMPLES = readdirSync('examples')
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => name.replace('.yaml', ''));
/** Takes its time: `rotation-1000.test.ts`. */
const LARGE = ['rotation-1000'];

/**
 * What `diagnose` finds in the file of each node, notes included. Where a node's file says nothing of the trouble, its
 * packets do not show it: docs/diagnose.md says why.
 */
const FOUND: Readonly<Record<string, Readonly<Record<string, readonly FindingCode[]>>>> = {
  'agent-restart': { 'node-1': [], 'node-2': ['counter-reset'] },
  'bad-line': { 'node-1': ['altered'], 'node-2': ['altered', 'missing-numbers', 'replayed'] },
  'clear-before-ipcache': { 'node-1': ['clear-traffic'], 'node-2': ['clear-traffic'] },
  // A node that began with the new key has seen the old one; others cannot know it.
  'key-changed': { 'node-1': ['unknown-key'], 'node-2': ['wrong-key'] },
  'mtu-hole': { 'node-1': ['mtu-hole'], 'node-2': ['missing-numbers', 'mtu-hole'] },
  'node-joins': {
    'node-1': ['clear-traffic', 'sa-gone'],
    'node-2': ['sa-gone'],
    'node-3': ['clear-traffic'],
  },
  'node-removed': { 'node-1': ['clear-traffic', 'sa-gone'], 'node-2': [], 'node-3': ['clear-traffic'] },
  // node-1 only sends.
  partition: { 'node-1': [], 'node-2': ['missing-numbers'], 'node-3': ['missing-numbers'] },
  'peer-without-key': { 'node-1': ['clear-traffic'], 'node-2': [], 'node-3': ['clear-traffic'] },
  reboot: { 'node-1': ['unknown-key'], 'node-2': ['wrong-key'], 'node-3': [] },
  reordering: { 'node-1': [], 'node-2': ['reordered-beyond-window'] },
  replay: { 'node-1': [], 'node-2': ['replayed'] },
  rotation: { 'node-1': [], 'node-2': [], 'node-3': [] },
  'rotation-old-order': {
    'node-1': ['rotation-out-of-step'],
    'node-2': [],
    'node-3': ['rotation-out-of-step'],
  },
  // Its counter jumps: a life of years in a moment.
  'sequence-exhausted': {
    'node-1': ['missing-numbers', 'sequence-near-end'],
    'node-2': ['missing-numbers', 'sequence-near-end'],
  },
  strict: { 'node-1': ['sa-gone'], 'node-2': ['sa-gone'], 'node-3': [] },
  'stale-boot-id': { 'node-1': ['unknown-key'], 'node-2': ['wrong-key'], 'node-3': [] },
};

describe.each(EXAMPLES.filter((name) => !LARGE.includes(name)))('examples/%s.yaml', (name) => {
  const folder = tempFolder();
  const file = `examples/${name}.yaml`;
  let json: CliResult;
  let report: ScenarioReport;
  beforeAll(() => {
    json = esplane(['run', file, '--json', '-w', folder, '--crypto', 'node']);
    report = JSON.parse(json.stdout) as ScenarioReport;
  });

  it('has the report that it had', async () => {
    expect([json.code, report.accounted]).toEqual([0, true]);
    expect(json.stderr).toMatch(/^wrote \d+ files into /);
    await expect(scenarioText(report, makePaint(false))).toMatchFileSnapshot(`../sim/reports/${name}.txt`);
  });

  it('gives captures of which esplane decrypt says what the report says', () =>
    expectSameCounts(report, folder));

  it('gives captures in which esplane diagnose finds the trouble, and nothing else', async () => {
    const found: Record<string, readonly string[]> = {};
    for (const { node } of report.nodes) {
      const { findings, notes } = await diagnoseFile(join(folder, `${node}.pcapng`), {});
      found[node] = codesOf([...findings, ...notes]);
    }
    expect(found).toEqual(FOUND[name]);
  });
});

describe('esplane run SCENARIO', () => {
  it('writes the same bytes for the same file and seed, and others for another', () => {
    const bytes = (seed: string) => {
      const folder = tempFolder();
      expect(esplane(['run', 'examples/replay.yaml', '--seed', seed, '-w', folder]).code).toBe(0);
      expect(readdirSync(folder)).toEqual(['node-1.pcapng', 'node-2.pcapng']);
      return readFileSync(join(folder, 'node-2.pcapng'));
    };
    const first = bytes('7');
    expect(bytes('7').equals(first)).toBe(true);
    expect(bytes('8').equals(first)).toBe(false);
  });

  it('gives captures that say when SAs were replaced, also after decrypt --with-secrets', () => {
    const folder = tempFolder();
    const self = join(folder, 'self.pcapng');
    const file = join(folder, 'node-2.pcapng');
    esplane(['run', 'examples/stale-boot-id.yaml', '-w', folder]);
    expect(esplane(['decrypt', file, '-w', self, '--wire', '--with-secrets']).code).toBe(0);
    const lines = esplane(['decrypt', '--json', file]).stdout;
    expect(lines).toContain('"reason":"bad-icv"');
    // A secrets block has no names of nodes.
    const unnamed = lines.replaceAll(/"node":\{[^}]*\}/g, '"node":null');
    expect(unnamed).not.toBe(lines);
    expect(esplane(['decrypt', '--json', self]).stdout).toBe(unnamed);
    const frame = /"frame":(\d+),[^\n]*"reason":"bad-icv"/.exec(lines)![1]!;
    const explained = esplane(['explain', file, '--frame', frame, '--json']).stdout;
    expect(explained).toMatch(/"verdict": "unopened",[^}]*"reason": "bad-icv"/);
  });

  it('leaves whole files when it is interrupted', async () => {
    const folder = tempFolder();
    const file = join(folder, 'long.yaml');
    writeFileSync(file, 'duration: 1000m\nnodes: 2\ntraffic: [{ kind: udp, pairs: 4, every: 10ms }]\n');
    const child = spawn(process.execPath, [MAIN, 'run', file, '-w', join(folder, 'out')]);
    let stderr = '';
    child.stderr.on('data', (text: Buffer) => {
      stderr += text.toString();
    });
    const parts = () =>
      existsSync(join(folder, 'out'))
        ? readdirSync(join(folder, 'out')).filter((name) => /^node-1\..*\.partial$/.test(name))
        : [];
    while (!parts().some((name) => statSync(join(folder, 'out', name)).size > 0)) await setTimeout(20);
    child.kill('SIGINT');
    expect((await once(child, 'close'))[0]).toBe(130);
    expect(stderr).toMatch(/^esplane: interrupted at \d+\.\d s of 60005 s; 2 files in .* up to there\n$/);
    expect(readdirSync(join(folder, 'out'))).toEqual(['node-1.pcapng', 'node-2.pcapng']);
    const bytes = readFileSync(join(folder, 'out', 'node-1.pcapng'));
    const { lines } = await decryptBytes(bytes, {}, new NodeEngine());
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.every(({ verdict }) => verdict === 'ok')).toBe(true);
  });

  it('writes the nodes that --only names', () => {
    const folder = tempFolder();
    const args = ['run', 'examples/replay.yaml', '-w', folder, '--only'];
    const { code, stderr } = esplane([...args, 'node-2']);
    expect([code, stderr, readdirSync(folder)]).toEqual([
      0,
      `wrote 1 file into ${folder}\n`,
      ['node-2.pcapng'],
    ]);
    expect(esplane([...args, 'node-7']).stderr).toBe(
      'esplane: --only: examples/replay.yaml has no node node-7. Name one, such as node-1.\n',
    );
    expect(esplane(['run', 'examples/replay.yaml', '--only', 'node-2']).stderr).toBe(
      'esplane: --only: no files are written. Give -w FOLDER too.\n',
    );
  });

  it('names file, line and what was expected, and writes nothing then', () => {
    const folder = tempFolder();
    const file = join(folder, 'bad.yaml');
    writeFileSync(file, 'duration: 1s\nnodes: 2\nevents:\n  - { at: 500ms, reboot: node-3 }\n');
    const { code, stdout, stderr } = esplane(['run', file, '-w', join(folder, 'out')]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toBe(`esplane: ${file}:4: there is no node node-3. Name one of node-1, node-2.\n`);
    expect(existsSync(join(folder, 'out'))).toBe(false);
  });

  it('needs a scenario or --tun, and not both', () => {
    expect(esplane(['run']).stderr).toContain('nothing to run. Name a scenario');
    expect(esplane(['run', 'examples/replay.yaml', '--tun']).code).toBe(2);
    expect(esplane(['run', 'nowhere.yaml']).stderr).toBe(
      'esplane: nowhere.yaml: no such file. Check the name.\n',
    );
  });

  it('prints the report for people', () => {
    const { code, stdout, stderr } = esplane(['run', 'examples/replay.yaml', '--crypto', 'node']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toBe(readFileSync('test/sim/reports/replay.txt', 'utf8'));
  });

  it('shows an example in its help', () => {
    expect(esplane(['run', '--help']).stdout).toContain('$ esplane run examples/rotation.yaml');
  });
});
