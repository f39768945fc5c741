/**
 * Scenario files: a cluster, what its pods send, and what happens to it, in YAML.
 *
 * ```yaml
 * about: a key rotation under steady traffic
 * duration: 5s
 * nodes: 3                                    # node-1 to node-3, one pod each: node-1/pod-1 …
 * news: { min: 10ms, max: 500ms }             # until another node hears of a change
 * traffic:
 *   - { kind: udp, from: node-1/pod-1, to: node-2/pod-1, every: 5ms, size: 200 }
 * events:
 *   - { at: 1s, rotate: true }
 * ```
 *
 * `docs/scenarios.md` lists every key.
 * @module
 */

import { type YamlPath, YamlText } from '../base/yaml-text.ts';
import { DEFAULT_RECIPE, type KeyRecipe } from '../cilium/key-line.ts';
import { KEY_ROTATION_DURATION, type RotationOptions } from '../cilium/rotation.ts';
import { type CiliumVersion, DEFAULT_VERSION, isAtLeast, parseVersion } from '../cilium/version.ts';
import type { Impairments } from '../link/impair.ts';
import { type Address, formatPrefix, inPrefix, type Prefix, parsePrefix } from '../wire/address.ts';
import { overBy, readEvents } from './event-reader.ts';
import {
  checkScenario,
  type EVENT_KINDS,
  type RawLink,
  type RawNode,
  type RawRotation,
  type RawScenario,
} from './scenario-schema.ts';

/** From a node to the switch in the middle, and what happens on it. */
export interface LineSpec extends Impairments {
  readonly mtu: number;
  /** Chance that a frame is held back, and for how long, ms. */
  readonly reorder: { readonly chance: number; readonly delay: number };
  /** Bits a second; absent, without limit. */
  readonly bandwidth?: number;
  /** What a router on the way carries, which sends no error when a frame is longer; absent, as much as `mtu`. */
  readonly pathMtu?: number;
}

export interface ScenarioNode {
  readonly name: string;
  readonly pods: number;
  readonly hasKey: boolean;
  readonly nodeAddress: Address;
  /** CiliumInternalIP. */
  readonly routerAddress: Address;
  readonly podRange: Prefix;
  /** Until it sees new keys; absent, as every node. */
  readonly secret?: Delays;
  /** How its agent brings a new key into use. */
  readonly rotation: RotationRules;
  readonly line: LineSpec;
}

export type RotationRules = Omit<RotationOptions, 'version'>;

export interface ScenarioPod {
  readonly name: string;
  readonly node: number;
  readonly address: Address;
}

export interface TrafficSpec {
  readonly kind: 'udp' | 'ping' | 'tcp';
  readonly from?: string;
  readonly to?: string;
  /** Instead of `from` and `to`: so many pairs of pods on different nodes, by chance. */
  readonly pairs?: number;
  /** ms between packets, or between conversations. */
  readonly every: number;
  /** Bytes of payload; of TCP, of the answer. */
  readonly size: number;
  readonly start: number;
  readonly stop: number;
}

export type EventKind = (typeof EVENT_KINDS)[number];

export interface ScenarioEvent {
  readonly at: number;
  readonly line: number;
  readonly kind: EventKind;
  /** The nodes it is about, or the pod. */
  readonly names: readonly string[];
  readonly peers: readonly string[];
  /** ms that it lasts. */
  readonly duration: number;
  readonly count: number;
}

/** Until a change is known elsewhere, ms. */
export interface Delays {
  readonly min: number;
  readonly max: number;
}

export interface Scenario {
  readonly source: string;
  readonly about: string;
  readonly seed: number;
  readonly duration: number;
  readonly version: CiliumVersion;
  readonly mode: 'native' | 'tunnel';
  readonly family: 4 | 6;
  readonly key: { readonly id: number; readonly algorithm: KeyRecipe; readonly perTunnel: boolean };
  /** Strict mode of every node: what would leave in the clear between two of these addresses is dropped. */
  readonly strict?: Prefix;
  /** Whether the pod ranges of nodes are known before their pods are. */
  readonly podRangesKnown: boolean;
  /** Whether nodes know only those nodes that they have traffic with: for clusters too large to hold every SA. */
  readonly peersByTraffic: boolean;
  readonly nodes: readonly ScenarioNode[];
  readonly pods: ReadonlyMap<string, ScenarioPod>;
  readonly news: Delays;
  readonly secret: Delays;
  readonly traffic: readonly TrafficSpec[];
  readonly events: readonly ScenarioEvent[];
}

