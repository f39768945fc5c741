import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hex, putU16, toHex } from '../../src/base/bytes.ts';
import { WireError } from '../../src/base/errors.ts';
import { formatAddress } from '../../src/wire/address.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { amid, ESP_HEAD, ETH, PING, scratch } from './packets.ts';

const packet = PING.subarray(ETH);

/** PING's header with some bytes changed, by offset. */
function altered(changes: Record<number, number>): Uint8Array {
  const b = packet.slice();
  for (const [at, v] of Object.entries(changes)) b[Number(at)] = v;
  return b;
}

describe('ipv4', () => {
  it('reads a real ping', () => {
    expect(ipv4.check(packet)).toBeUndefined();
    expect(ipv4.checksumOk(packet)).toBe(true);
    expect(ipv4.headerLen(packet)).toBe(20);
    expect(ipv4.parse(packet)).toEqual({
      tos: 0,
      totalLength: 84,
      id: 0x418a,
      dontFragment: true,
      moreFragments: false,
      fragmentOffset: 0,
      ttl: 64,
      protocol: 1,
      src: hex('0af4010a'),
      dst: hex('0af40214'),
      options: new Uint8Array(0),
    });
    expect(formatAddress(packet, ipv4.SRC_AT, ipv4.ADDRESS_LEN)).toBe('10.244.1.10');
    expect(formatAddress(packet, ipv4.DST_AT, ipv4.ADDRESS_LEN)).toBe('10.244.2.20');
  });

  it('writes it back, checksum included, and nothing else', () => {
    const out = scratch(30);
    expect(ipv4.emit(ipv4.parse(packet), out, 4)).toBe(20);
    expect(toHex(out)).toBe(`a5a5a5a5${toHex(packet, 0, 20)}a5a5a5a5a5a5`);
  });

  it('reads and writes options', () => {
    const header = { ...ipv4.parse(packet), totalLength: 88, options: hex('94040000') }; // router alert
    const out = scratch(88);
    expect(ipv4.emit(header, out)).toBe(24);
    expect(ipv4.ihl(out)).toBe(6);
    expect(ipv4.checksumOk(out)).toBe(true);
    expect(ipv4.parse(out)).toEqual(header);
  });

  it.each([3, 44])('refuses to write %i bytes of options', (len) => {
    expect(() => ipv4.emit({ ...ipv4.parse(packet), options: new Uint8Array(len) }, scratch(99))).toThrow(
      RangeError,
    );
  });

  it('reads a packet inside a slab, by offset', () => {
    const slab = amid(packet, 11, 20, 0xa5);
    expect(ipv4.check(slab, 11, 11 + packet.length)).toBeUndefined();
    expect(ipv4.parse(slab, 11)).toEqual(ipv4.parse(packet));
    expect(ipv4.checksumOk(slab, 11)).toBe(true);
  });

  it('allows padding after the packet, as Ethernet has', () => {
    expect(ipv4.check(amid(packet, 0, 6, 0))).toBeUndefined();
  });

  it.each([
    ['nothing', new Uint8Array(0), 0, 'header needs 20 bytes, has 0'],
    ['19 bytes', packet.subarray(0, 19), 0, 'header needs 20 bytes, has 19'],
    ['version 6', altered({ 0: 0x65 }), 0, 'version is 6, not 4'],
    ['one byte of IPv6', hex('60'), 0, 'version is 6, not 4'],
    ['header length 4 words', altered({ 0: 0x44 }), 0, 'header length is 4 words, below the least, 5'],
    [
      'options cut off',
      packet.subarray(0, 22).map((v, i) => (i === 0 ? 0x46 : v)),
      0,
      'header needs 24 bytes, has 22',
    ],
    [
      'total length below the header',
      altered({ 3: 19 }),
      2,
      "total length is 19 bytes, less than the header's 20",
    ],
    [
      'total length 0, as offload leaves it',
      altered({ 3: 0 }),
      2,
      "total length is 0 bytes, less than the header's 20",
    ],
  ])('points at %s', (_name, b, at, problem) => {
    for (const after of [0, 64]) {
      const slab = amid(b, 5, after, 0x45);
      expect(ipv4.checkHeader(slab, 5, 5 + b.length)).toEqual({ layer: 'ipv4', at, problem });
      expect(ipv4.check(slab, 5, 5 + b.length)).toEqual({ layer: 'ipv4', at, problem });
      expect(() => ipv4.parse(slab, 5, 5 + b.length)).toThrow(WireError);
    }
  });

  it('tells a cut capture from a damaged header', () => {
    const ip = ESP_HEAD.subarray(ETH);
    expect(ipv4.checkHeader(ip)).toBeUndefined();
    expect(ipv4.check(ip)).toEqual({
      layer: 'ipv4',
      at: 2,
      problem: 'total length is 140 bytes, but only 46 are there',
    });
  });

  it('reads flags and offset of fragments', () => {
    const b = packet.slice();
    putU16(b, 6, 0x20b2); // as the tail of a 1424-byte piece is announced
    expect([ipv4.dontFragment(b), ipv4.moreFragments(b), ipv4.fragmentOffset(b)]).toEqual([
      false,
      true,
      1424,
    ]);
    expect(ipv4.isFragment(b)).toBe(true);
    ipv4.setFragmentField(b, 0, 0x00b2);
    expect([ipv4.moreFragments(b), ipv4.isFragment(b)]).toEqual([false, true]);
    ipv4.setFragmentField(b, 0, ipv4.DF | 0x8000); // the reserved bit is no fragment
    expect([ipv4.dontFragment(b), ipv4.isFragment(b)]).toEqual([true, false]);
    expect(ipv4.fragmentField(b)).toBe(0xc000);
  });

  it('splits the traffic class', () => {
    const b = packet.slice();
    ipv4.setTos(b, 0, (46 << 2) | 3);
    expect([ipv4.tos(b), ipv4.dscp(b), ipv4.ecn(b)]).toEqual([187, 46, 3]);
  });

  it('setters write one field each', () => {
    const set: [string, (b: Uint8Array) => void, number, number][] = [
      ['tos', (b) => ipv4.setTos(b, 2, 0x1b), 1, 1],
      ['totalLength', (b) => ipv4.setTotalLength(b, 2, 0x1234), 2, 2],
      ['id', (b) => ipv4.setId(b, 2, 0x1234), 4, 2],
      ['fragmentField', (b) => ipv4.setFragmentField(b, 2, 0x1234), 6, 2],
      ['ttl', (b) => ipv4.setTtl(b, 2, 7), 8, 1],
      ['protocol', (b) => ipv4.setProtocol(b, 2, 50), 9, 1],
    ];
    for (const [name, write, at, len] of set) {
      const b = scratch(24);
      write(b);
      for (let i = 0; i < b.length; i++) {
        if (i < 2 + at || i >= 2 + at + len) expect(b[i], `${name} wrote byte ${i}`).toBe(0xa5);
      }
      const accessor: unknown = Reflect.get(ipv4, name);
      expect(typeof accessor).toBe('function');
      if (typeof accessor === 'function') expect(accessor(b, 2), name).not.toBe(accessor(scratch(24), 2));
    }
  });

  it('loses a hop as the captured router did: native-v4 frame 2 has TTL 62 and checksum ce6d', () => {
    // The same packet two hops earlier, where its checksum was cc6d.
    const b = hex('45000054953600004001cc6d0af402140af4010a');
    expect(ipv4.checksumOk(b)).toBe(true);
    ipv4.decrementTtl(b);
    ipv4.decrementTtl(b);
    expect(toHex(b)).toBe('45000054953600003e01ce6d0af402140af4010a');
  });

  it('keeps the checksum right over any number of hops', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), (b) => {
        b[0] = 0x45;
        b[8] = 255;
        ipv4.fillChecksum(b);
        for (let ttl = 255; ttl > 0; ttl--) {
          expect(ipv4.ttl(b)).toBe(ttl);
          ipv4.decrementTtl(b);
          const anew = b.slice();
          ipv4.fillChecksum(anew);
          expect(b).toEqual(anew);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('any header that is written reads back', () => {
    const header = fc.record({
      tos: fc.nat(255),
      totalLength: fc.integer({ min: 60, max: 90 }),
      id: fc.nat(0xffff),
      dontFragment: fc.boolean(),
      moreFragments: fc.boolean(),
      fragmentOffset: fc.nat(8191).map((v) => v * 8),
      ttl: fc.nat(255),
      protocol: fc.nat(255),
      src: fc.uint8Array({ minLength: 4, maxLength: 4 }),
      dst: fc.uint8Array({ minLength: 4, maxLength: 4 }),
      options: fc.uint8Array({ maxLength: 40 }).map((o) => o.slice(0, o.length & ~3)),
    });
    fc.assert(
      fc.property(header, (h) => {
        const out = scratch(100);
        const len = ipv4.emit(h, out, 3);
        expect(ipv4.parse(out, 3)).toEqual(h);
        expect(ipv4.checksumOk(out, 3)).toBe(true);
        expect(out[3 + len]).toBe(0xa5);
      }),
    );
  });
});
