/**
 * The lab's rotation: runs the scenario of a plan on `sim`, and says of every packet with which key it left and what
 * became of it.
 * @module
 */
import { equalBytes, u32 } from '../../base/bytes.ts';
import type { Engine } from '../../crypto/engine.ts';
import type { DropRow } from '../../ipsec/drop.ts';
import type { SaConfig } from '../../ipsec/sa-config.ts';
import { Cluster, type NodeRecorder } from '../../sim/cluster.ts';
import { reportOf, type ScenarioReport } from '../../sim/report.ts';
import { parseScenario, type Scenario } from '../../sim/scenario.ts';
import type { DropEvent } from '../../sim/watcher.ts';
import * as esp from '../../wire/esp.ts';
import { addressLen, srcAt } from '../../wire/ip.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import { MOMENTS, type Moment, type RotationPlan, scenarioText } from './rotation-plan.ts';

/** ms of the run between two looks at the time. */
const PART = 1000;

/** A packet from one pod to another. */
export interface SentPacket {
  /** Seconds. */
  readonly at: number;
  /** The key that it left with, or should have. */
  key: number;
  /** `way`: on the way still, which none is in the end. */
  fate: 'way' | 'delivered' | 'lost';
  /** Of a lost one: where, and why. */
  node?: string;
  drop?: DropRow;
}

export interface FlowRun {
  /** Places of the nodes, from 0. */
  readonly from: number;
  readonly to: number;
  readonly packets: readonly SentPacket[];
}

/** Packets in a row of one flow that were lost for one reason. */
export interface Loss {
  readonly from: string;
  readonly to: string;
  readonly key: number;
  /** Where they were lost. */
  readonly node: string;
  readonly drop: DropRow;
  readonly count: number;
  /** Seconds: the first and the last of them. */
  readonly first: number;
  readonly last: number;
  readonly why: string;
}

export interface RotationRun {
  readonly plan: RotationPlan;
  /** The file that was run. */
  readonly text: string;
  readonly oldKey: number;
  readonly newKey: number;
  /** When each node did it, in seconds, as its agent said; absent where the run was over before. */
  readonly done: readonly Readonly<Partial<Record<Moment, number>>>[];
  /** When node i heard that node k has the new key: `heard[i][k]`, in seconds. */
  readonly heard: readonly (readonly (number | undefined)[])[];
  readonly flows: readonly FlowRun[];
  readonly losses: readonly Loss[];
  readonly sent: number;
  readonly lost: number;
  readonly report: ScenarioReport;
  /** SAs that each node had at one time, in the order of the nodes. */
  readonly sas: readonly (readonly SaConfig[])[];
}

export interface RotationOptions {
  readonly engine: Engine;
  /** Gets what each node sees on its device. */
  readonly record?: (node: string) => NodeRecorder | undefined;
}

/** Runs a plan. The same plan gives the same run. */
export function runRotation(plan: RotationPlan, options: RotationOptions): RotationRun {
  return new RotationJob(plan, options).runUntil(() => false)!;
}

/** A run in parts, so that a page can draw in between and drop a run that is no longer waited for. */
export class RotationJob {
  readonly #plan: RotationPlan;
  readonly #text: string;
  readonly #watch: Watch;
  readonly #cluster: Cluster;

