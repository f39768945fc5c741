/**
 * Every file of the shared captures and cases is what it is, whatever its name; and what upstream's commands print.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Kind } from '../../../src/inspect/files/kinds.ts';
import {
  containerOf,
  otherContainerOf,
  recognise,
  recogniseText,
} from '../../../src/inspect/files/recognise.ts';
import { CAPTURES, needs, SHARED, shared } from '../../support/needs.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 1000);

/** What files of these names hold. The first that fits counts. */
const CAPTURE_FILES: readonly (readonly [RegExp, string])[] = [
  [/\.pcap$/, 'capture'],
  [/xfrm_state|\.state\.(s|sd|nokeys)?\.?txt$/, 'xfrm-state'],
  [/xfrm_policy|\.policy\.(s\.)?txt$/, 'xfrm-policy'],
  [/xfrm_stat$/, 'xfrm-stat'],
  [/monitor\.txt$/, 'xfrm-state xfrm-policy xfrm-monitor'],
  [/keys$/, 'keys'],
  [/nodes\.json$/, 'nodes'],
  [/\.md$|\.jsonl$|json$|count\.txt$|link\.txt$|uname\.txt$/, ''],
];

const CASE_FILES: readonly (readonly [RegExp, string])[] = [
  [/plain\.pcap\.(gz|zst|xz|bz2|lz4)$/, '($1)'],
  [/\.pcap(ng)?$|\.snoop$|netmon\.cap$/, 'capture'],
  [/esp-secrets\.txt$/, 'tcpdump-secrets'],
  [/README|CASE\.txt$|\.(sh|mjs|c|py|md)$/, ''],
  [/security\/.*\.yaml$|node-.*-first\.yaml$|pub\/a\.json$/, ''],
  // Words of 16 bits in the order of the machine could be any packet's: their reader refuses them.
  [/23-hex-forms\/hexdump-words$/, ''],
  [/23-hex-forms\/(carray|xxdi|skbdump)$/, 'packet'],
  [/18-no-capture\/encstat\.txt$/, 'encrypt-status'],
  [/esp_sa/, 'esp-sa'],
  [/xfrm_stat$|\.stat0?$|stat-k8s\.txt$/, 'xfrm-stat'],
  [/policy[^/]*$|618\.txt$|oneline-pol\.txt$/, 'xfrm-policy'],
  [/mon\.txt$/, 'xfrm-monitor'],
  [/unindented\.txt$/, 'xfrm-state xfrm-policy'],
  [/\/keys[^/]*$|\/ka$/, 'keys'],
  [/\.json$|precious$|u16\.yaml$/, 'nodes'],
  [/\.xfrm$|\.state$|state|xfrm|\.txt$/, 'xfrm-state'],
];

function table(folder: string, rules: readonly (readonly [RegExp, string])[]): void {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
    statSync(`${folder}/${file}`).isFile(),
  );
  const wrong: string[] = [];
  for (const file of files) {
    const rule = rules.find(([pattern]) => pattern.test(file));
    const bytes = new Uint8Array(readFileSync(`${folder}/${file}`));
    const container = containerOf(bytes) ?? otherContainerOf(bytes);
    const is = recognise(bytes).join(' ') || (container ? `(${NAMES[container] ?? container})` : '');
    const should = rule && file.match(rule[0])![0].replace(rule[0], rule[1]);
    if (is !== should) wrong.push(`${file}: is ${is}, should be ${should}`);
  }
  expect(wrong).toEqual([]);
  expect(files.length).toBeGreaterThan(20);
}

const NAMES: Readonly<Record<string, string>> = { gzip: 'gz', zstd: 'zst', bzip2: 'bz2' };

needs([shared('captures')], 'files of the captures', () => {
  it('are recognised, each of them', () => table(CAPTURES, CAPTURE_FILES));
});

needs([shared('cases')], 'files of the cases', () => {
  it('are recognised, each of them', () => table(`${SHARED}cases`, CASE_FILES));
});

const LIST_YAML = `apiVersion: v1
items:
- apiVersion: v1
  kind: Pod
  metadata:
    name: cilium-abcde
    ownerReferences:
    - apiVersion: apps/v1
      kind: DaemonSet
      name: cilium
kind: List
`;

/** As cilium-cli writes lists: items without their kind, and the kind of the list last. */
const typedList = (kind: string, more = '') => `apiVersion: v1
items:
- metadata:
    name: one
    ownerReferences:
    - kind: Secret
${more}kind: ${kind}List
metadata:
  resourceVersion: "1"
`;

const CONFIG_MAP = `apiVersion: v1
data:
  enable-ipsec: "true"
  routing-mode: native
kind: ConfigMap
metadata:
  name: cilium-config
`;

