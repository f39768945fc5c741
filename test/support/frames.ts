/**
 * Batches of frames for tests of links and nodes.
 * @module
 */
import type { Link } from '../../src/link/link.ts';
import { Batch } from '../../src/wire/packet.ts';

/** A batch that holds these frames, in an untidy slab. */
export function batchOf(frames: readonly Uint8Array[], maxPacket = 2048): Batch {
  const batch = new Batch({ capacity: Math.max(1, frames.length), maxPacket });
  batch.slab.fill(0xa5);
  for (const frame of frames) if (batch.push(frame) < 0) throw new RangeError('the frame does not fit');
  return batch;
}

/** What a link receives from now on, copied. */
export function received(link: Link): Uint8Array[] {
  const frames: Uint8Array[] = [];
  link.receive((batch) => {
    for (let i = 0; i < batch.count; i++) frames.push(batch.copy(i));
  });
  return frames;
}

/** A frame of `len` bytes that starts like IPv4 and carries a number, so that it can be told from others. */
export function numbered(n: number, len = 60): Uint8Array {
  const frame = new Uint8Array(len).fill(0x5a);
  frame.set([0x45, 0, n >>> 8, n]);
  return frame;
}

/** The number in a {@link numbered} frame. */
export function numberOf(frame: Uint8Array): number {
  return (frame[2]! << 8) | frame[3]!;
}
