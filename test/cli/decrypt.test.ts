import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { zip } from '../../scripts/sysdump/archives.ts';
import { sysdumpOfTrouble } from '../../scripts/sysdump/from-kernel.ts';
import { sysdump } from '../../scripts/sysdump/layout.ts';
import { toHex } from '../../src/base/bytes.ts';
import { PcapWriter } from '../../src/capture/pcap-writer.ts';
import { SECRETS_TYPE_ESP } from '../../src/capture/pcapng.ts';
import { PcapngWriter } from '../../src/capture/pcapng-writer.ts';
import { captureReader } from '../../src/capture/reader.ts';
import { writeDsbCsv } from '../../src/sa-text/dsb-csv.ts';
import { parseXfrmState } from '../../src/sa-text/xfrm-sas.ts';
import { esplane, hasPart, tempFolder } from '../support/cli.ts';
import { fixedFields, type Line, readLines } from '../support/decrypt.ts';
import { CAPTURES, needs, SHARED, shared } from '../support/needs.ts';

const NATIVE = `${CAPTURES}/native-v4`;
const SAS = ['--keys', `${NATIVE}/keys`, '--nodes', `${NATIVE}/ciliumnodes.json`];

const KEY = '4142434445464748494a4b4c4d4e4f5001020304';
const NODE_LIST = {
  kind: 'List',
  items: [1, 2].map((n) => ({
    kind: 'CiliumNode',
    metadata: { name: `node-${n}` },
    spec: {
      addresses: [
        { type: 'InternalIP', ip: `192.168.0.${n}` },
        { type: 'CiliumInternalIP', ip: `10.0.${n}.1` },
      ],
      bootid: `00000000-0000-0000-0000-00000000000${n}`,
      encryption: { key: 3 },
      ipam: { podCIDRs: [`10.0.${n}.0/24`] },
    },
  })),
};

interface Frames {
  readonly frames: string[];
  /** Number of the frame, and the comment on it. */
  readonly comments: [number, string][];
  readonly secrets: string[];
}

function readFrames(file: string): Frames {
  const read: Frames = { frames: [], comments: [], secrets: [] };
  const reader = captureReader(file, {
    frame: (b, at, end) => read.frames.push(toHex(b, at, end)),
    comment: (text) => read.comments.push([read.frames.length + 1, text]),
    secrets: (type, data) => {
      expect(type).toBe(SECRETS_TYPE_ESP);
      read.secrets.push(new TextDecoder().decode(data));
    },
  });
  reader.feed(readFileSync(file));
  reader.end();
  return read;
}

