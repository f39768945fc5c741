/**
 * Loss, duplication, bit errors, delay and reordering of what a link sends, as `tc netem` makes them. Wrap both
 * ends to impair both directions.
 *
 * All chance is drawn for every frame, whatever becomes of it: turning one knob leaves the others' faults where
 * they were.
 * @module
 */
import { flipBit } from '../base/bytes.ts';
import type { Clock } from '../base/clock.ts';
import { mixSeed, xorshift32 } from '../base/rng.ts';
import { type Batch, ON } from '../wire/packet.ts';
import type { Link, Receiver } from './link.ts';
import { BatchPool } from './pool.ts';

const U32 = 2 ** 32;
const ETHERNET_HEADER = 14;

/** All are 0 unless given: an impaired link without impairments is the link itself. */
export interface Impairments {
  /** Chance, 0 to 1, that a frame vanishes. */
  readonly loss?: number;
  /** Chance that a frame arrives twice. */
  readonly duplicate?: number;
  /** Chance that one bit of a frame is flipped: the likeliest error, and the hardest to detect. */
  readonly corrupt?: number;
  /** Delay of every frame, ms. */
  readonly delay?: number;
  /** Delay on top of it, ms, anything from 0 to this. Where it is more than the gap between frames, it reorders. */
  readonly jitter?: number;
}

/** What became of the frames so far. */
export interface ImpairStats {
  lost: number;
  duplicated: number;
  corrupted: number;
  /** Frames longer than the link carries. */
  tooBig: number;
  /** Frames that the link beneath did not take. */
  refused: number;
}

export interface ImpairedLink extends Link {
  readonly stats: Readonly<ImpairStats>;
}

/**
 * Wraps a link. The same seed and the same frames meet the same faults on every machine.
 * @throws {RangeError} when a chance is not 0 to 1, or a delay is negative
 * @example
 * ```ts
 * const wire = impair(capture(pipe.a, clock, file), clock, 42, { loss: 0.01, jitter: 5 });
 * ```
 */
export function impair(inner: Link, clock: Clock, seed: number, impairments: Impairments): ImpairedLink {
  return new Impaired(inner, clock, seed, impairments);
}

class Impaired implements ImpairedLink {
  readonly name: string;
  readonly medium: Link['medium'];
  readonly mtu: number;
  readonly stats: ImpairStats = { lost: 0, duplicated: 0, corrupted: 0, tooBig: 0, refused: 0 };
  readonly #inner: Link;
  readonly #clock: Clock;
  readonly #next: () => number;
  readonly #loss: number;
  readonly #duplicate: number;
  readonly #corrupt: number;
  readonly #delay: number;
  readonly #jitter: number;
  readonly #maxFrame: number;
  readonly #pool: BatchPool;

  constructor(
    inner: Link,
    clock: Clock,
    seed: number,
    { loss = 0, duplicate = 0, corrupt = 0, delay = 0, jitter = 0 }: Impairments,
  ) {
    for (const [name, chance] of Object.entries({ loss, duplicate, corrupt })) {
      if (!(chance >= 0 && chance <= 1)) throw new RangeError(`impair: ${name} is a chance of 0 to 1`);
    }
    for (const [name, ms] of Object.entries({ delay, jitter })) {
      if (!(ms >= 0 && ms < Number.POSITIVE_INFINITY))
        throw new RangeError(`impair: ${name} is 0 ms or more`);
    }
    this.name = `${inner.name}+impair`;
    this.medium = inner.medium;
    this.mtu = inner.mtu;
    this.#inner = inner;
    this.#clock = clock;
    this.#next = xorshift32(mixSeed(seed));
    this.#loss = loss;
    this.#duplicate = duplicate;
    this.#corrupt = corrupt;
    this.#delay = delay;
    this.#jitter = jitter;
    this.#maxFrame = inner.mtu + (inner.medium === 'ethernet' ? ETHERNET_HEADER : 0);
    // With jitter, every frame has a batch of its own: one slot for it and one for its twin.
    this.#pool = new BatchPool({ maxPacket: this.#maxFrame, ...(jitter > 0 && { capacity: 2 }) });
  }

  /** Takes every frame: who sends over a bad line does not learn what became of it. */
  send(batch: Batch, next: number = ON): number {
    let taken = 0;
    let held: Batch | undefined;
    for (let i = 0; i < batch.count; i++) {
      if (batch.next[i] !== next) continue;
      taken++;
      const isLost = this.#draw() < this.#loss;
      const isDoubled = this.#draw() < this.#duplicate;
      const isCorrupt = this.#draw() < this.#corrupt;
      const len = batch.length[i]!;
      const bit = Math.floor(this.#draw() * len * 8);
      const wait = this.#delay + this.#jitter * this.#draw();
      if (isLost) {
        this.stats.lost++;
        continue;
      }
      if (len > this.#maxFrame) {
        this.stats.tooBig++;
        continue;
      }
      held ??= this.#pool.take();
      const at = batch.offset[i]!;
      const copy = held.push(batch.slab, at, at + len);
      if (isCorrupt && len > 0) {
        this.stats.corrupted++;
        flipBit(held.slab, held.offset[copy]! * 8 + bit);
      }
      if (isDoubled) {
        this.stats.duplicated++;
        held.push(held.slab, held.offset[copy]!, held.offset[copy]! + len);
      }
      // Without jitter frames stay together; a twin needs a slot of its own.
      if (this.#jitter > 0 || held.count + 2 > held.capacity) {
        this.#pass(held, wait);
        held = undefined;
      }
    }
    if (held) this.#pass(held, this.#delay);
    return taken;
  }

  receive(handler: Receiver | undefined): void {
    this.#inner.receive(handler);
  }

  close(): void {
    this.#inner.close();
  }

  /** 0 to 1, without 1. */
  #draw(): number {
    return this.#next() / U32;
  }

  #pass(held: Batch, wait: number): void {
    if (wait > 0) this.#clock.after(wait, () => this.#forward(held));
    else this.#forward(held);
  }

  #forward(held: Batch): void {
    this.stats.refused += held.count - this.#inner.send(held);
    this.#pool.give(held);
  }
}
