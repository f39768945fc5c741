/**
 * Every parser of the project, at n and 2n: the time at most 2.6 times. A parser that is new is a row here, with the
 * texts that are worst for it.
 */
import { describe, expect, it } from 'vitest';
import { fromHex, hex } from '../src/base/bytes.ts';
import { EsplaneError } from '../src/base/errors.ts';
import { readYaml, YamlText } from '../src/base/yaml-text.ts';
import { captureReader } from '../src/capture/reader.ts';
import { parseCiliumConfig, parseDuration } from '../src/cilium/config.ts';
import { parseNodes } from '../src/cilium/nodes.ts';
import { readKeys } from '../src/cilium/secret.ts';
import { parseVersion } from '../src/cilium/version.ts';
import { parseNodeConfig } from '../src/cli/node-config.ts';
import {
  parseEncryptStatus,
  parseIpcache,
  parseNodeIds,
  parseNodeList,
} from '../src/inspect/cluster/texts.ts';
import { recogniseText } from '../src/inspect/files/recognise.ts';
import { EspFinder, noFrames } from '../src/inspect/find-esp.ts';
import { parseHexDump } from '../src/inspect/hex-dump.ts';
import { captureFilter } from '../src/link/capture-filter.ts';
import { AddressIds, PrefixIds } from '../src/sa-text/address-ids.ts';
import { CaptureSas } from '../src/sa-text/capture-sas.ts';
import { readBlock } from '../src/sa-text/dsb-csv.ts';
import { parseEspSa, splitFields } from '../src/sa-text/esp-sa.ts';
import { readPolicyRows } from '../src/sa-text/policy-rows.ts';
import { readStateRows } from '../src/sa-text/state-rows.ts';
import { readPolicies } from '../src/sa-text/to-policy.ts';
import { parseXfrm } from '../src/sa-text/xfrm-parse.ts';
import { parseXfrmState } from '../src/sa-text/xfrm-sas.ts';
import { parseXfrmStat } from '../src/sa-text/xfrm-stat.ts';
import { parseScenario } from '../src/sim/scenario.ts';
import { parseAddress, parsePrefix } from '../src/wire/address.ts';
import { Reassembler } from '../src/wire/reassembly.ts';
import { growth } from './support/growth.ts';
import { sample } from './support/sample.ts';

const LIMIT = 2.6;
const MOST = 1 << 15;
const VERSION = parseVersion('1.18');
const encoder = new TextEncoder();

/** `n` parts, the i-th made by `part`. */
const list = (n: number, part: (i: number) => string, between = '') =>
  Array.from({ length: n }, (_, i) => part(i)).join(between);
const ip = (i: number) => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
const AES = '4142434445464748494a4b4c4d4e4f5001020304';

/** Runs a parser for which an error is an answer, too; only errors of ours are. */
function tried<T>(parse: (input: T) => unknown): (input: T) => void {
  return (input) => {
    try {
      parse(input);
    } catch (error) {
      if (!(error instanceof EsplaneError)) throw error;
    }
  };
}

const state = (i: number) =>
  `src ${ip(i)} dst 10.255.0.1\n\tproto esp spi 0x00000003(3) reqid 1(0x00000001) mode tunnel\n\treplay-window 0 seq 0x00000000 flag esn (0x10000000)\n\taead rfc4106(gcm(aes)) 0x${AES} (160 bits) 128\n\tanti-replay esn context:\n\t seq-hi 0x0, seq 0x0, oseq-hi 0x0, oseq 0x1c\n\t replay_window 1024, bitmap-length 32\n\tsel src 0.0.0.0/0 dst 0.0.0.0/0\n`;
const policy = (i: number) =>
  `src ${ip(i)}/32 dst 10.255.0.0/24\n\tdir out priority 0\n\tmark 0x3e00/0xff00\n\ttmpl src 10.0.0.1 dst 10.0.0.2\n\t\tproto esp spi 0x00000003 reqid 1 mode tunnel\n`;
