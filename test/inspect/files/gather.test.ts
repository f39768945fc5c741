import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type Files, gzip, tar, zip } from '../../../scripts/sysdump/archives.ts';
import {
  bugtool,
  fileOf,
  podOf,
  type SysdumpCluster,
  sysdump,
  sysdumpFiles,
} from '../../../scripts/sysdump/layout.ts';
import { EsplaneError } from '../../../src/base/errors.ts';
import { parseNodes } from '../../../src/cilium/nodes.ts';
import { type Gathered, gather, type NodeTexts } from '../../../src/inspect/files/gather.ts';
import { Budget, memoryFile } from '../../../src/inspect/files/walk.ts';
import { readStates } from '../../../src/sa-text/xfrm-sas.ts';
import { CAPTURES } from '../../support/needs.ts';

const NATIVE = `${CAPTURES}/native-v4`;
const read = (file: string) => readFileSync(`${NATIVE}/${file}`, 'utf8');
const bytes = (file: string) => new Uint8Array(readFileSync(`${NATIVE}/${file}`));

const NODES = ['n1', 'n2'].map((name, i) => ({
  name: `node-${i + 1}`,
  commands: {
    hostname: `node-${i + 1}\n`,
    'ip -s xfrm state': read(`${name}.xfrm_state.txt`),
    'ip -s xfrm policy': read(`${name}.xfrm_policy.txt`),
    'cat /proc/net/xfrm_stat': read(`${name}.xfrm_stat`),
    'cat -u /proc/net/xfrm_stat': read(`${name}.xfrm_stat`),
    'cat /proc/sys/kernel/random/boot_id': '0f8f8a5c-6d7e-4f1b-9a01-2b3c4d5e6f70\n',
    'cilium-dbg encrypt status': 'Encryption: IPsec                     \n',
  },
}));

const CLUSTER: SysdumpCluster = {
  nodes: NODES,
  ciliumNodes: (JSON.parse(read('ciliumnodes.json')) as { items: object[] }).items,
  version: 'v1.18.2',
  config: { 'enable-ipsec': 'true' },
};

interface All extends Gathered {
  readonly nodes: readonly NodeTexts[];
  readonly damage: readonly string[];
}

async function gathered(
  files: Files,
  budget?: Budget,
  onFlow?: (line: string, source: string) => void,
): Promise<All> {
  const nodes: NodeTexts[] = [];
  const damage: string[] = [];
  const given = files.map(([name, content]) =>
    memoryFile(name, typeof content === 'string' ? new TextEncoder().encode(content) : content),
  );
  const all = await gather(given, {
    ...(budget && { budget }),
    ...(onFlow && { onFlow }),
    onNode: (node) => void nodes.push(node),
    onDamage: ({ message }) => damage.push(message),
    crc32,
  });
  return { ...all, nodes, damage };
}

const kindsOf = ({ texts }: Gathered) => [...texts].map(([kind, list]) => `${kind} ${list.length}`);

