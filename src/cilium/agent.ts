/**
 * A Cilium agent for one node: it hears of keys, nodes and pods, and says what its data plane is to hold and what the
 * node tells the others. Without I/O: events and time come in by calls, and every change goes out as an
 * {@link AgentEvent}, in the order in which it happens. The data plane applies {@link Agent.plan} at each.
 *
 * ```text
 *  keys file ──► loadKeys ─┐                      ┌─► install, reclaim, node …   plan: SAs, policies, routes
 *  CiliumNodes ─► setNodes ┼─► Agent ─ onEvent ───┼─► advertise                  own CiliumNode: key id
 *  ipcache ────► setIp ────┤                      ├─► send                       marks of what leaves from now on
 *  time ───────► advance ──┘                      └─► warning
 * ```
 *
 * SAs that stay are the same objects from plan to plan, so that their counters can go on.
 * @module
 */
import { EsplaneError, InputError } from '../base/errors.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { Policy } from '../ipsec/spd.ts';
import { type Address, formatAddress, formatPrefix, type Prefix } from '../wire/address.ts';
import {
  type AgentPlan,
  entryRoute,
  nodeRoutes,
  overlayOf,
  type PlannedRoute,
  peerOf,
  podRoutes,
  reserveOf,
  selfRoutes,
} from './agent-plan.ts';
import { BOOT_ID_LEN } from './derive.ts';
import type { IpcacheEntry, Peer } from './ipcache.ts';
import { nextKeyId } from './key-line.ts';
import type { CiliumKey } from './keys.ts';
import { checkAddresses } from './node-checks.ts';
import { addressesOf, NodeIdTable, type Random32 } from './node-ids.ts';
import { type NodePlanOptions, planContext } from './node-plan.ts';
import { type CiliumNode, parseNodes } from './nodes.ts';
import { type PlanContext, peerPolicies, peerSas, sharedPolicies, sharedSas } from './peer-plan.ts';
import { Rotation, type RotationOptions } from './rotation.ts';
import { readKeys } from './secret.ts';
import { isAtLeast } from './version.ts';

export interface AgentOptions extends NodePlanOptions, Omit<RotationOptions, 'version'> {
  /** This node: name, addresses, boot id, pod ranges. The key id in it does not count. */
  readonly local: CiliumNode;
  /** For node ids. */
  readonly random: Random32;
  /**
   * Whether the pod ranges of peers are in the ipcache, so that pods without an announcement are known too (as
   * from 1.19). Otherwise only {@link Agent.setIp} makes them known.
   */
  readonly podCidrEntries?: boolean;
  /**
   * The key id that the agent sent with before it was started anew; 0 or left out for none. From 1.20 on (#44701) an
   * agent finds it in the datapath. If the file has it still, or the next one, the agent advertises it and sends with it
   * until the SAs of the file's key are there; otherwise the file's key is as the first one.
   */
  readonly activeKey?: number;
  readonly onEvent?: (event: AgentEvent) => void;
}

export type AgentEventKind =
  /** The SAs of a key are there. */
  | 'install'
  /** The node's own CiliumNode has this key id from now on. */
  | 'advertise'
  /** The node sends with this key from now on, to peers that have it. */
  | 'send'
  /** The SAs of an old key are gone. */
  | 'reclaim'
  | 'node-added'
  /** Addresses, ranges or the advertised key of a peer changed. */
  | 'node-updated'
  /** The boot id of a peer changed: its SAs are new. */
  | 'node-rebooted'
  | 'node-deleted'
  | 'ipcache'
  /** Something was refused; what was there before stays. */
  | 'warning';

/** One thing that happened; the agent's state is already as it says. */
export interface AgentEvent {
  readonly kind: AgentEventKind;
  /** ms. */
  readonly at: number;
  /** For people, in one line. */
  readonly text: string;
  readonly keyId?: number;
  /** The peer. */
  readonly node?: string;
  readonly added: readonly SaConfig[];
  readonly removed: readonly SaConfig[];
}

