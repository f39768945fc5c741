/**
 * The three threads of a running node, and what they say to each other.
 *
 * ```text
 *            signals, status, metrics, flows
 *                       main
 *        reload, stop │      ▲ warnings, how the agent stands, what waits
 *                     ▼      │
 *  files ──►       control ──┼──► ip (routes, MTU), own CiliumNode
 *     plans in pieces │      │ statistics, flows
 *                     ▼      │
 *                  data plane ──► links
 *                     └─► control: "I hold plan 7", MTU outside
 * ```
 *
 * The data plane reads no file, parses nothing, derives no key and plans nothing; control does, and may take seconds.
 * Beside messages they share the words of {@link CONTROL}.
 * @module
 */
import type { MessagePort } from 'node:worker_threads';
import type { StrictMode } from '../cilium/config.ts';
import type { SaReport } from '../node/stats.ts';
import type { FlowBatch } from '../observe/flow-recorder.ts';
import type { AgentReport, StateReport } from '../observe/observed.ts';
import type { NodeConfig } from './node-config.ts';
import type { PlanPart } from './plan-delta.ts';
import type { PlaneStats, ReadyFacts } from './running-node.ts';

/**
 * Words of the memory that the threads share: end; batches of flows that main is done with; messages sent to the data
 * plane; two that data plane and control count up while they go round; what control is at, of {@link WORK}; that control
 * has ended, and nothing reserves sequence numbers any more.
 */
export const CONTROL = {
  STOP: 0,
  FLOWS: 1,
  SENT: 2,
  PLANE_BEAT: 3,
  CONTROL_BEAT: 4,
  WORK: 5,
  UNRESERVED: 6,
  WORDS: 7,
} as const;

/** What control may be at. */
export const WORK = ['', 'keys', 'the node list', 'the plan', 'routes'] as const;
export type Work = (typeof WORK)[number];

/** What both workers are started with. */
export interface ThreadData {
  readonly config: NodeConfig;
  /** {@link CONTROL}.WORDS of shared memory. */
  readonly control: Int32Array;
  /** Wakes the data plane; main owns it. */
  readonly wakeFd: number;
  /** To the other worker. */
  readonly port: MessagePort;
  /** The state directory, locked by main; or why there is none. */
  readonly state: StateDir;
}

/** Where SAs' numbers outlive the node. `problem` is absent where the configuration wants no state. */
export type StateDir =
  | { readonly folder: string }
  | { readonly folder?: undefined; readonly problem?: string };

/** What the data plane has to know beside the first plan. */
export interface StartFacts {
  readonly kind: 'start';
  readonly strict?: StrictMode;
  /** The state file: for `StateRows`. Absent where no state is kept. */
  readonly stateFd?: number;
}

/** Control to data plane. */
export type ToPlane =
  | StartFacts
  | PlanPart
  /** The inside interface has this MTU now. */
  | { readonly kind: 'inside-mtu'; readonly mtu: number };

/** Data plane to control. */
export type FromPlane =
  | { readonly kind: 'up'; readonly inside: string; readonly insideMtu: number; readonly outsideMtu: number }
  /** It holds this plan, or, with a problem, still the one before. */
  | { readonly kind: 'held'; readonly number: number; readonly problem?: string }
  | { readonly kind: 'outside-mtu'; readonly mtu: number };

/** Data plane to main. */
export type PlaneMessage =
  | { readonly kind: 'ready'; readonly facts: ReadyFacts }
  /** SAs of the next `stats`. */
  | { readonly kind: 'sas'; readonly sas: readonly SaReport[] }
  /** Without the SAs that came before it. */
  | { readonly kind: 'stats'; readonly stats: PlaneStats }
  | { readonly kind: 'warn'; readonly line: string }
  | { readonly kind: 'flows'; readonly batch: FlowBatch }
  /** Without statistics when it was told to stop before it ran. */
  | { readonly kind: 'stopped'; readonly stats: PlaneStats | undefined }
  | Failure;

/** Control to main. */
export type ControlMessage =
  /** Routes lead to the inside interface, and peers know of the node. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'agent'; readonly report: AgentReport }
  | { readonly kind: 'state'; readonly report: StateReport }
  | { readonly kind: 'warn'; readonly line: string }
  /** Asks for `carried`. */
  | { readonly kind: 'carried' }
  | Failure;

/** Main to control. */
export type ToControl =
  | { readonly kind: 'reload' }
  | { readonly kind: 'stop' }
  /** Packets of the SAs that begin or end at an address, by its text. */
  | { readonly kind: 'carried'; readonly carried: ReadonlyMap<string, number> };

/** A thread that ended by itself. */
export interface Failure {
  readonly kind: 'failed';
  readonly message: string;
  /** A known one, whose message is enough. */
  readonly isOurs: boolean;
}

export function failureOf(error: unknown): Failure {
  const { message, code } = error as Error & { code?: string };
  return { kind: 'failed', message, isOurs: code?.startsWith('ERR_') ?? false };
}