needs([shared('captures')], 'esplane decrypt', () => {
  const folder = tempFolder();

  it('prints the contract as JSON lines, and a summary beside them', () => {
    const { code, stdout, stderr } = esplane(['decrypt', `${NATIVE}/wire.pcap`, ...SAS, '--json']);
    expect(code).toBe(0);
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
    expect(lines.map(fixedFields)).toEqual(readLines(`${NATIVE}/expected.jsonl`));
    const files = ['ciliumnodes.json', 'wire.pcap', 'keys'].map((name) => `${NATIVE}/${name}`);
    writeFileSync(
      `${folder}/all.zip`,
      zip(files.map((file) => [`case/${basename(file)}`, readFileSync(file)])),
    );
    for (const given of [files, [`${folder}/all.zip`]]) {
      const told = esplane(['decrypt', ...given, '--json']);
      expect(told).toMatchObject({ code: 0, stdout });
      expect(told.stderr).toContain("keys: Cilium's keys\n");
    }
    expect(Object.keys(lines[0]!)).toEqual([
      'frame',
      'time',
      'src',
      'dst',
      'spi',
      'seq',
      'verdict',
      'reason',
      'counter',
      'inner',
      'overlay',
      'carrier',
      'basis',
      'openedBy',
      'node',
      'packet',
      'pod',
      'schema',
    ]);
    expect(lines[0]!.time).toBe('1795398120.660059');
    expect(stderr).toContain('74 ESP packets: 74 decrypted, 0 dropped');
  });

  it('keeps what a filter asks for, with names, and stops when it has enough', () => {
    const pods = `${folder}/pods.json`;
    const pod = { metadata: { name: 'web', namespace: 'default' }, status: { podIP: '10.244.1.10' } };
    writeFileSync(pods, JSON.stringify({ kind: 'List', items: [{ kind: 'Pod', ...pod }] }));
    const args = ['decrypt', `${NATIVE}/wire.pcap`, ...SAS, '--pods', pods];
    const { code, stdout, stderr } = esplane([...args, '--pod', 'web', '--node', 'node-2', '-c', '3']);
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(line).toContain('10.244.1.10 (default/web)');
    expect(stderr).toContain('\n  kept by the filter: 3, as many as asked for\n');
    const json = esplane([...args, '--verdict', 'drop', '--json', '--summary']);
    const { summary } = JSON.parse(json.stdout) as { summary: object };
    expect(summary).toMatchObject({ frames: 74, esp: 74, ok: 74, dropped: {}, kept: 0 });
    expect(JSON.parse(esplane([...args, '--json', '-q']).stdout)).toMatchObject({
      summary: { ok: 74, kept: null },
      schema: 1,
    });
    const out = `${folder}/two.pcapng`;
    expect(esplane([...args, '-c', '2', '-w', out]).code).toBe(0);
    expect(JSON.parse(esplane(['decrypt', out, '--json', '-q']).stdout)).toMatchObject({
      summary: { frames: 2 },
    });
  });

  it.each([
    [['--verdict', 'good'], /Give one of ok, drop, unopened/],
    [['--reason', 'bad'], /Give a reason such as bad-icv/],
    [['--ip', '10.0.0.0/33'], /Give an address, or a range/],
    [['--spi', '0x100000000'], /Give a number of 32 bits/],
    [['--since', '2026-11-23T01:40:09'], /Say the zone: 2026-11-23T01:40:09Z/],
    [['--until', 'noon'], /Give a time such as/],
    [['-c', '0'], /Give a number from 1 up/],
    [['--pod', 'web'], /--pod: no pod is known by its name/],
    [['--pods', `${NATIVE}/ciliumnodes.json`, '--pod', 'x'], /no pod with an address is in it/],
    [['--summary'], /--summary: is for --json/],
    [['--verdict', 'ok', '-w', 'x.pcapng', '--wire'], /--wire: the frames as they came go whole/],
  ])('refuses %j', (args, message) => {
    const { code, stderr } = esplane(['decrypt', `${NATIVE}/wire.pcap`, ...SAS, ...args]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });

  it('reads a capture in gzip, from a file and from standard input', () => {
    const plain = esplane(['decrypt', `${NATIVE}/wire.pcap`, ...SAS, '--json']);
    const packed = gzipSync(readFileSync(`${NATIVE}/wire.pcap`));
    writeFileSync(`${folder}/wire.pcap.gz`, packed);
    const read = [
      esplane(['decrypt', `${folder}/wire.pcap.gz`, ...SAS, '--json']),
      esplane(['decrypt', '-', ...SAS, '--json'], packed),
    ];
    for (const { code, stdout } of read) {
      expect(code).toBe(0);
      expect(stdout).toBe(plain.stdout);
    }
    for (const args of [['explain', '--frame', '1'], ['diagnose']])
      expect(esplane([...args, `${folder}/wire.pcap.gz`, ...SAS]).code).toBe(0);
  });

  it('reads a capture from standard input', () => {
    const { code, stdout } = esplane(['decrypt', '-', ...SAS], readFileSync(`${NATIVE}/wire.pcap`));
    expect(code).toBe(0);
    expect(stdout.split('\n')[0]).toBe(
      '1 2026-11-23T01:42:00.660059Z 10.244.1.1 (node-1) > 10.244.2.1 (node-2): ESP(spi=0x00000003,seq=1) IP 10.244.1.10 > 10.244.2.20: ICMP echo request, length 84',
    );
  });

  it('-w writes the clear packets, with their times and a comment each', () => {
    const out = `${folder}/clear.pcapng`;
    expect(esplane(['decrypt', `${NATIVE}/wire.pcap`, ...SAS, '-w', out]).code).toBe(0);
    const expected = readLines(`${NATIVE}/expected.jsonl`);
    const inner: string[] = [];
    const comments: string[] = [];
    const times: number[] = [];
    const reader = captureReader(out, {
      frame: (b, at, end, info) => {
        inner.push(toHex(b, at, end));
        times.push(info.seconds);
      },
      comment: (text) => comments.push(text),
    });
    reader.feed(readFileSync(out));
    reader.end();
    expect(inner).toEqual(expected.map((line) => line.inner));
    expect(comments).toHaveLength(inner.length);
    expect(comments[0]).toBe('frame 1: 10.244.1.1 > 10.244.2.1 ESP spi 0x3 seq 1');
    expect(times[0]).toBe(1_795_398_120);
    expect(hasPart(out)).toBe(false);
  });

  it('a pcapng file with a secrets block needs no options', () => {
    const sas = parseXfrmState(readFileSync(`${NATIVE}/n2.xfrm_state.txt`, 'utf8'), 'n2');
    const file = `${folder}/self.pcapng`;
    const chunks: Uint8Array[] = [];
    const writer = new PcapngWriter((bytes) => chunks.push(bytes));
    writer.secrets(SECRETS_TYPE_ESP, new TextEncoder().encode(writeDsbCsv(sas, { showKeys: true })));
    const reader = captureReader('wire', writer);
    reader.feed(readFileSync(`${NATIVE}/wire.pcap`));
    reader.end();
    writer.flush();
    writeFileSync(file, Buffer.concat(chunks));
    const { code, stdout } = esplane(['decrypt', file, '--json']);
    expect(code).toBe(0);
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
    expect(lines.map(fixedFields)).toEqual(readLines(`${NATIVE}/expected.jsonl`));
  });

  it('--wire writes the frames as they came, dropped ones with the reason, and no keys', () => {
    const faults = `${CAPTURES}/faults-esn`;
    const out = `${folder}/wire.pcapng`;
    const sas = ['--keys', `${faults}/keys`, '--nodes', `${faults}/ciliumnodes.json`];
    const run = esplane(['decrypt', `${faults}/wire.pcap`, ...sas, '-w', out, '--wire']);
    expect(run.code).toBe(0);
    expect(run.stderr).not.toContain('keys');
    const [was, is] = [`${faults}/wire.pcap`, out].map(readFrames) as [Frames, Frames];
    expect(is.frames).toEqual(was.frames);
    expect(is.secrets).toEqual([]);
    const dropped = readLines(`${faults}/expected.jsonl`).filter(({ verdict }) => verdict === 'drop');
    expect(is.comments.map(([frame]) => frame)).toEqual(dropped.map(({ frame }) => frame));
    expect(is.comments[0]![1]).toBe('dropped: replay-seen (XfrmInStateSeqError)');
  });

  it.each(['rotation', 'faults-esn', 'esp-in-vxlan', 'fragments', 'cbc-sha256'])(
    '--with-secrets: %s decrypts again without options, each key once',
    (name) => {
      const out = `${folder}/self-${name}.pcapng`;
      const from = `${CAPTURES}/${name}`;
      const sas = ['--keys', `${from}/keys`, '--nodes', `${from}/ciliumnodes.json`];
      const args = ['--wire', '--with-secrets', '--quiet'];
      const written = esplane(['decrypt', `${from}/wire.pcap`, ...sas, '-w', out, ...args]);
      expect([written.code, written.stderr]).toEqual([0, expect.stringContaining('holds keys')]);
      expect(statSync(out).mode & 0o077).toBe(0);
      const { code, stdout } = esplane(['decrypt', out, '--json']);
      expect(code).toBe(0);
      const lines = stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Line);
      expect(lines.map(fixedFields)).toEqual(readLines(`${from}/expected.jsonl`));
      const { secrets } = readFrames(out);
      expect(new Set(secrets).size).toBe(secrets.length);
      // And through a file of its own once more.
      const again = `${folder}/again-${name}.pcapng`;
      expect(esplane(['decrypt', out, '-w', again, ...args]).code).toBe(0);
      expect({ ...readFrames(again), comments: [] }).toEqual({ ...readFrames(out), comments: [] });
    },
  );

  it('without SAs lists ESP as tcpdump does', () => {
    const { code, stdout, stderr } = esplane(['decrypt', `${NATIVE}/wire.pcap`]);
    expect(code).toBe(0);
    expect(stdout.split('\n')[0]).toBe(
      '1 2026-11-23T01:42:00.660059Z 10.244.1.1 > 10.244.2.1: ESP(spi=0x00000003,seq=1), length 120',
    );
    expect(stderr).toContain('74 ESP packets: 0 decrypted, 0 dropped, 74 not opened');
    expect(stderr).toContain('no security associations are given');
    const json = esplane(['decrypt', `${NATIVE}/wire.pcap`, '--json']).stdout.split('\n')[0]!;
    const { verdict, reason, counter, basis, openedBy } = JSON.parse(json) as Line;
    expect([verdict, reason, counter, basis, openedBy]).toEqual([
      'unopened',
      'no-state',
      null,
      'assumed',
      null,
    ]);
  });

  it('with nodes alone lists ESP with their names', () => {
    for (const nodes of [['--nodes', `${NATIVE}/ciliumnodes.json`], [`${NATIVE}/ciliumnodes.json`]]) {
      const { code, stdout, stderr } = esplane(['decrypt', `${NATIVE}/wire.pcap`, ...nodes]);
      expect(code).toBe(0);
      expect(stdout).toMatch(
        /^1 \S+ 10\.244\.1\.1 \(node-1\) > 10\.244\.2\.1 \(node-2\): ESP\(spi=0x00000003,seq=1\)/,
      );
      expect(stderr).toContain('no security associations');
    }
  });

  it('without SAs: one line, and no file', () => {
    const out = `${folder}/lost.pcapng`;
    const { code, stdout, stderr } = esplane(['decrypt', `${NATIVE}/wire.pcap`, '-w', out, '--wire']);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toBe(
      'esplane: options: no security associations are given. Give --keys with --nodes, or --xfrm-state, or --esp-sa.\n',
    );
    expect(existsSync(out)).toBe(false);
  });

  it.each([
    [['--wire'], /--wire: there is no file to write to/],
    [['-w', 'x.pcapng', '--with-secrets'], /--with-secrets: clear packets need no keys/],
  ])('%j makes no sense', (args, why) => {
    const { code, stderr } = esplane(['decrypt', `${NATIVE}/wire.pcap`, ...SAS, ...args]);
    expect(stderr).toMatch(why);
    expect(code).toBe(2);
  });

  it('a capture that is cut off: what could be read, then where it stopped; no file that looks whole', () => {
    const cut = `${folder}/cut.pcap`;
    const out = `${folder}/cut.pcapng`;
    writeFileSync(cut, readFileSync(`${NATIVE}/wire.pcap`).subarray(0, 3000));
    const { code, stderr } = esplane(['decrypt', cut, ...SAS, '-w', out]);
    expect(code).toBe(2);
    expect(stderr).toContain('16 ESP packets: 16 decrypted');
    expect(stderr).toMatch(/^esplane: .*cut\.pcap at byte 3000: .*cut off/m);
    expect(existsSync(out)).toBe(false);
    expect(existsSync(`${out}.partial`)).toBe(true);
  });
});

