/**
 * The Cilium agent of a running node, between files and the data plane: keys and nodes come from files that others
 * replace, the node's own CiliumNode goes to one. Whatever cannot be used changes nothing, and is warned of once.
 *
 * The data plane is in another thread: a plan is handed on, and the answer comes later. Peers learn of a key only once
 * the data plane has said that it holds the last plan.
 * @module
 */
import { EsplaneError, InputError } from '../base/errors.ts';
import { Agent, type AgentEvent } from '../cilium/agent.ts';
import type { AgentPlan } from '../cilium/agent-plan.ts';
import { type CiliumConfig, checkStrictRange, parseCiliumConfig, type StrictMode } from '../cilium/config.ts';
import { type CiliumKey, mergeKeys } from '../cilium/keys.ts';
import { checkAddresses, checkNames } from '../cilium/node-checks.ts';
import { type CiliumNode, parseNodes } from '../cilium/nodes.ts';
import type { PlanContext } from '../cilium/peer-plan.ts';
import { KEY_ROTATION_DURATION, RECLAIM_INTERVAL } from '../cilium/rotation.ts';
import { readKeys } from '../cilium/secret.ts';
import { type RoutingMode, tunnelEnds } from '../cilium/tunnel.ts';
import { type CiliumVersion, DEFAULT_VERSION, isAtLeast, parseVersion } from '../cilium/version.ts';
import { overlayPort } from '../node/overlay.ts';
import type { AgentReport, InputReport } from '../observe/observed.ts';
import { type Address, formatAddress, type Prefix, parseAddress, parsePrefix } from '../wire/address.ts';
import { INPUT, type InputFiles, type InputKind } from './input-files.ts';
import type { NodeConfig } from './node-config.ts';
import type { Work } from './node-threads.ts';
import { checkPublishFile, findRawNode, ownNodeText, writeOwnNode } from './own-node.ts';
import { random32 } from './sas-of-node.ts';

/** ms: the reclaimer does not look more often. */
const LEAST_RECLAIM_INTERVAL = 1000;

/** What the data plane has to do with the agent. */
export interface DataPlane {
  /**
   * Resolves once it holds this plan or a later one.
   * @throws {EsplaneError} when it cannot hold it; it then holds what it held
   */
  apply(plan: AgentPlan): Promise<void>;
  /** Packets that SAs have carried so far, by the address at either end; what has carried none may be absent. */
  carried(): Promise<ReadonlyMap<string, number>>;
}

export interface NodeAgentOptions {
  readonly files: InputFiles;
  /** Gets one line for everything that happens once the node runs. */
  readonly say: (line: string) => void;
  /** ms. */
  readonly now: number;
  /** Hears what the agent is at; an empty text is nothing. */
  readonly work?: (work: Work) => void;
  /** A boot id that takes the place of the one that the list has for this node. */
  readonly bootId?: string;
}

/** What the constructor needs of files. */
interface FirstTexts {
  readonly version: CiliumVersion;
  readonly cilium: CiliumConfig | undefined;
  readonly keys: readonly string[];
  readonly nodes: readonly string[];
}

/** A node of a list that cannot be used. */
interface Unusable {
  readonly name: string | undefined;
  readonly why: string;
}

/** A file of nodes as it was read last. */
interface ReadList {
  readonly text: string;
  readonly nodes: readonly CiliumNode[];
  readonly unusable: readonly Unusable[];
}

export class NodeAgent {
  readonly agent: Agent;
  readonly #config: NodeConfig;
  readonly #version: CiliumVersion;
  readonly #cilium: CiliumConfig | undefined;
  readonly #outside: Address;
  readonly #say: (line: string) => void;
  readonly #files: InputFiles;
  readonly #work: (work: Work) => void;
  readonly #bootId: string | undefined;
  #plane: DataPlane | undefined;
  #nodes: readonly CiliumNode[] = [];
  /** How the cluster routes: as is said, or as this node's entry in the first list shows it. */
  #mode: RoutingMode | undefined;
  #keyTexts: readonly string[] = [];
  #nodeTexts: readonly string[] = [];
  /** What was read last from each file of nodes: of a large cluster, most files stay. */
  readonly #read = new Map<string, ReadList>();
  /** Why nodes of the last good lists are left out, and their names. */
  #unusable: readonly Unusable[] = [];
  /** ms: when keys that have changed are read; absent while none wait. */
  #keysAt: number | undefined;
  #published = '';
  #changed = false;
  /** Plans handed on, and the last one that was answered. */
  #handed = 0;
  #answered = 0;
  #failed: string | undefined;
  /** The reload that is under way, and what is to be read again after it. */
  #reloading: Promise<void> | undefined;
  #again: { readonly now: number; readonly readsAll: boolean } | undefined;
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
   * @throws {InputError} naming file and line
   */
  static async open(config: NodeConfig, options: NodeAgentOptions): Promise<NodeAgent> {
    const { files } = options;
    const version = config.cilium === undefined ? DEFAULT_VERSION : parseVersion(config.cilium);
    const cilium = await readCiliumConfig(config, version, options);
    if (config.publish !== undefined) await checkPublishFile(config.publish, config.name, files);
    const nodes = await readAll(files, config.nodes, INPUT.nodes);
    const keys = await readAll(files, config.keys, INPUT.keys);
    return new NodeAgent(config, { version, cilium, keys, nodes }, options);
  }

