import { describe, expect, it } from 'vitest';
import { hex, toHex } from '../../src/base/bytes.ts';
import { BIG, LITTLE, putU16le, putU32le } from '../../src/capture/byte-order.ts';

describe('byte order', () => {
  const b = hex('a5 f1e2d3c4 b5a69788 a5');

  it('reads as DataView does, top bit set', () => {
    const view = new DataView(b.buffer);
    for (const [order, little] of [
      [LITTLE, true],
      [BIG, false],
    ] as const) {
      expect(order.u16(b, 1)).toBe(view.getUint16(1, little));
      expect(order.u32(b, 1)).toBe(view.getUint32(1, little));
      expect(order.i64(b, 1)).toBe(Number(view.getBigInt64(1, little)));
    }
  });

  it.each([-1n, -3600n, 0n, 3600n, 2n ** 53n, -(2n ** 53n)])('reads %d as 64 bits, exactly', (n) => {
    const view = new DataView(new ArrayBuffer(8));
    view.setBigInt64(0, n, true);
    expect(LITTLE.i64(new Uint8Array(view.buffer), 0)).toBe(Number(n));
    view.setBigInt64(0, n, false);
    expect(BIG.i64(new Uint8Array(view.buffer), 0)).toBe(Number(n));
  });

  it('writes little-endian and nothing around', () => {
    const out = new Uint8Array(8).fill(0xa5);
    putU32le(out, 1, 0xf1e2d3c4);
    putU16le(out, 5, 0x18899);
    expect(toHex(out)).toBe('a5c4d3e2f19988a5');
  });
});
