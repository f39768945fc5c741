import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { zip } from '../../scripts/sysdump/archives.ts';
import { readBlock } from '../../src/sa-text/dsb-csv.ts';
import { parseEspSa } from '../../src/sa-text/esp-sa.ts';
import { formatAddress } from '../../src/wire/address.ts';
import { esplane, tempFolder } from '../support/cli.ts';
import { CAPTURES, needs, SHARED, shared } from '../support/needs.ts';

const FOLDER = `${CAPTURES}/native-v4`;
const CLUSTER = ['--keys', `${FOLDER}/keys`, '--nodes', `${FOLDER}/ciliumnodes.json`];
/** The derived key of node-1 to node-2, as the kernel holds it. */
const KEY = '884da8d4b58860e2373381d0c56370b4e9e5e0dc';

const withoutOrigin = (json: string) =>
  (JSON.parse(json) as { origin: string }[]).map(({ origin, ...row }) => row);

needs([shared('captures')], 'esplane sas', () => {
  const formats = ['table', 'json', 'ip-xfrm', 'esp-sa', 'dsb-csv', 'scapy'];

  it.each(formats)('--format %s hides keys until it is told to show them', (format) => {
    const hidden = esplane(['sas', ...CLUSTER, '--format', format]);
    expect(hidden.code).toBe(0);
    expect(hidden.stdout).toContain('10.244.1.1');
    expect(hidden.stdout + hidden.stderr).not.toContain(KEY.slice(0, 8));
    expect(esplane(['sas', ...CLUSTER, '--format', format, '--show-keys']).stdout).toContain(
      KEY.slice(0, 32),
    );
  });

  it('says what a command lacks of a state of one CPU', () => {
    const state = `${tempFolder()}/state`;
    writeFileSync(
      state,
      `src 192.0.2.1 dst 192.0.2.2\n\tproto esp spi 0x3 reqid 1 mode tunnel\n\taead rfc4106(gcm(aes)) 0x${'41'.repeat(20)} 128\n\tdir in\n\tpcpu-num 0\n`,
    );
    expect(esplane(['sas', '--xfrm-state', state, '--format', 'ip-xfrm']).stderr).toMatch(
      /state:1: the command lacks pcpu-num 0, which iproute2 takes from 6\.14\n/,
    );
  });

  it('yields every SA of the cluster: two pairs of addresses in two families, both ways', () => {
    const rows = JSON.parse(esplane(['sas', ...CLUSTER, '--json']).stdout) as { src: string; esn: boolean }[];
    expect(rows).toHaveLength(8);
    expect(rows.every((row) => row.esn)).toBe(true);
  });

  it('takes files without being told what they are, one by one, in a folder, and in an archive', () => {
    const named = esplane(['sas', ...CLUSTER, '--json', '--show-keys']).stdout;
    const files = [`${FOLDER}/keys`, `${FOLDER}/ciliumnodes.json`];
    const folder = tempFolder();
    const archive = zip(
      [...files, `${FOLDER}/wire.pcap`].map((file) => [`c/${basename(file)}`, readFileSync(file)]),
    );
    writeFileSync(`${folder}/c.zip`, archive);
    for (const given of [files, [`${folder}/c.zip`], [folder]]) {
      const { code, stdout, stderr } = esplane(['sas', ...given, '--json', '--show-keys']);
      expect(code).toBe(0);
      expect(withoutOrigin(stdout)).toEqual(withoutOrigin(named));
      expect(stderr).toContain("keys: Cilium's keys\n");
      expect(stderr).not.toContain(KEY.slice(0, 8));
    }
    expect(esplane(['sas', files[0]!])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('keys make no SAs without CiliumNodes'),
    });
  });

  it('goes by the version: a global key for all up to 1.16', () => {
    const folder = `${CAPTURES}/global-key-v4`;
    const sources = ['--keys', `${folder}/keys`, '--nodes', `${folder}/ciliumnodes.json`];
    const rows = JSON.parse(esplane(['sas', ...sources, '--cilium', '1.16', '--json']).stdout) as {
      esn: boolean;
      replayWindow: number;
    }[];
    expect(rows.every((row) => !row.esn && row.replayWindow === 0)).toBe(true);
  });

  it('writes what it reads: esp_sa, the secrets block, and kernel text', () => {
    const shown = ['--show-keys', '--xfrm-state', `${FOLDER}/n2.xfrm_state.txt`];
    const pairs = ['10.244.2.1 10.244.1.1', '10.244.1.1 10.244.2.1'];
    for (const [format, parse] of [
      ['esp-sa', parseEspSa],
      ['dsb-csv', (text: string, source: string) => readBlock(text, source).sas],
    ] as const) {
      const sas = parse(esplane(['sas', ...shown, '--format', format]).stdout, format);
      expect(sas.map((sa) => `${formatAddress(sa.src)} ${formatAddress(sa.dst)}`)).toEqual(pairs);
      expect(sas.every((sa) => sa.esn && sa.spi === 3)).toBe(true);
    }
  });

  it.each([
    ['4.0', 8],
    ['4.6.1', 10],
    ['5.0', 10],
  ])('--wireshark %s has %i fields in a line', (version, fields) => {
    const { stdout } = esplane(['sas', ...CLUSTER, '--format', 'esp-sa', '--wireshark', version]);
    expect(stdout.split('\n')[0]!.split(',')).toHaveLength(fields);
  });
});

