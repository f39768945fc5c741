/**
 * The demo: what Cilium's IPsec does, in one short run. A ping followed stage by stage, traffic that is encrypted
 * and traffic that is not, a replay and a tampered packet; and at the end everything counted and compared.
 *
 * Nothing here needs a network, rights, or the time of day: the same seed gives the same run, byte for byte.
 * @module
 */
import { flipBit } from '../base/bytes.ts';
import type { Engine } from '../crypto/engine.ts';
import { DROPS } from '../ipsec/drop.ts';
import type { Impairments } from '../link/impair.ts';
import type { NodeStats } from '../node/stats.ts';
import * as icmp from '../wire/icmp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as udp from '../wire/udp.ts';
import { type Check, checkRun, type DropCount } from './demo-checks.ts';
import type { DemoCluster, HostName } from './demo-cluster.ts';
import { DemoNetwork, type RunRecorder } from './demo-network.ts';
import { PORT_ECHO } from './host.ts';
import { TcpEnd } from './tcp-end.ts';
import type { TraceStep } from './trace.ts';
import { type Flow, reverse, text, udpPacket } from './traffic.ts';

/** What `ping` sends by default. */
const PING_DATA = 56;
const PORT_HTTP = 80;
const PORT_SYSLOG = 514;

export interface DemoOptions {
  readonly cluster: DemoCluster;
  /** For chance: node ids, IVs, faults of the wire. */
  readonly seed: number;
  readonly engine: Engine;
  /** IPv4 unless told otherwise. */
  readonly family?: 4 | 6;
  /** Of every line to the wire. */
  readonly impairments?: Impairments;
  readonly recorder?: RunRecorder | undefined;
}

/** One part of the run. */
export interface Exchange {
  readonly name: string;
  /** How it crosses, or what becomes of it. */
  readonly way: 'encrypted' | 'clear' | 'dropped';
  readonly note: string;
  /** Packets that hosts sent, answers included. */
  readonly sent: number;
  readonly delivered: number;
  /** Frames on the wire. */
  readonly esp: number;
  readonly clear: number;
  readonly drops: readonly DropCount[];
}

export interface DemoResult {
  readonly seed: number;
  readonly family: 4 | 6;
  readonly engine: string;
  readonly suite: string;
  readonly impairments: Impairments;
  /** A ping, stage by stage. */
  readonly trace: readonly TraceStep[];
  readonly exchanges: readonly Exchange[];
  readonly totals: {
    readonly sent: number;
    readonly delivered: number;
    readonly identical: number;
    /** Not what was sent, and found by the packet's own checksum, or not at all: in the clear only. */
    readonly damaged: number;
    readonly altered: number;
    readonly encrypted: number;
    readonly esp: number;
    readonly clear: number;
    readonly lost: number;
    readonly duplicated: number;
    readonly corrupted: number;
    readonly replayed: number;
    readonly tampered: number;
    /** For an address that no host has, or in a full queue. */
    readonly nowhere: number;
    readonly resent: number;
  };
  readonly drops: readonly DropCount[];
  readonly checks: readonly Check[];
  readonly nodes: readonly NodeStats[];
  /** Did every check hold? */
  readonly ok: boolean;
}