describe('gather', () => {
  it('takes single files by what is in them', async () => {
    const files = [
      'wire.pcap',
      'keys',
      'ciliumnodes.json',
      'n1.xfrm_state.txt',
      'n2.xfrm_state.txt',
      'n2.xfrm_stat',
    ];
    const all = await gathered([
      ...files.map((name) => [name, bytes(name)] as const),
      ['notes', 'Hello.\n'],
      ['e', ''],
    ]);
    expect(all.subjects.map(({ kind, name }) => [kind, name])).toEqual([['capture', 'wire.pcap']]);
    expect(all.subjects[0]!.file).toBeDefined();
    expect(kindsOf(all)).toEqual(['keys 1', 'nodes 1', 'xfrm-state 2', 'xfrm-stat 1']);
    expect(all.texts.get('xfrm-state')![1]).toEqual({
      source: 'n2.xfrm_state.txt',
      text: read('n2.xfrm_state.txt'),
    });
    expect(all.taken.slice(-2)).toEqual([
      { name: 'notes', kinds: [] },
      { name: 'e', kinds: [], why: 'it is empty' },
    ]);
    expect([all.nodes, all.damage, all.beside]).toEqual([[], [], 0]);
  });

  it('reads a capture, packed or not, as often as is wanted', async () => {
    const wire = bytes('wire.pcap');
    const { subjects, damage } = await gathered([
      ['wire.pcap', wire],
      ['wire.pcap.gz', gzip(wire)],
      [
        'a.zip',
        zip([
          ['x/other', 'x'],
          ['x/wire', wire],
        ]),
      ],
      [
        'b.tgz',
        gzip(
          tar([
            ['x/other', 'x'],
            ['x/in.zip', zip([['wire', gzip(wire)]])],
          ]),
        ),
      ],
    ]);
    expect(damage).toEqual([]);
    expect(subjects.map(({ name }) => name)).toEqual([
      'wire.pcap',
      'wire.pcap.gz',
      'a.zip/x/wire',
      'b.tgz/x/in.zip/wire',
    ]);
    for (const subject of [...subjects, ...subjects]) {
      const parts: Uint8Array[] = [];
      for await (const chunk of subject.chunks()) parts.push(chunk.slice());
      expect(Buffer.compare(Buffer.concat(parts), wire), subject.name).toBe(0);
    }
  });

  it.each([
    ['as cilium-cli writes it', () => sysdump(CLUSTER)],
    ['whose bugtool archives stayed packed', () => sysdump(CLUSTER, { packed: true })],
    ['packed as tar.gz', () => gzip(tar(sysdumpFiles(CLUSTER)))],
  ])('takes a sysdump %s apart', async (_, make) => {
    const all = await gathered([['s.zip', make()]]);
    expect(all.damage).toEqual([]);
    expect(all.nodes.map(({ pod }) => pod)).toEqual(NODES.map(podOf));
    for (const [i, node] of all.nodes.entries()) {
      expect(node.source).toMatch(`cilium-bugtool-${podOf(NODES[i]!)}`);
      expect(node.texts.hostname!.text).toBe(`node-${i + 1}\n`);
      expect(Object.keys(node.texts).sort()).toEqual(
        [
          'boot-id',
          'encrypt-status',
          'hostname',
          'xfrm-policy',
          'xfrm-stat',
          'xfrm-stat-later',
          'xfrm-state',
        ].sort(),
      );
      const { source, text } = node.texts['xfrm-state']!;
      const states = readStates(text, source);
      expect(states.sas).toEqual([]);
      expect(states.keyless.map(({ keyHash }) => keyHash?.length)).toEqual(states.keyless.map(() => 64));
      expect(states.keyless.length).toBeGreaterThan(1);
    }
    expect(kindsOf(all).sort()).toEqual(['cilium-config 1', 'daemonset 1', 'nodes 1', 'pods 1']);
    const [nodes] = all.texts.get('nodes')!;
    expect(parseNodes(nodes!.text, nodes!.source).map(({ name }) => name)).toEqual(['node-1', 'node-2']);
    // The sysdump's own log, the table of pods, logs; uname and ps of each node.
    expect(all.taken.filter(({ kinds }) => kinds.length === 0).length).toBe(2);
    expect(all.beside).toBe(5);
  });

  it('takes the archive of one pod', async () => {
    const { nodes, damage } = await gathered([['cilium-bugtool-1.tar.gz', bugtool(NODES[0]!)]]);
    expect(damage).toEqual([]);
    expect(nodes.length).toBe(1);
    expect(nodes[0]!.pod).toBeUndefined();
    expect(nodes[0]!.texts.hostname!.text).toBe('node-1\n');
  });

  it('keeps the texts of nodes apart whose files come in turns', async () => {
    const files: Files = ['a', 'b', 'a'].map((node, i) => [
      `${node}/cmd/${i < 2 ? 'hostname' : 'cat--proc-net-xfrm_stat'}.md`,
      node,
    ]);
    const { nodes } = await gathered([['x.tar', tar(files)]]);
    expect(nodes.map(({ source, texts }) => [source, ...Object.keys(texts)])).toEqual([
      ['x.tar/a', 'hostname'],
      ['x.tar/b', 'hostname'],
      ['x.tar/a', 'xfrm-stat'],
    ]);
  });

  it('goes on behind what is damaged', async () => {
    const whole = sysdump(CLUSTER, { packed: true });
    const cut = bugtool(NODES[0]!).slice(0, 1000);
    const { nodes, damage, texts } = await gathered([
      ['cut.zip', whole.slice(0, whole.length / 2)],
      [
        'one.zip',
        zip([
          ['cilium-bugtool-cilium-aaaaa-20261129-101112.tar.gz', cut],
          ['b.tar.gz', bugtool(NODES[1]!)],
        ]),
      ],
      ['keys', bytes('keys')],
    ]);
    expect(damage).toEqual([
      expect.stringMatching(
        /^cut\.zip: the zip is cut off: .* is missing; 1 file before that is whole and used; .*tar\.gz is not whole/,
      ),
      expect.stringMatching(
        /^one\.zip\/cilium-bugtool-cilium-aaaaa.*: the gzip data is damaged or cut off; \d+ files before that are whole and used\./,
      ),
    ]);
    expect(nodes.at(-1)!.texts.hostname!.text).toBe('node-2\n');
    expect(texts.get('keys')!.length).toBe(1);
  });

  it('reads one sysdump of two: of another cluster, or of the same at another time', async () => {
    const other = { ...CLUSTER, nodes: NODES.map((node) => ({ ...node, name: `other-${node.name}` })) };
    const first: Files = [['a.zip', sysdump(CLUSTER)]];
    const alone = await gathered(first);
    for (const packed of [false, true]) {
      const both = await gathered([...first, ['b.zip', sysdump(other, { time: '20261130-000102', packed })]]);
      expect(both.damage).toEqual([
        'b.zip: a sysdump of 2026-11-30 00:01:02, beside that of 2026-11-29 10:11:12: it is not used. Give one sysdump at a time.',
      ]);
      expect(both.nodes).toEqual(alone.nodes);
      expect(both.texts).toEqual(alone.texts);
    }
  });

  it('reads a sysdump once that is given packed and unpacked', async () => {
    const alone = await gathered([['a.zip', sysdump(CLUSTER)]]);
    const files = sysdumpFiles(CLUSTER).map(([name, text]) => [`folder/${name}`, text] as const);
    const both = await gathered([['a.zip', sysdump(CLUSTER)], ...files]);
    expect(both.nodes).toEqual(alone.nodes);
    expect(both.texts).toEqual(alone.texts);
    expect(both.damage).toEqual([
      expect.stringMatching(
        /^folder\/\S+\/cilium-bugtool-\S+: the same as a\.zip\/\S+: it is not used\. Give one/,
      ),
    ]);
  });

  it('does not use what its checksum does not fit', async () => {
    const dump = zip(sysdumpFiles(CLUSTER), { stored: true });
    const at = Buffer.from(dump).indexOf(
      'replay-window',
      Buffer.from(dump).indexOf(fileOf('ip -s xfrm state')),
    );
    dump[at] = dump[at]! ^ 1;
    const { nodes, damage } = await gathered([['a.zip', dump]]);
    expect(damage).toEqual([
      expect.stringMatching(
        /^a\.zip\/\S+\/ip--s-xfrm-state\.md: is damaged: its checksum is another\. Copy the file again\.$/,
      ),
    ]);
    expect(nodes.map(({ texts }) => texts['xfrm-state'] !== undefined)).toEqual([false, true]);
    expect(nodes[0]!.texts['xfrm-policy']).toBeDefined();
  });

  it('reads a capture whose checksum does not fit to its end, and says so there', async () => {
    const wire = readFileSync(`${NATIVE}/wire.pcap`);
    for (const stored of [true, false]) {
      const whole = zip([['x/wire.pcap', wire]], { stored });
      const at = Buffer.from(whole).indexOf('PK\x01\x02', 0, 'latin1') + 16;
      const damaged = whole.slice();
      damaged[at] = damaged[at]! ^ 1;
      const read = async (bytes: Uint8Array) => {
        const { subjects } = await gathered([['a.zip', bytes]]);
        let length = 0;
        let problem = '';
        try {
          for await (const chunk of subjects[0]!.chunks()) length += chunk.length;
        } catch (error) {
          problem = (error as Error).message;
        }
        return { length, problem };
      };
      expect(await read(whole)).toEqual({ length: wire.length, problem: '' });
      expect(await read(damaged)).toEqual({
        length: wire.length,
        problem: 'a.zip/x/wire.pcap: is damaged: its checksum is another. Copy the file again.',
      });
    }
  });

  it.each([
    ['with line ends of Windows', (text: string) => text.replaceAll('\n', '\r\n')],
    ['with a byte order mark', (text: string) => `\ufeff${text}`],
    [
      'in markdown of Windows',
      (text: string) => `# cmd\r\n\r\n\`\`\`\r\n${text.replaceAll('\n', '\r\n')}\`\`\`\r\n`,
    ],
  ])('reads a sysdump that was saved again %s', async (_, change) => {
    const files = sysdumpFiles(CLUSTER).map(
      ([name, text]) => [name, /\.md$/.test(name) ? change(text as string) : text] as const,
    );
    const { nodes, damage } = await gathered([['a.zip', zip(files)]]);
    expect(damage).toEqual([]);
    const { texts } = nodes[0]!;
    const keys = readStates(texts['xfrm-state']!.text, 's').keyless;
    expect(keys).toHaveLength(readStates(read('n1.xfrm_state.txt'), 's').sas.length);
    expect(texts.hostname!.text.trim()).toBe('node-1');
  });

  it('does not take for told what a crashed pod did not print', async () => {
    const top = 'cilium-sysdump-20261129-101112/cilium-bugtool-cilium';
    const file = (pod: string, command: string, text: string) =>
      [`${top}-${pod}-20261129-101112/cmd/${fileOf(command)}`, text] as const;
    const failed = (command: string) => `> Error while running '${command}':  exit status 1\n\n`;
    const commands = ['ip -s xfrm state', 'cilium-dbg encrypt status', 'hostname'];
    const states = read('n1.xfrm_state.txt');
    const { nodes, damage } = await gathered([
      [
        'a.zip',
        zip([
          [`${top}-empty-20261129-101112/cmd/`, ''],
          ...commands.map((command) => file('crash', command, failed(command))),
          ...commands.map((command) => file('error', command, `Cannot do that.\n${failed(command)}`)),
          file('parts', 'ip -s xfrm state', states + failed('ip -s xfrm state')),
          file('parts', 'ip -s xfrm policy', ''),
        ]),
      ],
    ]);
    expect(damage).toEqual([]);
    expect(nodes.map(({ pod, texts }) => [pod, Object.keys(texts)])).toEqual([
      ['cilium-crash', []],
      ['cilium-error', []],
      ['cilium-parts', ['xfrm-state', 'xfrm-policy']],
    ]);
    expect(nodes[2]!.texts['xfrm-policy']!.text).toBe('');
  });

  it('reads of a long text of no use its beginning alone', async () => {
    const log = 'level=info msg="src and dst" kind: none\n'.repeat(200_000);
    const { taken, damage } = await gathered([['a.log', log]], new Budget({ held: 1 << 20 }));
    expect(taken).toEqual([{ name: 'a.log', kinds: [] }]);
    expect(damage).toEqual([]);
    const states = read('n2.xfrm_state.txt').repeat(200);
    expect((await gathered([['s', states]])).taken).toEqual([{ name: 's', kinds: ['xfrm-state'] }]);
    expect((await gathered([['s', states]], new Budget({ held: 100_000 }))).taken).toEqual([
      { name: 's', kinds: [], why: 'it is longer than any text that is read here' },
    ]);
  });

  it('knows a long list by its end', async () => {
    const item = '- metadata:\n    name: node-1\n  spec:\n    bootid: x\n';
    const list = `apiVersion: cilium.io/v2\nitems:\n${item.repeat(4000)}kind: CiliumNodeList\n`;
    expect((await gathered([['l', list]])).taken).toEqual([{ name: 'l', kinds: ['nodes'] }]);
  });

  it('holds no flows', async () => {
    const flow = '{"flow":{"verdict":"FORWARDED"},"node_name":"n1"}\n';
    for (const text of [flow, flow.repeat(10_000)]) {
      const { taken, texts } = await gathered([['hubble-flows-x.json', text]]);
      expect(taken).toEqual([{ name: 'hubble-flows-x.json', kinds: ['flows'] }]);
      expect(texts.size).toBe(0);
    }
  });

  it('hands on flows line by line, where they are wanted, however long they are', async () => {
    const flow = '{"flow":{"verdict":"FORWARDED"},"node_name":"n\u00e9"}';
    const long = `{"flow":{"x":"${'y'.repeat(70_000)}"}}`;
    for (const [times, tail] of [
      [1, ''],
      [3000, ''],
      [3000, '\n{"flow"'],
    ] as const) {
      const lines: [string, string][] = [];
      const { taken } = await gathered(
        [['hubble-flows-x.json', `${`${flow}\n`.repeat(times)}${long}\n${flow}${tail}`]],
        new Budget(),
        (line, source) => void lines.push([line, source]),
      );
      expect(taken).toEqual([{ name: 'hubble-flows-x.json', kinds: ['flows'] }]);
      expect(lines).toEqual([
        ...Array.from({ length: times + 1 }, () => [flow, 'hubble-flows-x.json']),
        ...(tail === '' ? [] : [['{"flow"', 'hubble-flows-x.json']]),
      ]);
    }
  });

  it('stops where all together are beyond a limit', async () => {
    await expect(gathered([['s.zip', sysdump(CLUSTER)]], new Budget({ entries: 3 }))).rejects.toThrow(
      EsplaneError,
    );
  });
});
