/**
 * A line with a bandwidth, and with frames that are held back: what `impair` does not do. Frames go out one by one,
 * each after those before it have left; one that would wait too long is dropped, as a full queue does.
 * @module
 */
import type { Clock } from '../base/clock.ts';
import { mixSeed, xorshift32 } from '../base/rng.ts';
import type { Link } from '../link/link.ts';
import { BatchPool } from '../link/pool.ts';
import { type Batch, ON } from '../wire/packet.ts';

/** Longest time in the queue, ms. */
const MOST_WAIT = 200;
const U32 = 2 ** 32;

export interface Shape {
  /** Bits a second; absent, without limit. */
  readonly bandwidth?: number;
  /** Chance that a frame is held back, and for how long, ms. */
  readonly reorder: { readonly chance: number; readonly delay: number };
}

export interface ShapedLink extends Link {
  /** Frames that met a full queue; held back; not taken by the link beneath. */
  readonly stats: { full: number; heldBack: number; refused: number };
}

/** Wraps a link. The same seed and the same frames meet the same fate on every machine. */
export function shape(inner: Link, clock: Clock, seed: number, { bandwidth, reorder }: Shape): ShapedLink {
  const stats = { full: 0, heldBack: 0, refused: 0 };
  const draw = xorshift32(mixSeed(seed));
  const pool = new BatchPool({ capacity: 1, maxPacket: inner.mtu });
  let freeAt = 0;
  const forward = (held: Batch) => {
    stats.refused += held.count - inner.send(held);
    pool.give(held);
  };
  return {
    name: `${inner.name}+shape`,
    medium: inner.medium,
    mtu: inner.mtu,
    stats,
    send(batch: Batch, next: number = ON): number {
      let taken = 0;
      const now = clock.now();
      for (let i = 0; i < batch.count; i++) {
        if (batch.next[i] !== next) continue;
        taken++;
        const len = batch.length[i]!;
        const isHeld = draw() / U32 < reorder.chance;
        const start = Math.max(now, freeAt);
        if (start - now > MOST_WAIT || len > inner.mtu) {
          stats.full++;
          continue;
        }
        if (bandwidth !== undefined) freeAt = start + (len * 8000) / bandwidth;
        const at = batch.offset[i]!;
        const held = pool.take();
        held.push(batch.slab, at, at + len);
        if (isHeld) stats.heldBack++;
        const wait = (bandwidth === undefined ? 0 : freeAt - now) + (isHeld ? reorder.delay : 0);
        if (wait > 0) clock.after(wait, () => forward(held));
        else forward(held);
      }
      return taken;
    },
    receive: (handler) => inner.receive(handler),
    close: () => inner.close(),
  };
}
