/**
 * What the pods of a scenario send to each other, and what comes of each flow.
 * @module
 */
import { putU32, u32 } from '../base/bytes.ts';
import type { VirtualClock } from '../base/clock.ts';
import * as icmp from '../wire/icmp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';
import type { Host } from './host.ts';
import { MOST_FLOWS, type ScenarioPod, type TrafficSpec } from './scenario.ts';
import { TcpEnd, upperAt } from './tcp-end.ts';
import { type Flow, reverse, text, udpPacket } from './traffic.ts';
import type { Watcher } from './watcher.ts';

/** RFC 863: nothing answers. */
const PORT_DISCARD = 9;
const PORT_HTTP = 80;
/** A flow is known by its port, or by the id of its pings. */
const FIRST_PORT = 10_000;

/** What came of a flow. Of TCP it counts conversations. */
export interface FlowReport {
  readonly kind: TrafficSpec['kind'];
  readonly from: string;
  readonly to: string;
  readonly sent: number;
  readonly delivered: number;
}

/** A flow between two pods. */
export interface PlannedFlow {
  readonly spec: TrafficSpec;
  readonly from: ScenarioPod;
  readonly to: ScenarioPod;
  /** ms: flows of many pairs do not send at once. */
  readonly offset: number;
}

/**
 * Finds out who sends to whom.
 * @param random 0 to 1, without 1
 */
export function planFlows(
  traffic: readonly TrafficSpec[],
  pods: ReadonlyMap<string, ScenarioPod>,
  random: () => number,
): PlannedFlow[] {
  const all = [...pods.values()];
  const flows: PlannedFlow[] = [];
  for (const spec of traffic) {
    if (spec.pairs === undefined) {
      flows.push({ spec, from: pods.get(spec.from!)!, to: pods.get(spec.to!)!, offset: 0 });
      continue;
    }
    for (let k = 0; k < spec.pairs; k++) {
      const from = all[Math.floor(random() * all.length)]!;
      let to = from;
      while (to.node === from.node) to = all[Math.floor(random() * all.length)]!;
      const every = Number.isFinite(spec.every) ? spec.every : spec.stop - spec.start;
      flows.push({ spec, from, to, offset: random() * every });
    }
  }
  return flows;
}

interface Running {
  readonly plan: PlannedFlow;
  readonly conversations: TcpEnd[];
  sent: number;
  delivered: number;
}

export class Flows {
  readonly #flows: Running[];
  readonly #clock: VirtualClock;
  readonly #hosts: ReadonlyMap<string, Host>;
  readonly #start: number;
  readonly #watcher: Watcher;
  #conversations = 0;

  /** @param start when the run starts, by the clock */
  constructor(
    plans: readonly PlannedFlow[],
    hosts: ReadonlyMap<string, Host>,
    clock: VirtualClock,
    start: number,
    watcher: Watcher = {},
  ) {
    this.#flows = plans.map((plan) => ({ plan, conversations: [], sent: 0, delivered: 0 }));
    this.#hosts = hosts;
    this.#clock = clock;
    this.#start = start;
    this.#watcher = watcher;
    for (const host of hosts.values()) {
      host.onArrival = (packet, arrival) => {
        if (arrival === 'identical') this.#arrived(host.name, packet);
      };
    }
    this.#flows.forEach((flow, id) => {
      const { spec, offset } = flow.plan;
      this.#at(spec.start + offset, () => this.#next(flow, id, 0));
    });
  }

  report(): FlowReport[] {
    return this.#flows.map(({ plan: { spec, from, to }, conversations, sent, delivered }) => ({
      kind: spec.kind,
      from: from.name,
      to: to.name,
      sent,
      delivered: spec.kind === 'tcp' ? conversations.filter(({ isDone }) => isDone).length : delivered,
    }));
  }

  /** Segments that TCP sent again. */
  get resent(): number {
    return this.#flows.reduce(
      (sum, { conversations }) => conversations.reduce((part, { resent }) => part + resent, sum),
      0,
    );
  }

  #at(ms: number, task: () => void): void {
    this.#clock.after(this.#start + ms - this.#clock.now(), task);
  }

  /** Sends packet `n` of a flow, unless the pod is not there, and sees to the next one. */
  #next(flow: Running, id: number, n: number): void {
    const { spec, from, offset } = flow.plan;
    const host = this.#hosts.get(from.name)!;
    if (host.isOn) this.#send(flow, id, n, host);
    const next = spec.start + offset + (n + 1) * spec.every;
    if (next < spec.stop) this.#at(next, () => this.#next(flow, id, n + 1));
  }

  #send(flow: Running, id: number, n: number, host: Host): void {
    const { spec, from, to } = flow.plan;
    flow.sent++;
    if (spec.kind !== 'tcp') this.#watcher.sent?.(id, n, this.#clock.now() - this.#start);
    const between: Flow = {
      src: from.address,
      dst: to.address,
      srcPort: FIRST_PORT + id,
      dstPort: PORT_DISCARD,
    };
    const data = text(spec.size);
    putU32(data, 0, n);
    if (spec.kind === 'udp') host.send(udpPacket(between, data));
    else if (spec.kind === 'ping') {
      const { src, dst } = between;
      host.send(icmp.echoPacket({ src, dst, reply: false, id: FIRST_PORT + id, seq: n & 0xffff, data }));
    } else this.#converse(flow, between, data);
  }

  #converse(flow: Running, between: Flow, answer: Uint8Array): void {
    // Each conversation has a port of its own, as with every system.
    const srcPort = FIRST_PORT + (this.#conversations++ % MOST_FLOWS);
    const there = { ...between, srcPort, dstPort: PORT_HTTP };
    const request = text(200);
    const first = 1000;
    const [caller, called] = [this.#hosts.get(flow.plan.from.name)!, this.#hosts.get(flow.plan.to.name)!];
    const headers = (there.src.length === 4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN) + tcp.HEADER_LEN;
    const segment = Math.min(caller.mtu, called.mtu) - headers;
    const both = { first, segment };
    const client = new TcpEnd({ ...both, flow: there, role: 'client', say: request, expect: answer });
    const server = new TcpEnd({
      ...both,
      flow: reverse(there),
      role: 'server',
      say: answer,
      expect: request,
    });
    flow.conversations.push(client);
    called.join(server, false);
    caller.join(client, true);
  }

  /** A packet came to a pod: of which flow? */
  #arrived(pod: string, packet: Uint8Array): void {
    const isV6 = packet[0]! >>> 4 === 6;
    const udpAt = upperAt(packet, udp.PROTOCOL);
    if (udpAt >= 0) {
      this.#delivered(udp.srcPort(packet, udpAt) - FIRST_PORT, 'to', pod, packet, udpAt + udp.HEADER_LEN);
      return;
    }
    const pingAt = upperAt(packet, isV6 ? icmp.PROTOCOL_V6 : icmp.PROTOCOL);
    if (pingAt < 0 || icmp.type(packet, pingAt) !== (isV6 ? icmp.V6_ECHO_REPLY : icmp.ECHO_REPLY)) return;
    this.#delivered(icmp.echoId(packet, pingAt) - FIRST_PORT, 'from', pod, packet, pingAt + icmp.HEADER_LEN);
  }

  /** Packet or answer of flow `id`, if this pod is its `end`: its number begins the data. */
  #delivered(id: number, end: 'from' | 'to', pod: string, packet: Uint8Array, dataAt: number): void {
    const flow = this.#flows[id];
    if (flow?.plan[end].name !== pod) return;
    flow.delivered++;
    this.#watcher.arrived?.(id, u32(packet, dataAt), this.#clock.now() - this.#start);
  }
}
