/**
 * One node of a simulated cluster: an agent, the data plane that it fills, and the machine that both run on, which can
 * be rebooted.
 * @module
 */
import { equalBytes, toHex } from '../base/bytes.ts';
import type { Clock } from '../base/clock.ts';
import type { RandomBytes } from '../base/rng.ts';
import { Agent, type AgentEvent } from '../cilium/agent.ts';
import type { IpcacheEntry } from '../cilium/ipcache.ts';
import type { Random32 } from '../cilium/node-ids.ts';
import type { CiliumNode } from '../cilium/nodes.ts';
import type { Engine } from '../crypto/engine.ts';
import { SecurityAssociation } from '../ipsec/sa.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { Link } from '../link/link.ts';
import { Node, type NodeObserver } from '../node/node.ts';
import type { Address } from '../wire/address.ts';
import { type Batch, ON } from '../wire/packet.ts';
import type { Scenario, ScenarioNode } from './scenario.ts';

export interface MemberOptions {
  readonly scenario: Scenario;
  readonly spec: ScenarioNode;
  readonly clock: Clock;
  readonly engine: Engine;
  /** For boot ids and IVs. */
  readonly random: RandomBytes;
  /** For node ids. */
  readonly random32: Random32;
  /** Whether it is part of the cluster from the start. */
  readonly isThere: boolean;
  readonly onEvent: (member: Member, event: AgentEvent) => void;
  /** Its SAs are gone, all of them. */
  readonly onFlush: (member: Member, sas: readonly SaConfig[]) => void;
}

/** Keys as the API server has them. */
export interface Secret {
  readonly text: string;
  /** How often it was changed. */
  readonly revision: number;
}

/** What an agent reads from the API server when its node joins. */
export interface ApiState {
  /** The others. */
  readonly nodes: readonly CiliumNode[];
  /** Their pods, by name. */
  readonly entries: readonly (readonly [string, IpcacheEntry])[];
  /** Absent for a node that has none. */
  readonly secret?: Secret;
}

export class Member {
  readonly spec: ScenarioNode;
  agent: Agent;
  /** Part of the cluster: not before it has joined, nor after it has left. Its machine is off then. */
  isThere: boolean;
  isUp: boolean;
  /** Its CiliumNode is deleted: no other node hears of it any more. */
  isDeleted = false;
  /** Frames that met a machine that was off. */
  down = 0;
  /** What the Secret says here; absent, the node has none. */
  keysText: string | undefined;
  /** Another number after each joining and leaving: news on its way to who was here before is void. */
  life = 0;
  /** Nodes that hear nothing of this one any more. */
  readonly hiddenFrom = new Set<string>();
  /** When the last news of another node is due here, by its name. */
  readonly newsAt = new Map<string, number>();

  readonly #options: MemberOptions;
  readonly #known = new Map<string, CiliumNode>();
  readonly #entries = new Map<string, IpcacheEntry>();
  /** Of the Secret that was read last. */
  #revision = -1;
  #bootId = '';
  #node: Node | undefined;
  #isStale = false;
  #timer = 0;

  constructor(options: MemberOptions) {
    this.#options = options;
    this.spec = options.spec;
    this.isThere = options.isThere;
    this.isUp = options.isThere;
    this.keysText = undefined;
    this.#newBootId();
    this.agent = this.#makeAgent();
  }

  get name(): string {
    return this.spec.name;
  }

  /** The data plane, as the agent wants it now. */
  get node(): Node {
    this.sync();
    return this.#node!;
  }