  constructor(plan: RotationPlan, { engine, record }: RotationOptions) {
    this.#plan = plan;
    this.#text = scenarioText(plan);
    const scenario = parseScenario(this.#text, 'lab.yaml');
    const watch = new Watch(scenario, plan);
    this.#watch = watch;
    this.#cluster = new Cluster({
      scenario,
      engine,
      watcher: watch,
      record: (node) => watch.recorder(node, record?.(node)),
    });
  }

  /**
   * Runs on until the end, or until time is up, which is asked once a second of the run.
   * @returns the run when it is at its end
   */
  runUntil(isTimeUp: () => boolean): RotationRun | undefined {
    const cluster = this.#cluster;
    while (cluster.now < cluster.end) {
      cluster.runTo(Math.min(cluster.end, cluster.now + PART));
      if (cluster.now < cluster.end && isTimeUp()) return undefined;
    }
    const { flows, done, heard, oldKey, newKey, sas } = this.#watch;
    const packets = flows.flatMap((flow) => flow.packets);
    return {
      plan: this.#plan,
      text: this.#text,
      ...{ oldKey, newKey, done, heard, flows, sas },
      losses: flows.flatMap((flow) => lossesOf(flow, this.#watch)),
      sent: packets.length,
      lost: packets.filter(({ fate }) => fate === 'lost').length,
      report: reportOf(cluster),
    };
  }
}

/** Writes down what happens to each packet: of a flow there is one on the way at a time. */
class Watch {
  readonly flows: { readonly from: number; readonly to: number; readonly packets: SentPacket[] }[];
  readonly done: Partial<Record<Moment, number>>[];
  readonly heard: (number | undefined)[][];
  readonly names: readonly string[];
  readonly oldKey: number;
  readonly newKey: number;
  readonly sas: SaConfig[][];
  readonly #scenario: Scenario;

  constructor(scenario: Scenario, plan: RotationPlan) {
    this.#scenario = scenario;
    this.names = scenario.nodes.map(({ name }) => name);
    this.flows = scenario.traffic.map(({ from, to }) => ({
      from: this.names.indexOf(nodeOf(from!)),
      to: this.names.indexOf(nodeOf(to!)),
      packets: [],
    }));
    this.done = plan.nodes.map(({ read }) => ({ read }));
    this.heard = this.names.map(() => this.names.map(() => undefined));
    this.sas = this.names.map(() => []);
    this.oldKey = scenario.key.id;
    this.newKey = this.oldKey + 1;
  }

  agent(node: string, event: { kind: string; keyId?: number; node?: string }, at: number): void {
    const i = this.names.indexOf(node);
    const { kind, keyId } = event;
    if (kind === 'node-updated') this.heard[i]![this.names.indexOf(event.node!)] = at / 1000;
    const moment = kind === 'reclaim' ? 'forget' : (kind as Moment);
    if (keyId === undefined || !MOMENTS.includes(moment)) return;
    this.done[i]![moment] = at / 1000;
  }

  sent(flow: number, _: number, at: number): void {
    this.flows[flow]!.packets.push({ at: at / 1000, key: 0, fate: 'way' });
  }

  arrived(flow: number, n: number): void {
    this.flows[flow]!.packets[n]!.fate = 'delivered';
  }

  dropped({ node, peer, direction, keyId, row }: DropEvent): void {
    const [here, there] = [this.names.indexOf(node), this.names.indexOf(peer ?? '')];
    const packet = direction === 'out' ? this.#onWay(here, there) : this.#onWay(there, here);
    if (packet) Object.assign(packet, { fate: 'lost', node, key: keyId, drop: row });
  }

  /** Reads the key id off what leaves a node: it is the SPI. */
  recorder(node: string, inner: NodeRecorder | undefined): NodeRecorder {
    const from = this.names.indexOf(node);
    const { routerAddress } = this.#scenario.nodes[from]!;
    return {
      interface: (description) => inner?.interface(description) ?? 0,
      comment: (text) => inner?.comment(text),
      sas: (added, gone) => {
        const known = this.sas[from]!;
        known.push(...added.filter((sa) => !known.some((other) => isSamePlace(sa, other))));
        inner?.sas(added, gone);
      },
      frame: (b, at, end, meta) => {
        inner?.frame(b, at, end, meta);
        const src = srcAt(b, at);
        const len = addressLen(b, at);
        if (ipv4.protocol(b, at) !== esp.PROTOCOL || !equalBytes(b.subarray(src, src + len), routerAddress))
          return;
        const dst = b.subarray(src + len, src + 2 * len);
        const to = this.#scenario.nodes.findIndex((other) => equalBytes(other.routerAddress, dst));
        const packet = this.#onWay(from, to);
        if (packet) packet.key = u32(b, at + ipv4.headerLen(b, at));
      },
    };
  }

  #onWay(from: number, to: number): SentPacket | undefined {
    const packet = this.flows.find((flow) => flow.from === from && flow.to === to)?.packets.at(-1);
    return packet?.fate === 'way' ? packet : undefined;
  }
}

function isSamePlace(a: SaConfig, b: SaConfig): boolean {
  return a.spi === b.spi && equalBytes(a.dst, b.dst) && equalBytes(a.src, b.src);
}

function nodeOf(pod: string): string {
  return pod.slice(0, pod.indexOf('/'));
}

function lossesOf({ from, to, packets }: FlowRun, watch: Watch): Loss[] {
  const losses: Loss[] = [];
  let last: SentPacket | undefined;
  for (const packet of packets) {
    const isMore =
      last?.fate === 'lost' &&
      last.drop === packet.drop &&
      last.key === packet.key &&
      last.node === packet.node;
    last = packet;
    if (packet.fate !== 'lost') continue;
    const { key, node, drop, at } = packet;
    const before = losses.at(-1);
    if (isMore && before) losses[losses.length - 1] = { ...before, count: before.count + 1, last: at };
    else {
      const ends = { from: watch.names[from]!, to: watch.names[to]!, node: node!, drop: drop! };
      const why = whyLost(packet, from, to, watch);
      losses.push({ ...ends, key, count: 1, first: at, last: at, why });
    }
  }
  return losses;
}

/** Which two moments were in the wrong order. */
function whyLost({ key, node }: SentPacket, from: number, to: number, watch: Watch): string {
  const { names, done, heard, newKey } = watch;
  const [sender, receiver] = [names[from]!, names[to]!];
  const at = (i: number, moment: Moment) => seconds(done[i]![moment]);
  const isNew = key === newKey;
  if (node === receiver)
    return isNew
      ? `${receiver} said at ${at(to, 'advertise')} that it has key ${key}, and installed it at ${at(to, 'install')}.`
      : `${receiver} forgot key ${key} at ${at(to, 'forget')}. ${sender} heard at ${seconds(heard[from]![to])} that it has key ${newKey}, and sends with that from ${at(from, 'send')}.`;
  return isNew
    ? `${sender} sends with key ${key} from ${at(from, 'send')}, and installed it at ${at(from, 'install')}: no policy fits the mark, and the default drop takes the packet.`
    : `${sender} forgot key ${key} at ${at(from, 'forget')}. It heard at ${seconds(heard[from]![to])} that ${receiver} has key ${newKey}, and sends with that from ${at(from, 'send')}.`;
}

function seconds(time: number | undefined): string {
  return time === undefined ? 'a time after the end' : `${time} s`;
}
