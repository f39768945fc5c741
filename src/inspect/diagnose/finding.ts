/**
 * What a diagnosis consists of: the JSON of `esplane diagnose`, a contract that others rely on.
 * @module
 */
import { type FrameNames, numberOf } from '../../capture/frame-id.ts';
import type { Basis } from '../basis.ts';
import type { PlacesReport } from '../places/report.ts';
import type { FindingCode } from './table.ts';

export type Severity = 'error' | 'warning' | 'info';

/** Something that is wrong, with what proves it. */
export interface Finding {
  /** Stable: scripts may rely on it. */
  readonly code: FindingCode;
  /** `error`: traffic is lost or exposed; `warning`: it is at risk, or may be; `info`: good to know. */
  readonly severity: Severity;
  /** How it is known. */
  readonly basis: Basis;
  /** The node that it is about, by name, or by address where no source names it; null where it is about none. */
  readonly node: string | null;
  /** Addresses: of the tunnel's ends, or of pods where packets were in the clear; null where it is not about one way. */
  readonly src: string | null;
  readonly dst: string | null;
  readonly spi: number | null;
  /** The row of `/proc/net/xfrm_stat` that these packets raise at that node; null where none is known to rise. */
  readonly counter: string | null;
  /** Packets, or whatever the summary counts; 0 where it is about none of this capture. */
  readonly count: number;
  /** Frames of the first and the last of them, 1-based; null where they are not known. */
  readonly first: number | null;
  readonly last: number | null;
  /** When these two came, in seconds since 1970: `1795394867.120034`; null where that is not known. */
  readonly firstTime: string | null;
  readonly lastTime: string | null;
  /** 1-based numbers of frames that show it: the first ones, at most {@link MAX_FRAMES}. */
  readonly frames: readonly number[];
  /** What says so: `the capture`, `FILE:LINE` of a state, a key or a policy, names of files. */
  readonly evidence: readonly string[];
  /** One or two sentences with the figures. */
  readonly summary: string;
  readonly remedy: string;
}

/** A finding names no more frames than this. */
export const MAX_FRAMES = 20;

/** A node that receives, and what its kernel counts. */
export interface ReceiverReport {
  /** Outer destination: the first one seen, where a node has several. */
  readonly address: string;
  /** Its name, where the nodes are known. */
  readonly node: string | null;
  /** `told` where its own text says what SAs it has; `assumed`: so it would count if it has those that others say. */
  readonly basis: Exclude<Basis, 'seen'>;
  /** ESP packets to it, and how many of them are known to be accepted or dropped: the counters are of these. */
  readonly packets: number;
  readonly judged: number;
  /** Rows of `/proc/net/xfrm_stat` that are not zero. */
  readonly counters: Readonly<Record<string, number>>;
}

/** One direction of one tunnel under one SPI. */
export interface StreamReport {
  readonly src: string;
  readonly dst: string;
  readonly spi: number;
  /** ESP packets in the capture. */
  readonly packets: number;
  /** Of them accepted by the receiver. */
  readonly ok: number;
  /** Opened, and no ICV vouches for them, since the source names no integrity key: what the receiver does is not known. Absent where 0. */
  readonly unauthenticated?: number;
  /** In IP-TFS the packets that came out of them. Absent in other modes. */
  readonly inners?: number;
  /** How what its receiver does is known. */
  readonly basis: Exclude<Basis, 'seen'>;
  /** Is it known which of its packets are accepted? Else numbers are those on the wire, which anyone can write. */
  readonly judged: boolean;
  /** Lowest and highest authentic number, in decimal, or those on the wire where nothing is authentic. */
  readonly seqFirst: string | null;
  readonly seqLast: string | null;
  /** Numbers between the first packet's and the highest that never came by. This, and what follows, is null where it is not known. */
  readonly missing: number | null;
  /** Packets whose number had been accepted before. */
  readonly duplicates: number | null;
  /** Authentic packets that were left of the window. */
  readonly late: number | null;
  /** Accepted packets with a lower number than one before them. */
  readonly reordered: number | null;
  /** How far below the window the latest of the late ones was, in numbers. */
  readonly beyondWindow: number | null;
}