describe('esplane keys', () => {
  const folder = tempFolder();

  it('generate makes a line that Cilium takes, another each time', () => {
    const lines = [1, 2].map(() => esplane(['keys', 'generate', '--id', '7']).stdout);
    expect(lines[0]).toMatch(/^7\+ rfc4106\(gcm\(aes\)\) [0-9a-f]{40} 128\n$/);
    expect(lines[0]).not.toBe(lines[1]);
  });

  it('rotate goes to the next id, from 15 to 1, and keeps algorithm and length', () => {
    const { stdout } = esplane(['keys', 'generate', '--id', '15', '--bits', '256']);
    const next = esplane(['keys', 'rotate', '-'], stdout).stdout;
    expect(next).toMatch(/^1\+ rfc4106\(gcm\(aes\)\) [0-9a-f]{72} 128\n$/);
    expect(next.slice(3)).not.toBe(stdout.slice(4));
  });

  it('generate takes the names of cilium-cli, the older ones too', () => {
    for (const name of ['rfc4106-gcm-aes', 'gcm-aes'])
      expect(esplane(['keys', 'generate', '--algorithm', name]).stdout).toMatch(/^1\+ rfc4106/);
    const { code, stderr } = esplane(['keys', 'generate', '--algorithm', 'aes']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/Allowed choices are rfc4106-gcm-aes, cbc-aes-sha256, cbc-aes-sha512/);
  });

  it('rotate to another algorithm says that running agents refuse another key length', () => {
    const line = esplane(['keys', 'generate']).stdout;
    const words = ['keys', 'rotate', '-', '--algorithm', 'cbc-aes-sha512'];
    const { stdout, stderr } = esplane(words, line);
    expect(stdout).toMatch(/^2\+ hmac\(sha512\) [0-9a-f]{64} cbc\(aes\) [0-9a-f]{32}\n$/);
    expect(stderr).toMatch(/key length changes from 16 to 64.*stay with key 1/);
    expect(esplane([...words, '--cilium', '1.17'], line).stderr).toBe('');
  });

  it('status says which key is in use, and the key itself only when asked', () => {
    const lines = [3, 4].map((id) => esplane(['keys', 'generate', '--id', String(id)]).stdout.trim());
    const text = `${lines.join('\n')}\n`;
    const key = lines[1]!.split(' ')[2]!;
    const hidden = esplane(['keys', 'status', '-'], text);
    expect(hidden.stdout).toBe(
      'IPsec key: 4+ rfc4106(gcm(aes)) <<hidden: use --show-keys>> 128\nKey id: 4\nKey length: 16\n',
    );
    expect(esplane(['keys', 'status', '-', '--show-keys'], text).stdout).toContain(key);
    expect(JSON.parse(esplane(['keys', 'status', '-', '--json', '--show-keys'], text).stdout)).toEqual({
      'ipsec-key': lines[1],
      'key-id': 4,
      'key-length': 16,
      keys: 2,
    });
  });

  it('rotate of a Secret is a Secret, in YAML and in JSON', () => {
    for (const format of ['yaml', 'json']) {
      const secret = esplane(['keys', 'generate', '--format', format]).stdout;
      const rotated = esplane(['keys', 'rotate', '-'], secret).stdout;
      expect(rotated).toContain('cilium-ipsec-keys');
      expect(rotated).toMatch(/2\+ rfc4106/);
      expect(rotated.trimStart().startsWith('{')).toBe(format === 'json');
    }
  });

  it('--json is the Secret as JSON', () => {
    const secret = JSON.parse(esplane(['keys', 'generate', '--json']).stdout) as { kind: string };
    expect(secret.kind).toBe('Secret');
  });

  it('derive agrees with the value worked out by hand for upstream test inputs', () => {
    const keys = `${folder}/keys`;
    writeFileSync(keys, '4 rfc4106(gcm(aes)) 44434241343332312423222114131211f4f3f2f1 128\n');
    const ends = ['--src', '1.1.0.0', '--dst', '1.2.0.0'];
    const bootIds = [
      '--src-boot-id',
      '5f616d5f-b237-aed6-4ac7-123456789abc',
      '--dst-boot-id',
      '5f616d5f-aed6-4ac7-b237-987654321abc',
    ];
    const { code, stdout } = esplane(['keys', 'derive', '--keys', keys, ...ends, ...bootIds]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '2772ac2a25e413cda118a89b32053971c5fc47a2\n' });
  });

  it('derive says which boot id is missing', () => {
    const keys = `${folder}/keys-1`;
    writeFileSync(keys, '4 rfc4106(gcm(aes)) 44434241343332312423222114131211f4f3f2f1 128\n');
    const { code, stderr } = esplane([
      'keys',
      'derive',
      '--keys',
      keys,
      '--src',
      '1.1.0.0',
      '--dst',
      '1.2.0.0',
    ]);
    expect(code).toBe(2);
    expect(stderr).toContain('the boot id of 1.1.0.0 is not known');
  });
});