interface PeerState {
  node: CiliumNode;
  nodeId: number;
  /** By key id. */
  readonly sas: Map<number, readonly SaConfig[]>;
  readonly policies: Map<number, readonly Policy[]>;
  /** What the last news of it lacked, and is as it was before. */
  lack: string;
}

/** What {@link Agent.setNodes} may be told beside the list. */
export interface NodesOptions {
  /** Is there traffic with this peer? One that is used is not deleted because a list lacks it. */
  readonly inUse?: (name: string) => boolean;
  /** Peers that are in the list but cannot be used: they stay as they are. */
  readonly unusable?: ReadonlySet<string>;
}

const KEEPS_ACTIVE_KEY_SINCE = 20;

export class Agent {
  readonly context: PlanContext;
  readonly rotation: Rotation;
  /** Why the last keys were refused; absent while they are good. */
  keysProblem: string | undefined;
  /** Why the last node list was refused; absent while it is good. */
  nodesProblem: string | undefined;
  /** Peers that the last list lacks, and that stay because they are used. */
  lingering: readonly string[] = [];

  readonly #random: Random32;
  readonly #podCidrEntries: boolean;
  readonly #onEvent: (event: AgentEvent) => void;
  readonly #ids: NodeIdTable;
  readonly #peers = new Map<string, PeerState>();
  /** Which node has an address, and the addresses of a node. */
  readonly #owners = new Map<string, string>();
  readonly #owned = new Map<string, readonly string[]>();
  readonly #entries = new Map<string, IpcacheEntry>();
  readonly #shared = new Map<number, readonly SaConfig[]>();
  readonly #installed = new Set<number>();
  #local: CiliumNode;
  #advertised = 0;
  #sending = 0;
  #policies: readonly Policy[];
  #plan: AgentPlan | undefined;

  /**
   * @throws {EsplaneError} `ERR_BOOT_ID` when the node has no boot id, without which it could agree on no key
   */
  constructor(options: AgentOptions) {
    const { local, random, podCidrEntries = true, activeKey = 0, onEvent = () => {} } = options;
    const { order, keyRotationDuration, reclaimInterval, longestWait, installTime, steps, ...rest } = options;
    this.context = planContext(local, rest);
    if (local.bootId.length < BOOT_ID_LEN)
      throw new EsplaneError('ERR_BOOT_ID', `node ${local.name}: IPsec requires a valid boot id`);
    this.rotation = new Rotation({
      version: this.context.version,
      ...(order && { order }),
      ...(keyRotationDuration !== undefined && { keyRotationDuration }),
      ...(reclaimInterval !== undefined && { reclaimInterval }),
      ...(longestWait !== undefined && { longestWait }),
      ...(installTime !== undefined && { installTime }),
      ...(steps && { steps }),
    });
    this.#local = local;
    this.#random = random;
    this.#podCidrEntries = podCidrEntries;
    this.#onEvent = onEvent;
    this.#ids = new NodeIdTable(this.#random);
    this.#policies = sharedPolicies(local, this.context);
    this.#own(local);
    if (isAtLeast(this.context.version, KEEPS_ACTIVE_KEY_SINCE)) this.#advertised = this.#sending = activeKey;
  }

