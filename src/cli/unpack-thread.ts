/**
 * The thread of {@link Unpacker}.
 * @module
 */
import { parentPort } from 'node:worker_threads';
import { crc32, inflateRawSync } from 'node:zlib';
import type { FromUnpacking, ToUnpacking } from './unpacker.ts';

/**
 * Memory that both threads see, and that is used again and again: to get megabytes anew for each entry, and to give them up,
 * takes longer than to fill them.
 */
const slots: Uint8Array[] = [];
const free = new Set<number>();
/** Slots are longer than what comes first, so that they fit what comes later. */
const STEP = 1 << 20;

const post = (message: FromUnpacking) => parentPort!.postMessage(message);

/** A free slot that is long enough, made where there is none. */
function slotFor(length: number): number {
  for (const slot of free) {
    if (slots[slot]!.length < length) continue;
    free.delete(slot);
    return slot;
  }
  const bytes = new Uint8Array(new SharedArrayBuffer(Math.max(1, Math.ceil(length / STEP)) * STEP));
  post({ bytes });
  return slots.push(bytes) - 1;
}

parentPort!.on('message', (message: ToUnpacking) => {
  if (message.id === undefined) {
    free.add(message.slot);
    return;
  }
  const { id, packed, size } = message;
  try {
    // With room to spare, so that zlib need not be asked whether there is more.
    const bytes = inflateRawSync(packed, { chunkSize: size + 64, maxOutputLength: Math.max(1, size) });
    const isShort = bytes.length <= MOST_SENT;
    const slot = isShort ? -1 : slotFor(bytes.length);
    slots[slot]?.set(bytes);
    post({ id, slot, length: bytes.length, crc32: crc32(bytes), ...(isShort && { sent: bytes }) });
  } catch (error) {
    post({ id, problem: error instanceof Error ? error.message : String(error) });
  }
});

/** What is shorter is copied. */
const MOST_SENT = 16 << 10;