needs([shared('cases')], 'clusters as people have them', () => {
  const CASES = `${SHARED}cases/texts`;
  const ONE_BAD = `${CASES}/15-one-bad-node`;

  it.each([
    [
      'three-noboot.json',
      /warning: .*three-noboot\.json: node node-3 has no boot id .*: no SA is made with it\n/,
      8,
    ],
    ['three-shortboot.json', /node node-3 has a boot id of less than 36 .*: no SA is made with it\n/, 8],
    ['three-nokey.json', /node node-3 has no IPv6 CiliumInternalIP .*: fewer SAs are made with it\n/, 16],
  ])('case texts 15: %s leaves one node out, and the rest works', (file, warning, count) => {
    const cluster = ['--keys', `${ONE_BAD}/keys`, '--nodes', `${ONE_BAD}/${file}`];
    const decrypted = esplane(['decrypt', '-q', `${ONE_BAD}/wire.pcap`, ...cluster]);
    expect(decrypted.code).toBe(0);
    expect(decrypted.stderr).toMatch(warning);
    expect(decrypted.stderr).toMatch(/74 frames, 74 ESP packets: 74 decrypted, 0 dropped/);
    const diagnosed = esplane(['diagnose', `${ONE_BAD}/wire.pcap`, ...cluster]);
    expect([diagnosed.code, diagnosed.stderr]).toEqual([0, expect.stringMatching(warning)]);
    expect(diagnosed.stdout).toMatch(/74 ESP packets in 2 streams, 74 accepted/);
    const explained = esplane(['explain', `${ONE_BAD}/wire.pcap`, '--frame', '1', '--json', ...cluster]);
    expect([explained.code, explained.stderr]).toEqual([0, expect.stringMatching(warning)]);
    const listed = esplane(['sas', '--json', ...cluster]);
    expect([listed.code, (JSON.parse(listed.stdout) as unknown[]).length]).toEqual([0, count]);
    const planned = esplane(['sas', '--json', '--node', 'node-1', ...cluster]);
    expect([planned.code, planned.stderr]).toEqual([0, expect.stringMatching(/warning: .*node node-3 has /)]);
    const ends = ['--src', '10.244.1.1', '--dst', '10.244.2.1'];
    expect(esplane(['keys', 'derive', ...cluster, ...ends]).code).toBe(0);
  });

  it('case texts 15: where no other node is left, that is the answer', () => {
    const nodes = JSON.parse(readFileSync(`${ONE_BAD}/three-noboot.json`, 'utf8')) as { items: unknown[] };
    const two = JSON.stringify({ ...nodes, items: nodes.items.slice(1) });
    const { code, stderr } = esplane(
      ['decrypt', '-q', `${ONE_BAD}/wire.pcap`, '--keys', `${ONE_BAD}/keys`, '--nodes', '-'],
      two,
    );
    expect(code).toBe(2);
    expect(stderr).toMatch(/^esplane: -: node node-3 has no boot id .*\. Fetch the list again/m);
  });

  it('case texts 21: keys derive takes the boot ids of every list', () => {
    const folder = `${CASES}/21-keys-derive-nodes`;
    const lists = ['--nodes', `${folder}/c1.json`, '--nodes', `${folder}/c2b.json`];
    const ends = ['--src', '10.1.0.1', '--dst', '10.2.0.1'];
    const { code, stdout } = esplane(['keys', 'derive', '--keys', `${folder}/ka`, ...lists, ...ends]);
    const [sa] = JSON.parse(
      esplane(['sas', '--json', '--show-keys', '--keys', `${folder}/ka`, ...lists]).stdout,
    ).filter(({ src, dst }: { src: string; dst: string }) => src === '10.1.0.1' && dst === '10.2.0.1') as [
      { keys: { key: string; salt: string } },
    ];
    expect([code, stdout]).toEqual([0, `${sa.keys.key}${sa.keys.salt}\n`]);
  });

  it('case texts 22: UTF-16, as Windows PowerShell writes it', () => {
    const folder = `${CASES}/22-utf16`;
    const state = esplane(['sas', '--json', '--xfrm-state', `${folder}/utf16.txt`]);
    expect([state.code, (JSON.parse(state.stdout) as unknown[]).length]).toEqual([0, 1]);
    const plan = esplane(['sas', '--json', '--keys', `${folder}/keys`, '--nodes', `${folder}/u16.yaml`]);
    expect([plan.code, (JSON.parse(plan.stdout) as unknown[]).length]).toEqual([0, 4]);
  });

  it('case texts 22: of a table and of keys, too, with UTF-8 that begins with a mark, and Windows line ends', () => {
    const folder = tempFolder();
    const row =
      '"IPv4","10.0.0.1","10.0.0.2","3","AES-GCM with 16 octet ICV [RFC4106]","0x4142434445464748494a4b4c4d4e4f5001020304","NULL",""\r\n';
    const nodes = `${CASES}/22-utf16/u16.yaml`;
    const keys = readFileSync(`${CASES}/22-utf16/keys`, 'utf8').replace('\n', '\r\n');
    for (const encoding of ['utf8', 'utf16le'] as const) {
      writeFileSync(`${folder}/esp_sa`, Buffer.from(`\ufeff${row}`, encoding));
      writeFileSync(`${folder}/keys`, Buffer.from(`\ufeff${keys}`, encoding));
      const table = esplane(['sas', '--json', '--esp-sa', `${folder}/esp_sa`]);
      expect([table.code, (JSON.parse(table.stdout) as unknown[]).length]).toEqual([0, 1]);
      const plan = esplane(['sas', '--json', '--keys', `${folder}/keys`, '--nodes', nodes]);
      expect([plan.code, (JSON.parse(plan.stdout) as unknown[]).length]).toEqual([0, 4]);
    }
  });
});
