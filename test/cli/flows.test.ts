import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { flowsOf } from '../../src/cli/flow-options.ts';
import { FlowOutput } from '../../src/cli/flow-output.ts';
import { parseNodeConfig } from '../../src/cli/node-config.ts';
import { FlowRecorder } from '../../src/observe/flow-recorder.ts';
import { AT, FlowRows, POINT } from '../../src/observe/flow-rows.ts';
import type { FlowLine, LostLine } from '../../src/observe/hubble.ts';
import type { ScenarioReport } from '../../src/sim/report.ts';
import { esplane, MAIN, tempFolder } from '../support/cli.ts';
import { asHubble } from '../support/hubble.ts';

const linesOf = (text: string) => text.split('\n').slice(0, -1);
const run = (...args: string[]) => esplane(['run', 'examples/replay.yaml', '--crypto', 'node', ...args]);

describe('esplane run --flows', () => {
  const file = join(tempFolder(), 'flows.jsonl');
  const { code, stdout } = run('--flows', file, '--json');
  const report = JSON.parse(stdout) as ScenarioReport;
  const lines = linesOf(readFileSync(file, 'utf8'));
  const flows = lines.map((line) => (JSON.parse(line) as FlowLine).flow);

  it('writes what the report counts, with the names of the pods', () => {
    expect(code).toBe(0);
    expect(flows.filter(({ verdict }) => verdict === 'DROPPED').length).toBe(report.totals.dropped);
    expect(flows.filter(({ IP }) => IP?.encrypted).length).toBe(report.totals.encrypted);
    const [first] = flows;
    expect(asHubble(lines[0]!)).toEqual(JSON.parse(lines[0]!));
    expect([first!.time, first!.source.pod_name, first!.destination.namespace]).toEqual([
      '2026-01-01T00:00:00.000020Z',
      'pod-1',
      'node-2',
    ]);
  });

  it('keeps what others should not read from them', () => {
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('writes the same bytes again', () => {
    const again = join(tempFolder(), 'flows.jsonl');
    run('--flows', again);
    expect(readFileSync(again, 'utf8')).toBe(readFileSync(file, 'utf8'));
  });

  it('has standard output for flows alone, and the report beside it', () => {
    const { stdout: out, stderr } = run('--flows', '-', '--flows-format', 'compact', '--verdict', 'DROPPED');
    const compact = linesOf(out);
    expect(compact.length).toBe(report.totals.dropped);
    for (const line of compact)
      expect(line).toMatch(/ XfrmInStateSeqError replay-\w+ DROPPED \(IPv4; peer node-1, SPI 3, seq \d+\)$/);
    expect(stderr).toContain('every packet is accounted for');
  });

  it.each<[string[], (flow: FlowLine['flow']) => boolean]>([
    [['--encrypted'], ({ IP }) => IP?.encrypted === true],
    [['--unencrypted'], ({ IP }) => IP?.encrypted !== true],
    [['--verdict', 'FORWARDED'], ({ verdict }) => verdict === 'FORWARDED'],
    [['--from-ip', '10.0.1.0/24', '--to-ip', '10.0.2.1'], ({ IP }) => IP?.destination === '10.0.2.1'],
    [['--to-ip', '10.0.2.10', '--to-ip', '10.0.9.9'], ({ IP }) => IP?.destination === '10.0.2.10'],
  ])('filters as hubble observe does: %j', (args, isWanted) => {
    const wanted = flows.filter(isWanted).length;
    expect(wanted).toBeGreaterThan(0);
    expect(linesOf(run('--flows', '-', ...args).stdout).length).toBe(wanted);
  });

  it('shows with --flows-all where packets come from', () => {
    const all = linesOf(run('--flows', '-', '--flows-all').stdout).map(
      (line) => (JSON.parse(line) as FlowLine).flow,
    );
    const at = (point: string) => all.filter((flow) => flow.trace_observation_point === point);
    expect(at('FROM_ENDPOINT').length).toBe(report.totals.sent);
    expect(at('FROM_NETWORK').length).toBe(report.wire.esp);
    for (const { IP, source } of at('FROM_NETWORK'))
      expect([IP?.encrypted, source.labels]).toEqual([true, ['reserved:remote-node']]);
  });

  it('takes a reader that has enough as the end', async () => {
    const child = spawn(process.execPath, [MAIN, 'run', 'examples/rotation.yaml', '--flows', '-'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let errors = '';
    child.stderr.on('data', (bytes: Buffer) => {
      errors += bytes.toString();
    });
    child.stdout.once('data', () => child.stdout.destroy());
    expect([(await once(child, 'close'))[0], errors]).toEqual([0, '']);
  });

  it('ends with a whole line at Ctrl-C', async () => {
    const cut = join(tempFolder(), 'flows.jsonl');
    const child = spawn(process.execPath, [MAIN, 'run', 'examples/rotation-1000.yaml', '--flows', cut], {
      stdio: 'ignore',
    });
    const closed = once(child, 'close');
    const size = () => statSync(cut, { throwIfNoEntry: false })?.size ?? 0;
    while (size() === 0 && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill('SIGINT');
    expect((await closed)[0]).toBe(130);
    const text = readFileSync(cut, 'utf8');
    expect(text.endsWith('}\n')).toBe(true);
    expect(() => JSON.parse(linesOf(text).at(-1)!)).not.toThrow();
  }, 60_000);

  it('renames a file that has grown', () => {
    const at = tempFolder();
    const big = join(at, 'flows');
    run('--flows', big, '--flows-max-size-mb', '0.1', '--flows-max-backups', '100');
    const names = readdirSync(at).sort((a, b) => Number(b.split('.')[1] ?? 0) - Number(a.split('.')[1] ?? 0));
    expect(names.length).toBeGreaterThan(1);
    for (const name of names) expect(statSync(join(at, name)).size).toBeLessThanOrEqual(100_000);
    expect(names.map((name) => readFileSync(join(at, name), 'utf8')).join('')).toBe(
      readFileSync(file, 'utf8'),
    );
  });

  it('says what does not go together', () => {
    expect(run('--flows', '-', '--json').stderr).toBe(
      'esplane: --flows -: and --json would both write to standard output. Give --flows a file.\n',
    );
    expect(run('--encrypted').stderr).toBe(
      'esplane: --encrypted: is about flows, and there are none. Give --flows.\n',
    );
    expect(run('--flows', 'x', '--encrypted', '--unencrypted').stderr).toContain(
      '--encrypted and --unencrypted: are mutually exclusive',
    );
    expect(run('--flows', '-', '--from-ip', '10.0.0.0/40').code).toBe(2);
    expect(run('--flows', 'nowhere/flows').stderr).toContain('its folder does not exist');
    expect(esplane(['run', '--tun', '--flows', 'x']).stderr).toContain('Use esplane node --flows');
  });
});

describe('flows in the configuration of a node', () => {
  const config = (flows: string) =>
    parseNodeConfig(
      `name: n\noutside: { link: udp, address: 192.168.0.1 }\nkeys: k\nnodes: n\nflows: ${flows}\n`,
      '/etc/esplane/node.yaml',
    ).flows;

  it('are a file beside it, or more', () => {
    expect(config('flows.jsonl')).toMatchObject({
      file: '/etc/esplane/flows.jsonl',
      format: 'json',
      all: false,
    });
    expect(config('{ file: "-", format: compact, verdict: DROPPED, from-ip: 10.0.0.1 }')).toMatchObject({
      file: '-',
      format: 'compact',
      verdict: 'DROPPED',
      'from-ip': ['10.0.0.1'],
    });
    expect(() => config('{ file: x, verdict: LOST }')).toThrow(/flows/);
    expect(() => config('{ file: x, to-ip: somewhere }')).toThrow(/flows/);
  });

  it('have a mode and a size, which the command line may set too', () => {
    const configured = config('{ file: x, mode: "0640", max-size-mb: 0.5 }')!;
    expect(configured).toMatchObject({ mode: '0640', 'max-size-mb': 0.5 });
    expect(flowsOf({ flowsMaxSizeMb: 2, flowsMaxBackups: 1 }, configured)).toMatchObject({
      mode: '0640',
      'max-size-mb': 2,
      'max-backups': 1,
    });
    expect(() => config('{ file: x, mode: "rw" }')).toThrow(/not a mode in octal/);
    expect(() => config('{ file: x, max-size-mb: 0 }')).toThrow(/max-size-mb/);
    expect(() => flowsOf({ flows: 'x', flowsMaxBackups: 1 })).toThrow(/Give --flows-max-size-mb/);
  });

  it('count less than the command line', () => {
    const configured = config('{ file: x, verdict: DROPPED, encrypted: true }')!;
    expect(flowsOf({ flows: '-', unencrypted: true, fromIp: ['10.0.0.1'] }, configured)).toMatchObject({
      file: '-',
      verdict: 'DROPPED',
      encrypted: false,
      'from-ip': ['10.0.0.1'],
    });
    expect(flowsOf({}, undefined)).toBeUndefined();
  });
});

describe('flows that cannot be printed', () => {
  const rows = new FlowRows(1);
  rows.blank(0);
  const recorderOf = (count: number, capacity = 1000) => {
    const recorder = new FlowRecorder({ clock: { now: () => 1000 }, capacity });
    rows.view.setUint16(AT.NODE, recorder.nameOf('node-1'));
    for (let k = 0; k < count; k++) recorder.add(rows, 0, POINT.TO_STACK);
    return recorder;
  };
  const CONFIG = { format: 'json' as const, all: false, 'from-ip': [], 'to-ip': [] };
  const random = (b: Uint8Array) => void b.fill(7);

  it('are counted when there is no room for them, and told in the lines', async () => {
    const file = join(tempFolder(), 'flows');
    const output = new FlowOutput({ ...CONFIG, file }, { append: false });
    output.reader({ random })(recorderOf(12, 10).take()!);
    expect(output.report()).toEqual({
      written: 10,
      lost: { HUBBLE_RING_BUFFER: 2, OBSERVER_EVENTS_QUEUE: 0 },
    });
    expect(await output.finish()).toBe(2);
    const lines = linesOf(readFileSync(file, 'utf8'));
    expect(lines.length).toBe(11);
    expect(asHubble(lines[10]!)).toEqual(JSON.parse(lines[10]!));
    expect((JSON.parse(lines[10]!) as LostLine).lost_events).toEqual({
      source: 'HUBBLE_RING_BUFFER',
      num_events_lost: '2',
    });
  });

  it('are counted when the disk is full, once with a warning', async () => {
    const warnings: string[] = [];
    const output = new FlowOutput(
      { ...CONFIG, file: '/dev/full' },
      { append: true, warn: (line) => warnings.push(line) },
    );
    const write = output.reader({ random });
    write(recorderOf(3).take()!);
    write(recorderOf(4).take()!);
    expect(output.report()).toEqual({
      written: 0,
      lost: { HUBBLE_RING_BUFFER: 0, OBSERVER_EVENTS_QUEUE: 7 },
    });
    expect(warnings).toEqual([
      'flows are lost: /dev/full: cannot be written: the disk is full. Make room, or name another place.',
    ]);
    expect(await output.finish()).toBe(7);
  });

  it('leave no half line behind when they no longer fit', () => {
    // A limit of the shell on the length of files stands for the disk.
    const folder = tempFolder();
    const file = join(folder, 'flows');
    writeFileSync(file, '');
    const script = `ulimit -f 64; trap '' XFSZ; exec "$0" "$@"`;
    const result = spawnSync(
      'sh',
      ['-c', script, process.execPath, MAIN, 'run', 'examples/replay.yaml', '--flows', file],
      { encoding: 'utf8' },
    );
    expect([result.status, result.stderr]).toEqual([
      2,
      expect.stringMatching(/flows: cannot be written: EFBIG/),
    ]);
    const text = readFileSync(file, 'utf8');
    expect(text.length).toBeLessThanOrEqual(64 * 1024);
    expect(text === '' || text.endsWith('}\n')).toBe(true);
  });
});