  private constructor(
    config: NodeConfig,
    { version, cilium, keys: keyTexts, nodes: nodeTexts }: FirstTexts,
    { files, say, now, work = () => {}, bootId }: NodeAgentOptions,
  ) {
    this.#config = config;
    this.#say = say;
    this.#files = files;
    this.#work = work;
    this.#bootId = bootId;
    this.#cilium = cilium;
    this.#version = version;
    const outside = parseAddress(config.outside.address);
    if (!outside)
      throw new InputError({ source: 'outside.address' }, 'no IP address', 'Write it like 192.168.0.1.');
    this.#outside = outside;
    this.#mode = config.mode ?? this.#cilium?.plan.mode;
    this.#nodeTexts = nodeTexts;
    work('the node list');
    const lists = this.#readLists(nodeTexts);
    this.#nodes = this.#joinLists(lists);
    this.#tellUnusable(lists);
    this.#keyTexts = keyTexts;
    work('keys');
    const keys = this.#parseKeys(keyTexts);
    const local = this.#nodes.find(({ name }) => name === config.name)!;
    const mode = this.#mode!;
    const overlay = overlayIn(config, this.#cilium);
    if (mode === 'tunnel' && !isAtLeast(this.#version, 18))
      checkOverlayLink(config, overlayPort(overlay.tunnelProtocol === 'geneve'));
    const duration =
      config['key-rotation-duration'] ?? this.#cilium?.keyRotationDuration ?? KEY_ROTATION_DURATION;
    this.agent = new Agent({
      ...this.#cilium?.plan,
      ...overlay,
      mode,
      local,
      version: this.#version,
      random: random32,
      order: config.order,
      keyRotationDuration: duration,
      // A file that names no release has no agents of that release to go with.
      ...(config.cilium === undefined && { longestWait: 0 }),
      reclaimInterval: Math.max(LEAST_RECLAIM_INTERVAL, Math.min(RECLAIM_INTERVAL, duration)),
      onEvent: (event) => this.#heard(event),
    });
    work('the plan');
    this.agent.setNodes(this.#nodes, now);
    this.agent.setKeys(keys, now);
    work('');
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

  /** Has the node a boot id of its own, from which its keys are made? */
  get hasOwnBootId(): boolean {
    const { rotation } = this.agent;
    return this.#bootId !== undefined && rotation.lines(rotation.current).some(({ perTunnel }) => perTunnel);
  }

  /** Strict mode, as the configuration or Cilium's own settings have it. */
  get strict(): StrictMode | undefined {
    return strictIn(this.#config) ?? this.#cilium?.strict;
  }

  /** The files to watch. */
  get watched(): readonly string[] {
    const { watch, keys, nodes } = this.#config;
    if (!watch) return [];
    return [...((this.#cilium?.watchesKeys ?? true) ? keys : []), ...nodes];
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
   * Reads the files again. Nothing in them can stop the node. While they are read, to be asked again is to read them once
   * more.
   * @param readsAll also keys that Cilium is told not to watch, and at once; otherwise keys that have changed wait for a
   * random time, as from Cilium 1.20 on
   */
  async reload(now: number, readsAll = true): Promise<void> {
    if (readsAll) this.#keysAt = undefined;
    this.#again = { now, readsAll: readsAll || (this.#again?.readsAll ?? false) };
    this.#reloading ??= this.#reloadAll();
    return this.#reloading;
  }

  /** Does what is due by `now`. Resolves once keys whose time has come are read. */
  async advance(now: number): Promise<void> {
    if (this.#keysAt !== undefined && this.#keysAt <= now) {
      this.#keysAt = undefined;
      await this.#reloadKeys(now);
      this.#flush();
      this.#tryPublish();
      this.#work('');
    }
    const { nextAt } = this.agent;
    if (nextAt === undefined || nextAt > now) return;
    this.#work('the plan');
    this.agent.advance(now);
    this.#flush();
    this.#work('');
  }

  /** Looks which peers have traffic, and lets those go that the list lacks and that have become quiet. */
  async lookAtTraffic(now: number): Promise<void> {
    const carried = await this.#plane?.carried();
    const before = this.#carried;
    this.#carried = new Map(
      this.agent.peers().map(({ name }): [string, number] => [name, this.#carriedBy(name, carried)]),
    );
    this.#busy = new Set(
      [...this.#carried].flatMap(([name, count]) => (count !== (before.get(name) ?? 0) ? [name] : [])),
    );
    if (this.agent.lingering.length === 0 || this.agent.nodesProblem !== undefined) return;
    this.#takeNodes(this.#nodes, now, carried);
    this.#flush();
  }

  async #reloadAll(): Promise<void> {
    try {
      for (let next = this.#again; next; next = this.#again) {
        this.#again = undefined;
        const { now, readsAll } = next;
        // Nodes first: a key that is new then reaches the peers that are new too.
        await this.#reloadNodes(now);
        if (readsAll) await this.#reloadKeys(now);
        else if (this.#cilium?.watchesKeys ?? true) await this.#waitForKeys(now);
        this.#flush();
        this.#tryPublish();
      }
    } finally {
      this.#reloading = undefined;
      this.#work('');
    }
  }

  /** Reads keys at once, or lets those that have changed wait: a cluster's agents are not to begin all at one time. */
  async #waitForKeys(now: number): Promise<void> {
    if (this.#keysAt !== undefined) return;
    const wait = this.agent.keysWait();
    if (wait === 0 || !(await this.#haveKeysChanged())) {
      await this.#reloadKeys(now);
      return;
    }
    this.#keysAt = now + wait;
    const longest = this.agent.rotation.longestWait / 1000;
    this.#tell(`keys: changed, read in ${(wait / 1000).toFixed(1)} s (by chance, at most ${longest} s)`);
  }

  async #haveKeysChanged(): Promise<boolean> {
    try {
      return !isSameText(await readAll(this.#files, this.#config.keys, INPUT.keys), this.#keyTexts);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      return false;
    }
  }

  async #reloadKeys(now: number): Promise<void> {
    const { agent } = this;
    const had = agent.keysProblem;
    try {
      this.#work('keys');
      const texts = await readAll(this.#files, this.#config.keys, INPUT.keys);
      if (had !== undefined || !isSameText(texts, this.#keyTexts)) {
        const keys = this.#parseKeys(texts);
        this.#work('the plan');
        agent.setKeys(keys, now);
      }
      this.#keyTexts = texts;
      this.#keysRead.lastGood = now;
      if (had !== undefined) this.#tell('keys: good again');
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.#keysRead.failures++;
      agent.refuseKeys(error.message, now);
    }
  }

  async #reloadNodes(now: number): Promise<void> {
    const had = this.agent.nodesProblem;
    try {
      this.#work('the node list');
      const texts = await readAll(this.#files, this.#config.nodes, INPUT.nodes);
      if (had === undefined && isSameText(texts, this.#nodeTexts)) {
        this.#nodesRead.lastGood = now;
        return;
      }
      const lists = this.#readLists(texts);
      const nodes = this.#joinLists(lists);
      this.#tellUnusable(lists);
      this.#work('the plan');
      if (!this.#takeNodes(nodes, now, await this.#plane?.carried())) return;
      this.#nodeTexts = texts;
      this.#nodesRead.lastGood = now;
      if (had !== undefined) this.#tell('node list: good again');
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.#refuseNodes(error.message, now);
    }
  }

  #takeNodes(
    nodes: readonly CiliumNode[],
    now: number,
    carried: ReadonlyMap<string, number> | undefined,
  ): boolean {
    try {
      const inUse = (name: string) =>
        this.#busy.has(name) || this.#carriedBy(name, carried) !== (this.#carried.get(name) ?? 0);
      const unusable = new Set(this.#unusable.flatMap(({ name }) => name ?? []));
      this.agent.setNodes(nodes, now, { inUse, unusable });
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
      const keys = rotation.lines(rotation.current);
      const [lack] = tunnelEnds(keys, this.#nodes, context.mode, context.version).lacks;
      problem = lack && `${lack.origin}: ${lack.why}. ${lack.remedy}`;
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
    const number = ++this.#handed;
    this.#plane.apply(this.agent.plan).then(
      () => this.#hasAnswer(number),
      (error: Error) => this.#hasAnswer(number, error),
    );
  }

  /** The data plane holds a plan, or cannot hold it. */
  #hasAnswer(number: number, error?: Error): void {
    this.#answered = number;
    if (error) {
      this.#planFailures++;
      if (this.#failed !== error.message) this.#tell(`the old plan stays: ${error.message}`);
    }
    this.#failed = error?.message;
    this.#tryPublish();
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
    const holds = !this.#changed && this.#answered === this.#handed && this.#failed === undefined;
    if (publish === undefined || !holds) return;
    const raw = findRawNode(this.#nodeTexts, name);
    if (!raw) return;
    const text = ownNodeText(raw, this.agent.node.keyId, this.#bootId);
    if (text === this.#published) return;
    writeOwnNode(publish, text);
    this.#published = text;
  }

  #parseKeys(texts: readonly string[]): CiliumKey[] {
    return mergeKeys(...texts.map((text, i) => readKeys(text, this.#config.keys[i]!, this.#version)));
  }

  #readLists(texts: readonly string[]): ReadList[] {
    return texts.map((text, i) => this.#readList(text, this.#config.nodes[i]!));
  }

  /** Says of each node that cannot be used why it is left out, once. */
  #tellUnusable(lists: readonly ReadList[]): void {
    const before = new Set(this.#unusable.map(({ why }) => why));
    this.#unusable = lists.flatMap(({ unusable }) => unusable);
    for (const { why } of this.#unusable) if (!before.has(why)) this.#tell(`a node is left out: ${why}`);
  }

  #joinLists(lists: readonly ReadList[]): CiliumNode[] {
    const { name, nodes: files } = this.#config;
    const read = lists.flatMap(({ nodes }) => nodes);
    const bootId = this.#bootId;
    const all =
      bootId === undefined ? read : read.map((node) => (node.name === name ? { ...node, bootId } : node));
    const source = files.join(', ');
    checkNames(all, source);
    checkAddresses(all);
    const me = all.find((node) => node.name === name);
    const mine = lists.flatMap(({ unusable }) => unusable).find((one) => one.name === name);
    if (!me && mine) throw new InputError({ source }, `this node cannot be used: ${mine.why}`, 'Correct it.');
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
    const { strict } = this;
    if (strict) checkStrictRange(strict, me, this.#version, this.#config['cilium-config'] ?? 'strict');
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

  #readList(text: string, file: string): ReadList {
    const known = this.#read.get(file);
    if (known?.text === text) return known;
    const unusable: Unusable[] = [];
    const nodes = parseNodes(text, file, (error, name) => unusable.push({ name, why: error.message }));
    const list = { text, nodes, unusable };
    this.#read.set(file, list);
    return list;
  }

  #tell(text: string): void {
    this.#say(`${this.#config.name}: ${text}`);
  }
}

/** Strict mode, as the configuration alone has it. */
export function strictIn({ strict }: NodeConfig): StrictMode | undefined {
  const cidr = strict === undefined ? undefined : parsePrefix(strict);
  return cidr && { cidr, allowRemoteNodes: false };
}

/** What the overlay is, as the configuration or Cilium's own settings have it. */
function overlayIn(
  { 'tunnel-protocol': tunnelProtocol, 'underlay-protocol': underlay }: NodeConfig,
  cilium: CiliumConfig | undefined,
): Pick<PlanContext, 'tunnelProtocol' | 'underlay'> {
  const plan = cilium?.plan ?? {};
  const isGeneve = (tunnelProtocol ?? plan.tunnelProtocol) === 'geneve';
  const isIpv6 = (underlay ?? plan.underlay) === 'ipv6';
  return {
    ...(isGeneve && { tunnelProtocol: 'geneve' }),
    ...(isIpv6 && { underlay: 'ipv6' }),
  };
}

/** Up to 1.17 tunnel mode puts ESP inside VXLAN or Geneve. */
function checkOverlayLink({ outside: { link, port } }: NodeConfig, overlayPort: number): void {
  if (link !== 'udp')
    throw new InputError(
      { source: 'outside.link' },
      `tunnel mode up to Cilium 1.17 puts ESP inside the overlay, and ${link} carries ESP alone`,
      `Use link: udp, which then is on port ${overlayPort}, or cilium: "1.18" on all nodes.`,
    );
  if (port !== undefined && port !== overlayPort)
    throw new InputError(
      { source: 'outside.port' },
      `Cilium's overlay is on port ${overlayPort}, not ${port}`,
      'Leave the port out.',
    );
}

async function readCiliumConfig(
  { name, 'cilium-config': file }: NodeConfig,
  version: CiliumVersion,
  { files, say }: NodeAgentOptions,
): Promise<CiliumConfig | undefined> {
  if (file === undefined) return undefined;
  const text = await files.read(file, INPUT.ciliumConfig);
  return parseCiliumConfig(text, file, version, (line) => say(`${name}: ${line}`));
}

/** One after the other: of a file system that hangs one call is enough. */
async function readAll(files: InputFiles, names: readonly string[], kind: InputKind): Promise<string[]> {
  const texts: string[] = [];
  for (const name of names) texts.push(await files.read(name, kind));
  return texts;
}

function isSameText(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, i) => text === b[i]);
}
