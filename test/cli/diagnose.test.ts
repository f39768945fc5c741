import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { gzip, tar } from '../../scripts/sysdump/archives.ts';
import { sysdumpOfTrouble, TROUBLES } from '../../scripts/sysdump/from-kernel.ts';
import { sysdump } from '../../scripts/sysdump/layout.ts';
import type { Diagnosis } from '../../src/inspect/diagnose/finding.ts';
import { esplane, tempFolder } from '../support/cli.ts';
import { CASES, CASES_NEED, needs } from '../support/needs.ts';

const HERE = fileURLToPath(new URL('../../pcaps/diagnose/', import.meta.url));
const FAULTS = '../linux-6.1/faults-esn/';
const CLUSTER = ['--keys', 'keys', '--nodes', 'nodes.old.json', '--nodes', 'nodes.json'];
const STATES = ['n2', 'n1'].flatMap((node) => ['--xfrm-state', `stale-boot-id.${node}.xfrm_state.txt`]);
const OLD_BOOT_ID = '11d3f0aa-52c7-4b0e-8e19-c0ffee7c8d21';

const run = (...args: readonly string[]) => esplane(['diagnose', ...args], undefined, HERE);

describe('esplane diagnose', () => {
  it('says the same of files, of a folder and of an archive, without being told what they are', () => {
    const states = ['n1', 'n2'].map((node) => `stale-boot-id.${node}.xfrm_state.txt`);
    const named = run('stale-boot-id.pcap', ...states.flatMap((file) => ['--xfrm-state', file]), '--json');
    const files = ['stale-boot-id.pcap', ...states];
    const folder = tempFolder();
    const contents = files.map((file) => [file, readFileSync(`${HERE}${file}`)] as const);
    for (const [file, bytes] of contents) writeFileSync(`${folder}/${file}`, bytes);
    writeFileSync(`${folder}.tar.gz`, gzip(tar(contents)));
    for (const given of [files, [folder], [`${folder}.tar.gz`]]) {
      const { code, stdout, stderr } = run(...given, '--json');
      expect(code).toBe(0);
      const plain = (json: string) => json.replaceAll(`${folder}.tar.gz/`, '').replaceAll(`${folder}/`, '');
      expect(JSON.parse(plain(stdout))).toEqual(JSON.parse(named.stdout));
      expect(stderr).toMatch(/n1\.xfrm_state\.txt: ip xfrm state\n/);
    }
    rmSync(`${folder}.tar.gz`);
  });

  it('takes a sysdump apart', () => {
    const nodes = ['n1', 'n2'].map((name, i) => ({
      name: `node-${i + 1}`,
      commands: {
        'ip -s xfrm state': readFileSync(`${HERE}stale-boot-id.${name}.xfrm_state.txt`, 'utf8'),
        'ip -s xfrm policy': readFileSync(`${HERE}stale-boot-id.${name}.xfrm_policy.txt`, 'utf8'),
        'cat /proc/net/xfrm_stat': readFileSync(`${HERE}stale-boot-id.${name}.xfrm_stat`, 'utf8'),
      },
    }));
    const { items } = JSON.parse(readFileSync(`${HERE}nodes.json`, 'utf8')) as { items: object[] };
    const file = `${tempFolder()}/s.zip`;
    writeFileSync(file, sysdump({ nodes, ciliumNodes: items, version: 'v1.18.2' }));
    const { code, stdout, stderr } = run(file, 'stale-boot-id.pcap');
    expect(stderr).toMatch(
      /^node-1 \(cilium-\w+\), node-2 \(cilium-\w+\): ip xfrm state, ip xfrm policy, counters$/m,
    );
    expect(stderr).toContain("Cilium's DaemonSet (Cilium 1.18.2)");
    expect(stdout).toMatch(/XfrmInStateProtoError/);
    expect(code).toBe(0);
    expect(run(file).code).toBe(0);
  });

  it.each(TROUBLES)(
    'says the same by a sysdump with hashed keys as by the texts of the kernels: %s',
    (trouble) => {
      const {
        keys = ['keys'],
        nodes = ['nodes.json'],
        findings: expected,
      } = JSON.parse(readFileSync(`${HERE}${trouble}.expected.json`, 'utf8')) as {
        keys?: string[];
        nodes?: string[];
        findings: string[];
      };
      const file = `${tempFolder()}/s.zip`;
      writeFileSync(file, sysdump(sysdumpOfTrouble(HERE, trouble)));
      const told = (...args: readonly string[]) => {
        const { stdout } = run(`${trouble}.pcap`, ...keys, ...nodes, ...args, '--json');
        const { receivers, streams, findings, conclusion } = JSON.parse(stdout) as Diagnosis;
        const said = findings.map(({ code, basis, node, count }) => [code, basis, node, count]);
        return { receivers, streams, said, conclusion: conclusion.code, basis: conclusion.basis };
      };
      const texts = ['n1', 'n2'].flatMap((node, i) => [
        ...['--xfrm-state', `${trouble}.${node}.xfrm_state.txt`],
        ...['--xfrm-policy', `${trouble}.${node}.xfrm_policy.txt`],
        ...['--xfrm-stat', `node-${i + 1}=${trouble}.${node}.xfrm_stat`],
      ]);
      const byTexts = told(...texts);
      expect(told(file)).toEqual(byTexts);
      expect([...new Set(byTexts.said.map(([code]) => code))]).toEqual(expected);
      expect(byTexts.receivers.every(({ basis }) => basis === 'told')).toBe(true);
    },
  );

  it('names a boot id that is none at hand by the hashes of other states', () => {
    const file = `${tempFolder()}/s.zip`;
    writeFileSync(file, sysdump(sysdumpOfTrouble(HERE, 'stale-boot-id')));
    const { stdout } = run('stale-boot-id.pcap', 'keys', file, '--json');
    const { findings, receivers } = JSON.parse(stdout) as Diagnosis;
    expect(findings).toMatchObject([{ code: 'stale-boot-id', basis: 'told', node: 'node-2', count: 8 }]);
    expect(findings[0]!.summary).toContain('the kernel of node-2 holds another one, by its hash');
    expect(receivers[0]!.counters).toEqual({ XfrmInStateProtoError: 8 });
  });

  it('prints the contract as one JSON object', () => {
    const { code, stdout } = run('stale-boot-id.pcap', ...CLUSTER, ...STATES, '--json');
    expect(code).toBe(0);
    const { receivers, streams, findings, notes } = JSON.parse(stdout) as Diagnosis;
    expect(receivers).toEqual([
      {
        address: '10.244.2.1',
        node: 'node-2',
        ...{ basis: 'told', packets: 8, judged: 8 },
        counters: { XfrmInStateProtoError: 8 },
      },
      { address: '10.244.1.1', node: 'node-1', basis: 'told', packets: 2, judged: 2, counters: {} },
    ]);
    expect(streams[1]).toEqual({
      src: '10.244.2.1',
      dst: '10.244.1.1',
      spi: 3,
      packets: 2,
      ok: 2,
      basis: 'told',
      judged: true,
      seqFirst: '1',
      seqLast: '2',
      missing: 0,
      duplicates: 0,
      late: 0,
      reordered: 0,
      beyondWindow: 0,
    });
    const { summary, remedy, ...data } = findings[0]!;
    expect(findings).toHaveLength(1);
    expect(data).toEqual({
      code: 'stale-boot-id',
      severity: 'error',
      basis: 'told',
      node: 'node-2',
      src: '10.244.1.1',
      dst: '10.244.2.1',
      spi: 3,
      counter: 'XfrmInStateProtoError',
      count: 8,
      first: 1,
      last: 10,
      firstTime: '1795635080.666430',
      lastTime: '1795635081.971659',
      frames: [1, 2, 3, 4, 5, 6, 8, 10],
      evidence: ['the capture', 'stale-boot-id.n2.xfrm_state.txt:1'],
    });
    expect(summary).toContain(OLD_BOOT_ID);
    expect(remedy).toMatch(/\.$/);
    expect(notes).toEqual([]);
  });

  it('prints a page that names cause, frames and remedy, and never a key', () => {
    const { code, stdout, stderr } = run('stale-boot-id.pcap', ...CLUSTER, ...STATES);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^stale-boot-id\.pcap: 10 frames, 10 ESP packets in 2 streams, 2 accepted\n/);
    expect(stdout).toMatch(/error {2}stale-boot-id\n/);
    expect(stdout).toContain(
      'frames 1, 2, 3, 4, 5, 6, 8, 10\n    2026-11-25T19:31:20.666430Z to 2026-11-25T19:31:21.971659Z\n',
    );
    expect(stdout).toContain('node-2 (10.244.2.1)  XfrmInStateProtoError 8');
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(101);
    const key = readFileSync(`${HERE}keys`, 'utf8').split(' ')[2]!;
    for (const text of [stdout, stderr]) {
      expect(text).not.toContain(key.slice(0, 8));
      expect(text).not.toMatch(/[0-9a-f]{32}/);
    }
  });

  it.each([
    ['relative', '0.000000 to 1.305229'],
    ['epoch', '1795635080.666430 to 1795635081.971659'],
    ['delta', '0.000000 to 1.305229'],
  ])('--time %s says when it was', (form, text) => {
    const { stdout } = run('stale-boot-id.pcap', ...CLUSTER, ...STATES, '--time', form);
    expect(stdout).toContain(`\n    ${text}\n`);
  });

  it.each([
    ['nothing', 0, ['stale-boot-id.pcap', ...CLUSTER]],
    ['warnings', 1, [`${FAULTS}wire.pcap`, `${FAULTS}keys`, `${FAULTS}ciliumnodes.json`]],
    ['errors', 3, ['stale-boot-id.pcap', ...CLUSTER, ...STATES]],
    ['unusable input', 2, ['nope.pcap', ...CLUSTER]],
  ])('--exit-code says %s with %i', (_, code, args) => {
    expect(run(...args, '--exit-code').code).toBe(code);
  });

  it.each<[string, string[], string[]]>([
    ['SPI', ['--spi', '0xdead0001'], ['unknown-spi']],
    ['code', ['--reason', 'replayed,truncated'], ['replayed', 'truncated']],
    ['time', ['--since', '2026-11-23T01:40:14.5Z'], ['number-zero']],
    ['another node', ['--node', 'node-3'], []],
    ['number', ['-c', '2'], ['unknown-spi', 'replayed']],
  ])('shows findings by %s, and says how many are left out', (_, filter, codes) => {
    const args = ['wire.pcap', 'keys', 'ciliumnodes.json'].map((file) => `${FAULTS}${file}`);
    const { stdout } = run(...args, ...filter, '--json');
    const { findings, leftOut, conclusion } = JSON.parse(stdout) as Diagnosis;
    expect(findings.map(({ code }) => code)).toEqual(codes);
    expect(leftOut?.findings).toBe(6 - codes.length);
    expect(conclusion.packets).toBe(85);
    expect(run(...args, ...filter).stdout).toContain(`left out by the filter: ${6 - codes.length} findings`);
  });

  it('from keys and nodes alone finds the sender that is out of date', () => {
    const { stdout } = run(
      'stale-boot-id.pcap',
      ...['--keys', 'keys', '--nodes', 'nodes.json', '--nodes', 'nodes.old.json', '--json'],
    );
    const { findings } = JSON.parse(stdout) as Diagnosis;
    expect(new Set(findings.map(({ code }) => code))).toEqual(new Set(['stale-boot-id']));
  });

  it('takes counters of a node by its name, before and after', () => {
    const folder = tempFolder();
    const before = readFileSync(`${HERE}stale-boot-id.n2.xfrm_stat`, 'utf8');
    writeFileSync(`${folder}/after`, before.replace(/(XfrmInStateProtoError\s+)8/, '$117'));
    const stats = [`node-2=${HERE}stale-boot-id.n2.xfrm_stat`, `node-2=${folder}/after`];
    const { stdout } = run(
      'stale-boot-id.pcap',
      ...[...CLUSTER, ...STATES, '--json', ...stats.flatMap((stat) => ['--xfrm-stat', stat])],
    );
    const { findings } = JSON.parse(stdout) as Diagnosis;
    expect(findings.map(({ code }) => code)).toEqual(['stale-boot-id', 'counters-differ']);
    expect(findings[1]!.summary).toMatch(/node-2: XfrmInStateProtoError rose by 9 .* explains 8 of it/);
  });

  it('takes nodes without keys for a capture that brings its SAs along', () => {
    const folder = tempFolder();
    const own = `${folder}/own.pcapng`;
    const args = ['one-way.pcap', '--keys', 'keys', '--nodes', 'nodes.json', '-w', own, '--wire'];
    expect(esplane(['decrypt', ...args, '--with-secrets'], undefined, HERE).code).toBe(0);
    const { receivers } = JSON.parse(run(own, '--nodes', 'nodes.json', '--json').stdout) as Diagnosis;
    expect(receivers.map(({ node }) => node)).toEqual(['node-2']);
  });

  it('without SAs reads to the end, and says that nothing could be checked, and what to give', () => {
    const { code, stdout } = run('stale-boot-id.pcap');
    expect(code).toBe(0);
    expect(stdout).toContain(
      'Nothing could be checked. No security associations are given: give --keys with --nodes, or\n--xfrm-state, or --esp-sa.\n',
    );
    expect(stdout).toMatch(/10\.244\.2\.1 {2}not known\n/);
    const { conclusion, receivers } = JSON.parse(
      run('one-way.pcap', '--nodes', 'nodes.json', '--json').stdout,
    ) as Diagnosis;
    expect(conclusion).toMatchObject({ code: 'findings', judged: 0 });
    for (const { counters } of receivers) expect(counters).toEqual({});
  });

  it('takes texts without a capture', () => {
    const { code, stdout } = run(
      '--xfrm-state',
      'reordered.n2.xfrm_state.txt',
      '--xfrm-stat',
      'reordered.n2.xfrm_stat',
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/^no capture: 1 node, 2 states\n/);
    expect(stdout).toContain('10.244.2.1: XfrmInStateProtoError is 3 since it was booted');
    expect(stdout).toContain('There is no capture: only the texts were checked.');
    expect(stdout).toContain('What the other end holds is not told');
    expect(run()).toMatchObject({ code: 2 });
  });

  it('warns of a version that is newer than what is known', () => {
    const { stderr } = run('stale-boot-id.pcap', ...CLUSTER, '--cilium', '1.99');
    expect(stderr).toContain('warning: --cilium: Cilium 1.99 is newer than 1.20');
    expect(run('stale-boot-id.pcap', ...CLUSTER, '--cilium', '1.20').stderr).toBe('');
  });

  needs([CASES_NEED], 'people', () => {
    const here = (file: string) => `${CASES}texts/18-no-capture/${file}`;

    it.each(['stat-k8s.txt', 'encstat.txt'])('case texts 18: %s and states, without a capture', (stat) => {
      const args = ['--xfrm-state', here('12447.txt'), '--xfrm-stat', here(stat), '--json'];
      const { findings } = JSON.parse(run(...args).stdout) as Diagnosis;
      expect(findings[0]).toMatchObject({ code: 'sequence-near-end', basis: 'told', node: '10.244.0.77' });
      expect(findings).toContainEqual(
        expect.objectContaining({ code: 'kernel-drops', counter: 'XfrmInStateProtoError', count: 2177 }),
      );
    });
  });

  it('says what cannot be used', () => {
    const bad = run('stale-boot-id.pcap', ...STATES, '--xfrm-stat', 'keys');
    expect(bad.code).toBe(2);
    expect(bad.stderr).toBe(
      'esplane: keys: there is no counter in it. Give the text of `cat /proc/net/xfrm_stat`, as the node prints it.\n',
    );
  });
});
