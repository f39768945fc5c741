/**
 * What came of a scenario, as plain data.
 * @module
 */
import { formatVersion } from '../cilium/version.ts';
import type { Cluster, TimelineEntry } from './cluster.ts';
import type { FlowReport } from './flows.ts';
import type { PeerDrop } from './peer-drops.ts';

/** One node's figures. */
export interface NodeReport {
  readonly node: string;
  /** Packets from its pods, and to them. */
  readonly sent: number;
  readonly delivered: number;
  /** Packets that left as ESP, and in the clear. */
  readonly encrypted: number;
  readonly clear: number;
  /** ESP that came for it, and how much of that was decrypted. */
  readonly esp: number;
  readonly decrypted: number;
  /** Packets that its data plane dropped. */
  readonly dropped: number;
  /** `/proc/net/xfrm_stat`, less zeros. */
  readonly xfrm: Readonly<Record<string, number>>;
}

export interface ScenarioReport {
  readonly scenario: string;
  readonly about: string;
  readonly seed: number;
  readonly cilium: string;
  readonly mode: string;
  readonly engine: string;
  /** ms. */
  readonly duration: number;
  readonly totals: {
    readonly nodes: number;
    /** Packets that pods sent, answers included, and that pods got. */
    readonly sent: number;
    readonly delivered: number;
    /** Delivered, and not as they were sent; answers of nodes ("too big") are among them. */
    readonly changed: number;
    readonly encrypted: number;
    readonly decrypted: number;
    /** Packets that left nodes in the clear. */
    readonly clear: number;
    readonly dropped: number;
    readonly resent: number;
  };
  readonly wire: {
    readonly esp: number;
    readonly clear: number;
    readonly leaks: number;
    readonly lost: number;
    readonly duplicated: number;
    readonly corrupted: number;
    readonly heldBack: number;
    /** Full queue of a line with a bandwidth. */
    readonly full: number;
    /** Stopped by a partition, by a router that carries less, at a node that was off. */
    readonly cut: number;
    readonly tooLong: number;
    readonly down: number;
    readonly injected: number;
    /** Ended in a queue, or without a receiver. */
    readonly stuck: number;
  };
  /** Is every packet accounted for? */
  readonly accounted: boolean;
  readonly drops: readonly PeerDrop[];
  readonly flows: readonly FlowReport[];
  readonly nodes: readonly NodeReport[];
  readonly timeline: readonly TimelineEntry[];
  /** Steps of key rotations. */
  readonly steps: readonly {
    readonly step: string;
    readonly nodes: number;
    readonly first: number;
    readonly last: number;
  }[];
}

/** Puts the figures together. The run must be over. */
export function reportOf(cluster: Cluster): ScenarioReport {
  const { scenario, ledger, wire, underlay, faults, stuck } = cluster;
  const stats = cluster.members.map(({ node }) => node.stats());
  const drops = cluster.observers
    .flatMap((observer) => observer.drops)
    .map((drop) => ({ ...drop, first: rounded(drop.first), last: rounded(drop.last) }));
  const dropped = sum(drops, ({ count }) => count);
  const down = sum(cluster.members, (member) => member.down);
  const nodes = stats.map(
    ({ node, out, in: into, xfrm }): NodeReport => ({
      node,
      sent: out.packets,
      delivered: into.delivered + out.local,
      encrypted: out.encrypted,
      clear: out.clear,
      esp: into.esp,
      decrypted: into.decrypted,
      dropped: sum(drops, (drop) => (drop.node === node ? drop.count : 0)),
      xfrm,
    }),
  );
  /** "Too big" and "time exceeded", which nodes send to pods. */
  const answers = sum(stats, ({ tooBig, timeExceeded }) => tooBig.icmpSent + timeExceeded.icmpSent);
  const came = ledger.sent + faults.duplicated + underlay.injected + answers;
  const went = ledger.arrived + faults.lost + faults.full + dropped + wire.cut + wire.tooLong + down + stuck;
  return {
    scenario: scenario.source,
    about: scenario.about,
    seed: cluster.seed,
    cilium: formatVersion(scenario.version),
    mode: scenario.mode,
    engine: cluster.engine.name,
    duration: scenario.duration,
    totals: {
      nodes: nodes.length,
      sent: ledger.sent,
      delivered: ledger.arrived,
      changed: ledger.arrivals.damaged + ledger.arrivals.altered,
      encrypted: sum(nodes, ({ encrypted }) => encrypted),
      decrypted: sum(nodes, ({ decrypted }) => decrypted),
      clear: sum(nodes, ({ clear }) => clear),
      dropped,
      resent: cluster.flows.resent,
    },
    wire: { ...wire, ...faults, down, injected: underlay.injected, stuck },
    accounted: came === went,
    drops,
    flows: cluster.flows.report(),
    nodes,
    timeline: cluster.timeline.map((entry) => ({ ...entry, at: rounded(entry.at) })),
    steps: [...cluster.steps].map(([step, { count, first, last }]) => ({
      step,
      nodes: count,
      first: rounded(first),
      last: rounded(last),
    })),
  };
}

/** ms, to the microsecond: what lies beyond is noise of the arithmetic. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

function sum<T>(list: readonly T[], figure: (one: T) => number): number {
  return list.reduce((total, one) => total + figure(one), 0);
}