const DEFAULTS = {
  4: { nodes: '192.168.0.0/16', pods: '10.0.0.0/8', podBits: 24 },
  6: { nodes: 'fd00:192:168::/64', pods: 'fd00:10::/48', podBits: 64 },
} as const;

const DEFAULT_LINE: LineSpec = { mtu: 1500, delay: 0.5, reorder: { chance: 0, delay: 0 } };
const NO_DELAY: Delays = { min: 0, max: 0 };
/** The first pod's place in its node's range; its router has place 1. */
const FIRST_POD = 10;

/**
 * Reads a scenario.
 * @param source file name, for errors
 * @throws {InputError} at the first thing that cannot be: file, line and what was expected
 */
export function parseScenario(text: string, source: string): Scenario {
  const yaml = new YamlText(text, source);
  const raw = checkScenario(yaml);
  const family = raw.family ?? 4;
  const version = raw.cilium === undefined ? DEFAULT_VERSION : versionOf(raw.cilium, yaml);
  const nodes = readNodes(raw, family, yaml);
  const pods = new Map<string, ScenarioPod>();
  nodes.forEach(({ name, pods: count, podRange }, node) => {
    for (let k = 1; k <= count; k++) {
      const address = nth(podRange, podRange.address.length * 8, FIRST_POD + k - 1);
      pods.set(`${name}/pod-${k}`, { name: `${name}/pod-${k}`, node, address });
    }
  });
  const perTunnel = raw.key?.perTunnel ?? true;
  if (!perTunnel && isAtLeast(version, 17)) {
    throw yaml.fail(
      ['key', 'perTunnel'],
      'from Cilium 1.17 on every key is per tunnel',
      'Leave perTunnel out, or give cilium: "1.16".',
    );
  }
  return {
    source,
    about: raw.about ?? '',
    seed: raw.seed ?? 1,
    duration: raw.duration,
    version,
    mode: raw.mode ?? 'native',
    family,
    key: { id: raw.key?.id ?? 3, algorithm: raw.key?.algorithm ?? DEFAULT_RECIPE, perTunnel },
    ...(raw.strict && { strict: readStrict(raw.strict, raw, yaml) }),
    podRangesKnown: raw.ipcache !== 'pods',
    peersByTraffic: raw.peers === 'traffic',
    nodes,
    pods,
    news: readDelays(raw.news, ['news'], yaml) ?? NO_DELAY,
    secret: readDelays(raw.secret ?? raw.news, [raw.secret ? 'secret' : 'news'], yaml) ?? NO_DELAY,
    traffic: readTraffic(raw, pods, yaml),
    events: readEvents(raw, { nodes, pods }, yaml),
  };
}

function versionOf(text: string, yaml: YamlText): CiliumVersion {
  try {
    return parseVersion(text, 'cilium');
  } catch {
    throw yaml.fail(['cilium'], 'no version of Cilium that is known here', 'Give a version, such as "1.20".');
  }
}

function readDelays(
  delays: { min?: number | undefined; max: number } | undefined,
  at: YamlPath,
  yaml: YamlText,
): Delays | undefined {
  if (!delays) return undefined;
  const { min = 0, max } = delays;
  const key = at.at(-1);
  if (min > max)
    throw yaml.fail([...at, 'min'], `${key}.min is more than ${key}.max`, 'Give the smaller first.');
  return { min, max };
}

/** Refuses what could not be done, or would be passed over. */
function checkRotation(rotation: RawRotation | undefined, at: YamlPath, yaml: YamlText): void {
  if (rotation?.look === 0)
    throw yaml.fail([...at, 'look'], 'no time between two looks', 'Give more than 0.');
  for (const key of ['order', 'installTime'] as const)
    if (rotation?.steps && rotation[key] !== undefined)
      throw yaml.fail([...at, key], `steps stand in place of ${key}`, 'Leave one of them out.');
}

