/**
 * Who looks on at a run, packet by packet and step by step: for pictures of it. A report has only sums.
 * @module
 */
import type { AgentEvent } from '../cilium/agent.ts';
import type { DropRow } from '../ipsec/drop.ts';

/** A packet that a node dropped. */
export interface DropEvent {
  readonly node: string;
  /** The node at the other end; undefined where it is not known. */
  readonly peer: string | undefined;
  readonly direction: 'in' | 'out';
  /** The key id that it was to leave with, or the SPI that it came with; 0 for none. */
  readonly keyId: number;
  readonly row: DropRow;
}

/** Called while it happens. Times are ms since the start of the run. */
export interface Watcher {
  /** An agent did something. */
  agent?(node: string, event: AgentEvent, at: number): void;
  /** A pod sends packet `n`, from 0, of a flow of UDP or pings: the flows are in the order of the scenario. */
  sent?(flow: number, n: number, at: number): void;
  /** It arrived as it was sent; of a ping, the answer. */
  arrived?(flow: number, n: number, at: number): void;
  dropped?(drop: DropEvent, at: number): void;
}
