/**
 * The Cilium agent of a running node, between files and the data plane: keys and nodes come from files that others
 * replace, the node's own CiliumNode goes to one. Whatever cannot be used changes nothing, and is warned of once.
 * @module
 */
import { EsplaneError, InputError } from '../base/errors.ts';
import { Agent, type AgentEvent } from '../cilium/agent.ts';
import type { AgentPlan } from '../cilium/agent-plan.ts';
import { type CiliumConfig, parseCiliumConfig, type StrictMode } from '../cilium/config.ts';
import { type CiliumKey, mergeKeys } from '../cilium/keys.ts';
import { type CiliumNode, checkAddresses, checkNames, parseNodes } from '../cilium/nodes.ts';
import { KEY_ROTATION_DURATION, RECLAIM_INTERVAL } from '../cilium/rotation.ts';
import { readKeys } from '../cilium/secret.ts';
import { checkBootIds, type RoutingMode, tunnelEnds } from '../cilium/tunnel.ts';
import { type CiliumVersion, DEFAULT_VERSION, isAtLeast, parseVersion } from '../cilium/version.ts';
import type { AgentReport, InputReport } from '../observe/observed.ts';
import { type Address, formatAddress, type Prefix, parseAddress, parsePrefix } from '../wire/address.ts';
import { PORT_LINUX } from '../wire/vxlan.ts';
import { readText } from './files.ts';
import type { NodeConfig } from './node-config.ts';
import { checkPublishFile, findRawNode, ownNodeText, writeOwnNode } from './own-node.ts';
import { random32 } from './sas-of-node.ts';

/** ms: the reclaimer does not look more often. */
const LEAST_RECLAIM_INTERVAL = 1000;

/** What the data plane has to do with the agent. */
export interface DataPlane {
  /** @throws {EsplaneError} when it cannot hold it; it then holds what it held */
  apply(plan: AgentPlan): void;
  /** Packets that SAs have carried so far, by the address at either end; what has carried none may be absent. */
  carried(): ReadonlyMap<string, number>;
}

export class NodeAgent {
  readonly agent: Agent;
  readonly #config: NodeConfig;
  readonly #version: CiliumVersion;
  readonly #cilium: CiliumConfig | undefined;
  readonly #outside: Address;
  readonly #say: (line: string) => void;
  #plane: DataPlane | undefined;
  #nodes: readonly CiliumNode[] = [];
  /** How the cluster routes: as is said, or as this node's entry in the first list shows it. */
  #mode: RoutingMode | undefined;
  #keyTexts: readonly string[] = [];
  #nodeTexts: readonly string[] = [];
  /** What was read last from each file of nodes: of a large cluster, most files stay. */
  readonly #read = new Map<string, { readonly text: string; readonly nodes: readonly CiliumNode[] }>();
  #published = '';
  #changed = false;
  #failed: string | undefined;
  #planFailures = 0;
  readonly #keysRead = { lastGood: 0, failures: 0 };
  readonly #nodesRead = { lastGood: 0, failures: 0 };
  #incomplete: string | undefined;
  /** Packets of every peer at the last look, and the peers that had some since the look before. */
  #carried = new Map<string, number>();
  #busy = new Set<string>();
  /** Of every node that was ever in the list: one that lingers is in it no more. */
  readonly #addresses = new Map<string, readonly string[]>();

