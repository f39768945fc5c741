/**
 * Collects the flows of one node or several until they are taken, and counts those for which there is no room.
 * @module
 */
import type { Clock } from '../base/clock.ts';
import { Connections } from './connections.ts';
import { type FlowFilter, isWanted } from './flow-filter.ts';
import { AT, FlowRows, ROW } from './flow-rows.ts';

/** Flows that wait at most. */
const CAPACITY = 16_384;
const CONNECTIONS = 65_536;
const MAX_NAMES = 0xffff;

export interface FlowRecorderOptions {
  readonly clock: Pick<Clock, 'now'>;
  /** Flows that wait at most. */
  readonly capacity?: number;
  /** Connections whose first packet is remembered; a power of two. */
  readonly connections?: number;
  readonly filter?: FlowFilter;
  /** Also where packets come from (`from-endpoint`, `from-network`): Cilium's monitor aggregation `none`, not `low`. */
  readonly all?: boolean;
  /** There is no more room: takes the flows at once. Left out, those that come then are lost. */
  readonly onFull?: () => void;
}

/** What waited, for another thread: plain data. */
export interface FlowBatch {
  /** Rows of {@link FlowRows}. */
  readonly rows: ArrayBuffer;
  /** Names that rows from here on use, after those of the batches before. */
  readonly names: readonly string[];
  /** Flows that were lost since the batch before. */
  readonly lost: number;
}

export class FlowRecorder {
  readonly clock: Pick<Clock, 'now'>;
  readonly all: boolean;
  /** No filter wants what goes its way: it need not be looked at. */
  readonly dropsOnly: boolean;
  readonly connections: Connections;
  readonly #rows: FlowRows;
  readonly #filter: FlowFilter | undefined;
  readonly #onFull: (() => void) | undefined;
  readonly #places = new Map<string, number>([['', 0]]);
  #newNames: string[] = [];
  #lost = 0;

  constructor({
    clock,
    capacity = CAPACITY,
    connections = CONNECTIONS,
    filter,
    all = false,
    onFull,
  }: FlowRecorderOptions) {
    this.clock = clock;
    this.all = all;
    this.dropsOnly = filter?.verdict === 'DROPPED';
    this.connections = new Connections(connections);
    this.#rows = new FlowRows(capacity);
    this.#filter = filter;
    this.#onFull = onFull;
  }

  /** The number that stands for a name in rows; 0 for none, and for more names than fit. */
  nameOf(name: string | undefined): number {
    if (name === undefined) return 0;
    const known = this.#places.get(name);
    if (known !== undefined) return known;
    if (this.#places.size > MAX_NAMES) return 0;
    const place = this.#places.size;
    this.#places.set(name, place);
    this.#newNames.push(name);
    return place;
  }

  /** Takes a row as a flow that is seen at a point now. */
  add(from: FlowRows, row: number, point: number): void {
    const at = row * ROW;
    from.bytes[at + AT.POINT] = point;
    if (this.#filter && !isWanted(this.#filter, from, at)) return;
    let to = this.#rows.push(from, row);
    if (to < 0 && this.#onFull) {
      this.#onFull();
      to = this.#rows.push(from, row);
    }
    if (to < 0) this.#lost++;
    else this.#rows.view.setFloat64(to + AT.TIME, this.clock.now());
  }

  /** What waits, or `undefined` when nothing does. */
  take(): FlowBatch | undefined {
    if (this.#rows.count === 0 && this.#lost === 0) return undefined;
    const batch = { rows: this.#rows.take(), names: this.#newNames, lost: this.#lost };
    this.#newNames = [];
    this.#lost = 0;
    return batch;
  }
}
