import { describe, expect, it } from 'vitest';
import { hex, toHex } from '../../src/base/bytes.ts';
import { WireError } from '../../src/base/errors.ts';
import * as udp from '../../src/wire/udp.ts';
import { amid, ETH, scratch, UDP } from './packets.ts';

const datagram = UDP.subarray(ETH + 20);

describe('udp', () => {
  it('reads a real datagram', () => {
    expect(udp.check(datagram)).toBeUndefined();
    expect(udp.parse(datagram)).toEqual({ srcPort: 48375, dstPort: 5354, length: 46, checksum: 0xa359 });
  });

  it('writes it back, and nothing else', () => {
    const out = scratch(12);
    expect(udp.emit(udp.parse(datagram), out, 2)).toBe(8);
    expect(toHex(out)).toBe(`a5a5${toHex(datagram, 0, 8)}a5a5`);
  });

  it('is read where it lies', () => {
    const slab = amid(datagram, 13, 4, 0xa5);
    expect(udp.parse(slab, 13)).toEqual(udp.parse(datagram));
  });

  it('setters write their field', () => {
    const b = scratch(10);
    udp.setSrcPort(b, 1, 0x0102);
    udp.setDstPort(b, 1, 0x0304);
    udp.setLength(b, 1, 0x0506);
    udp.setChecksum(b, 1, 0x0708);
    expect(toHex(b)).toBe('a50102030405060708a5');
  });

  it.each([
    ['nothing', '', 0, 'header needs 8 bytes, has 0'],
    ['seven bytes', '11941194000900', 0, 'header needs 8 bytes, has 7'],
    ['a length below the header', '1194119400070000', 4, "length is 7, less than the header's 8"],
  ])('points at %s', (_name, text, at, problem) => {
    const b = hex(text);
    for (const after of [0, 20]) {
      const slab = amid(b, 3, after, 0);
      expect(udp.checkHeader(slab, 3, 3 + b.length)).toEqual({ layer: 'udp', at, problem });
      expect(udp.check(slab, 3, 3 + b.length)).toEqual({ layer: 'udp', at, problem });
      expect(() => udp.parse(slab, 3, 3 + b.length)).toThrow(WireError);
    }
  });

  it('finds the header of a first fragment good, the datagram not', () => {
    const first = datagram.subarray(0, 24);
    expect(udp.checkHeader(first)).toBeUndefined();
    expect(udp.check(first)).toEqual({
      layer: 'udp',
      at: 4,
      problem: 'length is 46, but only 24 bytes are there',
    });
  });

  it('allows bytes behind the datagram, and an empty one', () => {
    expect(udp.check(hex('1194119400080000ffff'))).toBeUndefined();
  });
});
