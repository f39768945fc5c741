import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { makePaint } from '../../src/cli/paint.ts';
import { scenarioText } from '../../src/cli/scenario-text.ts';
import type { ScenarioReport } from '../../src/sim/report.ts';
import { esplane, tempFolder } from '../support/cli.ts';
import { needs } from '../support/needs.ts';
import { expectSameCounts } from '../support/scenario.ts';

const FILE = 'examples/rotation-1000.yaml';
const patience = {
  what: 'half a minute for 1000 nodes',
  there: process.env['ESPLANE_NO_SKIP'] === '1' || process.env['ESPLANE_LONG'] === '1',
  remedy: 'set ESPLANE_LONG=1',
};

needs([patience], FILE, () => {
  it('has the report that it had, and captures of which decrypt says the same', {
    timeout: 600_000,
  }, async () => {
    const folder = tempFolder();
    const { code, stdout, stderr } = esplane(['run', FILE, '--json', '-w', folder, '--crypto', 'node']);
    expect([code, stderr]).toEqual([0, `wrote 1000 files into ${folder}\n`]);
    const report = JSON.parse(stdout) as ScenarioReport;
    expect([report.accounted, report.drops, report.totals.sent, report.totals.delivered]).toEqual([
      true,
      [],
      70_000,
      70_000,
    ]);
    await expect(scenarioText(report, makePaint(false))).toMatchFileSnapshot(
      '../sim/reports/rotation-1000.txt',
    );
    await expectSameCounts(report, folder);
    // One of them, by the command itself.
    const file = join(folder, 'node-1.pcapng');
    expect(readFileSync(file).length).toBeGreaterThan(0);
    expect(esplane(['decrypt', '-q', file]).stdout).toBe('');
  });
});
