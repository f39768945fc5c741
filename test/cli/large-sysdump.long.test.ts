/**
 * A sysdump of many nodes, as `diagnose` reads it out of a zip, beyond what is unpacked without a thread: what was planted is
 * found, and memory grows with what is kept of states, not with the texts.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ZipWriter } from '../../scripts/sysdump/archives.ts';
import { type LargeOptions, writeLarge } from '../../scripts/sysdump/large.ts';
import type { ClusterDiagnosis } from '../../src/inspect/cluster/judge.ts';
import { MAIN, tempFolder } from '../support/cli.ts';

const folder = tempFolder();

/** Writes a sysdump. @returns what was planted */
function make(file: string, options: LargeOptions) {
  const fd = openSync(file, 'w');
  const zip = new ZipWriter((bytes) => void writeSync(fd, bytes), { level: 1 });
  const { planted } = writeLarge(zip, options);
  zip.end();
  closeSync(fd);
  return planted;
}

const TELL = `process.on('exit', () => process.stderr.write('maxRSS ' + process.resourceUsage().maxRSS + '\\n'))`;

function diagnose(file: string) {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--import', `data:text/javascript,${encodeURIComponent(TELL)}`, MAIN, 'diagnose', file, '--json'],
    { encoding: 'utf8', maxBuffer: 1 << 28 },
  );
  expect(status).toBe(0);
  const [, kilobytes] = /^maxRSS (\d+)$/m.exec(stderr) ?? [];
  return { diagnosis: JSON.parse(stdout) as ClusterDiagnosis, mebibytes: Number(kilobytes) / 1024 };
}

/** Of twice the nodes, which have four times the states: more memory, in MiB. Their texts are 230 MiB longer. */
const MOST_MORE = 190;
const MOST = 512;

it('of twice the nodes: what is planted is found, and texts are not kept', () => {
  const plants = { 'stale-boot-id': 1, 'old-key': 1, missing: 1 } as const;
  const [small, large] = [100, 200].map((nodes) => {
    const file = `${folder}/${nodes}.zip`;
    const planted = make(file, { nodes, podsPerNode: 20, plants, seed: 1 });
    const nodeOf = (wanted: string) => planted.find(({ plant }) => plant === wanted)!.node;
    const { diagnosis, mebibytes } = diagnose(file);
    const { findings, cluster } = diagnosis;
    const said = findings.map(({ code, node }) => `${code} ${node}`);
    for (const node of [nodeOf('stale-boot-id'), nodeOf('old-key')])
      expect(said.filter((one) => one === `wrong-key ${node}`)).toHaveLength(1);
    expect(said).toContain(`sa-gone ${nodeOf('missing')}`);
    expect(said.filter((one) => !/^(?:wrong-key|sa-gone|kernel-drops) /.test(one))).toEqual([]);
    expect(cluster).toMatchObject({ nodes, pairs: { unjudged: 0, rotation: 0, missing: 3 } });
    expect(cluster.rows).toHaveLength(3);
    expect(cluster.states).toBeGreaterThan(4 * nodes * (nodes - 1) - 100);
    return mebibytes;
  });
  expect(large! - small!).toBeLessThan(MOST_MORE);
  expect(large!).toBeLessThan(MOST);
}, 240_000);