describe('recogniseText', () => {
  it.each<readonly [string, string, readonly Kind[]]>([
    ['a List', LIST_YAML, ['pods']],
    ['a List of nodes', LIST_YAML.replace('kind: Pod', 'kind: CiliumNode'), ['nodes']],
    ['a typed list of Pods', typedList('Pod'), ['pods']],
    ['a typed list of CiliumNodes', typedList('CiliumNode'), ['nodes']],
    ['a typed list of CiliumEndpoints', typedList('CiliumEndpoint'), ['endpoints']],
    ['the DaemonSet', typedList('DaemonSet', '    name: cilium-agent\n'), ['daemonset']],
    ['another DaemonSet', typedList('DaemonSet'), []],
    ['other objects', typedList('CiliumNetworkPolicy'), []],
    ['JSON', '{"kind":"List","items":[{"kind":"CiliumNode"}]}', ['nodes']],
    ['JSON of a typed list', '{"kind":"PodList","items":[{}]}', ['pods']],
    ['a Secret and nodes in one file', 'kind: Secret\ndata: {}\n---\nkind: CiliumNode\n', ['keys', 'nodes']],
    ['YAML in flow style', '{kind: CiliumNode, metadata: {name: a}}', ['nodes']],
    ['cilium-config', CONFIG_MAP, ['cilium-config']],
    ['its data alone', 'enable-ipsec: "true"\ndata: x\n', ['cilium-config']],
    ['its data as JSON', '{"enable-ipsec":"true"}', ['cilium-config']],
    ['another ConfigMap', CONFIG_MAP.replace('enable-ipsec', 'enable-x'), []],
    ['encrypt status', 'Encryption: IPsec                     \nKeys in use: 4\n', ['encrypt-status']],
    ['encrypt status as JSON', '{"ipsec":{"keys-in-use":4},"mode":"IPsec"}', ['encrypt-status']],
    ['node ids', 'NODE ID   IP ADDRESSES   SPI\n0x3cb2    10.244.1.5     3\n', ['node-ids']],
    ['node ids as JSON', '[{"ID":15538,"Address":"10.244.1.5","SPI":3}]', ['node-ids']],
    ['ipcache', 'IP PREFIX/ADDRESS   IDENTITY\n10.0.0.1/32   identity=1 encryptkey=0\n', ['ipcache']],
    ['node list', 'Name   IPv4 Address   Endpoint CIDR   IPv6 Address\nn1   10.0.0.1\n', ['node-list']],
    ['node list as JSON', '[{"name":"n1","primary-address":{}}]', ['node-list']],
    ['flows', '{"flow":{"verdict":"FORWARDED"},"node_name":"n1"}\n{"flow":{}}\n', ['flows']],
    ['a boot id', '0f8f8a5c-6d7e-4f1b-9a01-2b3c4d5e6f70\n', ['boot-id']],
    ['a DSB with its header', '"Protocol","Src IP","Dest IP","SPI"\n"IPv4","*","*","0x3"\n', ['dsb-csv']],
    ['a DSB with remarks', '# new\n"IPv4","*","*","0x3","NULL"\n', ['dsb-csv']],
    ['esp_sa after comments', '# mine\n\n"IPv4","*","*","0x3","NULL"\n', ['esp-sa']],
    ['keys of Cilium 1.16', 'hmac(sha256) 00 cbc(aes) 00\n', ['keys']],
    ['null keys', '3 digest_null "" cipher_null ""\n', ['keys']],
    ['prose', 'The SA is src and dst, 10 lines, rfc4106 (see there).\n', []],
    ['nothing', '', []],
  ])('knows %s', (_, text, kinds) => {
    expect(recogniseText(text)).toEqual(kinds);
    // cilium-bugtool --enable-markdown
    if (!text.startsWith('{') && !text.startsWith('[') && !text.includes('","') && !text.includes('-4f1b-'))
      expect(recogniseText(`# cat x\n\n\`\`\`\n${text}\n\`\`\`\n`)).toEqual(kinds);
  });

  it('knows all texts of ip xfrm in one file', () => {
    const state = 'src 10.0.0.1 dst 10.0.0.2\n\tproto esp spi 0x3 reqid 1 mode tunnel\n';
    const policy = 'src 10.1.0.0/16 dst 10.2.0.0/16 \n\tdir out priority 0 \n';
    const tmpl = '\ttmpl src 10.0.0.1 dst 10.0.0.2\n\t\tproto esp spi 0x00000003 reqid 1 mode tunnel\n';
    const stat = 'XfrmInError             \t0\nXfrmInNoStates          \t7\n';
    expect(recogniseText(policy + tmpl)).toEqual(['xfrm-policy']);
    expect(recogniseText(`# n1\n${state}$ ip xfrm policy\n${policy}${tmpl}${stat}`)).toEqual([
      'xfrm-state',
      'xfrm-policy',
      'xfrm-stat',
    ]);
    expect(recogniseText(state.replace('\n', '\\'))).toEqual(['xfrm-state']);
  });
});

describe('recognise', () => {
  it('takes binary files for nothing but captures', () => {
    expect(recognise(Uint8Array.of(0xd4, 0xc3, 0xb2, 0xa1, 0, 0, 0, 0))).toEqual(['capture']);
    expect(recognise(new Uint8Array(5000))).toEqual([]);
    expect(recognise(new TextEncoder().encode('\x7fELF\x02\x01\x01\0\0\0'))).toEqual([]);
  });

  it('knows the digits of a packet, and no other digits', () => {
    const hex = '450000540000400040010000 0af4010a0af40214 00112233';
    expect(recognise(new TextEncoder().encode(hex))).toEqual(['packet']);
    expect(recognise(new TextEncoder().encode('4500 0054'))).toEqual([]);
  });

  it('gives an answer for everything', () => {
    const parts = fc.constantFrom(
      'src 10.0.0.1 dst 10.0.0.2\n',
      '\tproto esp spi 0x3 reqid 1 mode tunnel\n',
      'kind: Secret\n',
      '{"kind":"List","items":[',
      'XfrmInError 1\n',
      '\u0000\u0001\u0002',
      '\x1f\x8b',
      'PK\x03\x04',
      '[[[[',
    );
    const text = fc.array(fc.oneof(parts, fc.string()), { maxLength: 30 }).map((list) => list.join(''));
    fc.assert(
      fc.property(text, fc.uint8Array({ maxLength: 600 }), (given, bytes) => {
        recognise(new TextEncoder().encode(given));
        recognise(bytes);
      }),
      { numRuns: RUNS },
    );
  });
});
