/**
 * The sysdump of a large cluster, for tests of scale: Cilium 1.18 in tunnel mode, where every node has four states with each
 * peer. Nothing is simulated: states and policies are printed once and copied, with addresses, marks, numbers and the hashes of
 * keys that are really derived put in. The texts of one node are in memory at a time.
 * @module
 */
import { hash } from 'node:crypto';
import { stringify } from 'yaml';
import { mixSeed, seededBytes, xorshift32 } from '../../src/base/rng.ts';
import { generateKey } from '../../src/cilium/key-line.ts';
import { type CiliumKey, parseKeys } from '../../src/cilium/keys.ts';
import type { CiliumNode } from '../../src/cilium/nodes.ts';
import { peerPolicies, peerSas, sharedPolicies } from '../../src/cilium/peer-plan.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { SecurityAssociation } from '../../src/ipsec/sa.ts';
import { encryptionStatus, statusText } from '../../src/observe/status.ts';
import { formatAddress, parseAddress, parsePrefix } from '../../src/wire/address.ts';
import { ciliumNodeObject, ipcacheText, nodeIdsText, nodeListText } from './agent-texts.ts';
import type { ZipWriter } from './archives.ts';
import { policyText, stateText, statText } from './iproute2.ts';
import { clusterFiles, commandsOf, hashOf, nodeFiles, podObject, podOf } from './layout.ts';

/** Troubles that can be planted, each at some nodes. */
export const PLANTS = {
  'stale-boot-id': 'rebooted, and no peer has heard of it',
  'old-key': 'has another key under the same id',
  behind: 'has the key before the last, alone',
  missing: 'lacks the inbound states of three peers',
} as const;

export type Plant = keyof typeof PLANTS;

export interface LargeOptions {
  readonly nodes: number;
  readonly podsPerNode: number;
  readonly plants: Readonly<Partial<Record<Plant, number>>>;
  readonly seed: number;
  readonly time?: string;
}

/** What the nodes are, beside what all are. */
export interface Planted {
  readonly plant: Plant;
  readonly node: string;
}

export interface LargeResult {
  /** The Secret's line. */
  readonly keys: string;
  readonly planted: readonly Planted[];
  /** Of each node. */
  readonly states: number;
}

const KEY_ID = 4;
/** Tunnels between two nodes: of their routers, and of the nodes themselves. */
const KINDS = 2;
const GONE = 3;
const VERSION = { minor: 18 };
/** Packets that were sent in vain to a node that has no right key. */
const FAILED = 40;
const EPOCH = Date.UTC(2026, 10, 29, 9);
const WINDOW_FULL = 1024;

interface LargeNode {
  readonly node: CiliumNode;
  /** Its addresses, by kind of tunnel. */
  readonly ends: readonly { readonly text: string; readonly bytes: Uint8Array }[];
  /** Its boot id as it knows it, and as the others do. */
  readonly bootId: Buffer;
  readonly heardBootId: Buffer;
  readonly key: CiliumKey;
  readonly material: Buffer;
  readonly lacks: ReadonlySet<number>;
}