it('refuses what the receiver refuses, by the hash of its key in a sysdump', () => {
  const troubles = fileURLToPath(new URL('../../pcaps/diagnose/', import.meta.url));
  const file = `${tempFolder()}/s.zip`;
  writeFileSync(file, sysdump(sysdumpOfTrouble(troubles, 'stale-boot-id')));
  const { code, stdout, stderr } = esplane(
    ['decrypt', 'stale-boot-id.pcap', 'keys', file, '--json'],
    '',
    troubles,
  );
  expect(code).toBe(0);
  const lines = stdout.trimEnd().split('\n');
  const refused = lines.map((line) => JSON.parse(line) as Line).filter(({ dst }) => dst === '10.244.2.1');
  expect(refused).toHaveLength(8);
  for (const line of refused)
    expect(line).toMatchObject({
      ...{ verdict: 'drop', reason: 'bad-icv', counter: 'XfrmInStateProtoError', basis: 'told' },
      openedBy: expect.stringContaining('ip--s-xfrm-state.md:'),
    });
  expect(stderr).toContain('2 decrypted, 8 dropped');
  // Without keys it is of no use, and the capture is listed.
  expect(esplane(['decrypt', 'stale-boot-id.pcap', file], '', troubles).stderr).toContain(
    'nothing that is used here',
  );
});

