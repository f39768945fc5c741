import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makePaint } from '../../src/cli/paint.ts';
import { scenarioText } from '../../src/cli/scenario-text.ts';
import type { Diagnosis } from '../../src/inspect/diagnose/finding.ts';
import type { ScenarioReport } from '../../src/sim/report.ts';
import { esplane, tempFolder } from '../support/cli.ts';

const EXAMPLES = readdirSync('examples')
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => name.replace('.yaml', ''));
/** Too large for a test of its files; `test/sim/cluster.test.ts` has such a one. */
const LARGE = ['rotation-1000'];

/** What `diagnose` finds in the file of a node, where the trouble shows in one node's packets. */
const TROUBLE: Readonly<Record<string, readonly (readonly [node: string, code: string])[]>> = {
  'agent-restart': [['node-2', 'counter-reset']],
  'bad-line': [
    ['node-2', 'altered'],
    ['node-2', 'replayed'],
    ['node-2', 'missing-numbers'],
  ],
  'clear-before-ipcache': [['node-1', 'clear-traffic']],
  // Who began with the new key has seen the old one; who has not cannot know it.
  'key-changed': [
    ['node-1', 'unknown-key'],
    ['node-2', 'wrong-key'],
  ],
  'node-removed': [
    ['node-1', 'clear-traffic'],
    ['node-1', 'sa-gone'],
  ],
  reboot: [
    ['node-1', 'unknown-key'],
    ['node-2', 'wrong-key'],
  ],
  reordering: [['node-2', 'reordered-beyond-window']],
  replay: [['node-2', 'replayed']],
  'rotation-old-order': [['node-3', 'rotation-out-of-step']],
  'sequence-exhausted': [['node-1', 'sequence-near-end']],
  'stale-boot-id': [
    ['node-1', 'unknown-key'],
    ['node-2', 'wrong-key'],
  ],
};

interface Line {
  readonly dst: string;
  readonly verdict: string;
  readonly reason?: string;
  readonly counter: string | null;
}

describe.each(EXAMPLES.filter((name) => !LARGE.includes(name)))('examples/%s.yaml', (name) => {
  const folder = tempFolder();
  const file = `examples/${name}.yaml`;
  const json = esplane(['run', file, '--json', '-w', folder, '--crypto', 'node']);
  const report = JSON.parse(json.stdout) as ScenarioReport;

  it('has the report that it had', async () => {
    expect([json.code, report.accounted]).toEqual([0, true]);
    expect(json.stderr).toMatch(/^wrote \d+ files into /);
    await expect(scenarioText(report, makePaint(false))).toMatchFileSnapshot(`../sim/reports/${name}.txt`);
  });

  it('gives captures of which esplane decrypt says what the report says', () => {
    for (const [i, node] of report.nodes.entries()) {
      const { code, stdout } = esplane(['decrypt', '--json', join(folder, `${node.node}.pcapng`)]);
      expect(code).toBe(0);
      const all = stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Line);
      const own = [`10.0.${i + 1}.1`, `192.168.0.${i + 1}`];
      const came = all.filter(({ dst }) => own.includes(dst));
      const went = all.filter(({ dst }) => !own.includes(dst));
      expect([node.node, count(went)]).toEqual([
        node.node,
        count(Array(node.encrypted).fill({ verdict: 'ok' })),
      ]);
      const expected: Record<string, number> = {};
      const add = (kind: string, n: number) => {
        if (n > 0) expected[kind] = (expected[kind] ?? 0) + n;
      };
      add('ok', node.decrypted);
      for (const drop of report.drops) {
        if (drop.node !== node.node || drop.direction !== 'in') continue;
        // Cilium asks whether it knows the node before the kernel asks for an SA; a capture knows of SAs alone.
        if (drop.reason === 'no-node-id') add('no-state XfrmInNoStates', drop.count);
        else add(`${drop.reason} ${drop.counter}`, drop.count);
      }
      expect([node.node, count(came)]).toEqual([node.node, expected]);
    }
  });

  const trouble = TROUBLE[name];
  if (!trouble) return;
  it.each(trouble)('gives a capture of %s in which esplane diagnose finds %s', (node, code) => {
    const { stdout } = esplane(['diagnose', '--json', join(folder, `${node}.pcapng`)]);
    const { findings } = JSON.parse(stdout) as Diagnosis;
    expect(findings.map((finding) => finding.code)).toContain(code);
  });
});

/** Packets by verdict and counter. */
function count(lines: readonly Line[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { verdict, reason, counter } of lines) {
    const kind = verdict === 'ok' ? 'ok' : `${reason} ${counter}`;
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

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
    expect(esplane(['decrypt', '--json', self]).stdout).toBe(lines);
    const frame = /"frame":(\d+),[^\n]*"reason":"bad-icv"/.exec(lines)![1]!;
    const explained = esplane(['explain', file, '--frame', frame, '--json']).stdout;
    expect(explained).toMatch(/"verdict": "drop",\s+"reason": "bad-icv"/);
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
