import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { demoCommand } from '../../src/cli/demo.ts';
import { demoText } from '../../src/cli/demo-text.ts';
import * as engines from '../../src/cli/engine.ts';
import { makePaint } from '../../src/cli/paint.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { type DemoResult, runDemo } from '../../src/sim/demo.ts';
import { demoCluster } from '../../src/sim/demo-cluster.ts';
import { esplane, tempFolder } from '../support/cli.ts';

const FILE = 'esplane-demo.pcapng';

describe('esplane demo', () => {
  const folder = tempFolder();
  let code: number | null;
  let stdout = '';
  let stderr = '';
  beforeAll(() => {
    ({ code, stdout, stderr } = esplane(['demo'], undefined, folder));
  });

  it('says what it verified, in some fifty lines, and ends with 0', () => {
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain(
      'Verified: 43 packets sent, 42 delivered, 35 encrypted, 2 dropped; all 13 comparisons hold.',
    );
    expect(stdout).not.toContain('✗');
    expect(stdout.match(/^ {2}✓ /gm)).toHaveLength(13);
    expect(stdout.trimEnd().split('\n').length).toBeLessThanOrEqual(60);
  });

  it('shows the stages of a packet in their order', () => {
    const shown = [
      ...stdout.matchAll(
        /^ {2}[\w-]* +(sends|decides|policy|encrypts|carries|looks up|window|decrypts|receives) /gm,
      ),
    ];
    const stages = [
      'sends',
      'decides',
      'policy',
      'encrypts',
      'carries',
      'looks up',
      'window',
      'decrypts',
      'receives',
    ];
    expect(shown.map(([, stage]) => stage)).toEqual(stages);
  });

  it('has no colours where it is no terminal', () => {
    expect(stdout).not.toContain('\x1b');
  });

  it('writes the run into this folder, for its owner alone', () => {
    expect(statSync(join(folder, FILE)).mode & 0o777).toBe(0o600);
  });

  it('prints a command that decrypts the file, to what the demo counted', () => {
    const [, script = '', args = ''] = /^ {2}node (\S+) (decrypt \S+)/m.exec(stdout) ?? [];
    expect(script).toMatch(/main\.js$/);
    const result = esplane([...args.split(' '), '--json'], undefined, folder);
    expect(result.code).toBe(0);
    const rows = result.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { verdict: string; counter: string | null });
    expect(rows).toHaveLength(36);
    expect(rows.filter(({ verdict }) => verdict === 'drop').map(({ counter }) => counter)).toEqual([
      'XfrmInStateSeqError',
      'XfrmInStateProtoError',
    ]);
  });

  it('writes the same bytes again, with either backend, and others with another seed', () => {
    const bytes = readFileSync(join(folder, FILE));
    for (const crypto of ['node', 'noble']) {
      expect(esplane(['demo', '--crypto', crypto, '-w', 'again.pcapng'], undefined, folder).code).toBe(0);
      expect(readFileSync(join(folder, 'again.pcapng')).equals(bytes), crypto).toBe(true);
    }
    expect(esplane(['demo', '--seed', '2', '-w', 'other file.pcapng'], undefined, folder).stdout).toContain(
      "'other file.pcapng'",
    );
    expect(readFileSync(join(folder, 'other file.pcapng')).equals(bytes)).toBe(false);
  });

  it('prints its result as JSON', () => {
    const json = esplane(['demo', '--json', '--ipv6', '-w', 'six.pcapng'], undefined, folder);
    expect(json.code).toBe(0);
    const result = JSON.parse(json.stdout) as DemoResult & { written: string };
    expect(result).toMatchObject({ ok: true, family: 6, seed: 1, written: 'six.pcapng' });
    expect(result.trace).toHaveLength(13);
    expect(result.checks.every(({ expected, actual }) => expected === actual)).toBe(true);
  });

  it('accounts for every packet on a bad wire', () => {
    const args = [
      '--loss',
      '10%',
      '--duplicate',
      '0.1',
      '--corrupt',
      '.1',
      '--delay',
      '2',
      '--jitter',
      '20.5',
    ];
    const bad = esplane(['demo', '--no-write', '--seed', '3', ...args], undefined, folder);
    expect(bad.code).toBe(0);
    expect(bad.stdout).toMatch(/the wire +\d+ lost, \d+ doubled, \d+ with a flipped bit/);
    expect(bad.stdout).toContain('all 7 comparisons hold');
    expect(bad.stdout).not.toContain('.pcapng');
  });

  it('writes no file when it shall not', () => {
    const empty = tempFolder();
    expect(esplane(['demo', '--no-write'], undefined, empty).code).toBe(0);
    expect(existsSync(join(empty, FILE))).toBe(false);
  });

  it.each([
    ['--loss', '1.5', 'Give a chance of 0 to 1'],
    ['--duplicate', '101%', 'Give a chance of 0 to 1'],
    ['--corrupt', 'often', 'Give a chance of 0 to 1'],
    ['--delay', '-1', 'Give milliseconds'],
    ['--jitter', '1e9', 'Give milliseconds'],
    ['--seed', '1.5', 'Give a whole number'],
  ])('refuses %s %s', (option, value, want) => {
    const refused = esplane(['demo', '--no-write', option, value], undefined, folder);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain(want);
  });

  it('says what to do when it cannot write', () => {
    const refused = esplane(['demo', '-w', 'no/such/folder.pcapng'], undefined, folder);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/^esplane: no\/such\/folder\.pcapng: .*--no-write\.\n$/);
  });
});

describe('a demo in which something is not as it must be', () => {
  /** A cipher that does nothing. */
  const broken = () => {
    const engine = new NodeEngine();
    engine.seal = (_slab, jobs) => jobs.verdict.fill(0, 0, jobs.count);
    engine.open = engine.seal;
    return engine;
  };

  afterEach(() => {
    vi.restoreAllMocks();
    process.exitCode = undefined;
  });

  it('ends with 1', async () => {
    vi.spyOn(engines, 'makeEngine').mockResolvedValue(broken());
    let printed = '';
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      printed += Buffer.from(text as Uint8Array).toString();
      return true;
    });
    const program = new Command();
    demoCommand(program);
    await program.parseAsync(['demo', '--no-write', '--json'], { from: 'user' });
    expect(process.exitCode).toBe(1);
    expect(JSON.parse(printed)).toMatchObject({ ok: false, written: null });
  });

  it('shows which comparison failed, in red', () => {
    const result = runDemo({ cluster: demoCluster(1), seed: 1, engine: broken() });
    const text = demoText(result, makePaint(true), undefined);
    expect(text).toContain('\x1b[31m✗\x1b[0m');
    expect(text).toMatch(/\d+, not 0 .*ESP packets in which a payload can be read/);
    expect(text).toMatch(/Failed:.*only \d+ of 13 comparisons hold\./);
  });
});