  /**
   * Reads all files; here, unlike later, each has to be good.
   * @param say gets one line for everything that happens once the node runs
   * @throws {InputError} naming file and line
   */
  constructor(config: NodeConfig, say: (line: string) => void, now: number) {
    this.#config = config;
    this.#say = say;
    this.#cilium = readCiliumConfig(config);
    this.#version = config.cilium === undefined ? DEFAULT_VERSION : parseVersion(config.cilium);
    const outside = parseAddress(config.outside.address);
    if (!outside)
      throw new InputError({ source: 'outside.address' }, 'no IP address', 'Write it like 192.168.0.1.');
    this.#outside = outside;
    this.#mode = config.mode ?? this.#cilium?.plan.mode;
    if (config.publish !== undefined) checkPublishFile(config.publish, config.name);
    this.#nodeTexts = config.nodes.map(readText);
    this.#nodes = this.#parseNodes(this.#nodeTexts);
    this.#keyTexts = config.keys.map(readText);
    const keys = this.#parseKeys(this.#keyTexts);
    const local = this.#nodes.find(({ name }) => name === config.name)!;
    const mode = this.#mode!;
    if (mode === 'tunnel' && !isAtLeast(this.#version, 18)) checkVxlanLink(config);
    const duration =
      config['key-rotation-duration'] ?? this.#cilium?.keyRotationDuration ?? KEY_ROTATION_DURATION;
    this.agent = new Agent({
      ...this.#cilium?.plan,
      mode,
      local,
      version: this.#version,
      random: random32,
      order: config.order,
      keyRotationDuration: duration,
      reclaimInterval: Math.max(LEAST_RECLAIM_INTERVAL, Math.min(RECLAIM_INTERVAL, duration)),
      onEvent: (event) => this.#heard(event),
    });
    this.agent.setNodes(this.#nodes, now);
    this.agent.setKeys(keys, now);
    this.#keysRead.lastGood = now;
    this.#nodesRead.lastGood = now;
    this.#checkPeers();
  }

  get plan(): AgentPlan {
    return this.agent.plan;
  }

  /** Prefixes of the pods here. */
  get pods(): readonly Prefix[] {
    return this.#nodes.find(({ name }) => name === this.#config.name)?.podCidrs ?? [];
  }

  /** How the agent stands. */
  report(): AgentReport {
    const { rotation, keysProblem, nodesProblem, installed, node, sending, lingering } = this.agent;
    const input = (read: Omit<InputReport, 'good'>, problem: string | undefined): InputReport => ({
      ...read,
      good: problem === undefined,
    });
    return {
      keyIds: installed,
      currentKey: rotation.current,
      advertisedKey: node.keyId,
      sendingKey: sending,
      peers: this.agent.peerCount,
      lingering: lingering.length,
      keys: input(this.#keysRead, keysProblem),
      nodes: input(this.#nodesRead, nodesProblem),
      planFailures: this.#planFailures,
    };
  }

  /**
   * From now on changes go to this data plane, which holds {@link plan}; peers learn of the key.
   * @throws {EsplaneError} `ERR_OUTPUT` when the own CiliumNode cannot be written
   */
  start(plane: DataPlane): void {
    this.#plane = plane;
    this.#changed = false;
    this.#publish();
  }

  /**
   * Reads the files again. Nothing in them can stop the node.
   * @param readsAll also keys that Cilium is told not to watch
   */
  reload(now: number, readsAll = true): void {
    // Nodes first: a key that is new then reaches the peers that are new too.
    this.#reloadNodes(now);
    if (readsAll || (this.#cilium?.watchesKeys ?? true)) this.#reloadKeys(now);
    this.#flush();
    this.#tryPublish();
  }

  /** Does what is due by `now`. */
  advance(now: number): void {
    const { nextAt } = this.agent;
    if (nextAt === undefined || nextAt > now) return;
    this.agent.advance(now);
    this.#flush();
  }

  /** Looks which peers have traffic, and lets those go that the list lacks and that have become quiet. */
  lookAtTraffic(now: number): void {
    const before = this.#carried;
    const carried = this.#plane?.carried();
    this.#carried = new Map(
      this.agent.peers().map(({ name }): [string, number] => [name, this.#carriedBy(name, carried)]),
    );
    this.#busy = new Set(
      [...this.#carried].flatMap(([name, count]) => (count !== (before.get(name) ?? 0) ? [name] : [])),
    );
    if (this.agent.lingering.length === 0 || this.agent.nodesProblem !== undefined) return;
    this.#takeNodes(this.#nodes, now);
    this.#flush();
  }

  #reloadKeys(now: number): void {
    const { agent } = this;
    const had = agent.keysProblem;
    try {
      const texts = this.#config.keys.map(readText);
      if (had !== undefined || !isSameText(texts, this.#keyTexts)) agent.setKeys(this.#parseKeys(texts), now);
      this.#keyTexts = texts;
      this.#keysRead.lastGood = now;
      if (had !== undefined) this.#tell('keys: good again');
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.#keysRead.failures++;
      agent.refuseKeys(error.message, now);
    }
  }

  #reloadNodes(now: number): void {
    const had = this.agent.nodesProblem;
    try {
      const texts = this.#config.nodes.map(readText);
      if (had === undefined && isSameText(texts, this.#nodeTexts)) {
        this.#nodesRead.lastGood = now;
        return;
      }
      const nodes = this.#parseNodes(texts);
      if (!this.#takeNodes(nodes, now)) return;
      this.#nodeTexts = texts;
      this.#nodesRead.lastGood = now;
      if (had !== undefined) this.#tell('node list: good again');
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.#refuseNodes(error.message, now);
    }
  }

  #takeNodes(nodes: readonly CiliumNode[], now: number): boolean {
    try {
      let carried: ReadonlyMap<string, number> | undefined;
      const inUse = (name: string) => {
        carried ??= this.#plane?.carried();
        return this.#busy.has(name) || this.#carriedBy(name, carried) !== (this.#carried.get(name) ?? 0);
      };
      this.agent.setNodes(nodes, now, { inUse });
      this.#nodes = nodes;
      this.#checkPeers();
      return true;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.#refuseNodes(error.message, now);
      return false;
    }
  }

  #refuseNodes(problem: string, now: number): void {
    this.#nodesRead.failures++;
    this.agent.refuseNodes(problem, now);
  }

  /** Nodes that lack what SAs are made from are left out, as in Cilium; here it is said. */
  #checkPeers(): void {
    const { rotation, context } = this.agent;
    let problem: string | undefined;
    try {
      checkBootIds(rotation.lines(rotation.current), this.#nodes);
      tunnelEnds(this.#nodes, context.mode, context.version);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      problem = error.message;
    }
    if (problem !== undefined && problem !== this.#incomplete) this.#tell(`a node has no SAs: ${problem}`);
    this.#incomplete = problem;
  }

  #carriedBy(name: string, carried: ReadonlyMap<string, number> | undefined): number {
    const addresses = this.#addresses.get(name) ?? [];
    return addresses.reduce((sum, address) => sum + (carried?.get(address) ?? 0), 0);
  }

  #heard({ kind, text }: AgentEvent): void {
    this.#changed = true;
    if (!this.#plane) return;
    this.#tell(text);
    if (kind !== 'advertise') return;
    // Peers may send with the key as soon as they know: its SAs have to be there before.
    this.#flush();
    this.#tryPublish();
  }

  /** Hands the plan on, if it is another one. */
  #flush(): void {
    if (!this.#changed || !this.#plane) return;
    this.#changed = false;
    try {
      this.#plane.apply(this.agent.plan);
      this.#failed = undefined;
    } catch (error) {
      if (!(error instanceof EsplaneError)) throw error;
      this.#planFailures++;
      if (this.#failed !== error.message) this.#tell(`the old plan stays: ${error.message}`);
      this.#failed = error.message;
    }
  }

  #tryPublish(): void {
    try {
      this.#publish();
    } catch (error) {
      if (!(error instanceof EsplaneError)) throw error;
      this.#tell(`peers do not learn of this node's key: ${error.message}`);
    }
  }

  #publish(): void {
    const { publish, name } = this.#config;
    // A key that the data plane does not hold is no key for the peers.
    if (publish === undefined || this.#failed !== undefined) return;
    const raw = findRawNode(this.#nodeTexts, name);
    if (!raw) return;
    const text = ownNodeText(raw, this.agent.node.keyId);
    if (text === this.#published) return;
    writeOwnNode(publish, text);
    this.#published = text;
  }

  #parseKeys(texts: readonly string[]): CiliumKey[] {
    return mergeKeys(...texts.map((text, i) => readKeys(text, this.#config.keys[i]!, this.#version)));
  }

  #parseNodes(texts: readonly string[]): CiliumNode[] {
    const { name, nodes: files } = this.#config;
    const all = texts.flatMap((text, i) => this.#readNodes(text, files[i]!));
    const source = files.join(', ');
    checkNames(all, source);
    checkAddresses(all);
    const me = all.find((node) => node.name === name);
    if (!me) throw new InputError({ source }, `no node is called ${name}`, 'Set name: to that of this node.');
    const own = formatAddress(this.#outside);
    const has = (addresses: readonly Address[]) =>
      addresses.some((address) => formatAddress(address) === own);
    const byNode = has(me.nodeAddresses);
    if (!byNode && !has(me.ciliumAddresses))
      throw new InputError(
        { source },
        `node ${me.name} has no address ${own}`,
        'Set outside.address to one of its addresses.',
      );
    this.#mode ??= me.cloud ? 'eni' : 'native';
    // Without an overlay tunnels run between addresses of the kind that the outside link has.
    const nodes =
      this.#mode !== 'native'
        ? all
        : all.map((node) => ({
            ...node,
            ciliumAddresses: byNode ? node.nodeAddresses : node.ciliumAddresses,
            nodeAddresses: [],
          }));
    for (const node of nodes)
      this.#addresses.set(
        node.name,
        [...node.ciliumAddresses, ...node.nodeAddresses].map((address) => formatAddress(address)),
      );
    return nodes;
  }

  #readNodes(text: string, file: string): readonly CiliumNode[] {
    const known = this.#read.get(file);
    if (known?.text === text) return known.nodes;
    const nodes = parseNodes(text, file);
    this.#read.set(file, { text, nodes });
    return nodes;
  }

  #tell(text: string): void {
    this.#say(`${this.#config.name}: ${text}`);
  }
}

/**
 * Strict mode, as the configuration or Cilium's own settings have it.
 * @throws {InputError} when the settings cannot be used
 */
export function strictOf(config: NodeConfig): StrictMode | undefined {
  const cidr = config.strict === undefined ? undefined : parsePrefix(config.strict);
  return cidr ? { cidr, allowRemoteNodes: false } : readCiliumConfig(config)?.strict;
}

/** The files to watch: none where SAs come from `ip xfrm` text, which is two files that belong together. */
export function watchedFiles(config: NodeConfig): readonly string[] {
  if (!config.watch) return [];
  const watchesKeys = readCiliumConfig(config)?.watchesKeys ?? true;
  return [...(watchesKeys ? config.keys : []), ...config.nodes].filter((file) => file !== '-');
}

/** Up to 1.17 tunnel mode puts ESP inside VXLAN. */
function checkVxlanLink({ outside: { link, port } }: NodeConfig): void {
  if (link !== 'udp')
    throw new InputError(
      { source: 'outside.link' },
      `tunnel mode up to Cilium 1.17 puts ESP inside VXLAN, and ${link} carries ESP alone`,
      'Use link: udp, which then is on port 8472, or cilium: "1.18" on all nodes.',
    );
  if (port !== undefined && port !== PORT_LINUX)
    throw new InputError(
      { source: 'outside.port' },
      `Cilium's VXLAN is on port ${PORT_LINUX}, not ${port}`,
      'Leave the port out.',
    );
}

function readCiliumConfig({ 'cilium-config': file }: NodeConfig): CiliumConfig | undefined {
  return file === undefined ? undefined : parseCiliumConfig(readText(file), file);
}

function isSameText(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, i) => text === b[i]);
}
