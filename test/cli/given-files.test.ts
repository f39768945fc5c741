import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { gzip, tar, zip } from '../../scripts/sysdump/archives.ts';
import { bugtoolFiles, hashKeys, podOf, type SysdumpCluster, sysdump } from '../../scripts/sysdump/layout.ts';
import { DEFAULT_VERSION } from '../../src/cilium/version.ts';
import { readChunks, readText } from '../../src/cli/files.ts';
import { type GivenOptions, takeFiles, type Use } from '../../src/cli/given-files.ts';
import { LINK_RAW } from '../../src/wire/link-type.ts';
import { CAPTURES } from '../support/needs.ts';
import { pcapOf } from '../support/pcap.ts';
import { tempFolder } from '../support/temp-folder.ts';

const NATIVE = `${CAPTURES}/native-v4`;
const read = (file: string) => readFileSync(`${NATIVE}/${file}`, 'utf8');
const NONE = { keys: [], nodes: [], xfrmState: [], espSa: [], cilium: DEFAULT_VERSION };
const DIAGNOSE: Use = {
  ...{ subject: 'capture', diagnoses: true, opens: true },
  ...{ counters: true, isVersionGiven: false },
};
const DECRYPT: Use = { ...DIAGNOSE, diagnoses: false, counters: false };
const BOOT_IDS = (
  JSON.parse(read('ciliumnodes.json')) as { items: { spec: { bootid: string } }[] }
).items.map(({ spec }) => spec.bootid);

const NODES = ['n1', 'n2'].map((name, i) => ({
  name: `node-${i + 1}`,
  commands: {
    hostname: `ip-10-0-0-${i + 1}\n`,
    'ip -s xfrm state': read(`${name}.xfrm_state.txt`),
    'ip -s xfrm policy': read(`${name}.xfrm_policy.txt`),
    'cat /proc/net/xfrm_stat': read(`${name}.xfrm_stat`),
    'cat -u /proc/net/xfrm_stat': read(`${name}.xfrm_stat`),
    'cat /proc/sys/kernel/random/boot_id': `${BOOT_IDS[i]}\n`,
  },
}));
const CLUSTER: SysdumpCluster = {
  nodes: NODES,
  ciliumNodes: (JSON.parse(read('ciliumnodes.json')) as { items: object[] }).items,
  version: 'v1.17.4',
  config: { 'enable-ipsec': 'true' },
};

let folder = '';
let lines: string[] = [];

beforeEach(() => {
  folder = tempFolder();
  lines = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    lines.push(...String(text).trimEnd().split('\n'));
    return true;
  });
});
afterEach(() => vi.restoreAllMocks());

function put(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

/** What was taken, with names as in the temporary folder. */
async function take(names: readonly string[], use: Use = DIAGNOSE, options: GivenOptions = NONE) {
  const taken = await takeFiles(names, options, use);
  const short = (text: string) => text.replaceAll(`${folder}/`, '').replaceAll(`${NATIVE}/`, '');
  return JSON.parse(short(JSON.stringify({ ...taken, lines }))) as typeof taken & { lines: string[] };
}

async function bytesOf(name: string): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of readChunks(name)) parts.push(chunk.slice());
  return Buffer.concat(parts);
}

