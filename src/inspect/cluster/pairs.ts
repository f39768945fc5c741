/**
 * Every pair of nodes, each way: do both ends hold the same key? One pass over the SAs, one over the tunnels, one over the
 * pairs: no more work than there are states and pairs.
 * @module
 */
import { effectiveKeyId } from '../../cilium/effective-key.ts';
import { MAX_KEY_ID } from '../../cilium/keys.ts';
import type { Cluster } from './cluster.ts';
import { Grown } from './columns.ts';
import { RECEIVER, SENDER } from './sa-table.ts';

/** What can be said of one way between two nodes; of several tunnels the highest number counts. */
export const PAIR = {
  none: 0,
  /** Both ends hold the same key. */
  fine: 1,
  /** They do under the key that is in use, and there is another one: before, or after, or in the middle of a rotation. */
  rotation: 2,
  /** The text of one end is not at hand, or shows neither key nor hash. */
  unjudged: 3,
  /** The receiver has a state, the sender has none. */
  noSender: 4,
  /** Neither has one. */
  neither: 5,
  /** The sender has a state, the receiver has none. */
  noReceiver: 6,
  /** Both have states, none under a key id of the other. */
  outOfStep: 7,
  /** Both have one, and hold different keys. */
  differ: 8,
} as const;

export type PairVerdict = (typeof PAIR)[keyof typeof PAIR];

/** How many pairs, each way counted, are what. */
export interface PairCounts {
  readonly pairs: number;
  readonly fine: number;
  readonly rotation: number;
  readonly differ: number;
  readonly missing: number;
  readonly unjudged: number;
}

/** Two SAs: that of the sender, and that of the receiver, which is the same but where it takes any source. */
export interface Ends {
  readonly sent: number;
  readonly received: number;
}

export class Pairs {
  readonly cluster: Cluster;
  readonly size: number;
  /** SAs of which both ends told their keys, and of those in which they are the same. */
  compared = 0;
  agreeing = 0;
  /** SAs whose ends hold different keys, … */
  readonly differing: Ends[] = [];
  /** … or the same, and another setting: ESN, or the length of the ICV. */
  readonly esnDiffers: Ends[] = [];
  readonly icvDiffers: Ends[] = [];
  readonly #verdicts: Uint8Array;
  /** A tunnel that shows it, plus 1. */
  readonly #shown: Int32Array;
  /** By tunnel: bits of the key ids under which there are states; bit 0 for all other SPIs. */
  readonly outIds: Uint16Array;
  readonly inIds: Uint16Array;
  readonly sameIds: Uint16Array;
  readonly sentIds: Uint16Array;
  /** SAs with an agreeing key, for a closer look: the first ones. */
  readonly sample: Ends[] = [];
  readonly #anyOf = new Grown((n) => new Int32Array(n), -1);

  constructor(cluster: Cluster) {
    this.cluster = cluster;
    this.size = cluster.size;
    this.#verdicts = new Uint8Array(this.size * this.size);
    this.#shown = new Int32Array(this.size * this.size);
    const tunnels = cluster.reader.table.tunnels.size;
    this.outIds = new Uint16Array(tunnels);
    this.inIds = new Uint16Array(tunnels);
    this.sameIds = new Uint16Array(tunnels);
    this.sentIds = new Uint16Array(tunnels);
    const differIds = new Uint16Array(tunnels);
    this.#lookAtSas(differIds);
    this.#lookAtTunnels(differIds);
    this.#lookAtPairs();
  }

  verdict(from: number, to: number): PairVerdict {
    return this.#verdicts[from * this.size + to] as PairVerdict;
  }

  /** A tunnel that shows what is the matter, or -1. */
  tunnel(from: number, to: number): number {
    return this.#shown[from * this.size + to]! - 1;
  }

  counts(): PairCounts {
    const of = new Array<number>(9).fill(0);
    for (const verdict of this.#verdicts) of[verdict]!++;
    return {
      pairs: this.size * (this.size - 1),
      fine: of[PAIR.fine]!,
      rotation: of[PAIR.rotation]!,
      differ: of[PAIR.differ]!,
      missing: of[PAIR.noSender]! + of[PAIR.neither]! + of[PAIR.noReceiver]! + of[PAIR.outOfStep]!,
      unjudged: of[PAIR.unjudged]!,
    };
  }

  #lookAtSas(differIds: Uint16Array): void {
    const { table } = this.cluster.reader;
    this.#findShared();
    for (let sa = 0; sa < table.size; sa++) {
      const tunnel = table.tunnelOf(sa);
      const bit = bitOf(table.spiOf(sa));
      const sends = table.nodeOf(sa, SENDER) >= 0;
      const received = table.nodeOf(sa, RECEIVER) >= 0 ? sa : this.#shared(sa);
      if (sends) this.outIds[tunnel]! |= bit;
      if (sends && table.numberOf(sa, SENDER) > 0) this.sentIds[tunnel]! |= bit;
      if (received < 0) continue;
      this.inIds[tunnel]! |= bit;
      if (!sends || !table.hasHash(sa, SENDER) || !table.hasHash(received, RECEIVER)) continue;
      this.compared++;
      if (!table.isSameKey(sa, SENDER, received, RECEIVER)) {
        differIds[tunnel]! |= bit;
        this.differing.push({ sent: sa, received });
        continue;
      }
      this.agreeing++;
      this.sameIds[tunnel]! |= bit;
      if (this.sample.length < MOST_SAMPLE) this.sample.push({ sent: sa, received });
      if (table.hasEsn(sa, SENDER) !== table.hasEsn(received, RECEIVER))
        this.esnDiffers.push({ sent: sa, received });
      const [ours, theirs] = [table.icvBitsOf(sa, SENDER), table.icvBitsOf(received, RECEIVER)];
      if (ours !== theirs && ours > 0 && theirs > 0) this.icvDiffers.push({ sent: sa, received });
    }
  }

