/**
 * What `esplane check` says: its JSON, a contract that others rely on.
 * @module
 */
import type { Basis } from '../basis.ts';

/** `encrypted`: all of it was in ESP; `clear`: none; `mixed`: some; `open`: this place does not show it. */
export type PairVerdict = 'encrypted' | 'clear' | 'mixed' | 'open';

/** What packets of one key id were encrypted with. */
export interface CheckedSa {
  readonly spi: number;
  readonly packets: number;
  /** As Linux's crypto layer calls it; null where no source tells. */
  readonly suite: string | null;
  readonly keyBits: number | null;
  /** How the suite is known: it opened packets (`seen`), or a source says so. Null with it. */
  readonly basis: Basis | null;
}

/** Packets from one node to another. */
export interface NodePair {
  /** By name, or by address where no source names them. */
  readonly from: string;
  readonly to: string;
  /** Are both ends nodes that a source names? */
  readonly known: boolean;
  /** In ESP, of whatever they carry. */
  readonly esp: number;
  /** Of them those that anyone can read: their suite does not encrypt, or they were taken before the NIC that encrypts. */
  readonly readable: number;
  /** In the clear between pods of these nodes. */
  readonly clear: number;
  /** In the clear as the pod sends or gets them: whether they were encrypted on the way is not known. */
  readonly atPod: number;
  /** In the clear, each beside an ESP packet that fits: as it seems the same packets before or after encryption. */
  readonly copies: number;
  /** In the clear, some beside ESP packets that fit: copies or not, that cannot be told without keys. */
  readonly open: number;
  readonly verdict: PairVerdict;
  /** ESP packets with an SPI, verdict and reason that is asked for; null where none is. */
  readonly fitting: number | null;
  /** Most packets first; those that are asked for. */
  readonly sas: readonly CheckedSa[];
}

/** Packets from one pod to another, on another node. */
export interface PodPair {
  readonly src: string;
  readonly dst: string;
  /** `NAMESPACE/NAME` of both; null where no source tells. */
  readonly srcPod: string | null;
  readonly dstPod: string | null;
  /** Their nodes. */
  readonly from: string;
  readonly to: string;
  /** That came out of ESP; 0 where no key is at hand. */
  readonly esp: number;
  readonly clear: number;
  readonly atPod: number;
  readonly copies: number;
  readonly open: number;
  readonly verdict: PairVerdict;
  /** As in {@link NodePair}. */
  readonly fitting: number | null;
  /** Frames of the first and the last in the clear; null where there is none. */
  readonly first: number | null;
  readonly last: number | null;
  /** Seconds since 1970, of both, as far as they are known. */
  readonly firstTime: string | null;
  readonly lastTime: string | null;
}

/** Packets in the clear that need not be in ESP, by why. */
export interface Beside {
  /** Between pods of one node. */
  readonly sameNode: number;
  /** To or from a node itself: its own traffic, host-network pods, health checks, NodePort. Cilium does not encrypt it. */
  readonly host: number;
  /** To or from an address that no node has: outside the cluster, or on a machine without an agent. */
  readonly outside: number;
  /** Between addresses of which it is not known whether they are pods'. */
  readonly unknown: number;
}

/** What a filter left out: packets that were not asked for. */
export interface LeftOut {
  /** Not asked for by their time or number. */
  readonly frames: number;
  readonly esp: number;
  /** In ESP that no key opened: they may be of pods that are asked for. Not in {@link esp}. */
  readonly unopened: number;
  /** In the clear between pods of different nodes. */
  readonly clear: number;
  /** In the clear, and copies or not, that cannot be told. */
  readonly open: number;
}

/** What SPIs, verdicts and reasons that are asked for leave out of the rows. The summary counts all of it. */
export interface HiddenRows {
  /** Pairs of nodes. */
  readonly nodes: number;
  /** Pairs of pods. */
  readonly pods: number;
  /** Packets in the clear of those pairs of nodes. */
  readonly clear: number;
  /** A verdict is asked for that only keys give, and no packet has one. */
  readonly needsKeys: boolean;
}

/** Of what is asked for: see {@link LeftOut}. */
export interface CheckSummary {
  readonly verdict: 'encrypted' | 'not-encrypted' | 'not-judged';
  /** `seen` where nothing that it rests on is assumed. */
  readonly basis: Exclude<Basis, 'told'>;
  /** One sentence. */
  readonly summary: string;
  readonly frames: number;
  readonly esp: number;
  readonly clear: number;
  readonly readable: number;
  readonly open: number;
  readonly beside: Beside;
  /** Null without a filter. */
  readonly leftOut: LeftOut | null;
  /** Null where no SPI, verdict or reason is asked for. */
  readonly hidden: HiddenRows | null;
  /** Sentences: what nodes dropped, by Hubble's flows, as it was not encrypted or could not be. It changes no verdict. */
  readonly hubble: readonly string[];
  /** Sentences: what this capture does not show, and what to give. */
  readonly unknown: readonly string[];
}

export interface CheckReport {
  readonly summary: CheckSummary;
  /** Most packets in the clear first, then most in ESP. */
  readonly nodes: readonly NodePair[];
  readonly pods: readonly PodPair[];
}
