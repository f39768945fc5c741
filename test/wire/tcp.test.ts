import { describe, expect, it } from 'vitest';
import { hex, toHex, u16 } from '../../src/base/bytes.ts';
import { WireError } from '../../src/base/errors.ts';
import * as tcp from '../../src/wire/tcp.ts';
import { ACK_V6, amid, ETH, SYN, scratch } from './packets.ts';

const syn = SYN.subarray(ETH + 20);

/** A header with these options, padded with zeros to whole words. */
function withOptions(text: string): Uint8Array {
  const options = hex(text);
  const padded = new Uint8Array(Math.ceil(options.length / 4) * 4);
  padded.set(options);
  const out = scratch(20 + padded.length);
  tcp.emit({ ...tcp.parse(syn), options: padded }, out);
  return out;
}

describe('tcp', () => {
  it('reads a real SYN', () => {
    expect(tcp.check(syn)).toBeUndefined();
    expect(tcp.headerLen(syn)).toBe(40);
    expect(tcp.parse(syn)).toEqual({
      srcPort: 44620,
      dstPort: 8080,
      seq: 0x6fc45b0e,
      ack: 0,
      flags: tcp.SYN,
      window: 65280,
      checksum: 0x5b87,
      urgentPointer: 0,
      options: syn.slice(20, 40),
    });
  });

  it('writes it back, and nothing else', () => {
    const out = scratch(44);
    expect(tcp.emit(tcp.parse(syn), out, 2)).toBe(40);
    expect(toHex(out)).toBe(`a5a5${toHex(syn, 0, 40)}a5a5`);
  });

  it('lists the options of the SYN in order', () => {
    const slab = amid(syn, 7, 9, 1);
    const list = [...tcp.options(slab, 7)];
    expect(list.map((o) => o.kind)).toEqual([
      tcp.OPTION_MSS,
      tcp.OPTION_SACK_PERMITTED,
      tcp.OPTION_TIMESTAMPS,
      tcp.OPTION_NOP,
      tcp.OPTION_WINDOW_SCALE,
    ]);
    expect(list.map((o) => o.len)).toEqual([4, 2, 10, 1, 3]);
    expect(u16(slab, list[0]!.at + 2)).toBe(1360);
  });

  it('lists the options of an ACK', () => {
    const kinds = [...tcp.options(ACK_V6, ETH + 40)].map((o) => o.kind);
    expect(kinds).toEqual([tcp.OPTION_NOP, tcp.OPTION_NOP, tcp.OPTION_TIMESTAMPS]);
  });

  it.each([
    ['nothing', '', []],
    ['an end of list, whatever follows', '0002040550', [0]],
    ['a length of 0, which would never end', '01020001', [1]],
    ['a length of 1', '0102010101010101', [1]],
    ['a length past the header', '0101010102060000', [1, 1, 1, 1]],
    ['a kind without room for a length', '01010102', [1, 1, 1]],
    ['an option that ends with the header', '01010402', [1, 1, 4]],
  ])('options: %s', (_name, text, kinds) => {
    const b = amid(withOptions(text), 0, 12, 0x04);
    expect([...tcp.options(b)].map((o) => o.kind)).toEqual(kinds);
  });

  it.each([
    ['nothing', new Uint8Array(0), 0, 'header needs 20 bytes, has 0'],
    ['19 bytes', syn.subarray(0, 19), 0, 'header needs 20 bytes, has 19'],
    ['options cut off', syn.subarray(0, 39), 12, 'header needs 40 bytes, has 39'],
    ['4 words', syn.map((v, i) => (i === 12 ? 0x40 : v)), 12, 'header length is 4 words, below the least, 5'],
  ])('points at %s', (_name, b, at, problem) => {
    for (const after of [0, 60]) {
      const slab = amid(b, 3, after, 0x50);
      expect(tcp.check(slab, 3, 3 + b.length)).toEqual({ layer: 'tcp', at, problem });
      expect(() => tcp.parse(slab, 3, 3 + b.length)).toThrow(WireError);
    }
  });

  it.each([3, 44])('refuses to write %i bytes of options', (len) => {
    expect(() => tcp.emit({ ...tcp.parse(syn), options: new Uint8Array(len) }, scratch(99))).toThrow(
      RangeError,
    );
  });
});