describe('takeFiles', () => {
  it('takes a capture alone without a word, and without looking at it', async () => {
    expect(await take([`${NATIVE}/wire.pcap`])).toMatchObject({ captures: ['wire.pcap'], lines: [] });
    const packed = put('wire.pcap.gz', gzip(readFileSync(`${NATIVE}/wire.pcap`)));
    expect(await take([packed])).toMatchObject({ captures: ['wire.pcap.gz'], lines: [] });
    // As it is, for a reader that unpacks it: it may be of any length.
    expect(Buffer.compare(await bytesOf(packed), readFileSync(packed))).toBe(0);
    const { unknown } = await take([put('garbage', 'PK\0\0\u0001\0\0\0')]);
    expect([unknown, lines]).toEqual(['garbage', []]);
  });

  it('says of several files what each is, and lets options win', async () => {
    const files = [
      'wire.pcap',
      'keys',
      'ciliumnodes.json',
      'n1.xfrm_state.txt',
      'n2.xfrm_policy.txt',
      'n1.xfrm_stat',
    ];
    put('notes', 'Hello.\n');
    const taken = await take([...files.map((file) => `${NATIVE}/${file}`), join(folder, 'notes')], DIAGNOSE, {
      ...NONE,
      keys: ['named'],
    });
    expect(taken).toMatchObject({
      captures: ['wire.pcap'],
      options: {
        keys: ['keys', 'named'],
        nodes: ['ciliumnodes.json'],
        xfrmState: ['n1.xfrm_state.txt'],
        xfrmPolicy: ['n2.xfrm_policy.txt'],
        xfrmStat: ['n1.xfrm_stat'],
        espSa: [],
      },
    });
    expect(taken.lines).toEqual([
      'wire.pcap: capture',
      "keys: Cilium's keys",
      'ciliumnodes.json: CiliumNodes',
      'n1.xfrm_state.txt: ip xfrm state',
      'n2.xfrm_policy.txt: ip xfrm policy',
      'n1.xfrm_stat: /proc/net/xfrm_stat',
      'not recognised, and not used: notes',
    ]);
  });

  it('takes a file for each kind that it is', async () => {
    const all = put('all', read('n1.xfrm_state.txt') + read('n1.xfrm_policy.txt') + read('n1.xfrm_stat'));
    const { options } = await take([all]);
    expect(options).toMatchObject({ xfrmState: ['all'], xfrmPolicy: ['all'], xfrmStat: ['all'] });
  });

  it('takes no counters of which it is not told whose they are', async () => {
    const states = [1, 2].map((i) => `${NATIVE}/n${i}.xfrm_state.txt`);
    const { options, lines } = await take([...states, `${NATIVE}/n1.xfrm_stat`]);
    expect(options.xfrmStat).toBeUndefined();
    expect(lines.at(-1)).toBe(
      'n1.xfrm_stat: /proc/net/xfrm_stat (not used: of which node is not told: give --xfrm-stat NODE=FILE)',
    );
  });

  it('goes through folders, and leaves links to folders alone', async () => {
    put('case/a/wire', readFileSync(`${NATIVE}/wire.pcap`));
    put('case/b/keys', read('keys'));
    put('case/nodes', read('ciliumnodes.json'));
    symlinkSync('..', join(folder, 'case/up'));
    const { captures, options } = await take([join(folder, 'case')]);
    expect(captures).toEqual(['case/a/wire']);
    expect(options).toMatchObject({ keys: ['case/b/keys'], nodes: ['case/nodes'] });
  });

  it('takes a sysdump, names its nodes, and holds its texts', async () => {
    const dump = put('s.zip', sysdump(CLUSTER));
    const { options, captures, lines } = await take([dump]);
    expect(captures).toEqual([]);
    const cmd = NODES.map(
      (node) => `s.zip/cilium-sysdump-20261129-101112/cilium-bugtool-${podOf(node)}-20261129-101112/cmd`,
    );
    expect(options.xfrmState).toEqual(cmd.map((at) => `${at}/ip--s-xfrm-state.md`));
    expect(options.xfrmStat).toEqual(
      cmd.flatMap((at, i) => [
        `node-${i + 1}=${at}/cat--proc-net-xfrm_stat.md`,
        `node-${i + 1}=${at}/cat--u--proc-net-xfrm_stat.md`,
      ]),
    );
    expect(options.cilium).toEqual({ minor: 17, patch: 4 });
    expect(readText(`${folder}/${options.xfrmState[0]}`)).toMatch(/\[hash:[0-9a-f]{64}\] \(160 bits\) 128/);
    expect(lines).toEqual([
      `node-1 (${podOf(NODES[0]!)}), node-2 (${podOf(NODES[1]!)}): ip xfrm state, ip xfrm policy, counters, counters again`,
      expect.stringMatching(/: ConfigMap cilium-config \(not used: of no use to this command\)$/),
      expect.stringMatching(/cilium-daemonset-\S+\.yaml: Cilium's DaemonSet \(Cilium 1\.17\.4\)$/),
      expect.stringMatching(/: CiliumNodes$/),
      expect.stringMatching(/: Pods$/),
      expect.stringMatching(/^not recognised, and not used: .*k8s-pods-\S+\.txt, .*cilium-sysdump\.log$/),
      '5 other files of the sysdump are of no use here',
    ]);
  });

  it('keeps the version that an option names', async () => {
    const { options } = await take([put('s.zip', sysdump(CLUSTER))], { ...DIAGNOSE, isVersionGiven: true });
    expect(options.cilium).toEqual(DEFAULT_VERSION);
  });

  it('opens nothing with keys that are hidden, and says so', async () => {
    const { options, lines } = await take([put('s.zip', sysdump(CLUSTER)), `${NATIVE}/wire.pcap`], DECRYPT);
    expect(options).toMatchObject({ xfrmState: [], keys: [] });
    // Nodes have names, and without keys no SAs.
    expect(options.nodes).toHaveLength(1);
    expect(lines).toContainEqual(expect.stringMatching(/: CiliumNodes$/));
    const table = await take([`${NATIVE}/ciliumnodes.json`], { ...DECRYPT, subject: 'none', opens: false });
    expect(table.options.nodes).toEqual([]);
    expect(table.lines).toContainEqual(
      expect.stringMatching(/: CiliumNodes \(not used: nodes make no SAs without keys: /),
    );
    const states = put('states', read('n1.xfrm_state.txt').replace(/0x[0-9a-f]{40}/g, '<<Keys hidden>>'));
    expect((await take([states, `${NATIVE}/wire.pcap`], DECRYPT)).lines).toContain(
      'states: ip xfrm state (not used: its keys are hidden)',
    );
  });

  it('takes hashes in the place of keys where there are keys that they may be of', async () => {
    const archive = put('s.zip', sysdump(CLUSTER));
    const wire = `${NATIVE}/wire.pcap`;
    const hashed = put('states', hashKeys(read('n1.xfrm_state.txt')));
    const keys = `${NATIVE}/keys`;
    // In any order.
    for (const files of [
      [hashed, archive, wire, keys],
      [keys, wire, archive, hashed],
    ]) {
      expect((await take(files, DECRYPT)).options.xfrmState).toHaveLength(3);
      expect((await take(files, { ...DECRYPT, opens: false })).options.xfrmState).toEqual([]);
    }
    expect((await take([archive, hashed, wire], DECRYPT)).options.xfrmState).toEqual([]);
    const named = await take([archive, wire], DECRYPT, { ...NONE, keys: [keys] });
    expect(named.options.xfrmState).toHaveLength(2);
    const { bootIds } = await takeFiles([archive], NONE, DIAGNOSE);
    expect(bootIds('node-2')).toMatchObject({
      bootId: BOOT_IDS[1],
      source: expect.stringContaining('boot_id'),
    });
    expect(bootIds('node-9')).toBeUndefined();
  });

  it.each([
    ['by its boot id', { 'cat /proc/sys/kernel/random/boot_id': `${BOOT_IDS[1]}\n` }, 'node-2'],
    ['by its host name', { hostname: 'node-2.example.com\n' }, 'node-2'],
    ['by the name that it has for itself', { hostname: 'other\n' }, 'other'],
  ])('names the node of a bugtool archive %s', async (_, commands, name) => {
    const files = bugtoolFiles({
      name: 'x',
      commands: { ...commands, 'cat /proc/net/xfrm_stat': read('n2.xfrm_stat') },
    });
    const archive = put(
      'b.tar.gz',
      gzip(tar(files.map(([file, text]) => [`cilium-bugtool-20261129-101112.1+0000-UTC-1/${file}`, text]))),
    );
    const { options } = await take([archive, `${NATIVE}/ciliumnodes.json`]);
    expect(options.xfrmStat![0]).toMatch(`${name}=b.tar.gz/cilium-bugtool`);
  });

  it('reads a capture out of an archive', async () => {
    const wire = readFileSync(`${NATIVE}/wire.pcap`);
    const archive = put(
      'a.zip',
      zip([
        ['x/wire', gzip(wire)],
        ['x/keys', read('keys')],
      ]),
    );
    const { captures } = await takeFiles([archive], NONE, DECRYPT);
    expect(captures).toEqual([`${archive}/x/wire`]);
    expect(Buffer.compare(await bytesOf(captures[0]!), wire)).toBe(0);
    expect(lines).toContain(
      `${archive}/x/keys: Cilium's keys (not used: keys make no SAs without CiliumNodes: kubectl get ciliumnodes -o json)`,
    );
  });

  it('hands on flows, with a capture and without, where a command takes them', async () => {
    const flow = '{"flow":{"verdict":"DROPPED"},"node_name":"node-1"}';
    const file = put('hubble-flows.json', `${flow}\n${flow}\n`);
    const taken: [string, string][] = [];
    const use: Use = {
      ...DIAGNOSE,
      onNode: () => {},
      onFlow: (line, source) => void taken.push([line, source]),
    };
    await take([file, `${NATIVE}/n1.xfrm_state.txt`], use);
    expect(taken).toEqual([
      [flow, file],
      [flow, file],
    ]);
    expect(lines).toContain(`${file}: Hubble's flows`);
    lines = [];
    await take([file, `${NATIVE}/wire.pcap`], use);
    expect(taken).toHaveLength(4);
    expect(lines).toContain(`${file}: Hubble's flows`);
    lines = [];
    await take([file, `${NATIVE}/wire.pcap`], DECRYPT);
    expect(lines).toContain(`${file}: Hubble's flows (not used: of no use to this command)`);
  });

  it('takes a text through a pipe, and a capture without its end', async () => {
    for (const [name, file] of [
      ['p1', 'n1.xfrm_state.txt'],
      ['p2', 'wire.pcap'],
    ] as const) {
      execFileSync('mkfifo', [join(folder, name)]);
      spawn('sh', ['-c', `cat '${NATIVE}/${file}' > '${join(folder, name)}'; sleep 0`], { stdio: 'ignore' });
    }
    const { captures, options } = await takeFiles([join(folder, 'p1'), join(folder, 'p2')], NONE, DIAGNOSE);
    expect(options.xfrmState).toEqual([join(folder, 'p1')]);
    expect(readText(join(folder, 'p1'))).toBe(read('n1.xfrm_state.txt'));
    expect(captures).toEqual([join(folder, 'p2')]);
    expect(Buffer.compare(await bytesOf(captures[0]!), readFileSync(`${NATIVE}/wire.pcap`))).toBe(0);
  });

  it('takes several captures, also through pipes, to be read more than once', async () => {
    const [one, two] = ['wire.pcap', 'pod1.pcap'].map((file) => `${NATIVE}/${file}`);
    const several: Use = { ...DIAGNOSE, subject: 'captures' };
    const { captures } = await take([one!, two!], several);
    expect(captures).toEqual(['wire.pcap', 'pod1.pcap']);
    const pipes = ['p', 'q'].map((name) => join(folder, name));
    execFileSync('mkfifo', pipes);
    // More than a pipe takes: the second one has to be read while the first one still waits for the end of it.
    const large = Buffer.concat([pcapOf([new Uint8Array(1)], LINK_RAW), new Uint8Array(1 << 20).fill(7)]);
    const file = join(folder, 'large.pcap');
    writeFileSync(file, large);
    const [p, q] = pipes.map((pipe) => `'${pipe}'`);
    const writer = `exec 3> ${p}; head -c 100 '${file}' >&3; cat '${file}' > ${q}; tail -c +101 '${file}' >&3`;
    spawn('sh', ['-c', writer], { stdio: 'ignore' });
    const given = await takeFiles([pipes[0]!, two!, pipes[1]!], NONE, several);
    expect(given.captures).toEqual([pipes[0], two, pipes[1]]);
    for (const name of [...pipes, ...pipes]) expect(Buffer.compare(await bytesOf(name), large)).toBe(0);
  });

  it('refuses two captures where one is wanted, and what is not there', async () => {
    const [one, two] = ['wire.pcap', 'pod1.pcap'].map((file) => `${NATIVE}/${file}`);
    await expect(take([one!, two!])).rejects.toThrow(
      /pod1\.pcap: a second capture, besides .*wire\.pcap\. Give one, or join/,
    );
    await expect(take([one!, join(folder, 'nope')])).rejects.toThrow(/nope: no such file/);
  });

  it('says what is damaged, and uses the rest', async () => {
    const whole = sysdump(CLUSTER);
    const { options, lines } = await take([
      put('cut.zip', whole.slice(0, 3000)),
      `${NATIVE}/keys`,
      `${NATIVE}/ciliumnodes.json`,
    ]);
    expect(options).toMatchObject({ keys: ['keys'], nodes: ['ciliumnodes.json'] });
    expect(lines).toContainEqual(
      expect.stringMatching(
        /^warning: cut\.zip: the zip is cut off: .* is missing; \d+ files before that are whole and used; cilium-sysdump-\S+ is not whole/,
      ),
    );
  });

  it('takes a packet where one is wanted', async () => {
    const hex = put('packet', '450000540000400040010000 0af4010a0af40214 00112233\n');
    expect(await take([hex], { ...DECRYPT, subject: 'packet or capture' })).toMatchObject({
      packet: 'packet',
    });
    const { captures, packet, lines } = await take([hex, `${NATIVE}/wire.pcap`], DECRYPT);
    expect([captures, packet]).toEqual([['wire.pcap'], undefined]);
    expect(lines).toContain('packet: one packet (not used: this command takes captures)');
  });

  it('counts what is too much for lines', async () => {
    const files = Array.from(
      { length: 60 },
      (_, i) => [`f${i}`, i % 2 ? 'nothing' : read('n1.xfrm_policy.txt')] as const,
    );
    const { lines } = await take([put('many.tar', tar(files))]);
    expect(lines.length).toBe(31);
    expect(lines.at(-1)).toBe(
      'not recognised, and not used: many.tar/f1, many.tar/f3, many.tar/f5, many.tar/f7, many.tar/f9 and 25 more',
    );
  });
});
