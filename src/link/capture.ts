/**
 * Records what passes a link, in both directions, with the time of a clock: what tcpdump would see on that device.
 *
 * Like tcpdump it stands above the device: a frame that the device takes and then cannot carry is recorded, one
 * that meets a full queue is not.
 * @module
 */
import type { Clock } from '../base/clock.ts';
import type { FrameMeta } from '../capture/frame.ts';
import { type Batch, ON } from '../wire/packet.ts';
import type { Link, Receiver } from './link.ts';

/** Takes frames: `b[at..end)`, borrowed, as `meta` is. A `PcapngWriter` is one. */
export interface Recorder {
  frame(b: Uint8Array, at: number, end: number, meta: FrameMeta): void;
}

export interface CaptureOptions {
  /** Which interface of the recorder the frames are on. */
  readonly interfaceId?: number;
  /** Record only what is sent, or only what is received. */
  readonly only?: 'sent' | 'received';
}

/** Wraps a link. The clock's epoch is taken for 1970. */
export function capture(
  inner: Link,
  clock: Clock,
  recorder: Recorder,
  { interfaceId = 0, only }: CaptureOptions = {},
): Link {
  const meta: FrameMeta = { seconds: 0, nanoseconds: 0, interfaceId, originalLength: 0 };

  /** Records the first `most` packets that go to `next`. */
  function record(batch: Batch, next: number, most: number): void {
    const now = clock.now();
    meta.seconds = Math.floor(now / 1000);
    // Times in ms are no whole numbers: rounded to microseconds, so that 0.3 ms does not become 299,999 ns.
    meta.nanoseconds = Math.min(999_999, Math.round((now - meta.seconds * 1000) * 1000)) * 1000;
    let left = most;
    for (let i = 0; i < batch.count && left > 0; i++) {
      if (batch.next[i] !== next) continue;
      left--;
      const at = batch.offset[i]!;
      meta.originalLength = batch.length[i]!;
      recorder.frame(batch.slab, at, at + meta.originalLength, meta);
    }
  }

  return {
    name: `${inner.name}+capture`,
    medium: inner.medium,
    mtu: inner.mtu,
    send(batch: Batch, next: number = ON): number {
      const taken = inner.send(batch, next);
      if (only !== 'received') record(batch, next, taken);
      return taken;
    },
    receive(handler: Receiver | undefined): void {
      inner.receive(
        handler &&
          ((batch) => {
            if (only !== 'sent') record(batch, ON, batch.count);
            handler(batch);
          }),
      );
    },
    close: () => inner.close(),
  };
}