/** Writes a sysdump of a large cluster. */
export function writeLarge(zip: ZipWriter, options: LargeOptions): LargeResult {
  const { podsPerNode, seed, time } = options;
  const random = seededBytes(mixSeed(seed, 1));
  const line = (id: number) => generateKey({ id, random });
  const lines = { now: line(KEY_ID), other: line(KEY_ID), before: line(KEY_ID - 1) };
  const planted = plantsOf(options);
  const nodes = Array.from({ length: options.nodes }, (_, i) =>
    makeNode(i, options.nodes, lines, planted, random),
  );
  const states = stateTemplates(nodes[0]!);
  const layout = { ...(time !== undefined && { time }) };
  let most = 0;
  nodes.forEach((_, i) => {
    const { commands, count } = nodeOutputs(nodes, i, states, options);
    most = Math.max(most, count);
    for (const [name, content] of nodeFiles({ name: nodes[i]!.node.name, commands, isHashed: true }, layout))
      zip.add(name, content);
  });
  const pods = nodes.flatMap(({ node }, i) =>
    Array.from({ length: podsPerNode }, (_, p) => ({
      name: `app-${i}-${p}`,
      node: node.name,
      ip: podAddress(i, p),
      identity: 10_000 + (p % 50),
    })),
  );
  const cluster = {
    nodes: nodes.map(({ node }) => ({ name: node.name })),
    ciliumNodes: nodes.map(({ node }) => ciliumNodeObject(node)),
    version: `v1.${VERSION.minor}.4`,
    config: { 'enable-ipsec': 'true', 'ipsec-key-file': '/etc/ipsec/keys', 'routing-mode': 'tunnel' },
  };
  for (const [name, content] of clusterFiles({ ...cluster, pods }, layout))
    zip.add(name, /\/k8s-pods-.*\.yaml$/.test(name) ? podsText(nodes, pods) : content);
  return { keys: `${lines.now}\n`, planted, states: most };
}

/** The planted nodes: by chance, each with one trouble. */
function plantsOf({ nodes, plants, seed }: LargeOptions): Planted[] {
  const next = xorshift32(mixSeed(seed, 2));
  const taken = new Set<number>();
  return Object.entries(plants).flatMap(([plant, count]) =>
    Array.from({ length: count }, () => {
      let i = next() % nodes;
      while (taken.has(i)) i = (i + 1) % nodes;
      taken.add(i);
      return { plant: plant as Plant, node: nameOf(i) };
    }),
  );
}

const nameOf = (i: number) => `node-${i + 1}`;
const podAddress = (i: number, p: number) => `10.${i >> 8}.${i & 255}.${10 + p}`;

function makeNode(
  i: number,
  count: number,
  lines: { readonly now: string; readonly other: string; readonly before: string },
  planted: readonly Planted[],
  random: (out: Uint8Array) => void,
): LargeNode {
  const name = nameOf(i);
  const plant = planted.find((one) => one.node === name)?.plant;
  const keyLine = plant === 'old-key' ? lines.other : plant === 'behind' ? lines.before : lines.now;
  const [key] = parseKeys(keyLine, 'keys', VERSION);
  const bootId = bootIdOf(random);
  const heard = bootIdOf(random);
  const texts = [`10.${i >> 8}.${i & 255}.1`, `172.${16 + (i >> 14)}.${(i >> 7) & 127}.${1 + (i & 127)}`];
  const ends = texts.map((text) => ({ text, bytes: parseAddress(text)! }));
  return {
    node: {
      name,
      ciliumAddresses: [ends[0]!.bytes],
      nodeAddresses: [ends[1]!.bytes],
      bootId,
      keyId: key!.id,
      podCidrs: [parsePrefix(`10.${i >> 8}.${i & 255}.0/24`)!],
      source: 'large',
    },
    ends,
    bootId: Buffer.from(bootId),
    heardBootId: Buffer.from(plant === 'stale-boot-id' ? heard : bootId),
    key: key!,
    material: Buffer.concat([key!.material.key(), key!.material.salt()]),
    lacks: new Set(plant === 'missing' ? Array.from({ length: GONE }, (_, n) => (i + 1 + n) % count) : []),
  };
}