/** What a node says about rotation, and else what the file says: its own order is not passed over for steps of the file. */
function readRotation(
  all: RawRotation | undefined,
  own: RawRotation | undefined,
  isReleaseNamed: boolean,
): RotationRules {
  const file = defined(all ?? {});
  if (own?.order !== undefined || own?.installTime !== undefined) delete file.steps;
  const {
    keep = KEY_ROTATION_DURATION,
    look,
    // Where no release is named, times are the file's alone.
    wait = isReleaseNamed ? undefined : 0,
    ...rest
  } = defined({ ...file, ...defined(own ?? {}) });
  return {
    ...rest,
    keyRotationDuration: keep,
    ...(look !== undefined && { reclaimInterval: look }),
    ...(wait !== undefined && { longestWait: wait }),
  };
}

/** The range that nodes or pods have their addresses from. */
function rangeOf(key: 'nodes' | 'pods', raw: RawScenario, yaml: YamlText): Prefix {
  const family = raw.family ?? 4;
  const standard = DEFAULTS[family][key];
  const prefix = raw.addresses?.[key] ?? parsePrefix(standard)!;
  if (prefix.address.length * 8 === (family === 4 ? 32 : 128)) return prefix;
  throw yaml.fail(['addresses', key], `no IPv${family} range`, `Give one, such as ${standard}.`);
}

function readStrict(strict: Prefix, raw: RawScenario, yaml: YamlText): Prefix {
  if (strict.address.length !== 4 || raw.family === 6)
    throw yaml.fail(['strict'], 'strict mode is for IPv4 only', 'Leave it out, or give a range of IPv4.');
  const pods = rangeOf('pods', raw, yaml);
  if (overlap(strict, pods)) return strict;
  throw yaml.fail(
    ['strict'],
    `no pod has an address in ${formatPrefix(strict)}`,
    `Give a range that shares addresses with those of the pods, ${formatPrefix(pods)}.`,
  );
}

function readNodes(raw: RawScenario, family: 4 | 6, yaml: YamlText): ScenarioNode[] {
  const defaults = DEFAULTS[family];
  const nodeRange = rangeOf('nodes', raw, yaml);
  const podRanges = rangeOf('pods', raw, yaml);
  if (overlap(nodeRange, podRanges)) {
    throw yaml.fail(
      ['addresses', raw.addresses?.pods ? 'pods' : 'nodes'],
      `the ranges of nodes and pods overlap: ${formatPrefix(nodeRange)} and ${formatPrefix(podRanges)}`,
      'Give two ranges that share no address.',
    );
  }
  checkRotation(raw.rotation, ['rotation'], yaml);
  const list: RawNode[] = Array.isArray(raw.nodes)
    ? raw.nodes
    : Array.from({ length: raw.nodes }, (_, i) => ({ name: `node-${i + 1}` }));
  const podBits = Math.max(defaults.podBits, podRanges.bits);
  const names = new Set<string>();
  const nodes = list.map((node, i): ScenarioNode => {
    const at = ['nodes', i] as const;
    if (names.has(node.name))
      throw yaml.fail([...at, 'name'], `two nodes are called ${node.name}`, 'Give each a name of its own.');
    names.add(node.name);
    checkRotation(node.rotation, [...at, 'rotation'], yaml);
    const podRange = node.podRange ?? nth(podRanges, podBits, i + 1, podBits);
    const nodeAddress = nth(nodeRange, nodeRange.address.length * 8, i + 1);
    if (podRange.address.length !== nodeAddress.length)
      throw yaml.fail([...at, 'podRange'], `no IPv${family} range`, `Give one within ${defaults.pods}.`);
    if (node.podRange && (podRange.bits < podRanges.bits || !inPrefix(podRanges, podRange.address)))
      throw yaml.fail(
        [...at, 'podRange'],
        `${formatPrefix(podRange)} is not within the addresses of pods, ${formatPrefix(podRanges)}`,
        'Give a range within them, or another as addresses.pods.',
      );
    if (!inPrefix(nodeRange, nodeAddress) || (!node.podRange && !inPrefix(podRanges, podRange.address)))
      throw yaml.fail(
        ['addresses'],
        `the ranges are too small for ${list.length} nodes`,
        'Give larger ranges.',
      );
    const size = podRange.address.length * 8 - podRange.bits;
    const pods = node.pods ?? raw.pods ?? 1;
    if (size < 8 && 2 ** size < FIRST_POD + pods)
      throw yaml.fail([...at, 'podRange'], `the range is too small for ${pods} pods`, 'Give a larger one.');
    return {
      name: node.name,
      pods,
      hasKey: node.key ?? true,
      nodeAddress,
      routerAddress: nth(podRange, podRange.address.length * 8, 1),
      podRange,
      ...(node.secret && { secret: readDelays(node.secret, [...at, 'secret'], yaml)! }),
      rotation: readRotation(raw.rotation, node.rotation, raw.cilium !== undefined),
      line: readLine(raw.link, node.link),
    };
  });
  nodes.forEach((node, i) => {
    if (!list[i]?.podRange) return;
    const twin = nodes.find((other) => other !== node && overlap(other.podRange, node.podRange));
    if (twin) {
      throw yaml.fail(
        ['nodes', i, 'podRange'],
        `${formatPrefix(node.podRange)} overlaps with ${formatPrefix(twin.podRange)} of ${twin.name}`,
        'Give every node a range of its own.',
      );
    }
  });
  return nodes;
}

