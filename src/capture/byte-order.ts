/**
 * Numbers in a capture file: in the byte order of the machine that wrote it, which the file's magic tells.
 * @module
 */
import { u16, u32 } from '../base/bytes.ts';

/** Reads numbers in one byte order. Bounds are the caller's, as in `base/bytes.ts`. */
export interface ByteOrder {
  readonly u16: (b: Uint8Array, at: number) => number;
  readonly u32: (b: Uint8Array, at: number) => number;
  /** Signed 64 bits: exact up to 2^53, rounded beyond. */
  readonly i64: (b: Uint8Array, at: number) => number;
}

const U32 = 0x1_0000_0000;

export const BIG: ByteOrder = {
  u16,
  u32,
  i64: (b, at) => (u32(b, at) | 0) * U32 + u32(b, at + 4),
};

export const LITTLE: ByteOrder = {
  u16: u16le,
  u32: u32le,
  i64: (b, at) => (u32le(b, at + 4) | 0) * U32 + u32le(b, at),
};

/** Writes the low 16 bits of `v`, little-endian. */
export function putU16le(b: Uint8Array, at: number, v: number): void {
  b[at] = v;
  b[at + 1] = v >>> 8;
}

/** Writes the low 32 bits of `v`, little-endian. */
export function putU32le(b: Uint8Array, at: number, v: number): void {
  b[at] = v;
  b[at + 1] = v >>> 8;
  b[at + 2] = v >>> 16;
  b[at + 3] = v >>> 24;
}

function u16le(b: Uint8Array, at: number): number {
  return b[at]! | (b[at + 1]! << 8);
}

function u32le(b: Uint8Array, at: number): number {
  return (b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)) >>> 0;
}