describe('esplane decrypt with unusable input ends with 2 and one line that says where', () => {
  const folder = tempFolder();
  const file = (name: string, text: string | Uint8Array): string => {
    writeFileSync(`${folder}/${name}`, text);
    return `${folder}/${name}`;
  };
  const keysFile = (name: string, text: string) => file(name, text);
  const goodKeys = keysFile('keys', `3+ rfc4106(gcm(aes)) ${KEY} 128\n`);
  const goodNodes = file('nodes.json', JSON.stringify(NODE_LIST));
  const emptyChunks: Uint8Array[] = [];
  new PcapWriter((bytes) => emptyChunks.push(bytes), { linkType: 1 }).flush();
  const empty = file('empty.pcap', Buffer.concat(emptyChunks));
  const without = (change: (spec: Record<string, unknown>) => void): string => {
    const list = structuredClone(NODE_LIST) as unknown as { items: { spec: Record<string, unknown> }[] };
    change(list.items[1]!.spec);
    return JSON.stringify(list);
  };
  const state = (algorithm: string) =>
    `src 10.0.1.1 dst 10.0.2.1\n\tproto esp spi 0x00000003 reqid 1 mode tunnel\n\treplay-window 0\n\t${algorithm}\n`;

  const cases: { name: string; args: string[]; says: RegExp }[] = [
    {
      name: 'a keys file with too few fields',
      args: ['--keys', keysFile('few', '3+ rfc4106(gcm(aes))\n'), '--nodes', goodNodes],
      says: /few:1: .*too few fields/,
    },
    {
      name: 'a key with an odd number of digits',
      args: ['--keys', keysFile('odd', `3+ rfc4106(gcm(aes)) ${KEY}a 128\n`), '--nodes', goodNodes],
      says: /odd:1: .*hex/,
    },
    ...[0, 16].map((id) => ({
      name: `key id ${id}`,
      args: ['--keys', keysFile(`id${id}`, `${id}+ rfc4106(gcm(aes)) ${KEY} 128\n`), '--nodes', goodNodes],
      says: /id(0|16):1: the key id/,
    })),
    {
      name: 'an unknown algorithm',
      args: ['--keys', keysFile('algo', `3+ rfc9999(gcm(aes)) ${KEY} 128\n`), '--nodes', goodNodes],
      says: /algo:1: /,
    },
    {
      name: 'a changed key length',
      args: [
        '--keys',
        keysFile('length', `3+ rfc4106(gcm(aes)) ${KEY} 128\n4+ rfc4106(gcm(aes)) ${KEY} 96\n`),
        '--nodes',
        goodNodes,
      ],
      says: /length:2: .*key length/,
    },
    {
      name: 'a node without boot id',
      args: [
        '--keys',
        goodKeys,
        '--nodes',
        file(
          'noboot.json',
          without((spec) => delete spec['bootid']),
        ),
      ],
      says: /noboot\.json.*node-2.*boot id/,
    },
    {
      name: 'states with hidden keys',
      args: ['--xfrm-state', file('hidden.txt', state('aead rfc4106(gcm(aes)) <<Keys hidden>> 128'))],
      says: /hidden\.txt:1: .*hidden/,
    },
    { name: 'no SAs at all', args: [], says: /no security associations/ },
    { name: 'keys without nodes', args: ['--keys', goodKeys], says: /--nodes/ },
    { name: 'nodes without keys', args: ['--nodes', goodNodes], says: /--keys/ },
    {
      name: 'a keys file that is not there',
      args: ['--keys', `${folder}/nowhere`, '--nodes', goodNodes],
      says: /nowhere: no such file/,
    },
    {
      name: 'a Cilium version that is none',
      args: ['--keys', goodKeys, '--nodes', goodNodes, '--cilium', 'new'],
      says: /--cilium/,
    },
  ];

  it.each(cases)('$name', ({ args, says }) => {
    const out = `${folder}/out.pcapng`;
    const { code, stdout, stderr } = esplane(['decrypt', empty, ...args, '-w', out]);
    expect(stderr).toMatch(says);
    expect(
      stderr
        .trimEnd()
        .split('\n')
        .filter((line) => line.startsWith('esplane: ') || line.startsWith('error: ')),
    ).toHaveLength(1);
    expect(stderr, 'keys stay secret').not.toContain(KEY.slice(0, 12));
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(stdout).toBe('');
    expect(code).toBe(2);
    expect(existsSync(out) || hasPart(out)).toBe(false);
  });

  it.each([
    {
      name: 'text',
      capture: () => file('text.pcap', 'this is no capture at all, really'),
      says: /text\.pcap at byte 0: /,
    },
    { name: 'an empty file', capture: () => file('nothing.pcap', ''), says: /nothing\.pcap.*empty/ },
    {
      name: 'cut off in gzip',
      capture: () => file('a.pcap.gz', Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0)),
      says: /a\.pcap\.gz: the gzip data is damaged or cut off/,
    },
    { name: 'lz4', capture: () => file('a.lz4', Uint8Array.of(4, 0x22, 0x4d, 0x18)), says: /lz4/ },
    { name: 'a folder without one', capture: () => tempFolder(), says: /there is no capture among them/ },
    { name: 'no such file', capture: () => `${folder}/none.pcap`, says: /none\.pcap: no such file/ },
  ])('a capture that is $name', ({ capture, says }) => {
    const out = `${folder}/out.pcapng`;
    const { code, stderr } = esplane([
      'decrypt',
      capture(),
      '--keys',
      goodKeys,
      '--nodes',
      goodNodes,
      '-w',
      out,
    ]);
    expect(stderr).toMatch(says);
    expect(code).toBe(2);
    expect(existsSync(out) || hasPart(out)).toBe(false);
  });

  it('one of several captures', () => {
    const good = `${NATIVE}/wire.pcap`;
    const cut = file('cut.pcap', readFileSync(good).subarray(0, 3000));
    const { code, stdout, stderr } = esplane(['decrypt', good, cut, '--json']);
    expect(stderr).toMatch(/cut\.pcap at byte \d+: the capture is cut off/);
    expect(stdout).toContain(`{"frame":1,"file":${JSON.stringify(good)},"time":`);
    // What both have counts once.
    expect(stdout.trim().split('\n')).toHaveLength(74);
    expect(code).toBe(2);
  });

  it('an empty capture is read to its end', () => {
    const { code, stderr } = esplane(['decrypt', empty, '--keys', goodKeys, '--nodes', goodNodes]);
    expect(code).toBe(0);
    expect(stderr).toContain('the capture holds no frames');
  });

  it('an output folder that does not exist', () => {
    const { code, stderr } = esplane([
      'decrypt',
      empty,
      '--keys',
      goodKeys,
      '--nodes',
      goodNodes,
      '-w',
      `${folder}/no/where.pcapng`,
    ]);
    expect(code).toBe(2);
    expect(stderr).toContain('its folder does not exist');
  });
});

needs([shared('captures-linux-7.2')], 'captures of Linux 7.2', () => {
  it('writes what came out of IP-TFS, packet by packet', () => {
    const folder = `${SHARED}captures-linux-7.2/iptfs-esn-v6in4/`;
    const out = `${tempFolder()}/clear.pcapng`;
    const states = [1, 2].map((n) => `${folder}n${n}.xfrm_state.txt`);
    expect(esplane(['decrypt', `${folder}wire.pcap`, ...states, '-w', out]).code).toBe(0);
    const written: string[] = [];
    const reader = captureReader(out, { frame: (b, at, end) => written.push(toHex(b, at, end)) });
    reader.feed(readFileSync(out));
    reader.end();
    const expected = readFileSync(`${folder}expected-iptfs.jsonl`, 'utf8').trim().split('\n');
    expect(written).toEqual(
      expected.flatMap((line) => (JSON.parse(line) as { inners: string[] | null }).inners ?? []),
    );
  });
});