/** Runs it. */
export function runDemo({
  cluster,
  seed,
  engine,
  family = 4,
  impairments = {},
  recorder,
}: DemoOptions): DemoResult {
  const net = new DemoNetwork({ cluster, seed, engine, impairments, recorder });
  const { client, web } = net.hosts;
  const exchanges: Exchange[] = [];
  const conversations: TcpEnd[] = [];
  let tampered = 0;
  /** The last ESP frame on its way to node-2. */
  let lastEsp: Uint8Array | undefined;
  const remember = (b: Uint8Array, at: number, end: number, to: string) => {
    if (to === 'node-2') lastEsp = b.slice(at, end);
  };
  net.onEsp = remember;

  /** Does a part of the run, and notes what was counted during it. */
  const exchange = (name: string, way: Exchange['way'], note: string, act: () => void) => {
    const before = count(net);
    act();
    net.settle(500);
    const after = count(net);
    exchanges.push({
      name,
      way,
      note,
      sent: after.sent - before.sent,
      delivered: after.delivered - before.delivered,
      esp: after.esp - before.esp,
      clear: after.clear - before.clear,
      drops: newDrops(before.drops, after.drops),
    });
  };
  const ping = (to: HostName, times: number, isFollowed = false) => {
    for (let seq = 1; seq <= times; seq++) {
      const packet = icmp.echoPacket({
        src: client.address(family),
        dst: net.hosts[to].address(family),
        reply: false,
        id: 0xe5b,
        seq,
        data: text(PING_DATA),
      });
      if (isFollowed && seq === 1) {
        net.tracer.follow('client', packet, 'ping');
        web.onArrival = (arrived, arrival) => net.tracer.arrived('web', arrived, arrival === 'identical');
        recorder?.comment('the ping that the demo follows, in the clear');
      }
      client.send(packet);
      net.settle(1000);
      net.tracer.stop();
    }
  };
  const flow = (dstPort: number, srcPort: number): Flow => ({
    src: client.address(family),
    dst: web.address(family),
    srcPort,
    dstPort,
  });

  exchange('ping client - web', 'encrypted', 'two nodes', () => ping('web', 3, true));
  web.onArrival = undefined;
  exchange('ping client - cache', 'clear', 'same node: never on the wire', () => ping('cache', 2));
  exchange('ping client - database', 'clear', 'not in the cluster', () => ping('database', 2));

  const headers = (family === 4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN) + udp.HEADER_LEN;
  const sizes = [1, 2, 3, 4, 100, 512, 1000, net.podMtu - headers];
  exchange('UDP echo client - web', 'encrypted', `payloads of 1 to ${sizes.at(-1)} bytes`, () => {
    client.send(...sizes.map((size, i) => udpPacket(flow(PORT_ECHO, 40_000 + i), text(size))));
  });

  exchange('TCP client - web', 'encrypted', 'open, request, answer, close', () => {
    const there = flow(PORT_HTTP, 51_000);
    const [request, answer] = [text(200), text(2500)];
    const ends = [
      new TcpEnd({ flow: there, first: 1000, role: 'client', say: request, expect: answer }),
      new TcpEnd({
        flow: reverse(there),
        first: 4_294_967_000,
        role: 'server',
        say: answer,
        expect: request,
      }),
    ] as const;
    conversations.push(...ends);
    web.join(ends[1], false);
    client.join(ends[0], true);
  });

  exchange('replay: an ESP packet again', 'dropped', 'its number was seen', () => {
    if (!lastEsp) return;
    recorder?.comment('a replay: node-2 has seen this number');
    net.underlay.inject(lastEsp);
  });

  exchange('tampering: one bit flipped', 'dropped', 'its ICV is wrong', () => {
    net.onEsp = (b, at, end) => {
      net.onEsp = remember;
      tampered++;
      // In the middle of the ciphertext.
      flipBit(b, ((at + end) >>> 1) * 8);
      recorder?.comment('tampered with: one bit of the ciphertext is flipped');
    };
    client.send(udpPacket(flow(PORT_SYSLOG, 42_000), text(200)));
  });
  net.onEsp = remember;
  net.settle();

  const { ledger, faults } = net;
  const drops = dropsOf(net);
  const nodes = net.nodes.map((node) => node.stats());
  const checks = checkRun(net, drops, {
    isClean: isHarmless(impairments),
    mayDamage: (impairments.corrupt ?? 0) > 0,
    tampered,
    conversations: conversations.length / 2,
    finished: conversations.every((end) => end.isDone) ? conversations.length / 2 : 0,
  });
  return {
    seed,
    family,
    engine: engine.name,
    suite: cluster.keys[0]?.material.suite.name ?? '',
    impairments,
    trace: net.tracer.steps,
    exchanges,
    totals: {
      sent: ledger.sent,
      delivered: ledger.arrived,
      ...ledger.arrivals,
      encrypted: nodes.reduce((sum, { out }) => sum + out.encrypted, 0),
      esp: net.wire.esp,
      clear: net.wire.clear,
      ...faults,
      replayed: net.underlay.injected,
      tampered,
      nowhere: net.underlay.nowhere + net.stuck,
      resent: conversations.reduce((sum, { resent }) => sum + resent, 0),
    },
    drops,
    checks,
    nodes,
    ok: checks.every(({ ok }) => ok),
  };
}

/** Does nothing get lost, doubled, damaged or out of order? */
function isHarmless({ loss = 0, duplicate = 0, corrupt = 0, jitter = 0 }: Impairments): boolean {
  return loss === 0 && duplicate === 0 && corrupt === 0 && jitter === 0;
}

interface Counts {
  readonly sent: number;
  readonly delivered: number;
  readonly esp: number;
  readonly clear: number;
  readonly drops: readonly DropCount[];
}

function count(net: DemoNetwork): Counts {
  const { ledger, wire } = net;
  return {
    sent: ledger.sent,
    delivered: ledger.arrived,
    esp: wire.esp,
    clear: wire.clear,
    drops: dropsOf(net),
  };
}

/** What both nodes dropped so far, in the order of the drop table. */
function dropsOf(net: DemoNetwork): DropCount[] {
  return net.nodes.flatMap((node) => {
    const { out, in: into } = node.stats();
    return DROPS.flatMap((row): DropCount[] => {
      const dropped = (out.drops[row.reason] ?? 0) + (into.drops[row.reason] ?? 0);
      const counter = row.counter ?? row.elsewhere;
      return dropped > 0 ? [{ node: node.name, reason: row.reason, counter, count: dropped }] : [];
    });
  });
}

function newDrops(before: readonly DropCount[], after: readonly DropCount[]): DropCount[] {
  return after.flatMap((drop) => {
    const had = before.find(({ node, reason }) => node === drop.node && reason === drop.reason)?.count ?? 0;
    return drop.count > had ? [{ ...drop, count: drop.count - had }] : [];
  });
}