  /** The node's CiliumNode, as the others are to see it. */
  get node(): CiliumNode {
    return { ...this.#local, keyId: this.#advertised };
  }

  /** The key id that the node sends with (Cilium's `cilium_encrypt_state`); 0 for none. */
  get sending(): number {
    return this.#sending;
  }

  /** The key ids whose SAs are installed. */
  get installed(): number[] {
    return [...this.#installed];
  }

  get peerCount(): number {
    return this.#peers.size;
  }

  /** The peers as the data plane sees them. */
  peers(): Peer[] {
    return [...this.#peers.values()].map((state) => this.#peer(state));
  }

  /** The other nodes as they were last heard of, and what this one calls them. */
  heard(): { readonly node: CiliumNode; readonly nodeId: number }[] {
    return [...this.#peers.values()].map(({ node, nodeId }) => ({ node, nodeId }));
  }

  /** What the data plane is to hold now. */
  get plan(): AgentPlan {
    this.#plan ??= this.#build();
    return this.#plan;
  }

  /**
   * Reads a keys file, or the Secret. A text that cannot be used, and a key that is no rotation of the one in use,
   * change nothing but {@link keysProblem}, and are a `warning`.
   * @returns whether it is good
   */
  loadKeys(text: string, source: string, now: number): boolean {
    try {
      this.setKeys(readKeys(text, source, this.context.version), now);
      return true;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.refuseKeys(error.message, now);
      return false;
    }
  }

  /** ms to wait, by chance, before a keys file is read that has changed; 0 up to 1.19, and for the first key. */
  keysWait(): number {
    const { current, longestWait } = this.rotation;
    return current === 0 || longestWait === 0 ? 0 : Math.floor((this.#random() / 2 ** 32) * longestWait);
  }

  /** Says that the keys cannot be had (a file that is not there): the key in use stays. */
  refuseKeys(problem: string, now: number): void {
    if (this.keysProblem === problem) return;
    this.keysProblem = problem;
    const { current } = this.rotation;
    this.#emit('warning', now, {
      text: `keys not used, ${current === 0 ? 'there is no key' : `key ${current} stays`}: ${problem}`,
    });
  }

  /**
   * Takes new keys; the last one is current.
   * @throws {InputError} when it is no rotation of the key in use, which then stays
   */
  setKeys(keys: readonly CiliumKey[], now: number): void {
    const isFirst = this.rotation.current === 0;
    this.rotation.take(keys, now);
    const active = this.#sending;
    // Keys that do not follow one another are no rotation: the file's is as the first one.
    if (isFirst && active !== 0 && ![active, nextKeyId(active)].includes(this.rotation.current))
      this.#advertised = this.#sending = 0;
    this.keysProblem = undefined;
    this.advance(now);
  }

  /**
   * Reads a list of CiliumNodes. One that cannot be used changes nothing but {@link nodesProblem}, and is a `warning`. A
   * peer in it that cannot be used is a `warning` and stays as it is.
   * @returns whether it is good
   */
  loadNodes(text: string, source: string, now: number, options?: NodesOptions): boolean {
    try {
      const unusable = new Set<string>();
      const nodes = parseNodes(text, source, (error, name) => {
        if (name !== undefined) unusable.add(name);
        this.#emit('warning', now, { text: `a node is left out: ${error.message}` });
      });
      this.setNodes(nodes, now, { ...options, unusable });
      return true;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.refuseNodes(error.message, now);
      return false;
    }
  }

  /** Says that the node list cannot be had: the last good one stays. */
  refuseNodes(problem: string, now: number): void {
    if (this.nodesProblem === problem) return;
    this.nodesProblem = problem;
    this.#emit('warning', now, { text: `node list not used, the last good one stays: ${problem}` });
  }

  /**
   * Takes a whole list: adds, updates and deletes peers.
   * @throws {InputError} when it lacks this node, or two nodes of it have one address; everything stays as it was then
   */
  setNodes(
    listed: readonly CiliumNode[],
    now: number,
    { inUse = () => false, unusable = new Set() }: NodesOptions = {},
  ): void {
    const nodes = this.#completed(listed);
    const local = nodes.find(({ name }) => name === this.#local.name);
    if (!local) {
      throw new InputError(
        { source: nodes[0]?.source ?? 'nodes' },
        `this node, ${this.#local.name}, is not in the list`,
        'Give the list of the whole cluster.',
      );
    }
    const names = new Set(nodes.map(({ name }) => name));
    const missing = [...this.#peers.keys()].filter((name) => !names.has(name));
    const kept = missing.filter((name) => unusable.has(name));
    const staying = missing.filter((name) => !unusable.has(name) && inUse(name));
    checkAddresses([...nodes, ...[...kept, ...staying].map((name) => this.#peers.get(name)!.node)]);
    for (const name of missing)
      if (!staying.includes(name) && !kept.includes(name)) this.deleteNode(name, now);
    this.nodesProblem = undefined;
    // Addresses may change hands within the list, so all are let go first.
    for (const node of nodes) if (this.#isMoved(node)) this.#disown(node.name);
    this.#setLocal(local, now);
    nodes.forEach((node, i) => {
      if (node === local) return;
      this.#takeNode(node, now);
      this.#tellLack(listed[i]!, now);
    });
    const fresh = staying.filter((name) => !this.lingering.includes(name));
    this.lingering = staying;
    for (const name of fresh) {
      this.#emit('warning', now, {
        node: name,
        text: `node ${name} is not in the list any more but has traffic: it stays until it is quiet`,
      });
    }
  }

  /**
   * Adds or updates a peer. A new boot id replaces all its SAs. A boot id or an address that it does not have any more is
   * taken to be as it was, so that its SAs stay, and is a `warning`.
   * @throws {InputError} when another node has one of its addresses: it is refused, and what was there stays
   */
  setNode(node: CiliumNode, now: number): void {
    this.#takeNode(this.#completed([node])[0]!, now);
    this.#tellLack(node, now);
  }

  #takeNode(node: CiliumNode, now: number): void {
    if (node.name === this.#local.name) {
      this.#setLocal(node, now);
      return;
    }
    this.#checkOwner(node);
    const old = this.#peers.get(node.name);
    if (old && isSameNode(old.node, node)) {
      old.node = node;
      return;
    }
    const isMoved = this.#isMoved(node);
    this.#own(node);
    const nodeId = this.#ids.assign(node.name, addressesOf(node));
    const rebooted = old !== undefined && old.node.bootId !== node.bootId;
    const anew = !old || isMoved || rebooted || old.nodeId !== nodeId;
    const state: PeerState = {
      node,
      nodeId,
      sas: anew ? new Map() : old.sas,
      policies: new Map(),
      lack: old?.lack ?? '',
    };
    const removed = anew && old ? [...old.sas.values()].flat() : [];
    this.#peers.set(node.name, state);
    const added = this.#install(state);
    const kind = !old ? 'node-added' : rebooted && old.node.bootId !== '' ? 'node-rebooted' : 'node-updated';
    const what = { 'node-added': 'is new', 'node-rebooted': 'was rebooted', 'node-updated': 'changed' }[kind];
    this.#emit(kind, now, {
      node: node.name,
      text: `node ${node.name} ${what}: ${added.length} SAs added, ${removed.length} removed`,
      added,
      removed,
    });
  }

  /** Deletes a peer with all its SAs. */
  deleteNode(name: string, now: number): void {
    const state = this.#peers.get(name);
    if (!state) return;
    this.#peers.delete(name);
    this.#disown(name);
    this.#ids.release(name);
    const removed = [...state.sas.values()].flat();
    this.#emit('node-deleted', now, {
      node: name,
      text: `node ${name} is deleted: ${removed.length} SAs removed`,
      removed,
    });
  }

  /** Makes a pod of a peer known, or a range of them. */
  setIp(entry: IpcacheEntry, now: number): void {
    this.#entries.set(formatPrefix(entry.prefix), entry);
    this.#emit('ipcache', now, {
      node: entry.node,
      text: `${formatPrefix(entry.prefix)} is on ${entry.node}`,
    });
  }

  /** Forgets a pod. */
  removeIp(prefix: Prefix, now: number): void {
    const text = formatPrefix(prefix);
    if (this.#entries.delete(text)) this.#emit('ipcache', now, { text: `${text} is gone` });
  }

  /** Does what is due by `now`. */
  advance(now: number): void {
    for (let step = this.rotation.due(now); step; step = this.rotation.due(now)) {
      const { kind, keyId, at } = step;
      switch (kind) {
        case 'install': {
          this.#installed.add(keyId);
          const added = this.#installAll();
          this.#emit(kind, at, { keyId, text: `key ${keyId}: ${added.length} SAs installed`, added });
          break;
        }
        case 'advertise':
          this.#advertised = keyId;
          this.#emit(kind, at, { keyId, text: `key ${keyId}: advertised` });
          break;
        case 'send':
          this.#sending = keyId;
          this.#emit(kind, at, { keyId, text: `key ${keyId}: used for peers that have it` });
          break;
        case 'reclaim': {
          const removed = this.#reclaim(keyId);
          this.#emit(kind, at, { keyId, text: `key ${keyId}: ${removed.length} old SAs removed`, removed });
        }
      }
    }
  }

  /** When {@link advance} has something to do again, in ms; `undefined` for not at all, unless something happens. */
  get nextAt(): number | undefined {
    return this.rotation.nextAt;
  }

  #setLocal(node: CiliumNode, now: number): void {
    if (isSameNode({ ...this.#local, keyId: node.keyId }, node)) return;
    this.#checkOwner(node);
    const removed = this.#allSas();
    this.#local = node;
    this.#own(node);
    this.#policies = sharedPolicies(node, this.context);
    this.#shared.clear();
    for (const { sas, policies } of this.#peers.values()) {
      sas.clear();
      policies.clear();
    }
    const added = this.#installAll();
    this.#emit('node-updated', now, {
      node: node.name,
      text: `this node changed: ${added.length} SAs added, ${removed.length} removed`,
      added,
      removed,
    });
  }

  #installAll(): SaConfig[] {
    const added: SaConfig[] = [];
    for (const id of this.#installed) {
      if (this.#shared.has(id)) continue;
      const sas = sharedSas(this.#local, this.rotation.lines(id), this.context);
      this.#shared.set(id, sas);
      for (const sa of sas) added.push(sa);
    }
    for (const state of this.#peers.values()) for (const sa of this.#install(state)) added.push(sa);
    return added;
  }

  /** Adds the SAs and policies that a peer lacks. Returns the SAs. */
  #install({ node, nodeId, sas, policies }: PeerState): SaConfig[] {
    const added: SaConfig[] = [];
    for (const id of this.#installed) {
      const keys = this.rotation.lines(id);
      if (!policies.has(id)) policies.set(id, peerPolicies(this.#local, node, nodeId, keys, this.context));
      if (sas.has(id)) continue;
      const made = peerSas(this.#local, node, nodeId, keys, this.context);
      sas.set(id, made);
      for (const sa of made) added.push(sa);
    }
    return added;
  }

  #reclaim(keyId: number): SaConfig[] {
    this.#installed.delete(keyId);
    const removed = [...(this.#shared.get(keyId) ?? [])];
    this.#shared.delete(keyId);
    for (const state of this.#peers.values()) {
      for (const sa of state.sas.get(keyId) ?? []) removed.push(sa);
      state.sas.delete(keyId);
      state.policies.delete(keyId);
    }
    return removed;
  }

  #allSas(): SaConfig[] {
    return [
      ...[...this.#peers.values()].flatMap(({ sas }) => [...sas.values()].flat()),
      ...[...this.#shared.values()].flat(),
    ];
  }

  #peer({ node, nodeId }: PeerState): Peer {
    return peerOf(this.#local, this.#sending, node, nodeId, this.context);
  }

  #build(): AgentPlan {
    const routes: PlannedRoute[] = selfRoutes(this.#local);
    const peers = new Map<string, Peer>();
    for (const state of this.#peers.values()) {
      const peer = this.#peer(state);
      peers.set(peer.name, peer);
      for (const route of nodeRoutes(state.node, peer)) routes.push(route);
      if (!this.#podCidrEntries) continue;
      for (const route of podRoutes(state.node, peer)) routes.push(route);
    }
    for (const entry of this.#entries.values()) {
      const peer = peers.get(entry.node);
      if (peer) routes.push(entryRoute(entry, peer));
    }
    return {
      routes,
      policies: [
        ...this.#policies,
        ...[...this.#peers.values()].flatMap(({ policies }) => [...policies.values()].flat()),
      ],
      sas: this.#allSas(),
      ...overlayOf(this.context),
      ...reserveOf(this.#local, this.rotation.lines(this.rotation.current).at(-1), this.context),
    };
  }

  /** Peers with what they lack as it was before, unless another one in the list has that address now. */
  #completed(nodes: readonly CiliumNode[]): CiliumNode[] {
    if (nodes.every((node) => lackOf(node, this.#peers.get(node.name)?.node) === '')) return [...nodes];
    const claimed = new Set(
      nodes.flatMap((node) => addressesOf(node).map((address) => formatAddress(address))),
    );
    return nodes.map((node) => {
      const old = this.#peers.get(node.name)?.node;
      if (!old || lackOf(node, old) === '') return node;
      // In the old order: addresses that stay are no move.
      const complete = (kind: AddressKind) => [
        ...old[kind].flatMap((was) => {
          const now = node[kind].find(({ length }) => length === was.length);
          return now ?? (claimed.has(formatAddress(was)) ? [] : [was]);
        }),
        ...node[kind].filter(({ length }) => !old[kind].some((was) => was.length === length)),
      ];
      return {
        ...node,
        bootId: node.bootId.length < BOOT_ID_LEN ? old.bootId : node.bootId,
        ciliumAddresses: complete('ciliumAddresses'),
        nodeAddresses: complete('nodeAddresses'),
      };
    });
  }

  #tellLack(news: CiliumNode, now: number): void {
    const state = this.#peers.get(news.name);
    if (!state) return;
    const lack = lackOf(news, state.node);
    if (lack === state.lack) return;
    state.lack = lack;
    if (lack !== '')
      this.#emit('warning', now, {
        node: news.name,
        text: `node ${news.name} has no ${lack} any more: its SAs stay as they are`,
      });
  }

  #checkOwner(node: CiliumNode): void {
    for (const address of addressesOf(node)) {
      const owner = this.#owners.get(formatAddress(address));
      if (owner === undefined || owner === node.name) continue;
      throw new InputError(
        { source: node.source },
        `nodes ${owner} and ${node.name} both have the address ${formatAddress(address)}: ${node.name} is refused`,
        'Delete the node that has it no more.',
      );
    }
  }

  #isMoved(node: CiliumNode): boolean {
    const old = node.name === this.#local.name ? this.#local : this.#peers.get(node.name)?.node;
    return old !== undefined && !isSame(addressesOf(old), addressesOf(node), formatAddress);
  }

  #own(node: CiliumNode): void {
    this.#disown(node.name);
    const texts = addressesOf(node).map((address) => formatAddress(address));
    this.#owned.set(node.name, texts);
    for (const text of texts) this.#owners.set(text, node.name);
  }

  #disown(name: string): void {
    for (const text of this.#owned.get(name) ?? []) this.#owners.delete(text);
    this.#owned.delete(name);
  }

  #emit(kind: AgentEventKind, at: number, event: Partial<AgentEvent> & { text: string }): void {
    this.#plan = undefined;
    this.#onEvent({ kind, at, added: [], removed: [], ...event });
  }
}

type AddressKind = 'ciliumAddresses' | 'nodeAddresses';

/** Addresses of a kind in families in which a node has none any more. */
function lostAddresses(node: CiliumNode, old: CiliumNode, kind: AddressKind): Address[] {
  return old[kind].filter(({ length }) => !node[kind].some((address) => address.length === length));
}

/** What a node lacks that it had, in words; empty for nothing. */
function lackOf(node: CiliumNode, old: CiliumNode | undefined): string {
  if (!old) return '';
  const family = ({ length }: Address) => (length === 4 ? 'IPv4' : 'IPv6');
  return [
    ...(node.bootId.length < BOOT_ID_LEN && old.bootId.length >= BOOT_ID_LEN ? ['boot id'] : []),
    ...lostAddresses(node, old, 'ciliumAddresses').map((one) => `${family(one)} CiliumInternalIP`),
    ...lostAddresses(node, old, 'nodeAddresses').map((one) => `${family(one)} InternalIP`),
  ].join(' and no ');
}

function isSameNode(a: CiliumNode, b: CiliumNode): boolean {
  return (
    a.bootId === b.bootId &&
    a.keyId === b.keyId &&
    a.cloud === b.cloud &&
    isSame(addressesOf(a), addressesOf(b), formatAddress) &&
    isSame(a.podCidrs, b.podCidrs, formatPrefix)
  );
}

function isSame<T>(a: readonly T[], b: readonly T[], text: (one: T) => string): boolean {
  return a.length === b.length && a.every((one, i) => text(one) === text(b[i]!));
}
