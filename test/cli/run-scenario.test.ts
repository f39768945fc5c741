import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makePaint } from '../../src/cli/paint.ts';
import { scenarioText } from '../../src/cli/scenario-text.ts';
import type { ScenarioReport } from '../../src/sim/report.ts';
import { esplane, tempFolder } from '../support/cli.ts';

const EXAMPLES = readdirSync('examples')
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => name.replace('.yaml', ''));
/** Too large for a test of its files; `test/sim/cluster.test.ts` has such a one. */
const LARGE = ['rotation-1000'];
/**
 * SAs are taken away, or others take their place under the same SPI. A file has all keys that the node ever had, so
 * `decrypt` says less of these than the node: the frames are the same, the verdicts are not.
 */
const REPLACED = ['key-changed', 'node-removed', 'reboot', 'stale-boot-id'];

interface Line {
  readonly dst: string;
  readonly verdict: string;
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
      const lines = stdout.split('\n').filter((line) => line !== '');
      const all = lines.map((line) => JSON.parse(line) as Line);
      const own = [`10.0.${i + 1}.1`, `192.168.0.${i + 1}`];
      const came = all.filter(({ dst }) => own.includes(dst));
      const dropped = report.drops.filter((drop) => drop.node === node.node && drop.direction === 'in');
      const droppedIn = dropped.reduce((sum, { count }) => sum + count, 0);
      expect([code === 0 || code === 1, came.length, all.length - came.length]).toEqual([
        true,
        node.decrypted + droppedIn,
        node.encrypted,
      ]);
      if (REPLACED.includes(name)) continue;
      const counts: Record<string, number> = { ok: 0 };
      for (const { verdict, counter } of came) {
        const kind = verdict === 'ok' ? 'ok' : String(counter);
        counts[kind] = (counts[kind] ?? 0) + 1;
      }
      const inbound = Object.entries(node.xfrm).filter(([counter]) => counter.startsWith('XfrmIn'));
      expect([node.node, counts]).toEqual([
        node.node,
        { ok: node.decrypted, ...Object.fromEntries(inbound) },
      ]);
    }
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
