import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hex, toHex } from '../../src/base/bytes.ts';
import { WireError } from '../../src/base/errors.ts';
import { formatAddress } from '../../src/wire/address.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import { amid, ETH, PING_V6, scratch } from './packets.ts';

const packet = PING_V6.subarray(ETH);

describe('ipv6', () => {
  it('reads a real ping', () => {
    expect(ipv6.check(packet)).toBeUndefined();
    expect(ipv6.parse(packet)).toEqual({
      trafficClass: 0,
      flowLabel: 0xf49cb,
      payloadLength: 64,
      nextHeader: 58,
      hopLimit: 64,
      src: hex('fd000010024400010000000000000010'),
      dst: hex('fd000010024400020000000000000020'),
    });
    expect(formatAddress(packet, ipv6.SRC_AT, ipv6.ADDRESS_LEN)).toBe('fd00:10:244:1::10');
    expect(formatAddress(packet, ipv6.DST_AT, ipv6.ADDRESS_LEN)).toBe('fd00:10:244:2::20');
  });

  it('writes it back, and nothing else', () => {
    const out = scratch(48);
    expect(ipv6.emit(ipv6.parse(packet), out, 4)).toBe(40);
    expect(toHex(out)).toBe(`a5a5a5a5${toHex(packet, 0, 40)}a5a5a5a5`);
  });

  it.each([
    ['nothing', new Uint8Array(0), 0, 'header needs 40 bytes, has 0'],
    ['39 bytes', packet.subarray(0, 39), 0, 'header needs 40 bytes, has 39'],
    ['version 4', packet.map((v, i) => (i === 0 ? 0x45 : v)), 0, 'version is 4, not 6'],
    ['one byte of IPv4', hex('45'), 0, 'version is 4, not 6'],
  ])('points at %s', (_name, b, at, problem) => {
    for (const after of [0, 64]) {
      const slab = amid(b, 5, after, 0x60);
      expect(ipv6.checkHeader(slab, 5, 5 + b.length)).toEqual({ layer: 'ipv6', at, problem });
      expect(ipv6.check(slab, 5, 5 + b.length)).toEqual({ layer: 'ipv6', at, problem });
      expect(() => ipv6.parse(slab, 5, 5 + b.length)).toThrow(WireError);
    }
  });

  it('tells a cut capture from a damaged header', () => {
    const cut = amid(packet, 0, 30, 0);
    expect(ipv6.checkHeader(cut, 0, 60)).toBeUndefined();
    expect(ipv6.check(cut, 0, 60)).toEqual({
      layer: 'ipv6',
      at: 4,
      problem: 'payload length is 64 bytes, but only 20 are there',
    });
    expect(ipv6.check(cut, 0, 104)).toBeUndefined();
    expect(ipv6.check(cut), 'padding after the packet').toBeUndefined();
  });

  it('keeps traffic class and flow label apart in the bytes they share', () => {
    const b = amid(packet, 1, 0, 0);
    ipv6.setTrafficClass(b, 1, 0xb9);
    expect([ipv6.trafficClass(b, 1), ipv6.dscp(b, 1), ipv6.ecn(b, 1)]).toEqual([0xb9, 46, 1]);
    expect([ipv6.version(b, 1), ipv6.flowLabel(b, 1)]).toEqual([6, 0xf49cb]);
    ipv6.setFlowLabel(b, 1, 0x8_1234);
    expect([ipv6.trafficClass(b, 1), ipv6.flowLabel(b, 1)]).toEqual([0xb9, 0x8_1234]);
    expect(toHex(b, 5)).toBe(toHex(packet, 4));
  });

  it('any header that is written reads back', () => {
    const address = fc.uint8Array({ minLength: 16, maxLength: 16 });
    const header = fc.record({
      trafficClass: fc.nat(255),
      flowLabel: fc.nat(0xf_ffff),
      payloadLength: fc.nat(20),
      nextHeader: fc.nat(255),
      hopLimit: fc.nat(255),
      src: address,
      dst: address,
    });
    fc.assert(
      fc.property(header, (h) => {
        const out = scratch(70);
        expect(ipv6.emit(h, out, 3)).toBe(40);
        expect(ipv6.parse(out, 3)).toEqual(h);
        expect(out[43]).toBe(0xa5);
      }),
    );
  });
});