function bootIdOf(random: (out: Uint8Array) => void): string {
  const bytes = Buffer.alloc(16);
  random(bytes);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** A text with places that others are put into. */
function template(
  text: string,
  places: readonly string[],
): (...values: readonly (string | number)[]) => string {
  const parts: string[] = [];
  const which: number[] = [];
  let at = 0;
  for (;;) {
    const [next] = places
      .map((place, index) => ({ index, from: text.indexOf(place, at), place }))
      .filter(({ from }) => from >= 0)
      .sort((a, b) => a.from - b.from || b.place.length - a.place.length);
    if (!next) break;
    parts.push(text.slice(at, next.from));
    which.push(next.index);
    at = next.from + next.place.length;
  }
  for (const [index, place] of places.entries())
    if (!which.includes(index)) throw new Error(`the sample has no ${JSON.stringify(place)}`);
  const rest = text.slice(at);
  return (...values) => {
    let out = '';
    for (let i = 0; i < parts.length; i++) out += parts[i]! + values[which[i]!]!;
    return out + rest;
  };
}

type StateTemplates = ReturnType<typeof stateTemplates>;

/**
 * Templates of a state that sends, of one that received, of one that received nothing that it could open; and of a policy.
 * Values: the node's address, its peer's, SPI as `0x00000004(4)`, mark, hash in its brackets, number, bytes and packets or failures.
 */
function stateTemplates({ node, key }: LargeNode) {
  const other = (text: string) => [parseAddress(text)!];
  const local = { ...node, ciliumAddresses: other('198.51.100.1'), nodeAddresses: other('203.0.113.1') };
  const peer = { ...node, ciliumAddresses: other('198.51.100.2'), nodeAddresses: other('203.0.113.2') };
  const context = { version: VERSION, mode: 'tunnel' } as const;
  const id = 0xbcde;
  const [out, into] = peerSas(local, peer, id, [key], context);
  const engine = new NodeEngine();
  const times = { added: EPOCH, used: EPOCH + 1000 };
  const random = () => {};
  const number = 0x7abcd;
  const sender = new SecurityAssociation(out!, engine, { random, startAfter: { hi: 0, lo: number } });
  const receiver = new SecurityAssociation(into!, engine, { random });
  const empty = new SecurityAssociation(into!, engine, { random });
  for (const sa of [sender, receiver]) sa.life.count(4_242_421);
  receiver.window.commit(0, number);
  for (let back = 1; back < WINDOW_FULL; back++) receiver.window.commit(0, number - back);
  empty.stats.failed = 4_242_421;
  const hex = (mark: { readonly value: number }) => `0x${mark.value.toString(16)}/`;
  const secret = (sa: SecurityAssociation) =>
    `0x${Buffer.concat([sa.config.keys.key(), sa.config.keys.salt()]).toString('hex')}`;
  const spi = `0x0000000${key.id}(${key.id})`;
  const ends = ['198.51.100.1', '198.51.100.2'];
  const figures = ['seq 0x7abcd', '4242421(bytes), 1(packets)'];
  const policies = peerPolicies(local, peer, id, [key], context).map((policy) => policyText(policy, true));
  const mark = hex(out!.mark!);
  return {
    out: template(stateText(sender, times), [
      ...ends,
      spi,
      mark,
      secret(sender),
      `o${figures[0]}`,
      figures[1]!,
    ]),
    into: template(stateText(receiver, times), [
      ...ends,
      spi,
      hex(into!.mark!),
      secret(receiver),
      ...figures,
    ]),
    empty: template(stateText(empty, { added: EPOCH, used: EPOCH + 1000 }), [
      ...ends,
      spi,
      hex(into!.mark!),
      secret(empty),
      'failed 4242421',
    ]),
    policies: [
      template(policies[0]!, ['src 198.51.100.1', 'dst 198.51.100.2', spi, mark, formatPrefixOf(peer)]),
      template(policies[1]!, ['203.0.113.1', '203.0.113.2', spi, mark]),
    ] as const,
  };
}

function formatPrefixOf({ podCidrs }: CiliumNode): string {
  const [{ address, bits } = { address: new Uint8Array(4), bits: 0 }] = podCidrs;
  return `${formatAddress(address)}/${bits}`;
}

/** Packets that one end has sent to the other. */
const sentBy = (from: number, to: number, kind: number) =>
  WINDOW_FULL + ((from * 7919 + to * 104_729 + kind * 31) % 500_000);

function nodeOutputs(nodes: readonly LargeNode[], i: number, texts: StateTemplates, options: LargeOptions) {
  const here = nodes[i]!;
  const ids = new Map(nodes.map((_, k) => [k, 1 + ((k * 40_503 + i * 977) % 65_521)]));
  const states: string[] = [];
  const policies: string[] = [];
  const input = Buffer.alloc(here.material.length + 8 + 72);
  here.material.copy(input);
  let most = 0;
  let failed = 0;
  let unknown = 0;
  const keyHash = (from: LargeNode, to: LargeNode, kind: number) => {
    let at = here.material.length;
    for (const { ends } of [from, to]) {
      input.set(ends[kind]!.bytes, at);
      at += 4;
    }
    for (const one of [from, to]) at += (one === here ? one.bootId : one.heardBootId).copy(input, at);
    const key = hash('sha256', input, 'hex').slice(0, 2 * here.material.length);
    return `[hash:${hashOf(`0x${key}`)}]`;
  };
  const spi = `0x0000000${here.key.id}(${here.key.id})`;
  for (const [k, there] of nodes.entries()) {
    if (k === i) continue;
    const id = ids.get(k)!.toString(16);
    const outMark = `0x${id}${here.key.id.toString(16)}e00/`;
    const inMark = `0x${id}0d00/`;
    for (let kind = 0; kind < KINDS; kind++) {
      const [own, peer] = [here.ends[kind]!.text, there.ends[kind]!.text];
      const sent = sentBy(i, k, kind);
      const came = sentBy(k, i, kind);
      most = Math.max(most, sent);
      states.push(
        texts.out(
          own,
          peer,
          spi,
          outMark,
          keyHash(here, there, kind),
          `oseq 0x${sent.toString(16)}`,
          figures(sent),
        ),
      );
      const isOpen = here.material.equals(there.material) && isHeard(here) && isHeard(there);
      const isKnown = here.key.id === there.key.id;
      if (!isKnown) unknown += FAILED;
      else if (!isOpen) failed += FAILED;
      if (here.lacks.has(k)) unknown += FAILED;
      else {
        const both = [own, peer, spi, inMark, keyHash(there, here, kind)] as const;
        states.push(
          isOpen
            ? texts.into(...both, `seq 0x${came.toString(16)}`, figures(came))
            : texts.empty(...both, `failed ${isKnown ? FAILED : 0}`),
        );
      }
    }
    const [own, peer] = [here.ends, there.ends];
    const range = formatPrefixOf(there.node);
    policies.push(texts.policies[0](`src ${own[0]!.text}`, `dst ${peer[0]!.text}`, spi, outMark, range));
    policies.push(texts.policies[1](own[1]!.text, peer[1]!.text, spi, outMark));
  }
  const shared = sharedPolicies(here.node, { version: VERSION, mode: 'tunnel' });
  for (const policy of shared) policies.push(policyText(policy, true));
  const peers = nodes.flatMap(({ node }, k) => (k === i ? [] : [{ node, nodeId: ids.get(k)! }]));
  const xfrm = { XfrmInNoStates: unknown, XfrmInStateProtoError: failed };
  const tenth = (count: number) => count - Math.ceil(count / 10);
  const figuresOfAll = {
    keys: states.length,
    xfrm,
    sas: [{ direction: 'out' as const, reqid: 1, seqLo: most }],
  };
  const outputs = {
    hostname: `${here.node.name}\n`,
    bootId: `${here.node.bootId}\n`,
    states: states.join(''),
    policies: { long: policies.join('') },
    stat: statText({ XfrmInNoStates: tenth(unknown), XfrmInStateProtoError: tenth(failed) }),
    statLater: statText(xfrm),
    encryptStatus: statusText(encryptionStatus(figuresOfAll, ['eth0'], VERSION)),
    nodeList: nodeListText(nodes.map(({ node }) => ({ ...node, isLocal: node === here.node }))),
    nodeIds: nodeIdsText(peers),
    ipcache: ipcacheText(ipcacheRows(nodes, i, options), VERSION.minor),
  };
  return { commands: commandsOf(outputs, VERSION.minor), count: states.length };
}

const isHeard = ({ bootId, heardBootId }: LargeNode) => bootId.equals(heardBootId);
const figures = (packets: number) => `${84 * packets}(bytes), ${packets}(packets)`;

function ipcacheRows(nodes: readonly LargeNode[], i: number, { podsPerNode }: LargeOptions) {
  return nodes.flatMap(({ node, ends }, k) => {
    const there = k === i ? {} : { endpoint: ends[1]!.text };
    const key = k === i ? 0 : node.keyId;
    return [
      { prefix: `${ends[1]!.text}/32`, identity: k === i ? 1 : 6, key: 0 },
      { prefix: `${ends[0]!.text}/32`, identity: k === i ? 1 : 6, key: 0 },
      ...Array.from({ length: podsPerNode }, (_, p) => ({
        prefix: `${podAddress(k, p)}/32`,
        identity: 10_000 + (p % 50),
        key,
        ...there,
      })),
    ];
  });
}

/** Pods as long as real ones are, with what their managers have written down. */
function podsText(
  nodes: readonly LargeNode[],
  pods: readonly { readonly name: string; readonly node: string; readonly ip: string }[],
): string {
  const sample = (isCilium: boolean) =>
    template(item(longPod(podObject('POD-NAME', 'NODE-NAME', '198.51.100.1', isCilium))), [
      'POD-NAME',
      'NODE-NAME',
      '198.51.100.1',
    ]);
  const [cilium, app] = [sample(true), sample(false)];
  return [
    'apiVersion: v1\nitems:\n',
    ...nodes.map(({ node, ends }) => cilium(podOf(node), node.name, ends[1]!.text)),
    ...pods.map(({ name, node, ip }) => app(name, node, ip)),
    'kind: PodList\nmetadata:\n  resourceVersion: "1"\n',
  ].join('');
}

/** With what the API server and the kubelet add. */
function longPod(pod: object): object {
  const { metadata, spec, status } = pod as Record<'metadata' | 'spec' | 'status', object>;
  const at = '2026-11-28T07:15:02Z';
  const owned = Object.fromEntries(
    ['containers', 'volumes', 'tolerations', 'affinity', 'dnsPolicy', 'restartPolicy', 'schedulerName'].map(
      (key) => [
        `f:${key}`,
        { [`k:{"name":"${key}"}`]: { '.': {}, 'f:name': {}, 'f:value': {}, 'f:resources': {} } },
      ],
    ),
  );
  return {
    metadata: {
      ...metadata,
      creationTimestamp: at,
      managedFields: ['kube-controller-manager', 'kubelet'].map((manager) => ({
        apiVersion: 'v1',
        fieldsType: 'FieldsV1',
        fieldsV1: { 'f:metadata': { 'f:labels': { '.': {}, 'f:app': {} } }, 'f:spec': owned },
        manager,
        operation: 'Update',
        time: at,
      })),
    },
    spec: {
      ...spec,
      tolerations: ['not-ready', 'unreachable', 'disk-pressure', 'memory-pressure'].map((key) => ({
        effect: 'NoExecute',
        key: `node.kubernetes.io/${key}`,
        operator: 'Exists',
        tolerationSeconds: 300,
      })),
      volumes: [
        {
          name: 'kube-api-access',
          projected: { defaultMode: 420, sources: [{ configMap: { name: 'ca' } }] },
        },
      ],
    },
    status: {
      ...status,
      conditions: ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map((type) => ({
        lastProbeTime: null,
        lastTransitionTime: at,
        status: 'True',
        type,
      })),
      phase: 'Running',
      startTime: at,
    },
  };
}

function item(object: object): string {
  return stringify([object], { lineWidth: 0, indentSeq: false, aliasDuplicateObjects: false });
}
