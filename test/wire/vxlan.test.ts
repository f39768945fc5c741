import { describe, expect, it } from 'vitest';
import { hex, toHex } from '../../src/base/bytes.ts';
import { WireError } from '../../src/base/errors.ts';
import * as ethernet from '../../src/wire/ethernet.ts';
import * as geneve from '../../src/wire/geneve.ts';
import * as udp from '../../src/wire/udp.ts';
import * as vxlan from '../../src/wire/vxlan.ts';
import { amid, ETH, scratch, VXLAN_ARP } from './packets.ts';

const at = ETH + 20 + 8;

describe('vxlan', () => {
  it("reads Cilium's overlay: identity 52345 and an ARP request", () => {
    expect(vxlan.isPort(udp.dstPort(VXLAN_ARP, ETH + 20))).toBe(true);
    expect(vxlan.check(VXLAN_ARP, at)).toBeUndefined();
    expect(vxlan.parse(VXLAN_ARP, at)).toEqual({ vni: 52345 });
    expect(ethernet.etherType(VXLAN_ARP, at + vxlan.HEADER_LEN)).toBe(ethernet.TYPE_ARP);
  });

  it('writes it back, and nothing else', () => {
    const out = scratch(12);
    expect(vxlan.emit({ vni: 52345 }, out, 2)).toBe(8);
    expect(toHex(out)).toBe(`a5a5${toHex(VXLAN_ARP, at, at + 8)}a5a5`);
  });

  it('has room for 24 bits', () => {
    const out = scratch(8);
    vxlan.put(out, 0, 0xff_ffff);
    expect(toHex(out)).toBe('08000000ffffff00');
    expect(vxlan.vni(out)).toBe(0xff_ffff);
  });

  it('ignores other flags and what is reserved (RFC 7348 §5)', () => {
    expect(vxlan.parse(hex('ff12345600cc7999'))).toEqual({ vni: 52345 });
  });

  it.each([
    ['seven bytes', '0800000000cc79', 0, 'header needs 8 bytes, has 7'],
    ['a VNI that does not count', 'f70000000 0cc7900', 0, 'the flag that makes the VNI count is not set'],
  ])('points at %s', (_name, text, faultAt, problem) => {
    const b = hex(text);
    const slab = amid(b, 3, 9, 0x08);
    expect(vxlan.check(slab, 3, 3 + b.length)).toEqual({ layer: 'vxlan', at: faultAt, problem });
    expect(() => vxlan.parse(slab, 3, 3 + b.length)).toThrow(WireError);
  });

  it("knows IANA's port and Linux's, and no other", () => {
    expect([4789, 8472, 4790, 6081].map(vxlan.isPort)).toEqual([true, true, false, false]);
  });
});

// RFC 8926 §3.4.
describe('geneve', () => {
  it('writes a header without options, and reads it', () => {
    const out = scratch(10);
    geneve.put(out, 1, 52345);
    expect(toHex(out)).toBe('a50000655800cc7900a5');
    expect(geneve.check(out, 1)).toBeUndefined();
    expect([geneve.vni(out, 1), geneve.type(out, 1), geneve.headerLen(out, 1)]).toEqual([52345, 0x6558, 8]);
  });

  it.each([
    ['seven bytes', '00006558000000', 'header needs 8 bytes, has 7'],
    ['another version', '4000655800000000', 'version 1 is not known'],
    [
      'options that are cut off',
      '020065580000000000000000',
      'header needs 16 bytes with its options, has 12',
    ],
  ])('points at %s', (_name, text, problem) => {
    const b = hex(text);
    expect(geneve.check(amid(b, 3, 9, 0x08), 3, 3 + b.length)).toEqual({ layer: 'geneve', at: 0, problem });
  });
});
