/**
 * A link inside this process: two ends, a bounded queue and a delay in each direction.
 *
 * Frames arrive by the clock, never during {@link Link.send}: with a `VirtualClock` a run is the same on every
 * machine.
 * @module
 */
import type { Clock } from '../base/clock.ts';
import { type Batch, ON } from '../wire/packet.ts';
import type { Link, Receiver } from './link.ts';
import { BatchPool } from './pool.ts';

const ETHERNET_HEADER = 14;

export interface MemoryOptions {
  /** Name of the pair; its ends add `.a` and `.b`. */
  readonly name?: string;
  readonly medium?: Link['medium'];
  readonly mtu?: number;
  /** From one end to the other, ms. */
  readonly delay?: number;
  /** Frames that may be on the way in one direction. */
  readonly queue?: number;
}

/** What one end has sent so far. */
export interface MemoryStats {
  /** Frames that the receiver at the other end got. */
  delivered: number;
  /** Frames longer than the link carries. */
  tooBig: number;
  /** Frames that met a full queue. */
  full: number;
  /** Frames that arrived without a receiver. */
  unheard: number;
}

/** One end of a pair. */
export interface MemoryLink extends Link {
  readonly stats: Readonly<MemoryStats>;
}

/** Makes two ends that are joined: what one sends, the other receives. */
export function memoryPair(
  clock: Clock,
  { name = 'memory', medium = 'ip', mtu = 1500, delay = 0, queue = 1024 }: MemoryOptions = {},
): { readonly a: MemoryLink; readonly b: MemoryLink } {
  const maxFrame = mtu + (medium === 'ethernet' ? ETHERNET_HEADER : 0);
  const make = (end: string) => new MemoryEnd(`${name}.${end}`, medium, mtu, maxFrame, clock, delay, queue);
  const a = make('a');
  const b = make('b');
  a.join(b);
  b.join(a);
  return { a, b };
}

class MemoryEnd implements MemoryLink {
  readonly name: string;
  readonly medium: Link['medium'];
  readonly mtu: number;
  readonly stats: MemoryStats = { delivered: 0, tooBig: 0, full: 0, unheard: 0 };
  readonly #maxFrame: number;
  readonly #clock: Clock;
  readonly #delay: number;
  readonly #queue: number;
  readonly #pool: BatchPool;
  #peer: MemoryEnd = this;
  #receiver: Receiver | undefined;
  #onTheWay = 0;
  #isClosed = false;

  constructor(
    name: string,
    medium: Link['medium'],
    mtu: number,
    maxFrame: number,
    clock: Clock,
    delay: number,
    queue: number,
  ) {
    this.name = name;
    this.medium = medium;
    this.mtu = mtu;
    this.#maxFrame = maxFrame;
    this.#clock = clock;
    this.#delay = delay;
    this.#queue = queue;
    this.#pool = new BatchPool({ maxPacket: maxFrame });
  }

  join(peer: MemoryEnd): void {
    this.#peer = peer;
  }

  send(batch: Batch, next: number = ON): number {
    let taken = 0;
    let out: Batch | undefined;
    for (let i = 0; i < batch.count; i++) {
      if (batch.next[i] !== next) continue;
      if (this.#isClosed || this.#onTheWay >= this.#queue) {
        this.stats.full++;
        continue;
      }
      taken++;
      const len = batch.length[i]!;
      if (len > this.#maxFrame) {
        this.stats.tooBig++;
        continue;
      }
      out ??= this.#pool.take();
      const at = batch.offset[i]!;
      out.push(batch.slab, at, at + len);
      this.#onTheWay++;
      if (out.count === out.capacity) {
        this.#carry(out);
        out = undefined;
      }
    }
    if (out) this.#carry(out);
    return taken;
  }

  receive(handler: Receiver | undefined): void {
    this.#receiver = handler;
  }

  close(): void {
    this.#isClosed = true;
    this.#receiver = undefined;
  }

  #carry(batch: Batch): void {
    this.#clock.after(this.#delay, () => {
      const { count } = batch;
      this.#onTheWay -= count;
      const receiver = this.#isClosed ? undefined : this.#peer.#receiver;
      if (receiver) this.stats.delivered += count;
      else this.stats.unheard += count;
      receiver?.(batch);
      this.#pool.give(batch);
    });
  }
}
