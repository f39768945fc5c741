/**
 * What a node counts, and the plain object that others read.
 * @module
 */
import { dropRow } from '../ipsec/drop.ts';
import type { SecurityAssociation } from '../ipsec/sa.ts';
import type { Direction } from '../ipsec/spd.ts';
import type { ReassemblyStats } from '../wire/reassembly.ts';
import { DECISIONS, type Decision } from './decisions.ts';
import type { IcmpStats } from './icmp-answers.ts';
import type { PeerDropReport } from './peer-drops.ts';
import type { CutStats } from './too-big.ts';

/** Verdicts are bytes. */
const VERDICTS = 256;

/** One SA, as `ip -s xfrm state` shows it. */
export interface SaReport {
  readonly origin: string;
  readonly direction: 'in' | 'out' | undefined;
  /** The node at the other end; null where an SA is for all of them, or no node has its address. */
  readonly peer: string | null;
  readonly src: string;
  readonly dst: string;
  readonly spi: number;
  readonly reqid: number;
  readonly esn: boolean;
  /** Numbers in the replay window; 0 is off. */
  readonly window: number;
  /** Packets carried, and bytes of inner packets. */
  readonly packets: number;
  readonly bytes: number;
  /** Last number sent (out), or highest number accepted (in), as two halves. */
  readonly seqHi: number;
  readonly seqLo: number;
  /** In: numbers that left the window and never came; not known without a window. */
  readonly lost: number;
  /** In: packets accepted though one with a higher number had been before; not known without a window. */
  readonly late: number;
  readonly replayWindow: number;
  readonly replay: number;
  readonly failed: number;
}

/** A node's figures at one moment. Only counts that are not 0 are listed where names are the keys. */
export interface NodeStats {
  readonly node: string;
  /** Packets from the pods here. Every one is in exactly one of the next four, or in {@link drops}. */
  readonly out: {
    readonly packets: number;
    /** Left as ESP. */
    readonly encrypted: number;
    /** Left in the clear. */
    readonly clear: number;
    /** Went to a pod here. */
    readonly local: number;
    /** Met a full queue, outside or at a pod. */
    readonly refused: number;
    readonly drops: Readonly<Record<string, number>>;
  };
  /** Frames from outside. Frames and reassembled packets are fragments, delivered, refused, or dropped. */
  readonly in: {
    readonly packets: number;
    readonly fragments: number;
    readonly reassembled: number;
    /** ESP for this node. */
    readonly esp: number;
    /** Of these, decrypted. */
    readonly decrypted: number;
    /** For pods, without IPsec. */
    readonly clear: number;
    readonly delivered: number;
    readonly refused: number;
    readonly drops: Readonly<Record<string, number>>;
  };
  /** Decisions about packets from the pods here. */
  readonly decisions: Readonly<Partial<Record<Decision, number>>>;
  /** Both directions, under the names of `/proc/net/xfrm_stat`. */
  readonly xfrm: Readonly<Record<string, number>>;
  /** The drops of both directions, by the node at the other end. */
  readonly peerDrops: readonly PeerDropReport[];
  /** Policies by direction, as `ip xfrm policy` would list them. */
  readonly policies: Readonly<Record<Direction, number>>;
  /** Different keys over all SAs. */
  readonly keys: number;
  readonly pods: readonly { readonly name: string; readonly delivered: number; readonly refused: number }[];
  readonly sas: readonly SaReport[];
  readonly reassembly: Readonly<ReassemblyStats>;
  /** What became of packets that did not fit. */
  readonly tooBig: Readonly<IcmpStats & CutStats>;
  /** What their senders were told of packets whose hops were used up. */
  readonly timeExceeded: Readonly<IcmpStats>;
}

/** What a node counts while it carries packets. */
export class NodeCounters {
  readonly out = { packets: 0, encrypted: 0, clear: 0, local: 0, refused: 0 };
  readonly in = {
    ...{ packets: 0, fragments: 0, reassembled: 0, esp: 0, decrypted: 0, clear: 0, delivered: 0, refused: 0 },
  };
  /** Drops of each direction by verdict, and decisions by code. */
  readonly outDrops = new Float64Array(VERDICTS);
  readonly inDrops = new Float64Array(VERDICTS);
  readonly decisions = new Float64Array(DECISIONS.length);

  /** The figures that are made of these. */
  report(): Pick<NodeStats, 'out' | 'in' | 'decisions' | 'xfrm'> {
    const decisions: Partial<Record<Decision, number>> = {};
    DECISIONS.forEach(({ name }, code) => {
      if (this.decisions[code]! > 0) decisions[name] = this.decisions[code]!;
    });
    const xfrm: Record<string, number> = {};
    const out = { ...this.out, drops: byReason(this.outDrops, xfrm) };
    return { out, in: { ...this.in, drops: byReason(this.inDrops, xfrm) }, decisions, xfrm };
  }
}

/** @param xfrm gets the same by the kernel's counter */
function byReason(drops: Float64Array, xfrm: Record<string, number>): Record<string, number> {
  const counts: Record<string, number> = {};
  drops.forEach((count, verdict) => {
    const row = dropRow(verdict);
    if (count === 0 || !row) return;
    counts[row.reason] = count;
    if (row.counter) xfrm[row.counter] = (xfrm[row.counter] ?? 0) + count;
  });
  return counts;
}

/** @param peer the node at the other end */
export function saReport(sa: SecurityAssociation, peer: string | undefined): SaReport {
  const { config, life, sequence, window, stats } = sa;
  const isOut = config.direction === 'out';
  return {
    origin: config.origin,
    direction: config.direction,
    peer: peer ?? null,
    src: sa.srcText,
    dst: sa.dstText,
    spi: config.spi,
    reqid: config.reqid,
    esn: config.esn,
    window: config.replayWindow,
    packets: life.packets,
    bytes: life.bytes,
    seqHi: isOut ? sequence.hi : window.topHi,
    seqLo: isOut ? sequence.lo : window.topLo,
    lost: isOut ? 0 : window.lost,
    late: isOut ? 0 : window.late,
    replayWindow: stats.replayWindow,
    replay: stats.replay,
    failed: stats.failed,
  };
}