const row = (i: number, key = `0x${AES}`) =>
  `"IPv4","${ip(i)}","10.255.0.1","0x3","AES-GCM with 16 octet ICV [RFC4106]","${key}","NULL",""\n`;
const node = (i: number) => ({
  kind: 'CiliumNode',
  metadata: { name: `node-${i}` },
  spec: {
    addresses: [{ type: 'InternalIP', ip: ip(i) }],
    encryption: { key: 3 },
    ipam: { podCIDRs: ['10.0.0.0/24'] },
  },
});

/** A block of pcapng, little-endian. */
function block(type: number, body: Uint8Array): Uint8Array {
  const b = new Uint8Array(12 + ((body.length + 3) & ~3));
  const view = new DataView(b.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, b.length, true);
  b.set(body, 8);
  view.setUint32(b.length - 4, b.length, true);
  return b;
}
function words(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values, (v) => v >>> 0).buffer);
}
/** One array of many: thousands of parts are too many for the arguments of a call. */
function joined(parts: readonly Uint8Array[]): Uint8Array {
  const b = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    b.set(part, at);
    at += part.length;
  }
  return b;
}
const SECTION = block(0x0a0d0d0a, words(0x1a2b3c4d, 1, -1, -1));
const INTERFACE = block(1, words(101, 0));
const FRAME = joined([words(0, 0, 0, 64, 64), new Uint8Array(64)]);
const secrets = (text: string) => {
  const data = encoder.encode(text);
  return block(10, joined([words(0x45535053, data.length), data]));
};
const file = (n: number, part: Uint8Array) =>
  joined([SECTION, INTERFACE, ...Array<Uint8Array>(n).fill(part)]);
const PCAP = joined([words(0xa1b2c3d4, 0x00040002, 0, 0, 65535, 101)]);

const readCapture = tried((bytes: Uint8Array) => {
  const own = new CaptureSas(() => {});
  const reader = captureReader('f', {
    frame: () => {},
    comment: () => {},
    secrets: (_, data) => own.read(data, 'f'),
  });
  for (let at = 0; at < bytes.length; at += 65_536) reader.feed(bytes.subarray(at, at + 65_536));
  reader.end();
});

/** IPv4 fragments of 8 bytes: of one datagram each, or all of one. */
const fragments = (n: number, isOne: boolean) =>
  Array.from({ length: Math.min(n, isOne ? 8000 : n) }, (_, i) => {
    const b = new Uint8Array(28);
    const view = new DataView(b.buffer);
    b[0] = 0x45;
    view.setUint16(2, 28);
    view.setUint16(4, isOne ? 7 : i);
    // Every other one, so that no two become one.
    view.setUint16(6, 0x2000 | (isOne ? (i * 2) % 8000 : 1));
    b[8] = 64;
    b[9] = 50;
    b.set([10, 0, 0, 1, 10, 0, (i >> 8) & 255, 1], 12);
    return b;
  });

type Rows = Readonly<Record<string, readonly [make: (n: number) => string, run: (text: string) => void]>>;

const readsYaml = tried((text: string) => {
  const { documents } = readYaml(text);
  return documents.map((document) => document.errors);
});
const yaml = tried((text: string) => new YamlText(text, 'f').value);
const secretsBlock = tried((text: string) => readBlock(text, 'f'));
const espSa = tried((text: string) => parseEspSa(text, 'f'));
const xfrmState = tried((text: string) => parseXfrmState(text, 'f'));
const xfrm = tried((text: string) => parseXfrm(text, 'f'));
const nodes = tried((text: string) => parseNodes(text, 'f'));
const keys = tried((text: string) => readKeys(text, 'f', VERSION));
const hexDump = tried((text: string) => parseHexDump(text, 'f'));
const scenario = tried((text: string) => parseScenario(text, 'f'));

