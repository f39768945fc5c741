import { describe, expect, it } from 'vitest';
import { hex, toHex } from '../../src/base/bytes.ts';
import { WireError } from '../../src/base/errors.ts';
import * as ethernet from '../../src/wire/ethernet.ts';
import { amid, PING, scratch } from './packets.ts';

const MACS = '82606dfdc436 9e0b002aca29';
/** A provider's tag (VLAN 100), a customer's (VLAN 5, priority 3), IPv4. */
const QINQ = hex(`${MACS} 88a8 0064 8100 6005 0800 45`);

describe('ethernet', () => {
  it('reads a frame of a real pod', () => {
    expect(ethernet.check(PING)).toBeUndefined();
    expect(ethernet.etherType(PING)).toBe(ethernet.TYPE_IPV4);
    expect(ethernet.payloadAt(PING)).toBe(14);
    expect(ethernet.parse(PING)).toEqual({
      dst: hex('82606dfdc436'),
      src: hex('9e0b002aca29'),
      tags: [],
      type: 0x0800,
    });
  });

  it.each([
    ['802.1Q', '8100 0005 86dd', 0x86dd, 18],
    ['802.1ad and 802.1Q', '88a8 0064 8100 6005 0800', 0x0800, 22],
    ['0x9100 and 802.1Q', '9100 0064 8100 6005 0806', 0x0806, 22],
    ['as many tags as we follow', '8100 0001 8100 0002 8100 0003 8100 0004 0800', 0x0800, 30],
  ])('looks behind VLAN tags: %s', (_name, tail, type, at) => {
    const b = hex(MACS + tail);
    expect(ethernet.check(b)).toBeUndefined();
    expect(ethernet.etherType(b)).toBe(type);
    expect(ethernet.payloadAt(b)).toBe(at);
    // The same in the middle of a slab: offsets stay absolute.
    const slab = amid(b, 7, 9, 0x81);
    expect(ethernet.etherType(slab, 7)).toBe(type);
    expect(ethernet.payloadAt(slab, 7)).toBe(7 + at);
  });

  it('reads and writes stacked tags', () => {
    const header = ethernet.parse(QINQ);
    expect(header.tags).toEqual([
      { type: ethernet.TYPE_QINQ, tci: 0x0064 },
      { type: ethernet.TYPE_VLAN, tci: 0x6005 },
    ]);
    const out = scratch(30);
    expect(ethernet.emit(header, out, 2)).toBe(22);
    expect(toHex(out)).toBe(`a5a5${toHex(QINQ, 0, 22)}a5a5a5a5a5a5`);
  });

  it('gives the length of an 802.3 frame as a type below 0x600', () => {
    const b = hex(`${MACS} 0026 4242 03`); // a spanning tree frame
    expect(ethernet.check(b)).toBeUndefined();
    expect(ethernet.etherType(b)).toBeLessThan(ethernet.MIN_TYPE);
  });

  it.each([
    ['nothing', '', 0, 'header needs 14 bytes, has 0'],
    ['a cut header', `${MACS} 08`, 0, 'header needs 14 bytes, has 13'],
    ['a cut tag', `${MACS} 8100 0005 08`, 12, 'VLAN tag is cut off'],
    ['a cut second tag', `${MACS} 88a8 0005 8100 00`, 16, 'VLAN tag is cut off'],
    ['too many tags', `${MACS} ${'8100 0001'.repeat(5)} 0800`, 28, 'more than 4 VLAN tags'],
  ])('points at %s', (_name, text, at, problem) => {
    // With and without bytes behind the end, which must not count.
    for (const after of [0, 40]) {
      const b = amid(hex(text), 3, after, 0x00);
      const end = b.length - after;
      expect(ethernet.check(b, 3, end)).toEqual({ layer: 'ethernet', at, problem });
      expect(() => ethernet.parse(b, 3, end)).toThrow(WireError);
    }
  });

  it('lastTypeAt stops at the end and at too many tags', () => {
    expect(ethernet.lastTypeAt(QINQ, 12, QINQ.length)).toBe(20);
    expect(ethernet.lastTypeAt(QINQ, 12, 21)).toBe(-1);
    expect(ethernet.lastTypeAt(hex('8100 0001'.repeat(9)), 0, 36)).toBe(-1);
  });
});