function readLine(all: RawLink | undefined, own: RawLink | undefined): LineSpec {
  const { latency, bitErrors, ...rest } = { ...all, ...own };
  return {
    ...DEFAULT_LINE,
    ...Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)),
    ...(latency !== undefined && { delay: latency }),
    ...(bitErrors !== undefined && { corrupt: bitErrors }),
  };
}

/** Flows in a run: each has a port of its own. */
export const MOST_FLOWS = 50_000;

const TRAFFIC_DEFAULTS = {
  udp: { every: 10, size: 200 },
  ping: { every: 1000, size: 56 },
  tcp: { every: Number.POSITIVE_INFINITY, size: 10_000 },
} as const;

function readTraffic(raw: RawScenario, pods: Scenario['pods'], yaml: YamlText): TrafficSpec[] {
  const hasTwoNodes = new Set([...pods.values()].map(({ node }) => node)).size > 1;
  let flows = 0;
  return (raw.traffic ?? []).map((flow, i): TrafficSpec => {
    const { kind, from, to, pairs, start = 0, stop = raw.duration } = flow;
    const at = ['traffic', i] as const;
    if (pairs === undefined ? from === undefined || to === undefined : from !== undefined || to !== undefined)
      throw yaml.fail(at, 'traffic has two ends', 'Give from and to, or pairs: so many pairs by chance.');
    if (pairs !== undefined && !hasTwoNodes)
      throw yaml.fail([...at, 'pairs'], 'no two nodes have pods', 'Give more nodes, or pods to them.');
    flows += pairs ?? 1;
    if (flows > MOST_FLOWS)
      throw yaml.fail([...at, 'pairs'], `${flows} flows so far`, `A run has ${MOST_FLOWS} at most.`);
    for (const key of ['from', 'to'] as const) {
      const pod = flow[key];
      if (pod !== undefined && !pods.has(pod))
        throw yaml.fail(
          [...at, key],
          `there is no pod ${pod}`,
          `Name one of the ${pods.size} pods of the nodes.`,
        );
    }
    if (from !== undefined && from === to)
      throw yaml.fail([...at, 'to'], 'a pod does not send to itself', 'Name another pod.');
    for (const [key, time] of [
      ['start', start],
      ['stop', stop],
    ] as const)
      if (time > raw.duration) throw overBy([...at, key], yaml);
    if (stop < start) throw yaml.fail([...at, 'stop'], 'it stops before it starts', 'Give a later time.');
    if (flow.every === 0) throw yaml.fail([...at, 'every'], 'no time between packets', 'Give more than 0.');
    return { ...TRAFFIC_DEFAULTS[kind], ...defined(flow), start, stop };
  });
}

function defined<T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(object).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}

function overlap(a: Prefix, b: Prefix): boolean {
  if (a.address.length !== b.address.length) return false;
  return a.bits <= b.bits ? inPrefix(a, b.address) : inPrefix(b, a.address);
}

function nth(prefix: Prefix, unit: number, n: number): Address;
function nth(prefix: Prefix, unit: number, n: number, bits: number): Prefix;
/** The n-th block of `unit` bits in a range: its first address, or the range itself. */
function nth(prefix: Prefix, unit: number, n: number, bits?: number): Address | Prefix {
  const address = prefix.address.slice();
  let carry = n * 2 ** ((8 - (unit & 7)) & 7);
  for (let i = Math.ceil(unit / 8) - 1; i >= 0 && carry > 0; i--) {
    carry += address[i]!;
    address[i] = carry % 256;
    carry = Math.floor(carry / 256);
  }
  return bits === undefined ? address : { address, bits };
}