const rowsOfStates = tried((text: string) =>
  readStateRows(encoder.encode(text), 'f', new AddressIds(), { row: () => {} }),
);
const rowsOfPolicies = tried((text: string) =>
  readPolicyRows(
    encoder.encode(text),
    'f',
    { addresses: new AddressIds(), prefixes: new PrefixIds() },
    () => {},
  ),
);
const ipcache = (text: string) => void parseIpcache(encoder.encode(text), new AddressIds());
const nodeIds = (text: string) => void parseNodeIds(encoder.encode(text), new AddressIds());

const TEXTS: Rows = {
  'rows of states': [(n) => list(n, state), rowsOfStates],
  'rows of states: each wrong at its end': [(n) => list(n, (i) => `${state(i)}\tx\n`), rowsOfStates],
  'rows of states: every other one of another form': [
    (n) => list(n, (i) => (i % 2 === 0 ? state(i) : state(i).replace('tunnel', 'beet'))),
    rowsOfStates,
  ],
  'rows of policies': [(n) => list(n, policy), rowsOfPolicies],
  'rows of policies: each wrong at its end': [(n) => list(n, (i) => `${policy(i)}\tx\n`), rowsOfPolicies],
  'ipcache: entries of many nodes': [
    (n) => list(n, (i) => `${ip(i)}/32  identity=300 encryptkey=3 tunnelendpoint=${ip(i)} flags=<none>\n`),
    ipcache,
  ],
  'ipcache: what begins an entry': [(n) => 'identity=300 encryptkey='.repeat(n), ipcache],
  'ipcache: blanks': [
    (n) => list(n, () => `${' '.repeat(64)}identity=300 encryptkey=0 tunnelendpoint=1.2.3.4`),
    ipcache,
  ],
  'node ids': [(n) => list(n, (i) => `0x${(i & 0xffff).toString(16)}   ${ip(i)}   3\n`), nodeIds],
  'node ids: one long line': [(n) => `7 ${list(n, ip, ', ')}\n`, nodeIds],
  'node ids: digits': [(n) => '1'.repeat(64 * n), nodeIds],
  'node list': [(n) => list(n, (i) => `kind/node-${i}   ${ip(i)}\n`), parseNodeList],
  'node list: names': [(n) => '"name":'.repeat(8 * n), parseNodeList],
  'encrypt status': [(n) => `Encryption: IPsec\n${'"XfrmInNoStates" : 1'.repeat(n)}`, parseEncryptStatus],
  'YAML: keys of a mapping': [(n) => list(n, (i) => `k${i}: v\n`), yaml],
  'YAML: keys of a flow mapping': [(n) => `{${list(n, (i) => `k${i}: v`, ', ')}}`, yaml],
  'YAML: a list': [(n) => '- a\n'.repeat(n), yaml],
  'YAML: comments': [(n) => `a:\n${'  # c\n'.repeat(n)}  b: c\n`, yaml],
  'YAML: blank lines': [(n) => `a: b\n${'\n'.repeat(n)}`, yaml],
  'YAML: a long plain text': [(n) => `a: ${'x '.repeat(8 * n)}\n`, yaml],
  'YAML: a long quoted text': [(n) => `a: "${'\\x41'.repeat(8 * n)}"\n`, yaml],
  'YAML: a quoted text of many lines': [(n) => `a: "${'x\n  '.repeat(n)}"\n`, yaml],
  'YAML: a block of text': [(n) => `a: |\n${'  x\n'.repeat(n)}`, yaml],
  'YAML: a folded block': [(n) => `a: >\n${'  x\n\n'.repeat(n)}`, yaml],
  'YAML: anchors and aliases': [(n) => list(n, (i) => `- &a${i} v\n- *a${i}\n`), yaml],
  'YAML: aliases of one anchor': [(n) => `- &a x\n${'- *a\n'.repeat(n)}`, yaml],
  'YAML: documents': [(n) => '---\na: b\n'.repeat(n), readsYaml],
  'YAML: wrong on every line': [(n) => 'a: b: c\n'.repeat(n), readsYaml],
  'YAML: brackets': [(n) => ']'.repeat(n), readsYaml],
  'YAML: wrong blanks': [(n) => '\ta: b\n'.repeat(n), readsYaml],

  'Secret: data keys in YAML': [(n) => `kind: Secret\ndata:\n${list(n, (i) => `  k${i}: v\n`)}`, keys],
  'Secret: in JSON': [(n) => `{"kind":"Secret","data":{${list(n, (i) => `"k${i}":"v"`, ',')}}}`, keys],
  'Secret: words that begin one': [(n) => `kind${' '.repeat(n)}\n`.repeat(3), keys],
  'keys file': [(n) => list(n, (i) => `${3 + (i & 1)}+ rfc4106(gcm(aes)) ${AES} 128\n`), keys],
  'keys file: one long line': [(n) => `3+ rfc4106(gcm(aes)) ${'00'.repeat(16 * n)} 128\n`, keys],
  'CiliumNodes in JSON': [
    (n) => JSON.stringify({ items: Array.from({ length: n }, (_, i) => node(i)) }),
    nodes,
  ],
  'CiliumNodes in YAML': [(n) => list(n, (i) => `---\n${JSON.stringify(node(i))}\n`), nodes],
  'CiliumNode: many addresses of both families': [
    (n) =>
      JSON.stringify({
        ...node(0),
        spec: {
          addresses: Array.from({ length: 2 * n }, (_, i) => ({
            type: 'InternalIP',
            ip: i < n ? ip(i) : `fd00::${(i & 0xffff).toString(16)}`,
          })),
        },
      }),
    nodes,
  ],
  'CiliumNode: a large pool': [
    (n) =>
      JSON.stringify({
        ...node(0),
        spec: {
          ...node(0).spec,
          ipam: { pool: Object.fromEntries(Array.from({ length: n }, (_, i) => [ip(i), {}])) },
        },
      }),
    nodes,
  ],
  'JSON nested deep': [(n) => `${'['.repeat(4 * n)}${']'.repeat(4 * n)}`, nodes],
  'cilium-config': [(n) => list(n, (i) => `k${i}: v\n`), tried((text) => parseCiliumConfig(text, 'f'))],
  'cilium-config: ranges': [
    (n) => `ipv4-pod-subnets: "${list(n, (i) => `${ip(i)}/32`, ' ')}"\n`,
    tried((text) => parseCiliumConfig(text, 'f')),
  ],
  duration: [(n) => '1'.repeat(64 * n), tried(parseDuration)],
  'node configuration: addresses': [
    (n) =>
      `name: a\ninside: { addresses: [${list(n, (i) => `${ip(i)}/32`, ', ')}] }\noutside: { link: udp, address: 10.0.0.1 }\nkeys: k\nnodes: n\n`,
    tried((text) => parseNodeConfig(text, 'f')),
  ],
  'scenario: events': [
    (n) => `duration: 1s\nnodes: 3\nevents:\n${'  - { at: 1ms, reboot: node-1 }\n'.repeat(n)}`,
    scenario,
  ],
  'scenario: nodes': [(n) => `duration: 1s\nnodes:\n${list(n, (i) => `  - name: n${i}\n`)}`, scenario],

  esp_sa: [(n) => list(n, (i) => row(i)), espSa],
  'esp_sa: a long quoted field': [(n) => row(1, 'a'.repeat(16 * n)), espSa],
  'esp_sa: escapes': [(n) => row(1, '\\x41'.repeat(8 * n)), espSa],
  'esp_sa: a quotation mark that is not closed': [(n) => `"${'a'.repeat(16 * n)}\n`, espSa],
  'esp_sa: wildcards': [(n) => list(n, (i) => row(i).replace('"10.0.0.2"', '"*"')), espSa],
  'fields: quotation marks': [(n) => '""'.repeat(4 * n), splitFields],
  'fields: commas': [(n) => ','.repeat(16 * n), splitFields],
  'fields: blanks': [(n) => `${' '.repeat(16 * n)}x${' '.repeat(16 * n)}`, splitFields],
  'secrets block': [(n) => list(n, (i) => row(i)), secretsBlock],
  'secrets block: what is gone': [
    (n) => `# gone: "IPv4","10.0.0.1","10.0.0.2","0x3"\n`.repeat(n),
    secretsBlock,
  ],
  'secrets block: nodes': [
    (n) => list(n, (i) => `# CiliumNode: "node-${i}","${ip(i)}","10.0.0.0/24"\n`),
    secretsBlock,
  ],
  'secrets block: blanks before a name': [(n) => `# gone:${' '.repeat(16 * n)}x\u2028y\n`, secretsBlock],
  'secrets block: # new': [(n) => '#  ne\n'.repeat(n) + ' '.repeat(8 * n), secretsBlock],

  'ip xfrm state': [(n) => list(n, state), xfrmState],
  'ip -o xfrm state': [(n) => list(n, (i) => `${state(i).trimEnd().replaceAll('\n', '\\')}\n`), xfrmState],
  'ip xfrm state: lines of one state': [
    (n) => `${state(1)}${'\tanti-replay esn context:\n'.repeat(n)}`,
    xfrmState,
  ],
  'ip xfrm policy': [(n) => list(n, policy), tried((text) => readPolicies(text, 'f'))],
  'xfrm as JSON': [(n) => list(n, (i) => state(i) + policy(i)), xfrm],
  'xfrm as JSON: contexts of one state': [
    (n) => `${state(1)}${'\tanti-replay esn context:\n'.repeat(n)}`,
    xfrm,
  ],
  'xfrm as JSON: monitor': [(n) => list(n, (i) => `Deleted ${state(i)}`), xfrm],
  'xfrm as JSON: counts': [(n) => ' SPD IN  1 OUT 1 FWD 0 (Sock: IN 0 OUT 0 FWD 0)\n'.repeat(n), xfrm],
  'xfrm as JSON: words of one line': [(n) => `SPD ${'IN '.repeat(8 * n)}\n`, xfrm],
  xfrm_stat: [(n) => 'XfrmInError             \t1\n'.repeat(n), tried((text) => parseXfrmStat(text, 'f'))],
  'xfrm_stat: blanks': [
    (n) => `XfrmInError${' \t'.repeat(16 * n)}x\n`,
    tried((text) => parseXfrmStat(text, 'f')),
  ],

  'hex dump: digits': [(n) => '00 '.repeat(n), hexDump],
  'hex dump: lines': [
    (n) => list(n, (i) => `${(16 * i).toString(16).padStart(8, '0')}: ${'4500 '.repeat(8)} E\n`),
    hexDump,
  ],
  'hex dump: blanks behind an offset': [(n) => `000:${' '.repeat(16 * n)}\u2028x`, hexDump],
  ...Object.fromEntries(
    [
      ' ',
      '\n',
      'src a dst b\n',
      'kind: X\n',
      '- ',
      '[a] ',
      '{',
      'IPv4,a\n',
      '>',
      '#\n',
      '"IPv4"',
      'hmac(',
    ].map(
      (part) =>
        [
          `what a text is: ${JSON.stringify(part)}`,
          [(n: number) => part.repeat(8 * n), recogniseText],
        ] as const,
    ),
  ),
  'hex text': [(n) => ' 00'.repeat(n), tried(fromHex)],
  address: [(n) => '1:'.repeat(64 * n), tried(parseAddress)],
  'address of digits': [(n) => '1'.repeat(64 * n), tried(parsePrefix)],
};