  /**
   * Makes the data plane.
   * @param outside a link of {@link gate}, or one around it
   */
  build(outside: Link, capacity: number, observer: NodeObserver): void {
    const { clock, engine, random, scenario } = this.#options;
    const { strict } = scenario;
    this.#node = new Node({
      name: this.name,
      plan: this.agent.plan,
      outside,
      engine,
      clock,
      random,
      capacity,
      observer,
      ...(strict && { strict }),
    });
    this.#isStale = false;
  }

  /** Makes a link of this machine: dead while it is off, and the data plane is as the agent wants it before it is used. */
  gate(inner: Link): Link {
    return {
      name: inner.name,
      medium: inner.medium,
      mtu: inner.mtu,
      send: (batch, next = ON) => (this.isUp ? inner.send(batch, next) : this.#lose(batch, next)),
      receive: (handler) =>
        inner.receive(
          handler &&
            ((batch) => {
              if (!this.isUp) {
                this.#lose(batch, ON);
                return;
              }
              this.sync();
              handler(batch);
            }),
        ),
      close: () => inner.close(),
    };
  }

  /** Brings the data plane to what the agent wants. Many changes before the next packet are one. */
  sync(): void {
    if (!this.#isStale || !this.#node) return;
    this.#isStale = false;
    this.#node.applyPlan(this.agent.plan);
  }

  /** The Secret says something else now. What is older than what it said before comes too late. */
  takeSecret({ text, revision }: Secret): void {
    if (revision <= this.#revision) return;
    this.keysText = text;
    this.#revision = revision;
    const { agent } = this;
    const read = () => {
      if (agent !== this.agent || !this.isUp || this.keysText === undefined) return;
      agent.loadKeys(this.keysText, 'keys', this.#now());
      this.#wake();
    };
    const wait = agent.keysWait();
    if (wait === 0) read();
    else this.#options.clock.after(wait, read);
  }

  /** News of another node. */
  hear(node: CiliumNode): void {
    this.#known.set(node.name, node);
    if (this.isUp) this.agent.setNode(node, this.#now());
  }

  /** Another node is gone. */
  forget(name: string): void {
    this.#known.delete(name);
    if (this.isUp) this.agent.deleteNode(name, this.#now());
  }

  /** News of a pod. */
  hearPod(entry: IpcacheEntry, key: string): void {
    this.#entries.set(key, entry);
    if (this.isUp) this.agent.setIp(entry, this.#now());
  }

  /** A pod of another node is gone. */
  forgetPod({ prefix }: IpcacheEntry, key: string): void {
    this.#entries.delete(key);
    if (this.isUp) this.agent.removeIp(prefix, this.#now());
  }

  /** The machine joins the cluster with a new boot id, and its agent reads what the API server says. */
  join({ nodes, entries, secret }: ApiState): void {
    this.isThere = true;
    this.isDeleted = false;
    this.life++;
    this.hiddenFrom.clear();
    this.newsAt.clear();
    this.#known.clear();
    this.#entries.clear();
    for (const node of nodes) this.#known.set(node.name, node);
    for (const [key, entry] of entries) this.#entries.set(key, entry);
    if (secret) {
      this.keysText = secret.text;
      this.#revision = secret.revision;
    }
    this.boot();
  }

  /** The machine goes off, and for good, unless it joins again. */
  leave(): void {
    this.isThere = false;
    this.life++;
    this.halt();
  }

  /** The machine goes off. */
  halt(): void {
    this.isUp = false;
  }

  /** The machine comes back, with a new boot id, no SAs, and what the API server says. */
  boot(): void {
    this.isUp = true;
    this.#newBootId();
    this.restartAgent(0);
  }

  /**
   * A new agent, and all SAs made anew: their numbers begin again with 1, under the same keys.
   * @param activeKey the key id that it finds in the datapath; left out, the one that the old agent sent with
   */
  restartAgent(activeKey = this.agent.sending): void {
    const { engine, onFlush } = this.#options;
    const { sad } = this.node;
    const { sas } = this.agent.plan;
    if (sas.length > 0) onFlush(this, sas);
    sad.sas.forEach((sa, index) => {
      if (!sa) return;
      sad.remove(index);
      engine.removeKey(sa.key);
    });
    this.agent = this.#makeAgent(activeKey);
    this.start();
  }

  /** Gives the agent its keys, and what it would read from the API server. */
  start(): void {
    const now = this.#now();
    this.#isStale = true;
    if (this.keysText !== undefined) this.agent.loadKeys(this.keysText, 'keys', now);
    for (const node of this.#known.values()) this.agent.setNode(node, now);
    for (const entry of this.#entries.values()) this.agent.setIp(entry, now);
    this.#wake();
  }

  /** Makes the SAs to some addresses look as if they had carried so many packets. */
  age(to: readonly Address[], sent: number): number {
    const { engine, random } = this.#options;
    const { sad } = this.node;
    let count = 0;
    sad.sas.forEach((sa, index) => {
      if (sa?.config.direction !== 'out' || !to.some((one) => equalBytes(one, sa.config.dst))) return;
      const startAfter = { hi: sa.sequence.hi, lo: sent };
      const aged = new SecurityAssociation(sa.config, engine, { random, startAfter, ivSalt: sa.ivSalt });
      aged.pathMtu = sa.pathMtu;
      sad.replace(index, aged);
      engine.removeKey(sa.key);
      count++;
    });
    return count;
  }

  #makeAgent(activeKey = 0): Agent {
    const { scenario, spec, random32, onEvent } = this.#options;
    return new Agent({
      local: {
        name: spec.name,
        ciliumAddresses: [spec.routerAddress],
        nodeAddresses: [spec.nodeAddress],
        bootId: this.#bootId,
        keyId: 0,
        podCidrs: [spec.podRange],
        source: scenario.source,
      },
      random: random32,
      version: scenario.version,
      mode: scenario.mode,
      ...spec.rotation,
      activeKey,
      podCidrEntries: scenario.podRangesKnown,
      onEvent: (event) => {
        this.#isStale = true;
        onEvent(this, event);
      },
    });
  }

  /** Has the agent do what is due, when it is due. */
  #wake(): void {
    const { agent } = this;
    const at = agent.nextAt;
    if (at === undefined) return;
    const timer = ++this.#timer;
    this.#options.clock.after(at - this.#now(), () => {
      if (timer !== this.#timer || agent !== this.agent || !this.isUp) return;
      agent.advance(this.#now());
      this.#wake();
    });
  }

  #now(): number {
    return this.#options.clock.now();
  }

  #newBootId(): void {
    const b = new Uint8Array(16);
    this.#options.random(b);
    b[6] = (b[6]! & 0x0f) | 0x40;
    b[8] = (b[8]! & 0x3f) | 0x80;
    this.#bootId = toHex(b).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  }

  #lose(batch: Batch, next: number): number {
    let lost = 0;
    for (let i = 0; i < batch.count; i++) if (batch.next[i] === next) lost++;
    this.down += lost;
    return lost;
  }
}
