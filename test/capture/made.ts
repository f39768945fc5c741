/**
 * Captures made by hand, in either byte order, and a sink that remembers. Nothing here uses the code it tests.
 * @module
 */
import { toHex } from '../../src/base/bytes.ts';
import type { FrameInfo, FrameSink } from '../../src/capture/frame.ts';
import { captureReader } from '../../src/capture/reader.ts';

export type Order = 'little' | 'big';

/** Joins numbers (one byte each) and arrays. */
export function bytes(...parts: readonly (number | Uint8Array | readonly number[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((p) => (typeof p === 'number' ? [p] : [...p])));
}

/** `n` as `size` bytes. */
export function int(order: Order, size: 2 | 4 | 8, n: number | bigint): Uint8Array {
  const b = new Uint8Array(size);
  const view = new DataView(b.buffer);
  const little = order === 'little';
  if (size === 2) view.setUint16(0, Number(n), little);
  else if (size === 4) view.setUint32(0, Number(n), little);
  else view.setBigUint64(0, BigInt.asUintN(64, BigInt(n)), little);
  return b;
}

/** `len` bytes that count up from `first`. */
export function counting(len: number, first = 0): Uint8Array {
  return Uint8Array.from({ length: len }, (_, i) => first + i);
}

export function text(s: string): Uint8Array {
  return new TextEncoder().encode(s);
}

/** A pcap file header. */
export function pcapHeader(
  order: Order,
  { magic = 0xa1b2c3d4, major = 2, snap = 65535, link = 1 }: { [key: string]: number } = {},
): Uint8Array {
  return bytes(
    int(order, 4, magic),
    int(order, 2, major),
    int(order, 2, 4),
    int(order, 8, 0),
    int(order, 4, snap),
    int(order, 4, link),
  );
}

/** A pcap record. */
export function pcapRecord(
  order: Order,
  seconds: number,
  fraction: number,
  frame: Uint8Array,
  original = frame.length,
): Uint8Array {
  return bytes(
    int(order, 4, seconds),
    int(order, 4, fraction),
    int(order, 4, frame.length),
    int(order, 4, original),
    frame,
  );
}

/** A record of the modified pcap: with interface, protocol and packet type. */
export function modifiedRecord(order: Order, seconds: number, frame: Uint8Array): Uint8Array {
  const record = pcapRecord(order, seconds, 7, frame);
  return bytes(record.subarray(0, 16), int(order, 4, 3), int(order, 2, 0x800), 4, 0, frame);
}

/** A snoop file header. */
export function snoopHeader({ version = 2, link = 4 }: { [key: string]: number } = {}): Uint8Array {
  return bytes(text('snoop\0\0\0'), int('big', 4, version), int('big', 4, link));
}

/** A snoop record, padded to a multiple of four. */
export function snoopRecord(
  seconds: number,
  micros: number,
  frame: Uint8Array,
  original = frame.length,
): Uint8Array {
  const padded = pad(frame);
  const numbers = [original, frame.length, 24 + padded.length, 0, seconds, micros];
  return bytes(...numbers.map((n) => int('big', 4, n)), padded);
}

/** `b` with zeros up to a multiple of four. */
export function pad(b: Uint8Array): Uint8Array {
  return bytes(b, new Uint8Array((4 - (b.length % 4)) % 4));
}

/** A pcapng block. */
export function block(order: Order, type: number, ...body: readonly Uint8Array[]): Uint8Array {
  const inside = bytes(...body);
  const len = int(order, 4, inside.length + 12);
  return bytes(int(order, 4, type), len, inside, len);
}

/** A list of options with its end. */
export function options(order: Order, ...list: readonly (readonly [number, Uint8Array])[]): Uint8Array {
  const all = list.map(([code, v]) => bytes(int(order, 2, code), int(order, 2, v.length), pad(v)));
  return bytes(...all, 0, 0, 0, 0);
}

/** A pcapng section header. */
export function section(order: Order, opts: Uint8Array = bytes(), major = 1): Uint8Array {
  const magic = int(order, 4, 0x1a2b3c4d);
  return block(order, 0x0a0d0d0a, magic, int(order, 2, major), int(order, 2, 0), int(order, 8, -1), opts);
}

/** A pcapng interface description. */
export function iface(order: Order, link: number, opts: Uint8Array = bytes(), snap = 0): Uint8Array {
  return block(order, 1, int(order, 2, link), int(order, 2, 0), int(order, 4, snap), opts);
}

/** A pcapng enhanced packet. */
export function packet(
  order: Order,
  id: number,
  ticks: bigint,
  frame: Uint8Array,
  opts: Uint8Array = bytes(),
  original = frame.length,
): Uint8Array {
  return block(
    order,
    6,
    int(order, 4, id),
    int(order, 4, ticks >> 32n),
    int(order, 4, ticks & 0xffffffffn),
    int(order, 4, frame.length),
    int(order, 4, original),
    pad(frame),
    opts,
  );
}

/** Everything a reader said, in order; frames as hexadecimal text with a copy of their info. */
export type Event =
  | ({ readonly frame: string } & FrameInfo)
  | { readonly comment: string }
  | { readonly section: unknown }
  | { readonly interface: unknown }
  | { readonly secrets: string; readonly type: number };

/** A sink that appends to `events`. */
export function recorder(events: Event[]): Required<Omit<FrameSink, 'release'>> {
  return {
    frame: (b, at, end, info) => events.push({ frame: toHex(b, at, end), ...info }),
    comment: (comment) => events.push({ comment }),
    section: (s) => events.push({ section: s }),
    interface: (i) => events.push({ interface: i }),
    secrets: (type, data) => events.push({ secrets: toHex(data), type }),
  };
}

/** What `file` holds, and the error that ended it, if any. Fed in pieces as `cuts` says. */
export function read(file: Uint8Array, cuts: readonly number[] = []): { events: Event[]; error: unknown } {
  const events: Event[] = [];
  const reader = captureReader('made', recorder(events));
  try {
    const edges = [0, ...cuts.map((c) => Math.min(c, file.length)).sort((a, b) => a - b), file.length];
    for (let i = 1; i < edges.length; i++) {
      // Each piece lies in the middle of a larger buffer, which is overwritten afterwards: frames are borrowed.
      const piece = file.subarray(edges[i - 1], edges[i]);
      const room = new Uint8Array(piece.length + 14).fill(0xa5);
      room.set(piece, 7);
      reader.feed(room.subarray(7, 7 + piece.length));
      room.fill(0xa5);
    }
    reader.end();
  } catch (error) {
    return { events, error };
  }
  return { events, error: undefined };
}

/** What a good file holds. */
export function readAll(file: Uint8Array, cuts: readonly number[] = []): Event[] {
  const { events, error } = read(file, cuts);
  if (error) throw error;
  return events;
}

/** The frames of a good file. */
export function frames(file: Uint8Array): ({ readonly frame: string } & FrameInfo)[] {
  return readAll(file).filter((e) => 'frame' in e);
}

/** The message of the error that a bad file gives. */
export function complaint(file: Uint8Array): string {
  const { error } = read(file);
  return error instanceof Error ? error.message : 'no error';
}

/** Collects what a writer writes. */
export class Sink {
  readonly parts: Uint8Array[] = [];
  readonly write = (b: Uint8Array): void => {
    this.parts.push(b);
  };
  get file(): Uint8Array {
    const all = new Uint8Array(this.parts.reduce((n, p) => n + p.length, 0));
    let at = 0;
    for (const part of this.parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}