  /** States that take any source, as Cilium had them up to 1.14: by destination. */
  #findShared(): void {
    const { table, addresses } = this.cluster.reader;
    this.#anyOf.reserve(addresses.size);
    for (const any of [new Uint8Array(4), new Uint8Array(16)]) {
      const id = addresses.find(any);
      if (id < 0) continue;
      for (let dst = 0; dst < addresses.size; dst++) {
        const tunnel = table.tunnels.find(id, dst);
        if (tunnel >= 0) this.#anyOf.array[dst] = tunnel;
      }
    }
  }

  #shared(sa: number): number {
    const { table } = this.cluster.reader;
    const tunnel = this.#anyOf.array[table.dstOf(sa)] ?? -1;
    const shared = table.find(tunnel, table.spiOf(sa));
    return shared >= 0 && shared !== sa && table.nodeOf(shared, RECEIVER) >= 0 ? shared : -1;
  }

  #lookAtTunnels(differIds: Uint16Array): void {
    const { cluster } = this;
    const { tunnels } = cluster.reader.table;
    for (let tunnel = 0; tunnel < tunnels.size; tunnel++) {
      const from = cluster.nodeOfAddress(tunnels.one.array[tunnel]!);
      const to = cluster.nodeOfAddress(tunnels.other.array[tunnel]!);
      if (from < 0 || to < 0 || from === to) continue;
      const verdict = this.#verdictOf(tunnel, from, to, differIds[tunnel]! !== 0);
      const at = from * this.size + to;
      // A state that only receives is no trouble where another tunnel sends: in ENI mode there is one of each.
      const before = this.#verdicts[at]!;
      const counts =
        verdict === PAIR.noSender || before === PAIR.noSender ? outranks(before, verdict) : verdict > before;
      if (!counts) continue;
      this.#verdicts[at] = verdict;
      this.#shown[at] = tunnel + 1;
    }
  }

  #verdictOf(tunnel: number, from: number, to: number, differs: boolean): PairVerdict {
    const { cluster } = this;
    const [out, into, same] = [this.outIds[tunnel]!, this.inIds[tunnel]!, this.sameIds[tunnel]!];
    if (differs) return PAIR.differ;
    if (!cluster.hasStates(from) || !cluster.hasStates(to)) return PAIR.unjudged;
    if (out === 0) return PAIR.noSender;
    if (into === 0) return PAIR.noReceiver;
    const both = out & into;
    if (both === 0) return PAIR.outOfStep;
    const used = this.#usedId(from, to);
    const early = out & ~into;
    // It sends with a key that the receiver lacks: told by its counter, where the nodes do not say which key is in use.
    const isAhead =
      early !== 0 &&
      (used > 0 ? (early & bitOf(used)) !== 0 : (early & this.sentIds[tunnel]! & newerThan(both)) !== 0);
    if (isAhead) return PAIR.outOfStep;
    if (used > 0 && (both & bitOf(used)) !== 0 && (same & bitOf(used)) === 0) return PAIR.unjudged;
    if (same === 0) return PAIR.unjudged;
    return isOneBit(out | into) ? PAIR.fine : PAIR.rotation;
  }

  /** The key id that both use by what Kubernetes says of them; 0 where that is not known. */
  #usedId(from: number, to: number): number {
    const ids = [from, to].map((node) => this.cluster.nodes[node]!.cilium?.keyId ?? 0);
    return effectiveKeyId(ids[0]!, ids[1]!);
  }

  #lookAtPairs(): void {
    const { cluster, size } = this;
    for (let from = 0; from < size; from++) {
      for (let to = 0; to < size; to++) {
        const at = from * size + to;
        if (from === to || this.#verdicts[at] !== PAIR.none) continue;
        this.#verdicts[at] = cluster.hasStates(from) && cluster.hasStates(to) ? PAIR.neither : PAIR.unjudged;
      }
    }
  }
}

/** SAs whose keys are compared with those that the Secret yields. */
const MOST_SAMPLE = 20_000;

function outranks(before: number, verdict: number): boolean {
  // Any tunnel that sends counts more than one that does not.
  if (verdict === PAIR.noSender) return before === PAIR.none;
  return before === PAIR.noSender || verdict > before;
}

/** A bit for each of Cilium's key ids, and bit 0 for other SPIs. */
export function bitOf(spi: number): number {
  return spi >= 1 && spi <= MAX_KEY_ID ? 1 << spi : 1;
}

/** The key ids of bits, lowest first; 0 for other SPIs. */
export function idsOf(bits: number): number[] {
  const ids: number[] = [];
  for (let id = 0; id <= MAX_KEY_ID; id++) if ((bits & (1 << id)) !== 0) ids.push(id);
  return ids;
}

function isOneBit(bits: number): boolean {
  return (bits & (bits - 1)) === 0;
}

/** Bits of the ids that come after one of these: 1 after 15. */
function newerThan(bits: number): number {
  let newer = 0;
  for (const id of idsOf(bits)) if (id > 0) newer |= 1 << (id === MAX_KEY_ID ? 1 : id + 1);
  return newer;
}
