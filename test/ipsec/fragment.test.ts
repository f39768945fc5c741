import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { equalBytes, hex } from '../../src/base/bytes.ts';
import { fragment } from '../../src/ipsec/fragment.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { Batch } from '../../src/wire/packet.ts';
import { Reassembler } from '../../src/wire/reassembly.ts';
import { ipv4Packet, ipv6Packet } from '../support/sa.ts';

const cuttable = (len: number, given: Partial<ipv4.Header> = {}) =>
  ipv4Packet(len, { dontFragment: false, protocol: 50, ...given });

/** All fragments, made in rounds of `room`. */
function cut(packet: Uint8Array, mtu: number, id = 1, room = 64): Uint8Array[] {
  const batch = new Batch({ capacity: 1, maxPacket: 0xffff });
  batch.push(packet);
  const out = new Batch({ capacity: room, maxPacket: 1500 });
  const pieces: Uint8Array[] = [];
  let from = 0;
  do {
    out.clear();
    from = fragment(batch, 0, mtu, id, out, from);
    if (from < 0) return [];
    for (let k = 0; k < out.count; k++) pieces.push(out.copy(k));
  } while (from > 0);
  expect(equalBytes(batch.copy(0), packet), 'the packet itself is left as it was').toBe(true);
  return pieces;
}

function together(pieces: readonly Uint8Array[]): Uint8Array | undefined {
  const reassembler = new Reassembler();
  return pieces.map((piece) => reassembler.add(piece, 0, piece.length, 0)).at(-1);
}

describe('fragment', () => {
  it('makes pieces that fit, and that a receiver puts together to the same packet', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('v4', 'v4 with options', 'v6', 'v6 with hop-by-hop options'),
        fc.integer({ min: 1600, max: 9000 }),
        fc.integer({ min: 100, max: 1500 }),
        fc.nat({ max: 0xffff_ffff }),
        fc.integer({ min: 1, max: 70 }),
        (kind, len, mtu, id, room) => {
          const packet = {
            v4: () => cuttable(len),
            // Router alert, which is copied, so that the first fragment's header is that of the others.
            'v4 with options': () => cuttable(len, { options: hex('94040000') }),
            v6: () => ipv6Packet(len, { nextHeader: 50 }),
            'v6 with hop-by-hop options': () => {
              const made = ipv6Packet(len, { nextHeader: 0 });
              made.set(hex('3200010400000000'), 40);
              return made;
            },
          }[kind]();
          const pieces = cut(packet, mtu, id, room);
          expect(pieces.length).toBeGreaterThan(1);
          for (const piece of pieces) expect(piece.length).toBeLessThanOrEqual(mtu);
          expect(equalBytes(together(pieces)!, packet)).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('cuts the longest packet at the narrowest link', () => {
    const packet = cuttable(0xffff);
    const pieces = cut(packet, 68, 1, 64);
    expect(pieces.length).toBe(Math.ceil((0xffff - 20) / 48));
    expect(equalBytes(together(pieces)!, packet)).toBe(true);
  });

  it('cuts a fragment again: offsets count on, and only the last one says that it is', () => {
    const whole = cuttable(4000);
    const once = cut(whole, 1500);
    const twice = once.flatMap((piece) => (piece.length > 700 ? cut(piece, 700) : [piece]));
    expect(twice.length).toBeGreaterThan(once.length);
    expect(together(twice)).toEqual(whole);
    expect(twice.filter((piece) => !ipv4.moreFragments(piece))).toHaveLength(1);
  });

  it('leaves options of the first fragment to the first, as Linux does', () => {
    // Timestamp (68) is for the first alone, router alert (148) for all.
    const packet = cuttable(1000, { options: hex('44080500000000009404000000000000') });
    const pieces = cut(packet, 500);
    const options = pieces.map((piece) => piece.slice(20, 36));
    expect(options[0]).toEqual(hex('44080500000000009404000000000000'));
    for (const later of options.slice(1)) expect(later).toEqual(hex('01010101010101019404000000000000'));
    for (const piece of pieces) expect(ipv4.checksumOk(piece)).toBe(true);
    expect(equalBytes(together(pieces)!, packet)).toBe(true);
  });

  it('stops at options that make no sense', () => {
    for (const options of ['07ff0000', '07000000', '07010000', '01010107', '0004000044040000']) {
      const packet = cuttable(1000, { options: hex(options) });
      const pieces = cut(packet, 500);
      expect(equalBytes(together(pieces)!, packet)).toBe(true);
      expect(pieces[1]!.slice(20, 20 + options.length / 2), 'left as they are').toEqual(hex(options));
    }
  });

  it.each([
    ['behind a no-operation', '0144040500000000', '0101010101000000'],
    ['of no data', '07020000', '01010000'],
    ['at the end of the header', '44040500', '01010101'],
  ])('makes no-operations of an option %s', (_, options, later) => {
    const pieces = cut(cuttable(1000, { options: hex(options) }), 500);
    expect(pieces[1]!.slice(20, 20 + options.length / 2)).toEqual(hex(later));
  });

  it('puts the IPv6 fragment header behind what routers read: next header, a zero, offset, identification', () => {
    const packet = ipv6Packet(1000, { nextHeader: 0 });
    packet.set(hex('3200010400000000'), 40);
    const batch = new Batch({ capacity: 2, maxPacket: 1500 });
    // Not at the begin of the slab alone.
    for (let k = 0; k < 2; k++) batch.push(packet);
    const out = new Batch({ capacity: 2, maxPacket: 1500 });
    out.slab.fill(0xa5);
    expect(fragment(batch, 1, 600, 0x0102_0304, out)).toBe(0);
    expect([0, 1].map((k) => out.copy(k).slice(40, 56))).toEqual([
      hex('2c00010400000000' + '3200000101020304'),
      hex('2c00010400000000' + '3200022001020304'),
    ]);
  });

  it('fills a slot to its end, and not beyond', () => {
    const batch = new Batch({ capacity: 1 });
    batch.push(cuttable(1000));
    const out = new Batch({ capacity: 8, headroom: 20, maxPacket: 300, tailroom: 0 });
    expect(out.slotSize).toBe(320);
    expect(fragment(batch, 0, 300, 1, out)).toBe(0);
    expect(out.length[0]).toBe(300);
    out.clear();
    expect(fragment(batch, 0, 308, 1, out)).toBe(-1);
    expect(out.count).toBe(0);
  });

  it('says so when a packet cannot be cut to a length, or a slot is too small', () => {
    expect(cut(cuttable(3000), 27)).toEqual([]);
    expect(cut(ipv6Packet(3000, { nextHeader: 50 }), 55)).toEqual([]);
    expect(cut(cuttable(9000), 4000)).toEqual([]);
  });
});
