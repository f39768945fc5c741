/**
 * What there is to observe of one node at one moment: plain data, as its thread reports it.
 * @module
 */
import type { DeviceStats } from '../link/link.ts';
import type { NodeStats } from '../node/stats.ts';
import type { LostLine } from './hubble.ts';

/** A file that an agent reads again and again: keys, or the node list. */
export interface InputReport {
  /** Is what it says now in use? Otherwise the last good one is. */
  readonly good: boolean;
  /** When it could last be used: ms since 1970. */
  readonly lastGood: number;
  /** How often it could not be. */
  readonly failures: number;
}

/** What the agent of a node has to say. */
/** Where sequence numbers and windows outlive the node. */
export interface StateReport {
  /** The file; `null` where no state is kept. */
  readonly file: string | null;
  /** Why none is kept, or why the disk does not have what was written last. */
  readonly problem?: string | undefined;
  /** SAs with a row, and rows that are kept for SAs that are gone. */
  readonly inUse: number;
  readonly idle: number;
}

export interface AgentReport {
  /** Ids of the keys whose SAs are installed, the oldest first. */
  readonly keyIds: readonly number[];
  /** The key id in the keys file, the one that peers are told, and the one that is sent with; 0 for none. */
  readonly currentKey: number;
  readonly advertisedKey: number;
  readonly sendingKey: number;
  readonly peers: number;
  /** Peers that the node list lacks, and that stay because they have traffic. */
  readonly lingering: number;
  readonly keys: InputReport;
  readonly nodes: InputReport;
  /** Plans that the data plane could not take, so that the one before stayed. */
  readonly planFailures: number;
}

/** How the threads of a node are, as main sees it. Times are in seconds. */
export interface ThreadsReport {
  /** Since the thread that carries packets has last gone round; well below 1 unless it hangs. */
  readonly planeSilent: number;
  /** The same of the thread that reads files and plans: it may be seconds while it is at work. */
  readonly controlSilent: number;
  /** What that thread is at, and for how long; an empty text is nothing. */
  readonly work: string;
  readonly workFor: number;
  /** Why that thread has ended, after which nothing is read or planned any more; absent while it runs. */
  readonly controlEnded?: string | undefined;
}

/** What became of the flows that a node's filter wanted. */
export interface FlowsReport {
  readonly written: number;
  /** Lost by where they waited: to be printed (Hubble's `HUBBLE_RING_BUFFER`), to be written (`OBSERVER_EVENTS_QUEUE`). */
  readonly lost: Readonly<Record<LostLine['lost_events']['source'], number>>;
}

/** The program that the node runs in. */
export interface ProgramReport {
  readonly version: string;
  /** The cipher engine. */
  readonly cipher: string;
  /** `node v20.19.0`. */
  readonly runtime: string;
  /** ms since 1970. */
  readonly startedAt: number;
  /** Of all threads. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
}

/** A node, and what belongs to it where it is a real one. */
export interface Observed {
  readonly stats: NodeStats;
  readonly links?: Readonly<Record<'inside' | 'outside', Readonly<DeviceStats>>>;
  /** Absent where SAs come from `ip xfrm` text. */
  readonly agent?: AgentReport;
  readonly threads?: ThreadsReport;
  /** Absent where no flows are wanted. */
  readonly flows?: FlowsReport;
  readonly program?: ProgramReport;
}
