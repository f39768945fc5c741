/**
 * What the reader gives, told apart, and what comes of it, without a browser.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../../src/base/bytes.ts';
import { seededBytes } from '../../../src/base/rng.ts';
import { parseKeys } from '../../../src/cilium/keys.ts';
import { parseNodes } from '../../../src/cilium/nodes.ts';
import { ClusterPlan } from '../../../src/cilium/plan.ts';
import { DEFAULT_VERSION } from '../../../src/cilium/version.ts';
import { NobleEngine } from '../../../src/crypto/noble.ts';
import { untiled } from '../../../src/inspect/explain/tree.ts';
import { TunnelEnd } from '../../../src/ipsec/tunnel-end.ts';
import { udpPacket } from '../../../src/sim/traffic.ts';
import { MOST_DROPPED, MOST_ROWS, OwnCase } from '../../../src/web/model/own-case.ts';
import { ownCommands } from '../../../src/web/model/own-command.ts';
import type { OwnInput, OwnResult, OwnRow } from '../../../src/web/model/own-messages.ts';
import { type OpeningText, type Piece, piecesOf, type Subject } from '../../../src/web/model/own-pieces.ts';
import { parseAddress } from '../../../src/wire/address.ts';
import { fixedFields, type Line, readLines } from '../../support/decrypt.ts';
import { xfrmStatOf } from '../../support/diagnose.ts';
import { CAPTURES, needs, SHARED, shared } from '../../support/needs.ts';
import { ownCaptures } from '../../support/own-captures.ts';
import { IS_LONG, sample } from '../../support/sample.ts';

const NATIVE = `${CAPTURES}/native-v4`;

async function fileOf(file: string): Promise<Piece[]> {
  return piecesOf(basename(file), new Blob([readFileSync(file)]));
}

async function inputOf(files: readonly string[], cilium = '1.20'): Promise<OwnInput> {
  return inputOfPieces((await Promise.all(files.map(fileOf))).flat(), cilium);
}

function inputOfPieces(pieces: readonly Piece[], cilium = '1.20'): OwnInput {
  const isSubject = (piece: Piece): piece is Subject => piece.kind === 'capture' || piece.kind === 'packet';
  return {
    subject: pieces.find(isSubject)!,
    texts: pieces.filter((piece): piece is OpeningText => !isSubject(piece)),
    cilium,
  };
}

async function read(
  input: OwnInput,
): Promise<{ own: OwnCase; result: OwnResult; rows: OwnRow[]; dropped: OwnRow[] }> {
  const own = new OwnCase(input);
  const rows: OwnRow[] = [];
  const dropped: OwnRow[] = [];
  const result = await own.read(
    (some, more) => {
      rows.push(...some);
      dropped.push(...more);
    },
    () => true,
  );
  return { own, result, rows, dropped };
}

async function linesOf(own: OwnCase): Promise<Line[]> {
  const blob = await own.save('lines', () => true);
  return (await blob!.text())
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
}

const pasted = (text: string) => piecesOf('pasted', new Blob([text]));

describe.each(sample(ownCaptures(), 6).map((one) => [one.title, one] as const))('%s', (_, capture) => {
  it('comes out as the kernel had it', async () => {
    const { own, result, rows } = await read(await inputOf(capture.files, capture.cilium));
    const expected = readLines(capture.expected);
    expect((await linesOf(own)).map(fixedFields)).toEqual(expected);
    expect(result).toMatchObject({
      esp: expected.length,
      ok: expected.filter(({ verdict }) => verdict === 'ok').length,
      problem: null,
    });
    expect(
      rows.map(({ frame, src, dst, spi, seq, verdict, counter }) => {
        return { frame, src, dst, spi, seq, verdict, counter };
      }),
    ).toEqual(
      expected.map(({ frame, src, dst, spi, seq, verdict, counter }) => {
        return { frame, src, dst, spi, seq, verdict, counter };
      }),
    );
    if (capture.expected.endsWith('expected-keys.jsonl')) return;
    const counted: Record<string, number> = {};
    for (const { counters } of result.diagnosis!.receivers) Object.assign(counted, counters);
    expect(counted).toEqual(xfrmStatOf(`${capture.folder}/n2.xfrm_stat`));
  });
});

describe('what is given', () => {
  it.each([
    ['wire.pcap', 'capture'],
    ['keys', 'keys'],
    ['ciliumnodes.json', 'nodes'],
    ['n2.xfrm_state.txt', 'xfrm-state'],
    ['n2.xfrm_policy.txt', 'xfrm-policy'],
  ])('%s is told by its content', async (file, kind) => {
    const [piece, ...more] = await piecesOf('x', new Blob([readFileSync(`${NATIVE}/${file}`)]));
    expect(piece).toMatchObject({ kind, name: 'x' });
    expect(more).toEqual([]);
  });

  it('a Secret, a line of esp_sa, a dump', async () => {
    const keys = readFileSync(`${NATIVE}/keys`);
    const secret = `apiVersion: v1\nkind: Secret\nmetadata: {name: cilium-ipsec-keys}\ndata:\n  keys: ${keys.toString('base64')}\n`;
    expect((await pasted(secret))[0]!.kind).toBe('keys');
    const row = '"IPv4","*","10.244.2.1","0x3","AES-GCM [RFC4106]","0x00","NULL",""\n';
    expect((await pasted(row))[0]!.kind).toBe('esp-sa');
    const [dump] = await pasted('0000  45 00 00 14 00 00 00 00 40 32 00 00 0a 00 00 01\n0010  0a 00 00 02\n');
    expect(dump).toMatchObject({ kind: 'packet', bytes: expect.objectContaining({ length: 20 }) });
  });

  it('keys and nodes in one list are both', async () => {
    const nodes = JSON.parse(readFileSync(`${NATIVE}/ciliumnodes.json`, 'utf8'));
    const data = { keys: readFileSync(`${NATIVE}/keys`).toString('base64') };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'cilium-ipsec-keys' }, data };
    const list = JSON.stringify({ kind: 'List', items: [secret, ...nodes.items] });
    const pieces = await pasted(list);
    expect(pieces.map(({ kind }) => kind)).toEqual(['keys', 'nodes']);
  });

  it.each([
    ['garbage', 'lorem ipsum dolor sit amet', /^pasted: this is nothing that the lab can read\. Give a pcap/],
    ['nothing', '', /^pasted: it is empty\./],
    ['half a byte', '45000054 000', /^pasted: an odd number of hexadecimal digits\./],
    ['a wrong digit', '4500005400004000400x1234g0', /^pasted:1: "[xg]" is no hexadecimal digit\./],
    [
      'another object',
      'kind: Pod\nmetadata: {name: x}\n',
      /^pasted: neither a Secret with keys nor CiliumNodes\./,
    ],
    [
      'blank lines without end',
      `${'\n'.repeat(500_000)}x`,
      /^pasted: this is nothing that the lab can read\./,
    ],
    [
      'a text without end',
      'lorem ipsum '.repeat(500_000),
      /^pasted: this is nothing that the lab can read\./,
    ],
    [
      'digits without end',
      '0123456789abcdef'.repeat(500_000),
      /^pasted: more than 262144 bytes\. Give one packet\./,
    ],
    ['counters', 'XfrmInError   0\n', /^pasted: this is \/proc\/net\/xfrm_stat/],
  ])('%s is refused in a sentence', async (_, text, message) => {
    await expect(pasted(text)).rejects.toThrow(message);
  });

  it.each([
    ['keys alone', ['keys'], /^keys: keys alone open nothing\. Add the nodes too/],
    ['nodes alone', ['ciliumnodes.json'], /^ciliumnodes\.json: nodes alone open nothing\. Add the keys too/],
  ])('%s open nothing, and say so', async (_, files, message) => {
    const input = await inputOf(['wire.pcap', ...files].map((file) => `${NATIVE}/${file}`));
    expect(() => new OwnCase(input)).toThrow(message);
  });

  it('damaged keys name their line, and never the key', async () => {
    const [capture] = await fileOf(`${NATIVE}/wire.pcap`);
    const [nodes] = await fileOf(`${NATIVE}/ciliumnodes.json`);
    const [keys] = await pasted('3+ rfc4106(gcm(aes)) 295c0265d6426357448890fb901a9ba3ab838fzz 128\n');
    const open = () => new OwnCase(inputOfPieces([capture!, keys!, nodes!]));
    expect(open).toThrow(/^pasted:1: /);
    expect(open).not.toThrow(/295c0265/);
  });
});

describe('a capture', () => {
  const bytes = readFileSync(`${NATIVE}/wire.pcap`);
  const opening = async () =>
    (await Promise.all([fileOf(`${NATIVE}/keys`), fileOf(`${NATIVE}/ciliumnodes.json`)]))
      .flat()
      .filter((piece) => 'text' in piece);
  const given = async (content: Uint8Array) =>
    inputOfPieces([
      ...(await piecesOf('mine.pcap', new Blob([content as Uint8Array<ArrayBuffer>]))),
      ...(await opening()),
    ]);

  it('that is cut off shows what it holds, and says where it ends', async () => {
    const { result, rows } = await read(await given(bytes.subarray(0, bytes.length - 7)));
    expect(result.problem).toMatch(/^mine\.pcap at byte \d+: .*cut off/);
    expect(result.ok).toBe(rows.length);
    expect(rows.length).toBe(readLines(`${NATIVE}/expected.jsonl`).length - 1);
  });

  it('in gzip is read as it is', async () => {
    const { result, rows } = await read(await given(gzipSync(bytes)));
    expect(result).toMatchObject({ problem: null, ok: rows.length });
    expect(rows.length).toBe(readLines(`${NATIVE}/expected.jsonl`).length);
  });

  it.each([
    [
      'lz4',
      Uint8Array.of(4, 0x22, 0x4d, 0x18, 0, 0, 0, 0),
      /^mine\.pcap at byte 0: this is lz4, not a capture\./,
    ],
    [
      'zeros',
      new Uint8Array(5000),
      /^mine\.pcap at byte 0: neither pcap nor pcapng: it begins with 00000000\./,
    ],
  ])('that is none (%s) says what it is', async (_, content, message) => {
    const { result } = await read(await given(content));
    expect(result).toMatchObject({ frames: 0, problem: expect.stringMatching(message) });
  });

  it('stays closed without anything that opens it, and is explained all the same', async () => {
    const { own, result, rows } = await read(inputOfPieces(await fileOf(`${NATIVE}/wire.pcap`)));
    expect(result).toMatchObject({ hasSas: false, drops: [], diagnosis: null });
    expect(new Set(rows.map(({ verdict }) => verdict))).toEqual(new Set(['closed']));
    const explanation = await own.explain(rows[0]!.frame, () => true);
    expect(untiled(explanation!.packet)).toBeUndefined();
  });

  it('of ESP in UDP opens with keys and nodes where a port is named', async () => {
    const [keys, nodes] = await opening();
    const plan = new ClusterPlan(
      parseKeys(keys!.text, 'keys', DEFAULT_VERSION),
      parseNodes(nodes!.text, 'nodes'),
      { udpPort: 4500 },
    );
    const sa = plan.between(parseAddress('10.244.1.1')!, parseAddress('10.244.2.1')!)[0]!;
    const clear = udpPacket(
      { src: parseAddress('10.244.1.10')!, dst: parseAddress('10.244.2.20')!, srcPort: 1, dstPort: 2 },
      new Uint8Array(10),
    );
    const sent = new TunnelEnd(sa, new NobleEngine(), { random: seededBytes(1) }).encapsulate(clear);
    if (sent.verdict !== 'ok') throw new Error(sent.reason);
    const [packet] = await pasted(toHex(sent.packet));
    const input = inputOfPieces([packet!, keys!, nodes!]);
    expect((await read(input)).result).toMatchObject({ esp: 1, ok: 0 });
    const inUdp = await read({ ...input, udpPort: 4500 });
    expect(inUdp.result).toMatchObject({ esp: 1, ok: 1, diagnosis: { findings: [] } });
    expect(ownCommands({ ...input, udpPort: 4500 }, 1)[0]!.text).toMatch(/ --udp-port 4500\n$/);
  });

  it('with keys of another cluster drops everything', async () => {
    const pieces = [
      ...(await fileOf(`${NATIVE}/wire.pcap`)),
      ...(await fileOf(`${CAPTURES}/gcm-256/keys`)),
      ...(await fileOf(`${NATIVE}/ciliumnodes.json`)),
    ];
    const { result } = await read(inputOfPieces(pieces));
    expect(result.ok).toBe(0);
    expect(result.drops.length).toBeGreaterThan(0);
  });

  it('is explained frame by frame, with its windows', async () => {
    const { own, rows } = await read(await given(bytes));
    const last = rows.at(-1)!.frame;
    const explanation = (await own.explain(last, () => true))!;
    expect(explanation.frame).toBe(last);
    expect(untiled(explanation.packet)).toBeUndefined();
    const { security } = explanation.packet.layers.find(({ id }) => id === 'esp')!;
    expect(security).toMatchObject({ verdict: 'ok', icvOk: true });
    expect(await own.explain(1e6, () => true)).toBeUndefined();
  });

  it('as pcapng brings its own keys, and its clear packets have no ESP left', async () => {
    const made = await read(await given(bytes));
    const clear = await made.own.save('clear', () => true);
    const pieces = await piecesOf('clear.pcapng', clear!);
    const again = await read(inputOfPieces(pieces));
    expect(again.result).toMatchObject({ frames: made.result.ok, esp: 0, problem: null });
  });

  it('as pcapng with its keys in it needs nothing else, here and in esplane decrypt', async () => {
    const { own } = await read(await given(bytes));
    const wire = await own.save('wire', () => true);
    const alone = await read(inputOfPieces(await piecesOf('with-keys.pcapng', wire!)));
    const expected = readLines(`${NATIVE}/expected.jsonl`);
    expect((await linesOf(alone.own)).map(fixedFields)).toEqual(expected);
    expect(alone.result).toMatchObject({ hasSas: true, ok: expected.length, problem: null });
  });

  if (IS_LONG) {
    it('that is long keeps the first rows, and of the rest what was dropped', async () => {
      const times = 200; // all but the first round are replays
      const header = bytes.subarray(0, 24);
      const rounds = Array.from({ length: times }, () => bytes.subarray(24));
      const blob = new Blob([header, ...rounds]);
      expect(blob.size).toBeGreaterThan(1 << 20);
      const input = inputOfPieces([...(await piecesOf('long.pcap', blob)), ...(await opening())]);
      const { own, result, rows, dropped } = await read(input);
      const once = readLines(`${NATIVE}/expected.jsonl`).length;
      expect(result.esp).toBe(times * once);
      expect(rows).toHaveLength(Math.min(MOST_ROWS, times * once));
      expect(dropped).toHaveLength(Math.max(0, Math.min(MOST_DROPPED, times * once - MOST_ROWS)));
      expect(await linesOf(own)).toHaveLength(times * once);
      let told = 0;
      const stopped = await new OwnCase(input).save('lines', () => ++told < 2);
      expect(stopped).toBeUndefined();
      expect(told).toBe(2);
    });
  }
});

describe('one packet', () => {
  it('in hexadecimal is opened and explained', async () => {
    const capture = readFileSync(`${NATIVE}/wire.pcap`);
    const length = capture.readUInt32LE(24 + 8);
    const [packet] = await pasted(toHex(capture, 40, 40 + length));
    const opening = (
      await Promise.all([fileOf(`${NATIVE}/keys`), fileOf(`${NATIVE}/ciliumnodes.json`)])
    ).flat();
    const { own, result, rows } = await read(inputOfPieces([packet!, ...opening]));
    expect(result).toMatchObject({ frames: 1, esp: 1, ok: 1 });
    expect(rows[0]).toMatchObject({ frame: 1, time: null, verdict: 'ok' });
    const explanation = await own.explain(1, () => true);
    expect(explanation!.packet.bytes).toBe(toHex(capture, 40, 40 + length));
    const alone = await own.save('wire', () => true);
    expect((await read(inputOfPieces(await piecesOf('one.pcapng', alone!)))).result).toMatchObject({ ok: 1 });
  });
});

describe('the command', () => {
  it('names the files, in quotes where a shell needs them', async () => {
    const pieces = [
      ...(await piecesOf("my wire's.pcap", new Blob([readFileSync(`${NATIVE}/wire.pcap`)]))),
      ...(await piecesOf('-keys', new Blob([readFileSync(`${NATIVE}/keys`)]))),
      ...(await fileOf(`${NATIVE}/ciliumnodes.json`)),
      ...(await fileOf(`${NATIVE}/n2.xfrm_policy.txt`)),
    ];
    const options = '--keys ./-keys --nodes ciliumnodes.json';
    expect(ownCommands(inputOfPieces(pieces, '1.16'), 7).map(({ text }) => text)).toEqual([
      `esplane decrypt 'my wire'\\''s.pcap' ${options} --cilium 1.16 --json\n`,
      `esplane diagnose 'my wire'\\''s.pcap' ${options} --xfrm-policy n2.xfrm_policy.txt --cilium 1.16\n`,
      `esplane explain 'my wire'\\''s.pcap' --frame 7 ${options} --cilium 1.16\n`,
      `esplane sas ${options} --cilium 1.16 --format esp-sa --show-keys > ~/.config/wireshark/esp_sa\ntshark -r 'my wire'\\''s.pcap' -Y esp -V -o esp.enable_encryption_decode:TRUE \\\n  -o esp.enable_authentication_check:TRUE\n`,
      `esplane sas ${options} --cilium 1.16 --format ip-xfrm --show-keys\n`,
      `esplane sas ${options} --cilium 1.16 --format scapy --show-keys\n`,
    ]);
    const [packet] = await pasted('0000  45 00 00 14\n0004  00 00 00 00\n');
    expect(ownCommands(inputOfPieces([packet!]), undefined)[0]!.text).toBe(
      'esplane explain 4500001400000000\n',
    );
  });
});

needs([shared('captures-linux-7.2')], 'captures of Linux 7.2', () => {
  const readAll = async (folder: string) => {
    const files = ['wire.pcap', 'n1.xfrm_state.txt', 'n2.xfrm_state.txt'];
    return read(await inputOf(files.map((file) => `${SHARED}captures-linux-7.2/${folder}/${file}`)));
  };

  it.each(['alg-ccm-tun', 'alg-ctr-tra-esn', 'alg-xcbc-tun', 'alg-cmac-tun', 'alg-md5-tun'])(
    '%s is opened in a browser, too',
    async (folder) => {
      const { result } = await readAll(folder);
      expect(result.ok).toBeGreaterThan(40);
      expect(result.warnings).toEqual([]);
    },
  );

  it('names a cipher that a browser does not have, and opens nothing with it', async () => {
    const { result } = await readAll('alg-3des-sha1-tun');
    expect(result.ok).toBe(0);
    expect(result.warnings).toEqual([expect.stringContaining('JavaScript alone has no des3-cbc here')]);
  });
});
