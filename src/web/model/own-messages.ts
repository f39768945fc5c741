/**
 * What the page and its worker say to each other.
 * @module
 */
import type { Diagnosis } from '../../inspect/diagnose/finding.ts';
import type { Explanation } from '../../inspect/explain/tree.ts';
import type { OpeningText, Subject } from './own-pieces.ts';

/** Everything that a reader gave. */
export interface OwnInput {
  readonly subject: Subject;
  readonly texts: readonly OpeningText[];
  /** Cilium's version, as `1.18`. */
  readonly cilium: string;
  /** SAs of Cilium's keys are ESP in UDP on this port; left out, in IP, as Cilium has them. */
  readonly udpPort?: number | undefined;
}

/** An ESP packet, as a row of a table: the fields of `decrypt --json`, with packets in words instead of bytes. */
export interface OwnRow {
  readonly frame: number;
  readonly time: string | null;
  readonly src: string;
  readonly dst: string;
  readonly spi: number | null;
  readonly seq: string | null;
  /** `closed` where there is nothing to open it with. */
  readonly verdict: 'ok' | 'drop' | 'closed';
  readonly reason: string | null;
  readonly counter: string | null;
  readonly inner: string | null;
  /** VNI of the VXLAN packet that came out of ESP, and of the one that ESP came in. */
  readonly overlay: number | null;
  readonly carrier: number | null;
}

/** Drops for one reason. */
export interface OwnDrops {
  readonly reason: string;
  /** Row of `/proc/net/xfrm_stat`, or who counts it instead. */
  readonly counter: string;
  readonly look: string;
  readonly count: number;
}

/** What became of the capture. */
export interface OwnResult {
  readonly frames: number;
  readonly esp: number;
  readonly ok: number;
  /** Was there anything to open ESP with? */
  readonly hasSas: boolean;
  readonly drops: readonly OwnDrops[];
  /** Frames without ESP. */
  readonly beside: readonly { readonly what: string; readonly count: number }[];
  readonly warnings: readonly string[];
  /** Why reading ended early, in a sentence. */
  readonly problem: string | null;
  /** Null without SAs. */
  readonly diagnosis: Diagnosis | null;
}

/** What can be saved. */
export type Saved = 'clear' | 'lines' | 'wire';

/** From the page. The first message is `read`; others may follow at any time. */
export type Order =
  | { readonly type: 'read'; readonly input: OwnInput }
  | { readonly type: 'explain'; readonly frame: number }
  | { readonly type: 'save'; readonly what: Saved };

/** From the worker. */
export type Report =
  | { readonly type: 'progress'; readonly of: Order['type']; readonly done: number; readonly size: number }
  | { readonly type: 'rows'; readonly rows: readonly OwnRow[]; readonly dropped: readonly OwnRow[] }
  | { readonly type: 'result'; readonly result: OwnResult }
  | { readonly type: 'explanation'; readonly frame: number; readonly explanation: Explanation }
  | { readonly type: 'saved'; readonly what: Saved; readonly blob: Blob }
  | { readonly type: 'failed'; readonly of: Order['type']; readonly problem: string };