/** Streams that are not told apart, because they are too many. */
export interface FurtherReport {
  /** At least so many. */
  readonly streams: number;
  readonly packets: number;
}

/** What can be said of the whole. */
export interface Conclusion {
  /**
   * `findings`: see them; `clean`: all ESP packets were judged, and nothing is wrong; `partial`: so with those that were;
   * `unchecked`: none could be; `no-esp`: there is none.
   */
  readonly code: 'findings' | 'clean' | 'partial' | 'unchecked' | 'no-esp';
  /** `told` where every ESP packet was judged by what the receivers' own kernels hold. */
  readonly basis: Exclude<Basis, 'seen'>;
  /** ESP packets, and how many of them are known to be accepted or dropped. */
  readonly packets: number;
  readonly judged: number;
  /** Sentences; none where the findings say all. */
  readonly summary: string;
}

/** What ESP carried from one pod to another under one SA. */
export interface CarriedReport {
  readonly src: string;
  readonly dst: string;
  /** Their nodes, by name, or by address where no source names them. */
  readonly from: string;
  readonly to: string;
  /** Cilium's key id. */
  readonly spi: number;
  /** As Linux's crypto layer calls it: `rfc4106(gcm(aes))`. */
  readonly suite: string | null;
  readonly keyBits: number | null;
  readonly icvBits: number | null;
  readonly packets: number;
}

/** Packets between pods of different nodes. */
export interface EncryptionReport {
  /** Those that were opened, with an ICV that is right. */
  readonly esp: number;
  readonly clear: number;
  /** ESP packets that were not opened, of all senders. */
  readonly unopened: number;
  /** ESP packets that were opened and not checked, of all senders: any may be forged. */
  readonly unauthenticated: number;
  /** Those in ESP, most packets first; at most 1000 of them. */
  readonly pairs: readonly CarriedReport[];
}

/** Where there are several captures: the files of the frames that a finding names, in the same order. */
export interface FindingFiles {
  readonly files: readonly string[];
  readonly firstFile: string | null;
  readonly lastFile: string | null;
}

/** The same diagnosis where there are several captures: frames have the numbers that they have in their files. */
export function withFiles(diagnosis: Diagnosis, names: FrameNames): Diagnosis {
  if (!names.areSeveral) return diagnosis;
  const inFiles = (finding: Finding) => findingWithFiles(finding, names);
  const { findings, notes } = diagnosis;
  return { ...diagnosis, findings: findings.map(inFiles), notes: notes.map(inFiles) };
}

function findingWithFiles(finding: Finding, names: FrameNames): Finding & FindingFiles {
  const { frames, first, last } = finding;
  const own = (id: number | null) => (id === null ? null : numberOf(id));
  const file = (id: number | null) => (id === null ? null : names.file(id));
  return {
    ...finding,
    first: own(first),
    firstFile: file(first),
    last: own(last),
    lastFile: file(last),
    frames: frames.map(numberOf),
    files: frames.map((id) => names.file(id)),
  };
}

/** `places`, `clocks` and `ways` are there where captures of several places were given. */
export interface Diagnosis extends Partial<PlacesReport> {
  readonly conclusion: Conclusion;
  /** Null where no packet between pods of different nodes was seen, or none could be opened. */
  readonly encryption: EncryptionReport | null;
  /** Absent where all streams are listed. */
  readonly further?: FurtherReport;
  /** How much a filter left out; absent where there was none. */
  readonly leftOut?: Readonly<Record<'findings' | 'notes' | 'streams' | 'receivers', number>>;
  readonly receivers: readonly ReceiverReport[];
  readonly streams: readonly StreamReport[];
  /** Most important first. */
  readonly findings: readonly Finding[];
  /** What one should know when reading this capture, though nothing is wrong. */
  readonly notes: readonly Finding[];
}