it('tells what is quadratic', () => {
  const keys = (n: number) => Int32Array.from({ length: n }, (_, i) => i);
  // As a mapping's keys were compared: each with all before it.
  const compare = (all: Int32Array) => {
    let twice = 0;
    for (let i = 0; i < all.length; i++) for (let k = 0; k < i; k++) if (all[i] === all[k]) twice++;
    return twice;
  };
  expect(growth(keys, compare, 2048, LIMIT)).toBeGreaterThan(LIMIT);
});

describe('the time of a parser grows as its input does', () => {
  it.each(sample(Object.entries(TEXTS), 8))('%s', (_, [make, run]) => {
    expect(growth(make, run, MOST, LIMIT)).toBeLessThanOrEqual(LIMIT);
  });

  it.each<[string, (n: number) => Uint8Array]>([
    ['pcapng: frames', (n) => file(n, block(6, FRAME))],
    ['pcapng: interfaces', (n) => file(Math.min(n, 32_000), INTERFACE)],
    ['pcapng: sections', (n) => file(n, SECTION)],
    [
      'pcapng: comments of one frame',
      (n) =>
        file(
          1,
          block(6, joined([FRAME, new Uint8Array(Uint32Array.from({ length: 16 * n }, () => 1).buffer)])),
        ),
    ],
    ['pcapng: unknown blocks', (n) => file(n, block(77, new Uint8Array(8)))],
    ['pcapng: one long block', (n) => file(1, block(77, new Uint8Array(512 * n)))],
    [
      'pcapng: secrets blocks',
      (n) => joined([SECTION, ...Array.from({ length: n }, (_, i) => secrets(row(i)))]),
    ],
    [
      'pcapng: secrets blocks that take SAs away',
      (n) =>
        joined([
          SECTION,
          ...Array.from({ length: n }, (_, i) =>
            secrets(`${row(i)}# gone: "IPv4","${ip(i)}","10.255.0.1","0x3"\n`),
          ),
        ]),
    ],
    [
      'pcap',
      (n) => joined([PCAP, ...Array<Uint8Array>(n).fill(joined([words(0, 0, 64, 64), new Uint8Array(64)]))]),
    ],
  ])('%s', (_, make) => {
    expect(growth(make, readCapture, MOST, LIMIT)).toBeLessThanOrEqual(LIMIT);
  });

  it.each([
    ['fragments of many datagrams', false],
    ['fragments of one datagram', true],
  ])('%s', (_, isOne) => {
    const run = (all: readonly Uint8Array[]) => {
      const reassembler = new Reassembler();
      for (const [i, b] of all.entries()) reassembler.add(b, 0, b.length, i / 1000);
    };
    // Beyond the number of datagrams that are kept from the start.
    const make = (n: number) => fragments(isOne ? n : 8 * n, isOne);
    expect(growth(make, run, isOne ? 4000 : MOST, LIMIT)).toBeLessThanOrEqual(LIMIT);
  });

  it.each([
    ['labels of MPLS', 1, '020000000002 020000000001 8847', '00010040'],
    ['VLAN tags', 1, '020000000002 020000000001', '81000001'],
    ['GRE in GRE', 101, '', '4500ffff 00000000 402f0000 0a000001 0a000002 00000800'],
    ['TLVs of NFLOG', 239, '02000005', '04000100'],
    ['words of radiotap', 127, '0000ffff', 'ffffffff'],
    ['nothing but 0xff', 105, '', 'ff'],
  ])('headers of one frame: %s', (_, linkType, head, piece) => {
    const make = (n: number) => joined([hex(head), ...Array<Uint8Array>(n).fill(hex(piece))]);
    const finder = new EspFinder({ udpPorts: [4500], sink: { esp: () => {} } }, noFrames());
    const info = { number: 1, seconds: 0, nanoseconds: 0, hasTime: true, interfaceId: 0 };
    const run = (frame: Uint8Array) => {
      for (let i = 0; i < 20; i++)
        finder.frame(frame, 0, frame.length, { ...info, linkType, originalLength: 0, byte: 0 });
    };
    expect(growth(make, run, MOST, LIMIT)).toBeLessThanOrEqual(LIMIT);
  });

  it('capture filter', () => {
    // A jump reaches 255 instructions, so there are never more ports than that.
    const make = (n: number) => Array.from({ length: Math.min(n, 100) }, (_, i) => i);
    const run = (ports: readonly number[]) => {
      for (let i = 0; i < 20; i++) captureFilter(ports);
    };
    expect(growth(make, run, 256, LIMIT)).toBeLessThanOrEqual(LIMIT);
  });
});
